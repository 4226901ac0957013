"""What changed between two configurations, in the words of the file."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings

from meshctl.config.diff import Change, changes
from meshctl.model.mesh import Mesh, encode
from tests.config.meshes import meshes
from tests.config.reading import read

BASE = """
[gateway]
listen = ["127.0.0.1:8080"]
[[routes]]
name = "orders"
path = "/orders"
service = "orders"
retry = { attempts = 2 }
[[routes]]
name = "docs"
path = "/docs"
redirect = { host = "docs.example.com" }
[services.orders]
[services.orders.versions.v1]
endpoints = ["127.0.0.1:9001"]
weight = 90
[services.orders.versions.v2]
endpoints = ["127.0.0.1:9002"]
weight = 10
"""
ORDERS = "services.orders"
V1 = f"{ORDERS}.versions.v1"
V2 = f"{ORDERS}.versions.v2"
FIRST = 'endpoints."127.0.0.1:9001"'
CHECK = "path = /h, interval = 5s, timeout = 2s, healthy = 1, unhealthy = 3, statuses = 200, 399"


def lines(old: str, new: str) -> list[str]:
    """The differences as text."""
    return [str(change) for change in changes(read(old).mesh, read(new).mesh)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("attempts = 2", "attempts = 3", ["routes.orders.retry.attempts: 2 → 3"]),
        ("retry = { attempts = 2 }", "", ["routes.orders.retry.attempts: 2 → 1"]),
        ("retry = {", 'timeout = "1.5s"\nretry = {', ["routes.orders.timeout: 0s → 1.5s"]),
        ("weight = 10", "weight = 20", ["services.orders.versions.v2.weight: 10 → 20"]),
        ('"127.0.0.1:9001"', '"127.0.0.1:9001", "h:1"', [f'{V1}.endpoints."h:1": added (weight = 1)']),
        (
            '"127.0.0.1:9001"',
            '"https://127.0.0.1:9001"',
            [
                f'{V1}.endpoints."127.0.0.1:9001": removed (weight = 1)',
                f'{V1}.endpoints."https://127.0.0.1:9001": added (weight = 1)',
                "services.orders.tls: added (verify = true)",
            ],
        ),
        (
            '"127.0.0.1:9001"',
            '{ address = "127.0.0.1:9001", weight = 2 }',
            [f'{V1}.endpoints."127.0.0.1:9001".weight: 1 → 2'],
        ),
        ('"127.0.0.1:8080"', '"127.0.0.1:8080", ":81"', ['gateway.listen.":81": added']),
        (
            '"127.0.0.1:8080"',
            '{ address = "127.0.0.1:8080", connections_per_client = 9 }',
            ['gateway.listen."127.0.0.1:8080".connections_per_client: added (9)'],
        ),
        ('path = "/orders"', 'path = { exact = "/orders" }', ["routes.orders.path: /orders → exact = /orders"]),
        ('path = "/orders"', 'path = "/orders"\nmethods = ["GET", "PUT"]', ["routes.orders.methods: added (GET, PUT)"]),
        (
            "[services.orders]",
            '[services.orders]\nhealth = { path = "/h" }',
            [f"{ORDERS}.health: added ({CHECK})"],
        ),
        ("[gateway]", '[gateway]\nworkers = "auto"', ["gateway.workers: 1 → auto"]),
        (
            "[gateway]",
            '[tracing]\nendpoint = "http://h:4318/v1/traces"\n[gateway]',
            ["tracing: added (endpoint = http://h:4318, sample = 1%)"],
        ),
        ("[gateway]", '[gateway]\nlimits.head_bytes = "8KiB"', ["gateway.limits.head_bytes: 64KiB → 8KiB"]),
        (
            "[gateway]",
            '[mesh]\ndefault = "deny"\npolicy = "shadow"\negress = "deny"\n[gateway]',
            ["mesh.default: allow → deny", "mesh.policy: enforce → shadow", "mesh.egress: allow → deny"],
        ),
        (
            "[gateway]",
            '[gateway]\ntls = { certificate = "mesh" }',
            ['gateway.listen."127.0.0.1:8080".tls: added (mesh)'],
        ),
        (
            "[services.orders]",
            '[services.db]\nprotocol = "tcp"\n[services.orders]\nmtls = "permissive"\nport = 9\nafter = "db"',
            [
                f"{ORDERS}.mtls: strict → permissive",
                f"{ORDERS}.after: none → db",
                f"{ORDERS}.port: added (9)",
                "services.db: added",
            ],
        ),
        ("weight = 10", 'weight = 10\ncommand = "x"\nport = 9', [f"{V2}.command: added (x)", f"{V2}.port: added (9)"]),
        (
            "[gateway]",
            '[[allow]]\nfrom = "gateway"\nto = ["orders", "db"]\nmethods = ["GET"]\n[gateway]',
            ["allow.gateway-to-orders-db: added (gateway → orders, db)"],
        ),
        (
            '[[routes]]\nname = "docs"\npath = "/docs"\nredirect = { host = "docs.example.com" }\n',
            '[[routes]]\nname = "new"\npath = "/new"\nservice = "orders"\n',
            ["routes.docs: removed (/docs → redirect)", "routes.new: added (/new → service orders)"],
        ),
    ],
)
def test_changes(before: str, after: str, expected: list[str]) -> None:
    """Each edit of the file gives its own change, in human units, and the way back gives the mirror image."""
    assert before in BASE
    edited = BASE.replace(before, after, 1)
    assert lines(BASE, edited) == expected
    assert len(lines(edited, BASE)) == len(expected)


def test_a_service_is_named_whole() -> None:
    """A service that comes or goes is one change, with its versions or endpoints."""
    two = '\n[services.x]\nendpoints = ["h:1", "h:2"]\n'
    assert lines(BASE, BASE + two) == ["services.x: added (h:1, h:2)"]
    assert lines(BASE, "") == [
        "routes.orders: removed (/orders → service orders)",
        "routes.docs: removed (/docs → redirect)",
        "services.orders: removed (versions v1, v2)",
    ]


def test_order() -> None:
    """Order decides between equals, so another order is a change."""
    one, two = '[[routes]]\nname = "a"\nrespond = {}\n', '[[routes]]\nname = "b"\npath = "/b"\nrespond = {}\n'
    assert lines(one + two, two + one) == ["routes: order a, b → order b, a"]


def test_rules_change() -> None:
    """A rule's parts are compared by its name; another order is a change, for a refusal names the first rule."""
    one = '[[allow]]\nname = "a"\nfrom = "web"\nto = "orders"\n'
    two = '[[allow]]\nname = "b"\nfrom = "*"\nto = "orders"\npaths = ["/v1", { exact = "/x" }]\n'
    assert lines(one + two, two + one) == ["allow: order a, b → order b, a"]
    assert lines(two, two.replace('"*"', '["web", "shop"]')) == ["allow.b.from: * → web, shop"]
    assert lines(two, two.replace("paths", "methods = ['GET']\n#")) == [
        "allow.b.paths: removed (/v1, exact = /x)",
        "allow.b.methods: added (GET)",
    ]


