"""Routes with parts in mesh.toml: what they mean, how they differ, and what is in effect."""

from __future__ import annotations

from meshctl.config.diff import changes
from meshctl.config.effective import effective
from meshctl.model.part import Part
from meshctl.model.passing import JsonEdits
from meshctl.proxy.explain import explain
from tests.config.reading import problems, read

TEXT = """\
[[routes]]
name = "page"
path = "/page/{id}"
timeout = "2s"
parts = [
  { name = "user", service = "users", path = "/users/{path.id}", group = "", response_body = { keep = ["$.name"] } },
  { name = "orders", service = "orders", path = "/orders?of={part.user.id}&q={query.q}", need = { default = [] } },
  { name = "ads", service = "users", path = "/ads", need = "optional", version = "v2", timeout = "3s", headers = [] },
]
[services.users]
timeout = "1s"
versions.v1 = { endpoints = ["127.0.0.1:9001"], weight = 1 }
versions.v2 = { endpoints = ["127.0.0.1:9002"], weight = 3 }
[services.orders]
endpoints = ["127.0.0.1:9003"]
"""


def test_what_it_means() -> None:
    """A part has its name for a group, its service's timeout and no header but one, where nothing else is said; the
    route takes GET and HEAD."""
    (route,) = read(TEXT).mesh.routes
    assert route.parts == (
        Part("user", "users", "/users/{path.id}", timeout=1.0, edits=JsonEdits(keep=("$.name",))),
        Part("orders", "orders", "/orders?of={part.user.id}&q={query.q}", "default", "[]", "orders"),
        Part("ads", "users", "/ads", "optional", group="ads", timeout=3.0, headers=(), version="v2"),
    )
    assert route.match.methods == ("GET", "HEAD")
    assert route.services == ("users", "orders", "users")


def test_differences() -> None:
    """Parts are compared by their names; one that comes or goes is one change, and so is another order."""
    mesh = read(TEXT).mesh

    def differences(old: str, new: str) -> list[str]:
        assert old in TEXT
        return [str(each) for each in changes(mesh, read(TEXT.replace(old, new)).mesh)]

    assert differences("/ads", "/adverts") == ["routes.page.parts.ads.path: /ads → /adverts"]
    assert differences("default = []", "default = [1]") == ["routes.page.parts.orders.need.default: none → 1"]
    line = TEXT.splitlines(keepends=True)[7]
    (gone,) = differences(line, "")
    assert gone.startswith("routes.page.parts.ads: removed (/ads → service users")
    first = TEXT.splitlines(keepends=True)[5]
    moved = TEXT.replace(line, "").replace(first, line + first)
    assert [str(each) for each in changes(mesh, read(moved).mesh)] == [
        "routes.page.parts: order user, orders, ads → order ads, user, orders"
    ]


def test_what_is_in_effect() -> None:
    """Each key is there with its line, or as a default."""
    found = {each.path: (each.value, each.origin) for each in effective(read(TEXT)) if ".parts" in each.path}
    assert found["routes.page.parts[1].need.default"] == ([], "mesh.toml:7")
    assert found["routes.page.parts[0].need"] == ("required", "default")
    assert found["routes.page.parts[1].headers"] == (["accept-language"], "default")
    assert found["routes.page.parts[2].timeout"] == ("3s", "mesh.toml:8")
    assert found["routes.page.parts[0].response_body.limit"] == ("1MiB", "default")


def test_a_cache_is_none() -> None:
    """That such a route's answers are not kept is said."""
    (found,) = problems(TEXT.replace('timeout = "2s"\n', 'timeout = "2s"\ncache = true\n'))
    assert "what is made of parts is not kept" in str(found)


def test_explained() -> None:
    """Each part is told with what it would ask for, of whom, when, and what its failure means."""
    view = explain(read(TEXT).mesh, "GET", "/page/a%2Fb?q=x")
    assert view.target == "parts user, orders, ads"
    parts = [each for each in view.policies if each.startswith("part ")]
    assert parts == [
        "part user: GET /users/a%2Fb of users; by chance: v1 0.25, v2 0.75; within 1s; up to 1MiB; the whole fails "
        "without it",
        "part orders: GET /orders?of={part.user.id}&q=x of orders; 127.0.0.1:9003; after user; up to 1MiB; [] where it "
        "fails",
        "part ads: GET /ads of users; v2 (by the route), 127.0.0.1:9002; within 3s; up to 1MiB; left out where it "
        "fails",
    ]
    assert "timeout: 2s in all" in view.policies
