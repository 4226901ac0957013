"""A good mesh.toml → the mesh it means: every shorthand, every default, every path."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.model.mesh import Access, AccessLog, Allow, Certificate, Gateway, Listener, Mesh
from meshctl.model.policy import (
    Balance,
    Breaker,
    DownstreamTimeouts,
    Ejection,
    HealthCheck,
    Key,
    Limit,
    Limits,
    Overload,
    Retry,
    RetryBudget,
    UpstreamTimeouts,
)
from meshctl.model.route import HeaderEdits, Match, PathMatch, Redirect, Respond, Rewrite, Route, ValueMatch
from meshctl.model.service import Command, Endpoint, Service, UpstreamTls, Version
from tests.config.reading import read


def gateway(text: str) -> Gateway:
    """The gateway of a [gateway] table."""
    return read(f"[gateway]\n{text}").mesh.gateway


def route(text: str) -> Route:
    """The only route, which leads to service a."""
    return read(f'[[routes]]\nname = "r"\nservice = "a"\n{text}\n[services.a]\nendpoints = ["h:1"]').mesh.routes[0]


def service(text: str) -> Service:
    """The first service."""
    return read(f"[services.a]\n{text}").mesh.services[0]


def test_an_empty_file_is_the_default_mesh() -> None:
    """A file that says nothing gives the model's defaults and nothing else."""
    assert Mesh() == read("").mesh


def test_the_trust_domain_follows_the_name() -> None:
    """A mesh's trust domain is NAME.mesh unless it is given."""
    assert read('[mesh]\nname = "shop"').mesh.trust_domain == "shop.mesh"
    assert read('[mesh]\nname = "shop"\ntrust_domain = "corp.example"').mesh.trust_domain == "corp.example"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('default = "deny"', Mesh(access=Access(default="deny"))),
        ('default = "allow"', Mesh()),
        ('policy = "shadow"', Mesh(access=Access(shadow=True))),
        ('policy = "enforce"', Mesh()),
        ('egress = "deny"', Mesh(egress="deny")),
        ('egress = "allow"', Mesh()),
    ],
)
def test_what_holds_for_all_services(text: str, expected: Mesh) -> None:
    """Each key of [mesh] changes its field and no other."""
    assert expected == read(f"[mesh]\n{text}").mesh


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('from = "web"\nto = "orders"', Allow("web-to-orders", ("web",), ("orders",))),
        (
            'from = ["web", "gateway", "web"]\nto = ["orders", "db"]',
            Allow("web-gateway-to-orders-db", ("web", "gateway"), ("orders", "db")),
        ),
        ('name = "all"\nfrom = "*"\nto = "*"', Allow("all", ("*",), ("*",))),
        ('from = "*"\nto = "orders"', Allow("any-to-orders", ("*",), ("orders",))),
        (
            'from = "a"\nto = "b"\nmethods = ["GET", "GET", "HEAD"]',
            Allow("a-to-b", ("a",), ("b",), methods=("GET", "HEAD")),
        ),
        (
            'from = "a"\nto = "b"\npaths = ["/v1/", { exact = "/x" }, { regex = "/y.*" }, { prefix = "/v1" }]',
            Allow(
                "a-to-b",
                ("a",),
                ("b",),
                paths=(PathMatch("prefix", "/v1"), PathMatch("exact", "/x"), PathMatch("regex", "/y.*")),
            ),
        ),
    ],
)
def test_rules(text: str, expected: Allow) -> None:
    """A rule says who may call whom, each side a word or a list, nothing twice; without a name it gets one."""
    assert Mesh(access=Access(rules=(expected,))) == read(f"[[allow]]\n{text}").mesh


