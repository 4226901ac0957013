"""Hypothesis strategies for meshes such as a file can describe."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from meshctl.model.auth import ApiKey, Auth, Basic, ClientCertificate, ForwardAuth, Introspection, Jwt, Need, Oidc
from meshctl.model.caching import Caching
from meshctl.model.checked import BodySchema, OpenApi
from meshctl.model.limits import By, Quota, RateLimit, RateLimiting
from meshctl.model.mesh import Access, AccessLog, Allow, Certificate, Gateway, Listener, Mesh
from meshctl.model.part import Part
from meshctl.model.passing import Compression, Cors, JsonEdits, SecurityHeaders
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
from meshctl.model.route import (
    HeaderEdits,
    Match,
    PathMatch,
    QueryEdits,
    Redirect,
    Require,
    Respond,
    Rewrite,
    Route,
    ValueMatch,
)
from meshctl.model.service import Endpoint, Service, UpstreamTls, Version
from meshctl.model.tracing import Tracing

labels = st.sampled_from(["a", "b", "orders", "v-1", "default", "x9"])
seconds = st.sampled_from([0.0005, 0.25, 1.0, 1.5, 75.0, 90.0, 3600.0, 86461.25])
sizes = st.sampled_from([1024, 1500, 65536, 10_000_000])
counts = st.integers(1, 1000)
weights = st.sampled_from([0.5, 1.0, 2.0, 90.0])
paths = st.sampled_from(["/", "/a", "/a/b", "/caf%C3%A9"])
hosts = st.sampled_from(["h", "a.example.com", "127.0.0.1"])
words = st.sampled_from(["", "x", 'quo"te', "a\\b", "é\n"])
header_values = st.sampled_from(["", "x", 'quo"te', "a b", "{{}}", "{client_ip}-{header.x}"])
headers = st.sampled_from(["x-a", "x-b", "accept"])
statuses = st.sampled_from([200, 404, 503])
files = st.sampled_from(["/etc/mesh/c.pem", "/run/x.pem"])


def distinct(strategy: st.SearchStrategy[Any], by: str, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    """Tuples of values that differ in the attribute `by`."""
    return st.lists(strategy, max_size=most, unique_by=lambda each: getattr(each, by)).map(tuple)


def some(kind: type[Any], **fields: Any) -> st.SearchStrategy[Any]:
    """A struct with any of the fields given, the others left to their defaults."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: kind(**given))


