"""What a route's `auth` and `require` would say of a request, in words: each way for itself, then each rule. Nothing
that was shown is ever repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from meshctl import clock
from meshctl.core.permission import Rule
from meshctl.core.principal import Principal, Refused, joined
from meshctl.core.tokens import BadToken, judge, read, read_json
from meshctl.model.api_key import StoredKey
from meshctl.model.auth import Auth
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.proxy.guard import split_query
from meshctl.proxy.ways import KeyWay, bearer, value_of
from meshctl.wire.message import Request


class Vouched(NamedTuple):
    """What a running proxy knows of callers: API keys by digest, and JWK Sets by source. None where no proxy is
    asked."""

    keys: Mapping[bytes, StoredKey] | None = None
    sets: Mapping[str, bytes] | None = None


class _Asked:
    """As much of an exchange and of a proxy as ways look at."""

    query_credential: bytes | None = None

    def __init__(self, request: Request, keys: Mapping[bytes, StoredKey]) -> None:
        self.request = request
        self.keys = dict(keys)
        self.epoch = self


def describe_auth(
    mesh: Mesh, route: Route, request: Request, vouched: Vouched, callers: list[Principal]
) -> tuple[str, ...]:
    """A line for each way that the route asks for, and for each rule about the request. Who calls, where that is known
    here, is added to `callers`."""
    lines: list[str] = []
    need = route.auth
    configs = {each.name: each for each in mesh.auth}
    found = [(configs[name], _ask(configs[name], request, vouched)) for name in (need.names if need else ())]
    for way, said in found:
        lines.append(f"auth {way.name} ({way.kind}): {_said(said)}")
    principals = [said for _, said in found if isinstance(said, Principal)]
    open_questions = sum(isinstance(said, str) for _, said in found)
    wanted = 0 if need is None else len(found) if need.every else 1
    if len(principals) < wanted:
        is_refused = len(principals) + open_questions < wanted
        asked = "" if len(found) == 1 else "all are needed: " if need and need.every else "one is needed: "
        lines.append(f"auth: {asked}{'refused' if is_refused else 'up to what is not known here'}")
        return tuple(lines)
    principal = joined(principals if need and need.every else principals[:1]) if principals else Principal("", "")
    request.claims = principal.claims
    if need is not None and principals and len(principals) >= wanted:
        callers.append(principal)
    return (*lines, *_rules(route, request, principal))


def _said(found: Principal | Refused | str) -> str:
    if isinstance(found, Principal):
        return f'"{found.subject}"' if found.subject else "somebody without a name"
    return f"{found.detail}: {found.reason}" if isinstance(found, Refused) else found


def _rules(route: Route, request: Request, principal: Principal) -> list[str]:
    lines = []
    for rule in map(Rule, route.require):
        if not rule.concerns(request.method, request.path):
            lines.append(f"require {rule.name}: not about this request")
            continue
        # Nobody sends this request, so it is asked as if from here.
        lack = rule.lack(principal, "127.0.0.1")
        lines.append(f"require {rule.name}: " + (f"the caller {lack}: denied:{rule.name}" if lack else "met"))
    return lines


def _ask(way: Auth, request: Request, vouched: Vouched) -> Principal | Refused | str:
    """Who calls by one way, why that is not known, or what only a running proxy could say."""
    if way.jwt is not None:
        return _token(way, request, vouched)
    if way.api_key is not None:
        return _key(way, request, vouched)
    if way.basic is not None:
        return _password(way, request)
    if way.oidc is not None:
        return _login(way, request)
    if way.introspection is not None:
        return _introspection(way, request)
    if way.forward_auth is not None:
        asked = way.forward_auth
        where = _without_query(asked.url) or f'{asked.path} of service "{asked.service}"'
        return f"a running gateway asks about each request: GET {where}"
    if way.certificate is not None and way.certificate.ca:
        return f'a certificate of an authority in "{way.certificate.ca}" is needed, which is shown when it connects'
    return "a certificate of the mesh is needed, which is shown when it connects"


def _token(way: Auth, request: Request, vouched: Vouched) -> Principal | Refused | str:
    from meshctl.core.jwk import read_keys
    from meshctl.core.verify import verify
    from meshctl.proxy.sources import FileSource

    jwt = way.jwt
    assert jwt is not None
    shown = bearer(request.fields)
    if shown is None:
        return Refused("unauthenticated", "there is no token in Authorization: Bearer")
    try:
        token = read(shown)
        if jwt.keys:
            is_secret = jwt.algorithms[0].startswith("HS")
            keys = FileSource(jwt.keys, lambda: None, with_secrets=is_secret).keys
        else:
            document = (vouched.sets or {}).get(jwt.source, b"")
            keys = read_keys(document, with_secrets=False) if document else ()
        if keys:
            verify(token, keys, jwt.algorithms)
        found = judge(read_json(token.payload), jwt, way.name, clock.wall())
    except BadToken as error:
        return Refused("token_invalid", str(error))
    except ValueError as error:
        return f"its keys are not known: {error}"
    if isinstance(found, Principal) and not keys:
        return "the claims are right; keys to verify the signature with are not known here"
    return found


def _login(way: Auth, request: Request) -> Refused | str:
    from meshctl.core.session import joined
    from meshctl.proxy.browser import is_navigation
    from meshctl.wire.cookies import cookies

    assert way.oidc is not None
    if joined(cookies(request.fields), way.cookie) is not None:
        return "there is a session; whether it holds a running gateway knows"
    if is_navigation(request):
        return Refused("unauthenticated", f"a browser, sent to log in at {way.oidc.issuer}")
    return Refused("unauthenticated", f"there is no session in the cookie {way.cookie}")


def _introspection(way: Auth, request: Request) -> Refused | str:
    from meshctl.core.introspection import flaw
    from meshctl.proxy.ways import is_key

    assert way.introspection is not None
    shown = bearer(request.fields)
    if shown is None or is_key(shown):
        return Refused("unauthenticated", "there is no token in Authorization: Bearer")
    if why := flaw(shown):
        return Refused("token_invalid", why)
    return f"there is a token; a running gateway asks about it: POST {_without_query(way.introspection.url)}"


def _without_query(url: str) -> str:
    """A query may hold what nobody else should see."""
    return url.partition("?")[0]


def _key(way: Auth, request: Request, vouched: Vouched) -> Principal | Refused | str:
    config = way.api_key
    assert config is not None
    asked = _Asked(request, vouched.keys or {})
    if config.query and request.query_string is not None:
        rest, asked.query_credential = split_query(request.query_string, {config.query})
        request.query_string = rest or None
    found = KeyWay(way, asked).find(asked, request.fields)  # type: ignore[arg-type]
    if vouched.keys is None and isinstance(found, Refused) and not found.is_silent:
        return "there is a key; whether it holds a running gateway knows"
    return found


def _password(way: Auth, request: Request) -> Principal | Refused | str:
    from meshctl.core.htpasswd import read_users
    from meshctl.proxy.passwords import credentials, is_password

    config = way.basic
    assert config is not None
    shown = value_of(request.fields, b"authorization:")
    if shown is None or shown[:6].lower() != b"basic ":
        return Refused("unauthenticated", "there are no name and password in Authorization: Basic")
    name, password = credentials(shown[6:])
    try:
        with open(config.users, "rb") as file:
            hashed = read_users(file.read().decode()).get(name)
    except (OSError, ValueError) as error:
        return f"its users are not known: {error}"
    if hashed is None or not is_password(password, hashed):
        return Refused("password_invalid", "the name and the password do not fit")
    return Principal(name, way.name, {"sub": name})