def test_names_of_rules() -> None:
    """Rules without a name are called after their sides; given names come first, none twice, none too long."""
    long = "x" * 63
    sides = [("web", "orders"), ("web", "orders"), ("gateway", "web"), (long, "orders")]
    text = "".join(f'[[allow]]\nfrom = "{caller}"\nto = "{called}"\n' for caller, called in sides)
    text += '[[allow]]\nname = "web-to-orders"\nfrom = "*"\nto = "*"'
    names = [rule.name for rule in read(text).mesh.access.rules]
    assert names == ["web-to-orders-2", "web-to-orders-3", "gateway-to-web", long, "web-to-orders"]


CERT = Certificate("/etc/mesh/c.pem", "/abs/k.pem")


@pytest.mark.parametrize(
    ("text", "listeners"),
    [
        (
            'listen = ["127.0.0.1:1", ":2", "[::1]:3", "LocalHost:0"]',
            [("127.0.0.1", 1), ("", 2), ("::1", 3), ("localhost", 0)],
        ),
        ('listen = ["[0:0::1]:3"]', [("::1", 3)]),
        ('listen = [{ address = ":1" }]', [("", 1)]),
    ],
)
def test_listeners(text: str, listeners: list[tuple[str, int]]) -> None:
    """Listeners are read from words and tables, hosts in their one form."""
    assert tuple(Listener(*each) for each in listeners) == gateway(text).listeners


def test_connections_per_client() -> None:
    """A listener may let each address have so many connections; those that do not say so have no limit."""
    found = gateway('listen = [":1", { address = ":2", connections_per_client = 50 }]').listeners
    assert [each.connections_per_client for each in found] == [0, 50]


def test_certificates() -> None:
    """gateway.tls holds for each listener without its own; false is plain; relative files stand beside the file."""
    tls = 'tls = { certificate = "c.pem", key = "/abs/k.pem" }\n'
    own = '{ address = ":2", tls = [{ certificate = "./d.pem", key = "../k.pem" }] }'
    found = gateway(f'{tls}listen = [":1", {own}, {{ address = ":3", tls = false }}]').listeners
    assert found[0].tls == (CERT,)
    assert (Certificate("/etc/mesh/d.pem", "/etc/mesh/../k.pem"),) == found[1].tls
    assert found[2].tls == ()
    assert (Listener("127.0.0.1", 8080, (CERT,)),) == gateway(tls).listeners


