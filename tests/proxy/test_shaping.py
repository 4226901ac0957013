"""Heads and queries that change on their way, in a proxy with real connections: what the service and the client see."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.model.passing import SecurityHeaders
from meshctl.model.route import HeaderEdits, Match, PathMatch, QueryEdits, Respond, Rewrite, Route
from meshctl.proxy.explain import explain

from .lone_proxy import mesh_of
from .passage import OK, Passage, answer, request

USERS = Match(path=PathMatch("template", "/users/{id}"))


def test_variables(passage: Passage) -> None:
    """Each variable stands for what it says, beside fixed text, in requests and in answers."""
    edits = HeaderEdits(
        set=(
            ("x-client", "{client_ip}"), ("x-user", "{claim.sub}"), ("x-id", "user-{path.id}{{}}"),
            ("x-fixed", "{{a}}"),
            ("x-all", "{method} {scheme}://{host}{path} of {route}"), ("x-of", "{header.x-in}"), ("x-q", "{query.q}"),
            ("x-c", "{cookie.c}"),
        )
    )  # fmt: skip
    back = HeaderEdits(set=(("x-id", "{path.id}"), ("x-request", "{request_id}")))
    passage.serve(match=USERS, request_headers=edits, response_headers=back)
    seen, got = passage.pass_through(
        request("/users/a%2Fb?q=1%202", "X-Client: 6.6.6.6", "X-User: root", "X_User: root", "X-In: in", "Cookie: c=d"),
        answer("X-Id: theirs"),
    )
    found = {name: seen.get(name) for name in ("x-client", "x-id", "x-fixed", "x-of", "x-q", "x-c")}
    assert found == {
        "x-client": b"127.0.0.1", "x-id": b"user-a%2Fb{}", "x-fixed": b"{a}", "x-of": b"in", "x-q": b"1 2", "x-c": b"d",
    }  # fmt: skip
    assert seen.get("x-all") == b"GET http://a/users/a%2Fb of r"
    assert not seen.names & {b"x-user", b"x_user"}
    assert (got.get("x-id"), got.get("x-request")) == (b"a%2Fb", got.get("x-request-id"))


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%201", "a%0aX-Evil:%201", "a%00b", "%7f"])
def test_no_value_begins_a_line(passage: Passage, value: str) -> None:
    """What cannot stand in a header is left out, and nothing of it becomes another one."""
    passage.serve(request_headers=HeaderEdits(set=(("x-q", "q={query.q}"),)))
    seen, _ = passage.pass_through(request(f"/?q={value}", "X-Q: mine"))
    assert not seen.names & {b"x-q", b"x-evil"}


def test_a_value_is_never_read_again(passage: Passage) -> None:
    """A variable in a value, or what looks like an escape, stays the text it is."""
    edits = HeaderEdits(set=(("x-q", "{query.q}"), ("x-2", "{query.q}{query.q}")))
    passage.serve(request_headers=edits, request_query=QueryEdits(set=(("back", "{query.q}"),)))
    seen, _ = passage.pass_through(request("/?q=%7Bclient_ip%7D%25s%252F"))
    assert seen.get("x-q") == b"{client_ip}%s%2F"
    assert seen.get("x-2") == b"{client_ip}%s%2F" * 2
    assert seen.target == b"/?q=%7Bclient_ip%7D%25s%252F&back=%7Bclient_ip%7D%25s%252F"


def test_renaming(passage: Passage) -> None:
    """A renamed header takes the place of those that had the new name; one that is not there changes nothing."""
    edits = HeaderEdits(rename=(("x-old", "x-new"),), set=(("x-set", "1"),))
    passage.serve(request_headers=edits, response_headers=HeaderEdits(rename=(("server", "x-server"),)))
    seen, got = passage.pass_through(request("/", "X-New: theirs", "X-Old: a", "X-Old: b"), answer("Server: s"))
    assert (seen.all("x-new"), seen.get("x-old"), seen.get("x-set")) == ([b"a", b"b"], None, b"1")
    assert (got.get("x-server"), got.get("server")) == (b"s", None)
    seen, _ = passage.pass_through(request("/", "X-New: theirs"))
    assert seen.all("x-new") == [b"theirs"]


@pytest.mark.parametrize("times", [1, 2], ids=["alone", "in a pipeline"])
def test_trailers_of_requests(passage: Passage, times: int) -> None:
    """What a route sets, takes out or renames is not said in trailers instead; others pass where their route is known
    when they come."""
    edits = HeaderEdits(
        set=(("x-user", "{query.q}"), ("x-set", "1")), remove=("x-admin",), rename=(("x-old", "x-new"),)
    )
    passage.serve(request_headers=edits)
    said = (b"X-User: 1", b"x_user: 1", b"X-Set: 1", b"X-Admin: 1", b"X-Old: 1", b"X-New: 1", b"X-Sum: 1", b"", b"")
    whole = request("/?q=ada", "Transfer-Encoding: chunked", method="POST") + b"2\r\nhi\r\n0\r\n" + b"\r\n".join(said)
    with passage.proxy.connect("gateway") as client:
        client.send(whole * times)
        wire, seen = passage.app.serve(OK)
        assert (seen.body, seen.get("x-user"), seen.trailers) == (b"hi", b"ada", ((b"X-Sum", b"1"),))
        if times == 2:
            seen = wire.read_request()
            assert (seen.body, seen.get("x-user"), dict(seen.trailers).keys() - {b"X-Sum"}) == (b"hi", b"ada", set())
            wire.send(OK)
        assert [client.read_response().status for _ in range(times)] == [200] * times


def test_what_comes_beside_the_head_of_an_answer(passage: Passage) -> None:
    """Nor do services get past the edits in trailers or interim answers."""
    edits = HeaderEdits(set=(("x-set", "1"),), remove=("x-inner",), rename=(("x-old", "x-new"),))
    passage.serve(response_headers=edits, security_headers=SecurityHeaders())
    lines = b"X-Set: 2\r\nX-Inner: 2\r\nX-Old: 2\r\nX-New: 2\r\nX-Frame-Options: none\r\nX-Other: 2\r\n\r\n"
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        client.send(request())
        passage.app.serve(
            b"HTTP/1.1 103 Early Hints\r\n" + lines
            + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + lines
        )  # fmt: skip
        early = client.read_head()
        assert (early.status, [name for name, _ in early.fields]) == (103, [b"X-Other"])
        got = client.read_response()
    assert (got.body, got.trailers) == (b"ok", ((b"X-Other", b"2"),))


def test_the_query(passage: Passage) -> None:
    """Parameters are renamed, taken out, set and added, with values from the path."""
    edits = QueryEdits(
        set=(("user", "{path.id}"), ("none", "{claim.sub}")), add=(("v", "2"),), remove=("debug",), rename=(("q", "s"),)
    )
    passage.serve(match=USERS, request_query=edits)
    seen, _ = passage.pass_through(request("/users/7?q=x%26y&debug=1&user=8&none=1&keep"))
    assert seen.target == b"/users/7?s=x%26y&keep&user=7&v=2"
    seen, _ = passage.pass_through(request("/users/7"))
    assert seen.target == b"/users/7?user=7&v=2"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/users/7", b"/v2/7/profile"), ("/users/..%2f..%2fadmin", b"/v2/..%2F..%2Fadmin/profile")],
)
def test_rewriting(passage: Passage, path: str, expected: bytes) -> None:
    """What a name in the path stands for goes into the new path as it was, and never out of its segment."""
    passage.serve(match=USERS, rewrite=Rewrite(path="/v2/{path.id}/profile"))
    seen, _ = passage.pass_through(request(path))
    assert seen.target == expected
    assert passage.refuse(request("/users/..")).status == 404
    assert passage.refuse(request("/users/7/8")).status == 404


def test_fixed_answers_have_variables_too(passage: Passage) -> None:
    """An answer of the configuration's gets the headers of its route; a refusal gets none of them."""
    edits = HeaderEdits(set=(("x-id", "{path.id}"),))
    passage.serve(
        Route("hi", USERS, respond=Respond(body="hi"), response_headers=edits),
        Route("full", Match(path=PathMatch("template", "/full/{id}")), service="app", body_bytes=1,
              response_headers=edits),
    )  # fmt: skip
    assert passage.refuse(request("/users/7")).get("x-id") == b"7"
    refused = passage.refuse(request("/full/7", method="POST", body=b"xx"))
    assert (refused.status, refused.get("x-id")) == (413, None)


def test_explained(tmp_path: Path) -> None:
    """What would go on is shown with its new path and query."""
    route = Route(
        "r",
        USERS,
        service="app",
        rewrite=Rewrite(path="/u/{path.id}"),
        request_query=QueryEdits(set=(("u", "{path.id}"),)),
    )
    passage = Passage(tmp_path)
    try:
        found = explain(mesh_of(passage.service, routes=(route,)), "GET", "http://a/users/7?u=1&b=2")
        assert (found.match, found.forwarded) == ("/users/{id}", "GET /u/7?b=2&u={path.id} HTTP/1.1, Host: a")
    finally:
        passage.close()
