"""Routes in words: one line for what they match, one for where they lead. For tables and `routes explain`."""

from __future__ import annotations

from meshctl.core.api_version import VERSION
from meshctl.model.api import ApiMatch
from meshctl.model.mesh import Mesh
from meshctl.model.route import Match, Redirect, Route, ValueMatch


def describe_match(match: Match) -> str:
    """The conditions in one line: `GET,POST api.localhost /v1/orders* x-user=7 cookie:beta ?debug`."""
    path = match.path
    shown = {"prefix": f"{path.value.rstrip('/')}/*", "regex": f"~{path.value}"}.get(path.kind, path.value)
    words = [
        ",".join(match.methods),
        ",".join(match.hosts),
        shown,
        *_conditions(match),
    ]
    return " ".join(word for word in words if word)


def describe_conditions(match: Match) -> str:
    """What a request must carry for a version: `x-tester=1 cookie:beta ?debug`."""
    return " ".join(_conditions(match))


def describe_target(route: Route) -> str:
    """Where the route leads: `service orders`, `service orders v2`, `redirect 302 https://…` or `respond 200`."""
    if route.service is not None:
        return f"service {route.service} {route.version}" if route.version else f"service {route.service}"
    if route.parts:
        return f"parts {', '.join(part.name for part in route.parts)}"
    if route.login:
        return f"login {route.login}"
    if route.redirect is not None:
        return f"redirect {route.redirect.status} {_location(route.redirect)}"
    return f"respond {route.respond.status if route.respond else 200}"


def describe_login(mesh: Mesh, route: Route) -> str:
    """What happens at a login's own routes."""
    oidc = next(each.oidc for each in mesh.auth if each.name == route.login)
    if oidc is None or route.match.path.value == oidc.logout:
        return f"auth {route.login} (oidc): the session ends here"
    return f"auth {route.login} (oidc): {oidc.issuer} sends browsers back here; one that began no login: login_failed"


def _conditions(match: Match) -> list[str]:
    return [
        *(_value(each) for each in match.headers),
        *(f"cookie:{_value(each)}" for each in match.cookies),
        *(f"?{_value(each)}" for each in match.query),
        *(_asked(each) for each in (match.api,) if each is not None),
    ]


def _location(redirect: Redirect) -> str:
    where = ""
    if redirect.scheme or redirect.host or redirect.port:
        port = f":{redirect.port}" if redirect.port else ""
        where = f"{redirect.scheme or '…'}://{redirect.host or '…'}{port}"
    return where + (redirect.path or (f"{redirect.prefix.rstrip('/')}/…" if redirect.prefix is not None else "/…"))


def _asked(condition: ApiMatch) -> str:
    if condition.kind == "path":
        return "of an unknown version"
    forms = {"header": f"{condition.form}={VERSION}", "query": f"?{condition.form}={VERSION}"}
    form = forms.get(condition.kind, condition.form)
    if not condition.versions:
        return f"{form.replace(VERSION, '…')} of an unknown version"
    return form.replace(VERSION, "|".join(condition.versions))


def _value(condition: ValueMatch) -> str:
    if condition.kind == "present":
        return condition.name
    return f"{condition.name}{'~' if condition.kind == 'regex' else '='}{condition.value}"