def test_the_certificate_of_the_mesh() -> None:
    """The certificate "mesh" is no file: such listeners get theirs from the mesh's CA, all or each for itself."""
    shared = 'tls = { certificate = "mesh" }\n'
    assert (Listener("127.0.0.1", 8080, mesh="edge"),) == gateway(shared).listeners
    own = '{ address = ":2", tls = [{ certificate = "c.pem", key = "/abs/k.pem" }] }'
    found = gateway(f'{shared}listen = [":1", {own}, {{ address = ":3", tls = false }}]').listeners
    assert (Listener("", 1, mesh="edge"), Listener("", 2, (CERT,)), Listener("", 3)) == found
    only = gateway('listen = [{ address = ":1", tls = { certificate = "mesh" } }, ":2"]').listeners
    assert (Listener("", 1, mesh="edge"), Listener("", 2)) == only
    file = gateway('tls = { certificate = "./mesh", key = "k.pem" }').listeners
    assert (Certificate("/etc/mesh/mesh", "/etc/mesh/k.pem"),) == file[0].tls


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([], ("localhost", "127.0.0.1", "::1")),
        (
            [["shop.localhost", "*.Example.com"], None, ["[::1]", "shop.localhost"]],
            ("shop.localhost", "*.example.com", "::1"),
        ),
    ],
)
def test_whom_the_edge_certificate_is_for(hosts: list[list[str] | None], expected: tuple[str, ...]) -> None:
    """It is for the hosts of the routes, each once; where none has any, for this machine's own names."""
    tables = [f"[[routes]]\npath = '/{n}'\nrespond = {{}}\n" for n in range(len(hosts))]
    named = [f"{table}hosts = {names}\n" if names else table for table, names in zip(tables, hosts, strict=True)]
    assert expected == read("".join(named)).mesh.edge_hosts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workers = 4", Gateway(workers=4)),
        ('workers = "auto"', Gateway(workers=0)),
        ('admin = "off"', Gateway(admin="off")),
        ('admin = ":9901"', Gateway(admin=":9901")),
        ("forwarded = true", Gateway(forwarded=True)),
        ('trusted_proxies = ["10.0.0.0/8", "::1"]', Gateway(trusted_proxies=("10.0.0.0/8", "::1/128"))),
        ('access_log = "off"', Gateway(access_log=AccessLog("off"))),
        ('access_log = "a.log"', Gateway(access_log=AccessLog("/etc/mesh/a.log"))),
        ('access_log = { format = "text" }', Gateway(access_log=AccessLog(format="text"))),
        ("access_log = { redact = false }", Gateway(access_log=AccessLog(redact=False))),
        ('timeouts = { head = "1m30s", drain = "0" }', Gateway(timeouts=DownstreamTimeouts(head=90.0, drain=0.0))),
        ('overload = { lag = "0" }', Gateway(overload=Overload(0.0))),
        ('limits = { body_bytes = "1.5KiB" }', Gateway(limits=Limits(body_bytes=1536))),
    ],
)
def test_gateway(text: str, expected: Gateway) -> None:
    """Each key of [gateway] changes its field and no other."""
    assert expected == gateway(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('path = "/v1/"', {"match": Match(path=PathMatch("prefix", "/v1"))}),
        ('path = { prefix = "/" }', {"match": Match()}),
        ('path = { exact = "/v1/" }', {"match": Match(path=PathMatch("exact", "/v1/"))}),
        ('path = { regex = "/v[0-9]" }', {"match": Match(path=PathMatch("regex", "/v[0-9]"))}),
        ('path = "/caf\u00e9/%7e%c3"', {"match": Match(path=PathMatch("prefix", "/caf%C3%A9/~%C3"))}),
        (
            'hosts = ["API.Example.com", "*.a.b", "api.example.com"]',
            {"match": Match(hosts=("api.example.com", "*.a.b"))},
        ),
        ('methods = ["GET", "GET", "PURGE"]', {"match": Match(methods=("GET", "PURGE"))}),
        (
            'headers = { X-A = "1", x-b = { regex = "." }, x-c = { present = true } }',
            {
                "match": Match(
                    headers=(
                        ValueMatch("x-a", "exact", "1"),
                        ValueMatch("x-b", "regex", "."),
                        ValueMatch("x-c", "present"),
                    )
                )
            },
        ),
        ('query = { A = "" }', {"match": Match(query=(ValueMatch("A", "exact", ""),))}),
        ('rewrite = { prefix = "/x/", host = "h:1" }', {"rewrite": Rewrite(prefix="/x", host="h:1")}),
        (
            'request_headers = { set = { X-A = "1" }, add = { x-b = ["2", "3"], x-c = "4" }, remove = ["X-D"] }',
            {"request_headers": HeaderEdits((("x-a", "1"),), (("x-b", "2"), ("x-b", "3"), ("x-c", "4")), ("x-d",))},
        ),
        ('timeout = "250ms"', {"timeout": 0.25}),
        ('retry = { on = ["503", "503", "timeout"] }', {"retry": Retry(on=("503", "timeout"))}),
        ("retry = { attempts = 0 }", {"retry": Retry(attempts=0)}),
        ('body_bytes = "10MB"', {"body_bytes": 10_000_000}),
    ],
)
def test_route(text: str, expected: dict[str, Any]) -> None:
    """Each key of a route changes its field and no other."""
    assert Route(**{"name": "r", "service": "a"} | expected) == route(text)


def test_actions() -> None:
    """A route may redirect or respond instead."""
    text = '[[routes]]\nredirect = { scheme = "https", port = 1, status = 308 }\n'
    text += '[[routes]]\npath = "/a"\nrespond = { body = "b" }'
    redirecting, responding = read(text).mesh.routes
    assert Redirect(scheme="https", port=1, status=308) == redirecting.redirect
    assert Respond(body="b") == responding.respond