def all_of(kind: type[Any], strategy: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """The same strategy for each of the struct's fields."""
    return dict.fromkeys(kind.__struct_fields__, strategy)


keys = st.one_of(
    st.sampled_from([Key("client_ip"), Key("identity")]),
    st.builds(Key, st.just("header"), headers),
    st.builds(Key, st.sampled_from(["cookie", "query", "claim"]), st.sampled_from(["id", "User"])),
)
values = st.one_of(
    st.builds(ValueMatch, headers, st.just("exact"), header_values),
    st.builds(ValueMatch, headers, st.just("regex"), st.just("[a-z]+")),
    st.builds(ValueMatch, headers, st.just("present")),
)
conditions = distinct(values, "name", 2).map(lambda found: tuple(sorted(found, key=lambda each: each.name)))
path_matches = st.one_of(
    st.builds(PathMatch, st.sampled_from(["prefix", "exact", "regex"]), paths),
    st.builds(PathMatch, st.just("template"), st.sampled_from(["/users/{id}", "/caf%C3%A9/{rest*}"])),
)
pairs = st.dictionaries(headers, header_values, max_size=2)
edits = st.builds(
    HeaderEdits,
    set=pairs.map(lambda found: tuple(sorted(found.items()))),
    add=st.dictionaries(headers, st.lists(header_values, min_size=1, max_size=2), max_size=2).map(
        lambda found: tuple((name, value) for name, each in sorted(found.items()) for value in each)
    ),
    remove=st.lists(headers, unique=True).map(tuple),
    rename=st.sampled_from([(), (("x-a", "x-b"),)]),
)
parameters = st.dictionaries(st.sampled_from(["q", "a b"]), st.sampled_from(["", "1", "é", "{query.x}"]), max_size=2)
queries = st.builds(
    QueryEdits,
    set=parameters.map(lambda found: tuple(sorted(found.items()))),
    add=parameters.map(lambda found: tuple(sorted(found.items()))),
    remove=st.sampled_from([(), ("debug",)]),
    rename=st.sampled_from([(), (("q", "s"),)]),
)
endpoints = st.one_of(
    st.builds(Endpoint, hosts, st.integers(1, 65535), tls=st.booleans(), weight=weights),
    st.builds(Endpoint, st.just("::1"), st.integers(1, 9), weight=weights),
    st.builds(Endpoint, unix=st.sampled_from(["/run/a.sock", "/run/b.sock"]), weight=weights),
)
some_endpoints = distinct(endpoints, "address").filter(bool)
commands = st.sampled_from([None, "python a.py", 'sh -c "x"', "set -e\n\tpython a.py\n"])
asked = st.builds(Match, headers=conditions, query=conditions, cookies=conditions).filter(lambda each: each != Match())
some_versions = st.builds(Version, labels, st.just(()) | some_endpoints, weights, commands, match=st.none() | asked)
versions = st.one_of(
    st.just(()),
    some_endpoints.map(lambda found: (Version("default", found),)),
    distinct(some_versions, "name").map(
        lambda found: tuple(msgspec.structs.replace(each, port=9010 + number) for number, each in enumerate(found))
    ),
    distinct(some_versions, "name"),
)
ejections = some(
    Ejection,
    enabled=st.booleans(),
    failures=counts,
    rate=st.sampled_from([0.0, 0.05]),
    minimum=counts,
    window=seconds,
    base=st.sampled_from([0.5, 7.0]),
    share=st.just(0.25),
    ramp=seconds,
)
breakers = some(
    Breaker,
    failures=counts,
    rate=st.sampled_from([0.0, 0.25]),
    minimum=counts,
    window=seconds,
    open=seconds,
    probes=counts,
    ramp=seconds,
)
limits = some(Limit, requests=counts, queue=st.integers(0, 9), wait=seconds, adaptive=st.booleans())
retries = some(
    Retry, attempts=st.integers(0, 10), on=st.sampled_from([(), ("connect",), ("503", "timeout")])
) | st.builds(Retry, on=st.just(("refused", "timeout")), per_try=seconds)
checks = some(
    HealthCheck,
    path=paths,
    host=hosts,
    interval=seconds,
    timeout=seconds,
    healthy=counts,
    unhealthy=counts,
    statuses=st.just((200, 204)),
)
balances = st.one_of(
    st.builds(Balance, st.sampled_from(["least_load", "random", "round_robin"])),
    st.builds(Balance, st.just("hash"), keys),
)
services = st.builds(
    Service,
    name=labels,
    versions=versions,
    balance=balances,
    sticky=st.none() | keys,
    health=st.none() | checks,
    ejection=ejections,
    breaker=st.none() | breakers,
    limit=st.none() | limits,
    slow_start=st.just(0.0) | seconds,
    tls=some(UpstreamTls, ca=files, server_name=hosts, verify=st.booleans()),
    timeouts=some(UpstreamTimeouts, **all_of(UpstreamTimeouts, seconds)),
    retry=st.none() | retries,
    retry_budget=some(RetryBudget, ratio=st.sampled_from([0.0, 0.05]), floor=st.sampled_from([0.0, 0.5, 3.0])),
    command=commands,
    restart=st.sampled_from(["no", "on-failure", "always"]),
    intercept=st.sampled_from([False, True, "auto"]),
    mtls=st.sampled_from(["strict", "permissive"]),
    trace_hook=st.booleans(),
)
tracings = st.builds(
    Tracing,
    endpoint=st.sampled_from(["http://127.0.0.1:4318", "https://otlp.example.com/a"]),
    sample=st.sampled_from([0.0, 0.005, 0.01, 1.0]),
    headers_file=st.just("") | files,
    service_name=st.sampled_from(["", "edge"]),
)
matches = st.builds(
    Match,
    hosts=st.lists(st.sampled_from(["a.b", "*.a.b", "127.0.0.1"]), unique=True, max_size=2).map(tuple),
    path=path_matches,
    methods=st.lists(st.sampled_from(["GET", "POST"]), unique=True, max_size=2).map(tuple),
    headers=conditions,
    query=conditions,
    cookies=conditions,
)
redirects = some(Redirect, scheme=st.just("https"), host=hosts, port=counts, status=st.sampled_from([301, 308]))
responds = some(Respond, status=statuses, body=words, content_type=st.just("text/html"))
rewrites = st.one_of(st.just(Rewrite()), some(Rewrite, path=paths, host=hosts), some(Rewrite, host=hosts))
listeners = st.builds(
    lambda host, port, most, secured: Listener(host, port, connections_per_client=most, **secured),
    st.sampled_from(["127.0.0.1", "", "::1", "localhost"]),
    st.integers(0, 65535),
    st.sampled_from([0, 1, 50]),
    st.one_of(
        st.fixed_dictionaries({"tls": st.lists(st.builds(Certificate, files, files), max_size=2).map(tuple)}),
        st.just({"mesh": "edge"}),
    ),
)
members = st.lists(st.sampled_from(["*", "gateway", "a", "orders"]), unique=True, min_size=1, max_size=3).map(tuple)
rules = st.builds(
    Allow,
    st.sampled_from(["a", "web-to-orders", "x/y"]),
    members,
    members,
    st.lists(st.sampled_from(["GET", "POST"]), unique=True, max_size=2).map(tuple),
    st.lists(path_matches, unique=True, max_size=2).map(tuple),
)
accesses = some(Access, default=st.sampled_from(["allow", "deny"]), shadow=st.booleans(), rules=distinct(rules, "name"))
jwts = st.builds(
    Jwt,
    issuer=st.sampled_from(["https://id.example.com", "me"]),
    audience=st.sampled_from([(), ("api",), ("a", "b")]),
    algorithms=st.sampled_from([("ES256",), ("RS256", "EdDSA")]),
    keys=files,
    leeway=st.just(0.0) | seconds,
    scopes=st.sampled_from(["scope", "scp"]),
    roles=st.sampled_from(["roles", "realm_access.roles"]),
)
api_keys = some(ApiKey, header=headers, query=st.sampled_from(["key", "k"]), bearer=st.just(True)) | st.just(
    ApiKey(header="", bearer=True)
)
told = st.dictionaries(headers, st.sampled_from(["sub", "a.b"]), max_size=2).map(
    lambda each: tuple(sorted(each.items()))
)
urls = st.sampled_from(["https://id.example.com/x", "http://127.0.0.1:9/verify?a=b"])
introspections = st.builds(
    Introspection,
    url=urls,
    client_id=st.sampled_from(["gateway", "a:b"]),
    client_secret_file=files,
    token_type_hint=st.sampled_from(["", "access_token"]),
    issuer=st.sampled_from(["", "https://id.example.com"]),
    audience=st.sampled_from([(), ("api",), ("a", "b")]),
    cache=st.just(0.0) | seconds,
    timeout=seconds,
    ca=st.just("") | files,
    scopes=st.sampled_from(["scope", "scp"]),
    roles=st.sampled_from(["roles", "realm_access.roles"]),
)
forward_auths = st.builds(
    ForwardAuth,
    url=urls,
    send_headers=st.sampled_from([(), ("cookie",), ("cookie", "authorization")]),
    copy_headers=st.sampled_from([(), ("x-user",), ("x-user", "x-groups")]),
    timeout=seconds,
    ca=st.just("") | files,
)
oidcs = st.builds(
    Oidc,
    issuer=st.sampled_from(["https://id.example.com", "http://localhost:9000/realm"]),
    client_id=st.just("shop"),
    client_secret_file=st.just("") | files,
    scopes=st.sampled_from([("openid",), ("openid", "offline_access")]),
    callback=st.sampled_from(["/oauth2/callback", "/back"]),
    after_logout=st.sampled_from(["/", "/bye"]),
    session=st.sampled_from([60.0, 28_800.0, 86_400.0]),
    cookie=st.sampled_from(["", "__Host-s"]),
    algorithms=st.sampled_from([("ES256",), ("RS256", "EdDSA")]),
    leeway=st.just(0.0) | seconds,
    roles=st.sampled_from(["roles", "realm_access.roles"]),
    userinfo=st.booleans(),
)
auths = st.one_of(
    # One, whose paths and cookie no other has.
    st.builds(Auth, st.just("login"), oidc=oidcs, headers=told, forward=st.booleans()),
    st.builds(Auth, labels, jwt=jwts, headers=told, forward=st.booleans()),
    st.builds(Auth, labels, api_key=api_keys, headers=told, forward=st.booleans()),
    st.builds(Auth, labels, basic=st.builds(Basic, files, st.sampled_from(["", "r"])), forward=st.booleans()),
    st.builds(Auth, labels, certificate=st.builds(ClientCertificate, st.just("") | files), headers=told),
    st.builds(Auth, labels, introspection=introspections, headers=told, forward=st.booleans()),
    st.builds(Auth, labels, forward_auth=forward_auths, headers=told, forward=st.booleans()),
)
asks = st.lists(st.sampled_from(["a", "b:c", "d"]), unique=True, max_size=2).map(tuple)
right = st.lists(st.sampled_from(["gold", "b c"]), unique=True, min_size=1, max_size=2).map(tuple)
requires = st.builds(
    Require,
    st.sampled_from(["a", "writers", "x/y"]),
    st.lists(st.sampled_from(["GET", "POST"]), unique=True, max_size=2).map(tuple),
    st.lists(path_matches, unique=True, max_size=2).map(tuple),
    asks,
    asks,
    st.dictionaries(st.sampled_from(["tier", "a.b"]), right, max_size=2).map(lambda each: tuple(sorted(each.items()))),
    asks,
    asks,
    st.sampled_from([(), ("web", "spiffe://shop.mesh/service/web")]),
    st.sampled_from([("10.0.0.0/8",), ("::1/128", "127.0.0.1/32")]),
)
names_of_headers = st.lists(headers, unique=True, max_size=2).map(tuple)
corses = st.builds(
    Cors,
    st.sampled_from([("*",), ("https://a.example", "https://*.b.example:8443"), ("http://127.0.0.1:3000",)]),
    st.sampled_from([(), ("GET", "PUT")]),
    names_of_headers,
    names_of_headers,
    st.just(False),
    st.none() | st.just(0.0) | seconds,
)
compressions = some(
    Compression,
    codings=st.sampled_from([("gzip",), ("br", "gzip")]),
    minimum=sizes,
    types=st.sampled_from([("text/*",), ("application/json", "application/*+json")]),
)
cachings = some(
    Caching,
    default=st.just(0.0) | seconds,
    largest=sizes,
    vary=st.sampled_from([("x-tenant",), ("accept", "accept-language")]),
    coalesce=st.just(0.0) | seconds,
    stale_while_revalidate=seconds,
    stale_if_error=seconds,
    set_cookie=st.booleans(),
    reload=st.booleans(),
).flatmap(lambda made: st.sampled_from(["each", "all"]).map(lambda who: msgspec.structs.replace(made, callers=who)))
places = st.sampled_from([(), ("$.a", "$..b[*].c")])
json_edits = some(
    JsonEdits,
    keep=places,
    remove=places,
    rename=st.sampled_from([(), (("$.a[0].b", "é"),)]),
    move=st.sampled_from([(), (("$.a.b", "$.c"),)]),
    set=st.sampled_from([(), (("$.a", '"x"'), ("$.b", '{"c": [1, 2.5, true]}'))]),
    limit=sizes,
)
descriptions = st.sampled_from([{}, {"base": "/"}, {"limit": 1500}]).map(
    lambda given: OpenApi("/etc/api.yaml", **given)
)
body_schemas = st.sampled_from([BodySchema("/etc/s.json"), BodySchema("/etc/s.json", 1024)])
checks = st.sampled_from(["openapi", "request_schema", ""])
part_needs = st.sampled_from([{}, {"need": "optional"}, {"need": "default", "default": '{"a": [1, "x"]}'}])


@st.composite
def parts_of(draw: st.DrawFn, found: tuple[Service, ...]) -> tuple[Part, ...]:
    """Parts that ask these services, each what needs no other or the one before it."""
    made: list[Part] = []
    for name in draw(st.lists(st.sampled_from(["a", "b-1", "user"]), min_size=1, max_size=3, unique=True)):
        after = f"/x?id={{part.{made[-1].name}.id}}" if made else "/{client_ip}/b?c"
        path = draw(st.sampled_from(["/", after]))
        some_headers = draw(st.sampled_from([(), ("accept-language", "authorization")]))
        group = draw(st.sampled_from(["", "x y", name]))
        service = draw(st.sampled_from(found))
        version = draw(st.sampled_from([None, *(each.name for each in service.versions)]))
        made.append(
            Part(name, service.name, path, version=version, group=group, timeout=draw(seconds | st.just(0.0)),
                 headers=some_headers, edits=draw(json_edits), **draw(part_needs))
        )  # fmt: skip
    return tuple(made)


securities = some(
    SecurityHeaders,
    hsts=st.sampled_from([0.0, 86_400.0]),
    subdomains=st.booleans(),
    frame=st.sampled_from(["sameorigin", ""]),
    nosniff=st.booleans(),
    referrer=st.sampled_from(["", "origin"]),
    content=st.sampled_from(["", "default-src 'self'"]),
    opener=st.just("same-origin"),
)
counted_by = st.one_of(
    st.builds(By, st.sampled_from(["client_ip", "route", "identity"])),
    st.builds(By, st.just("header"), headers),
    st.builds(By, st.sampled_from(["cookie", "query"]), st.sampled_from(["id", "User"])),
)
windows = st.sampled_from([1.0, 10.0, 60.0, 90.0, 3600.0, 86_400.0])
rate_limits = st.builds(RateLimit, st.sampled_from(["a", "per-client"]), counts, windows, counts, counted_by)
quotas = st.builds(Quota, st.sampled_from(["b", "day-1"]), counts, st.sampled_from(["day", "month"]), counted_by)
networks = st.sampled_from([(), ("10.0.0.0/8", "::1/128")])
gateways = some(
    Gateway,
    allow_addresses=networks,
    deny_addresses=networks,
    rate_limit=some(RateLimiting, headers=st.booleans(), backend=st.just("redis://127.0.0.1:6379/0")),
    listeners=distinct(listeners, "port").filter(bool),
    workers=st.integers(0, 4),
    admin=st.sampled_from(["off", "127.0.0.1:0", "[::1]:0"]),
    access_log=some(AccessLog, path=st.sampled_from(["off", "/x.log"]), format=st.just("text"), redact=st.booleans()),
    trusted_proxies=st.sampled_from([(), ("10.0.0.0/8", "::1/128")]),
    forwarded=st.booleans(),
    timeouts=some(DownstreamTimeouts, **all_of(DownstreamTimeouts, seconds)),
    limits=some(Limits, connections=counts, head_bytes=sizes, header_count=counts, body_bytes=sizes),
    overload=some(Overload, lag=st.just(0.0) | seconds),
    cache_bytes=sizes,
)


def _asked(draw: st.DrawFn, way: Auth, goals: list[dict[str, Any]]) -> Auth:
    """The way, which may ask a service in the place of a URL."""
    if way.forward_auth is None or not goals or draw(st.booleans()):
        return way
    goal = draw(st.sampled_from(goals)) | {"url": "", "ca": "", "path": draw(st.sampled_from(["/", "/verify"]))}
    return msgspec.structs.replace(way, forward_auth=msgspec.structs.replace(way.forward_auth, **goal))


@st.composite
def meshes(draw: st.DrawFn) -> Mesh:
    """A mesh that a file can say without errors."""
    found = _in_order(draw, draw(distinct(services, "name", 3)))
    goals: list[dict[str, Any]] = [{"service": each.name} for each in found if each.protocol == "http"]
    ways = tuple(_asked(draw, each, goals) for each in draw(distinct(auths, "name", 2)))
    routes = []
    for number in range(draw(st.integers(0, 3))):
        action = draw(st.sampled_from([*goals, {"redirect": Redirect(path="/x")}, {"respond": Respond()}]))
        if "redirect" in action:
            action = {"redirect": msgspec.structs.replace(draw(redirects), path="/x")}
        if "respond" in action:
            action = {"respond": draw(responds.filter(lambda each: each.status != 204))}
        if "service" in action:
            action = action | {"retry": draw(retries), "rewrite": draw(rewrites), "timeout": draw(seconds)}
            action |= {"body_bytes": draw(sizes), "request_headers": draw(edits)}
            action["request_query"] = draw(queries)
            action |= {"request_body": draw(st.none() | json_edits), "response_body": draw(st.none() | json_edits)}
            action |= {"response_bytes": draw(sizes), "bandwidth": draw(sizes)}
            action["priority"] = draw(st.sampled_from(["high", "normal", "low"]))
            names = [each.name for service in found if service.name == action["service"] for each in service.versions]
            action["version"] = draw(st.sampled_from([None, *names]))
        if "service" in action and draw(st.booleans()):
            asked = tuple(each for each in found if each.protocol == "http")
            action = {"parts": draw(parts_of(asked)), "timeout": draw(seconds)}
        # A host of its own, so that no route hides another.
        if ways and draw(st.booleans()):
            names = [each.name for each in ways]
            action |= {"auth": Need(tuple(names[: draw(st.integers(1, len(names)))]), every=draw(st.booleans()))}
            action |= {"require": draw(distinct(requires, "name", 2))}
        action |= {"cors": draw(st.none() | corses), "security_headers": draw(st.none() | securities)}
        action["compression"] = draw(st.none() | compressions)
        action["cache"] = draw(st.none() | cachings)
        check = draw(checks)
        if check:
            action[check] = draw(descriptions if check == "openapi" else body_schemas)
        action |= {"rate_limits": draw(distinct(rate_limits, "name", 2)), "quotas": draw(distinct(quotas, "name", 2))}
        action |= {"allow_addresses": draw(networks), "deny_addresses": draw(networks)}
        match = msgspec.structs.replace(draw(matches), hosts=(f"h{number}.example.com",))
        if "parts" in action:
            match = msgspec.structs.replace(match, methods=draw(st.sampled_from([("GET",), ("GET", "HEAD")])))
        routes.append(Route(name=f"r{number}", match=match, response_headers=draw(edits), **action))
    name = draw(labels)
    egress = draw(st.sampled_from(["allow", "deny"]))
    mesh = Mesh(name, f"{name}.mesh", draw(gateways), tuple(routes), found, draw(accesses), egress, ways)
    return msgspec.structs.replace(mesh, tracing=draw(st.none() | tracings))


def _in_order(draw: st.DrawFn, found: tuple[Service, ...]) -> tuple[Service, ...]:
    """Some of the services after others, none after itself; one with a port, some of raw bytes."""
    names = [each.name for each in found]
    ordered = []
    for number, service in enumerate(found):
        after = tuple(name for name in names[:number] if draw(st.booleans()))
        protocol = "tcp" if service.health is None and draw(st.booleans()) else "http"
        port = 9002 if len(service.commands) < 2 and number == 0 else 0
        ordered.append(msgspec.structs.replace(service, after=after, protocol=protocol, port=port))
    return tuple(ordered)