def test_a_service_that_waits_for_sidecars() -> None:
    """A service loses and gains its endpoints one by one; the version of none is no version."""
    none, one, versions = "[services.a]\n", '[services.a]\nendpoints = ["h:1"]\n', "[services.a.versions.v1]\n"
    assert lines(none, one) == ['services.a.endpoints."h:1": added (weight = 1)']
    assert lines(one, none) == ['services.a.endpoints."h:1": removed (weight = 1)']
    assert lines(none, versions) == ["services.a.endpoints: removed", "services.a.versions: added (v1)"]
    assert lines("", none) == ["services.a: added"]


def test_from_endpoints_to_versions() -> None:
    """Splitting a service into versions shows what came and what went."""
    before, after = '[services.a]\nendpoints = ["h:1"]', '[services.a.versions.v1]\nendpoints = ["h:1"]'
    assert lines(before, after) == ["services.a.endpoints: removed (h:1)", "services.a.versions: added (v1)"]


def test_who_may() -> None:
    """Ways to know callers and rules about them are told by name, and rules in another order are a change."""
    base = """
        [auth.a]
        api_key = {}
        [[routes]]
        name = "r"
        service = "s"
        auth = "a"
        require = [{ name = "x", scopes = "p" }, { name = "y", scopes = "q" }]
        [services.s]
        endpoints = ["h:1"]
    """
    assert lines(base, base.replace("{}", "{ bearer = true }")) == ["auth.a.api_key.bearer: false → true"]
    asked = base.replace("api_key = {}", 'forward_auth = { url = "http://127.0.0.1:1/x", copy_headers = "x-user" }')
    assert lines(asked, asked.replace('"x-user"', '["x-user", "x-role"]')) == [
        "auth.a.forward_auth.copy_headers: x-user → x-user, x-role"
    ]
    token = 'introspection = { url = "https://id/x", client_id = "g", client_secret_file = "/s", cache = "10s" }'
    asked = base.replace("api_key = {}", token)
    assert lines(asked, asked.replace("10s", "1m")) == ["auth.a.introspection.cache: 10s → 1m"]
    assert lines(base, base.replace('"p"', '"r"')) == ["routes.r.require.x.scopes: p → r"]
    swapped = base.replace('"x"', '"z"').replace('"y"', '"x"').replace('"z"', '"y"')
    swapped = swapped.replace('"p"', '"t"').replace('"q"', '"p"').replace('"t"', '"q"')
    assert lines(base, swapped) == ["routes.r.require: order x, y → order y, x"]


def test_fields() -> None:
    """A change is a value with the kind, the path and both sides, for programs."""
    found = changes(read(BASE).mesh, read(BASE.replace("weight = 10", "weight = 20")).mesh)
    assert found == [Change("changed", "services.orders.versions.v2.weight", "10", "20")]


@settings(max_examples=40)
@given(meshes(), meshes())
def test_only_equal_meshes_have_no_changes(old: Mesh, new: Mesh) -> None:
    """Nothing that differs goes unsaid, except the order of what has none."""
    found = changes(old, new)
    assert bool(found) == (_unordered(old) != _unordered(new))
    assert changes(old, old) == []


def _unordered(mesh: Mesh) -> bytes:
    """The mesh with everything whose order means nothing in one order."""

    def tidy(service: object) -> object:
        versions = tuple(
            msgspec.structs.replace(version, endpoints=tuple(sorted(version.endpoints, key=repr)))
            for version in sorted(service.versions, key=repr)  # type: ignore[attr-defined]
        )
        return msgspec.structs.replace(service, versions=versions)  # type: ignore[type-var]

    gateway = msgspec.structs.replace(mesh.gateway, listeners=tuple(sorted(mesh.gateway.listeners, key=repr)))
    services = tuple(sorted(map(tidy, mesh.services), key=repr))
    auth = tuple(sorted(mesh.auth, key=repr))
    return encode(msgspec.structs.replace(mesh, services=services, gateway=gateway, auth=auth))