def test_made_names() -> None:
    """Routes without a name are called after their path, else their host; given names come first, none twice."""
    tables = [
        'path = "/v1/orders"',
        'path = "/v1/orders"\nmethods = ["GET"]',
        'hosts = ["*.a.b"]',
        "",
        'name = "v1-orders"\npath = "/z"',
    ]
    text = "".join(f"[[routes]]\n{each}\nrespond = {{}}\n" for each in tables)
    assert [each.name for each in read(text).mesh.routes] == ["v1-orders-2", "v1-orders-3", "a.b", "root", "v1-orders"]


ONE = 'endpoints = ["h:1"]\n'
VERSIONS = (Version("default", (Endpoint("h", 1),)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('balance = "round_robin"', {"balance": Balance("round_robin")}),
        ('balance = { hash = "client_ip" }', {"balance": Balance("hash", Key("client_ip"))}),
        ('balance = { hash = { header = "X-U" } }', {"balance": Balance("hash", Key("header", "x-u"))}),
        ('sticky = { cookie = "Id" }', {"sticky": Key("cookie", "Id")}),
        ('sticky = { query = "Id" }', {"sticky": Key("query", "Id")}),
        ("health = {}", {"health": HealthCheck()}),
        ('health = { path = "/h", statuses = [200, 299] }', {"health": HealthCheck("/h", statuses=(200, 299))}),
        ("ejection = false", {"ejection": Ejection(enabled=False)}),
        ("ejection = true", {}),
        ('ejection = { share = "25%" }', {"ejection": Ejection(share=0.25)}),
        (
            'ejection = { rate = "50%", minimum = 3, window = "1s", ramp = "0s" }',
            {"ejection": Ejection(rate=0.5, minimum=3, window=1.0, ramp=0.0)},
        ),
        ("breaker = {}", {"breaker": Breaker()}),
        (
            'breaker = { failures = 3, rate = "0%", open = "1s", probes = 1, ramp = "0s" }',
            {"breaker": Breaker(3, 0.0, open=1.0, probes=1, ramp=0.0)},
        ),
        ("limit = {}", {"limit": Limit()}),
        ("limit = { requests = 8, queue = 0, adaptive = true }", {"limit": Limit(8, 0, adaptive=True)}),
        ('limit = { wait = "50ms" }', {"limit": Limit(wait=0.05)}),
        ('slow_start = "1m"', {"slow_start": 60.0}),
        ('timeouts = { connect = "1s" }', {"timeouts": UpstreamTimeouts(connect=1.0)}),
        ("timeouts = {}", {"timeouts": UpstreamTimeouts()}),
        ('tls = { ca = "ca.pem", verify = false }', {"tls": UpstreamTls("/etc/mesh/ca.pem", verify=False)}),
        ('command = "python a.py"', {"command": "python a.py"}),
        ("command = '''\nset -e\n\tpython a.py\n'''", {"command": "set -e\n\tpython a.py\n"}),
        ("port = 9001", {"port": 9001}),
        ('mtls = "permissive"', {"mtls": "permissive"}),
        ('mtls = "strict"', {}),
        ('protocol = "tcp"', {"protocol": "tcp", "timeouts": UpstreamTimeouts(stream=3600.0)}),
        (
            'protocol = "tcp"\ntimeouts = { stream = "1m", idle = "1s" }',
            {"protocol": "tcp", "timeouts": UpstreamTimeouts(stream=60.0, idle=1.0)},
        ),
        ('timeout = "5s"', {"timeout": 5.0}),
        ("retry = {}", {"retry": Retry()}),
        ('retry = { attempts = 2, on = ["503", "503"] }', {"retry": Retry(2, ("503",))}),
        (
            'retry = { per_try = "500ms" }',
            {"retry": Retry(on=("connect", "reset", "refused", "timeout"), per_try=0.5)},
        ),
        ('retry = { on = ["timeout", "503"], per_try = "1s" }', {"retry": Retry(on=("timeout", "503"), per_try=1.0)}),
        ('retry_budget = { ratio = "5%" }', {"retry_budget": RetryBudget(0.05)}),
        ('retry_budget = { floor = "30/m" }', {"retry_budget": RetryBudget(floor=0.5)}),
        ('protocol = "http"', {}),
        ('restart = "no"', {"restart": "no"}),
        ('restart = "always"', {"restart": "always"}),
        ('restart = "on-failure"', {}),
        ("intercept = true", {"intercept": True}),
        ('intercept = "auto"', {"intercept": "auto"}),
        ("intercept = false", {}),
        ("after = []", {}),
        ('after = ["b", "c", "b"]\n[services.b]\n[services.c]', {"after": ("b", "c")}),
        ('after = "b"\n[services.b]', {"after": ("b",)}),
    ],
)
def test_service(text: str, expected: dict[str, Any]) -> None:
    """Each key of a service changes its field and no other."""
    assert Service(**{"name": "a", "versions": VERSIONS} | expected) == service(ONE + text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"127.0.0.1:9"', Endpoint("127.0.0.1", 9)),
        ('"[::1]:9"', Endpoint("::1", 9)),
        ('"my_app:9"', Endpoint("my_app", 9)),
        ('"http://h"', Endpoint("h", 80)),
        ('"https://h/"', Endpoint("h", 443, tls=True)),
        ('"https://[::1]:8443"', Endpoint("::1", 8443, tls=True)),
        ('"unix:/run/a.sock"', Endpoint(unix="/run/a.sock")),
        ('"unix:///run/a.sock"', Endpoint(unix="/run/a.sock")),
        ('"unix:a.sock"', Endpoint(unix="/etc/mesh/a.sock")),
        ('{ address = "h:1", weight = 2 }', Endpoint("h", 1, weight=2.0)),
    ],
)
def test_endpoints(text: str, expected: Endpoint) -> None:
    """An endpoint is host:port, a URL without path, a socket, or a table with a weight."""
    assert (Version("default", (expected,)),) == service(f"endpoints = [{text}]").versions


def test_versions() -> None:
    """Versions keep the file's order and have weight 1 where none is given."""
    text = '[services.a.versions.v2]\nendpoints = ["h:2"]\nweight = 0.5\n[services.a.versions.v1]\nendpoints = ["h:1"]'
    expected = (Version("v2", (Endpoint("h", 2),), 0.5), Version("v1", (Endpoint("h", 1),), 1.0))
    assert expected == read(text).mesh.services[0].versions


def test_services_that_wait_for_sidecars() -> None:
    """Endpoints may be left out, of a service and of its versions; an empty list says the same."""
    text = "[services.a]\n[services.b]\nendpoints = []\n[services.c.versions.v1]\nweight = 9\n"
    text += "[services.c.versions.v2]\nendpoints = []"
    expected = (Service("a"), Service("b"), Service("c", (Version("v1", weight=9.0), Version("v2"))))
    assert expected == read(text).mesh.services


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", ()),
        ("port = 9001", ()),
        ('command = "x"', (Command("default", "x"),)),
        ('command = "x"\nport = 9001\nendpoints = ["h:1"]', (Command("default", "x", 9001),)),
        ('command = "x"\n[services.a.versions.v1]\n[services.a.versions.v2]', (Command("v1", "x"), Command("v2", "x"))),
        (
            'command = "x"\nport = 1\n[services.a.versions.v1]\ncommand = "y"\nport = 2\n[services.a.versions.v2]',
            (Command("v1", "y", 2), Command("v2", "x", 1)),
        ),
        ('[services.a.versions.v1]\ncommand = "y"\n[services.a.versions.v2]\nport = 2', (Command("v1", "y"),)),
    ],
)
def test_commands(text: str, commands: tuple[Command, ...]) -> None:
    """A command runs for each version: its own, or the service's, on its own port or the service's."""
    assert commands == service(text).commands
