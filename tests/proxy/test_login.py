"""A login at an OpenID provider, at a proxy with real connections: from the first page to signing out, and everything
that must not become a session."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from meshctl.core.sealing import Sealer
from meshctl.core.session import Session, encode, split
from meshctl.model.auth import ApiKey, Auth, Need, Oidc
from meshctl.model.login import Sealing
from meshctl.model.mesh import Mesh
from meshctl.model.route import Match, PathMatch, Require, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.messages import Fetched, Keyed
from tests.conformance.wire import Message

from .echo import Echo
from .issuer import Issuer, unsigned
from .login_provider import HTML, Browser, LoginProvider
from .lone_proxy import LoneProxy, mesh_of
from .test_auth import KEY, stored

SEALING = bytes(range(32))
COOKIE = "meshctl_web"

plain = httpx.Client(cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])), verify=False, timeout=60)
"""Keeps no cookies."""


def route(path: str, service: str = "a", **settings: Any) -> Route:
    """A route from a path, on every host."""
    return Route(path.strip("/") or "root", Match(path=PathMatch("prefix", path)), service=service, **settings)


class Edge:
    """A proxy whose pages need a login."""

    def __init__(self, folder: Path) -> None:
        self.provider = LoginProvider()
        self.echo = Echo()
        secret = folder / "secret"
        secret.touch(0o600)
        secret.write_text("s3 cret/\n")
        self.mesh = self._mesh(str(secret))
        self.proxy = LoneProxy(folder, self.mesh, "gateway")
        self.url = self.proxy.url("gateway")
        self.document(self.provider.document())
        self.proxy.tell(Sealing((SEALING,)))
        self.proxy.tell(Keyed((stored(KEY),)))
        self.proxy.ask("commit")

    def _mesh(self, secret: str) -> Mesh:
        oidc = Oidc(self.provider.url, "shop", secret, algorithms=("ES256",), session=3600.0)
        other = Oidc(self.provider.url, "two", callback="/two/back", logout="/two/out", algorithms=("ES256",))
        ways = (
            Auth("web", oidc=oidc, headers=(("x-email", "email"), ("x-user", "sub"))),
            Auth("two", oidc=msgspec.structs.replace(other, userinfo=False), forward=True),
            Auth("keys", api_key=ApiKey()),
        )
        routes = (
            route("/", auth=Need(("web",))),
            route("/staff", auth=Need(("web",)), require=(Require("staff", roles=("staff",)),)),
            route("/mail", auth=Need(("web",)), require=(Require("mail", scopes=("email",)),)),
            route("/two", auth=Need(("two",))),
            route("/any", auth=Need(("keys", "web"))),
            route("/all", auth=Need(("keys", "web"), every=True)),
            route("/open"),
            Route("host", Match(("named.localhost",)), service="a", auth=Need(("web",))),
        )
        service = Service("a", (Version("v1", (Endpoint("127.0.0.1", self.echo.port),)),))
        made = mesh_of(service, routes=routes, auth=ways)
        gateway = msgspec.structs.replace(made.gateway, trusted_proxies=("127.0.0.0/8",))
        return msgspec.structs.replace(made, gateway=gateway)

    def document(self, document: bytes) -> None:
        """Have this be what is known of the provider."""
        self.proxy.tell(Fetched({f"provider {self.provider.url}": document}))
        self.proxy.ask("commit")

    def browser(self) -> Browser:
        """Somebody who has not been here."""
        return Browser(self.url)

    def raw(self, *lines: bytes) -> Message:
        """The answer to a head."""
        with self.proxy.connect("gateway") as client:
            client.send(b"\r\n".join([*lines, b"", b""]))
            return client.read_response(method=lines[0].split(b" ")[0].decode())

    def sealed(self, session: Session, way: str = "web", client: str = "shop", key: bytes = SEALING) -> str:
        """A session as this mesh seals it."""
        purpose = "\0".join(("session", way, self.provider.url, client)).encode()
        return Sealer([key]).seal(encode(session), purpose, b"n" * 12)

    def page(self, session: Session, path: str = "/page", **headers: str) -> httpx.Response:
        """The answer to a script that has the session, over a connection of its own."""
        cookie = f"{COOKIE}={split(self.sealed(session))[0]}"
        return plain.get(self.url + path, headers={"Cookie": cookie, "Connection": "close"} | headers)

    def close(self) -> None:
        """End it; it must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            self.echo.close()
            self.provider.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The proxy that these tests share."""
    made = Edge(tmp_path_factory.mktemp("login"))
    yield made
    made.close()


@pytest.fixture
def edge(shared: Edge) -> Edge:
    """It, with a provider that says the truth."""
    shared.provider.reset()
    shared.document(shared.provider.document())
    return shared


@pytest.fixture
def browser(edge: Edge) -> Iterator[Browser]:
    """Somebody's."""
    made = edge.browser()
    yield made
    made.close()


def session(number: int, **changes: Any) -> Session:
    """Somebody who has signed in a minute ago."""
    first = Session(b"%016d" % number, 0, time.time() - 60, {"sub": "ada"}, "openid")
    return msgspec.structs.replace(first, **changes)


def reason(answer: httpx.Response) -> tuple[int, str]:
    """Status and reason of a refusal."""
    return answer.status_code, answer.headers.get("x-meshctl-reason", "")


# from the first page to the last


def test_a_login_from_the_first_page_to_the_last(edge: Edge, browser: Browser) -> None:
    """A browser without session is sent to the provider with all that the code flow needs, comes back to the page it
    wanted, and is known there from then on; the service learns who it is and never sees the session."""
    where = browser.begin("/page?x=1&y=%2F")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
    assert (asked["client_id"], asked["scope"]) == ("shop", "openid profile email")
    assert asked["redirect_uri"] == f"{edge.url}/oauth2/callback"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 32

    back = browser.get(edge.provider.authorize(where))
    assert (back.status_code, back.headers["location"]) == (302, "/page?x=1&y=%2F")
    assert back.headers["cache-control"] == "no-store"
    lines = back.headers.get_list("set-cookie")
    assert lines[0].startswith(f"{COOKIE}=")
    assert all("; HttpOnly; SameSite=Lax" in line and "Domain" not in line for line in lines)
    (asking,) = edge.provider.asked
    assert asking[0] == "Basic c2hvcDpzMytjcmV0JTJG", "client_secret_basic, each part form-encoded"
    assert list(browser.cookies) == [COOKIE], "the login's own cookie is gone"

    for _ in range(2):
        answer = browser.get("/page", Cookie=f"a=1; {COOKIE}={browser.cookies[COOKIE]}; b=2", x_user="eve", X_Email="e")
        assert answer.status_code == 200
        seen = edge.echo.requests[-1]
        assert (seen.all("x-user"), seen.all("x-email")) == ([b"ada"], [b"ada@example.com"])
        assert seen.all("cookie") == [b"a=1; b=2"]
    assert not any(b"meshctl" in value for _, value in seen.fields if value != b"1.1 meshctl")
    assert browser.get("/mail").status_code == 200
    assert reason(browser.get("/staff")) == (403, "denied:staff")
    line = edge.proxy.line(lambda each: each["path"] == "/page" and each["status"] == 200)
    assert line["user"] == "ada"


def test_what_is_no_browser_is_not_sent_away(edge: Edge, browser: Browser) -> None:
    """Whoever asks for no page gets 401 with a challenge: API clients, scripts of a page, forms, upgrades."""
    answer = plain.get(edge.url + "/page")
    assert reason(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == f'Cookie realm="shop", cookie-name="{COOKIE}"'
    assert "set-cookie" not in answer.headers
    assert reason(browser.get("/page", Sec_Fetch_Mode="cors")) == (401, "unauthenticated")
    assert reason(browser.get("/page", X_Requested_With="XMLHttpRequest")) == (401, "unauthenticated")
    assert reason(browser.client.post("/page")) == (401, "unauthenticated")
    upgrade = (b"Connection: upgrade", b"Upgrade: websocket", b"Accept: text/html")
    assert edge.raw(b"GET /page HTTP/1.1", b"Host: h", *upgrade).status == 401
    assert browser.get("/page", Sec_Fetch_Mode="navigate").status_code == 302
    assert edge.raw(b"HEAD /page HTTP/1.1", b"Host: localhost", b"Accept: text/html").status == 302


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/x",
        "/\\evil.example",
        "https://evil.example/x",
        "/..//evil.example",
        "/" + "a" * 2_000,
        "/%5Cevil",
    ],
)
def test_nobody_is_led_elsewhere(edge: Edge, target: str) -> None:
    """After a login a browser is on this host, whatever it asked for."""
    answer = edge.raw(f"GET {target} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Accept: text/html")
    if answer.status != 302:
        assert answer.status == 400, answer
        return
    back = edge.provider.authorize((answer.get("location") or b"").decode())
    cookie = (answer.get("set-cookie") or b"").split(b";")[0]
    path = back.removeprefix("http://127.0.0.1").encode()
    done = edge.raw(b"GET " + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Cookie: " + cookie)
    assert done.status == 302, done
    where = done.get("location") or b""
    assert where.startswith(b"/")
    assert where[1:2] not in (b"/", b"\\")


# what must not become a session


def test_a_callback_counts_once_and_in_the_browser_that_began(edge: Edge, browser: Browser) -> None:
    """A callback that is replayed, comes to another browser, has another state or none is refused with a page, not
    with another redirect; nobody has a session by it."""
    where = edge.provider.authorize(browser.begin())
    other = edge.browser()
    other.begin()
    for who, url in ((other, where), (browser, where + "x"), (browser, where.partition("&state")[0])):
        refused = who.get(url)
        assert reason(refused) == (400, "login_failed")
        assert (refused.headers["content-type"], COOKIE in who.cookies) == ("text/html; charset=utf-8", False)
    other.close()
    assert edge.provider.asked == [], "no code was redeemed"
    assert browser.get(where).status_code == 302
    assert reason(browser.get(where)) == (400, "login_failed")
    assert browser.get("/page").status_code == 200, "its session is none the worse for it"
    assert reason(browser.get(where + "&state=1")) == (400, "login_failed")
    assert reason(browser.client.post("/oauth2/callback")) == (400, "login_failed")
    refused = plain.get(where, headers={"Accept": "*/*"})
    assert (refused.json()["reason"], "set-cookie" in refused.headers) == ("login_failed", False)


def test_what_the_provider_refuses_is_said_without_its_markup(edge: Edge, browser: Browser) -> None:
    """An error that comes back is told on a page with a way to try again; nothing that stands in it is markup, and a
    new try begins a new login."""
    state = parse_qs(urlsplit(browser.begin("/page?a=<b>")).query)["state"][0]
    refused = browser.get(f"/oauth2/callback?error=access_denied<script>&state={state}")
    assert reason(refused) == (400, "login_failed")
    assert "access_denied" in refused.text
    assert "<script" not in refused.text
    assert "default-src 'none'" in refused.headers["content-security-policy"]
    assert browser.begin().startswith(edge.provider.url)


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "other"},
    "another party": {"aud": ["shop", "other"], "azp": "other"},
    "several audiences and no party": {"aud": ["shop", "other"]},
    "another issuer": {"iss": "http://evil.example"},
    "nobody": {"sub": ""},
    "an end in the past": {"exp": time.time() - 3600},
    "no time": {"iat": None},
    # Far from now: other tests may take an hour before this one.
    "a beginning in the future": {"iat": time.time() + 1_000_000_000},
}


@pytest.mark.parametrize("claims", LIES.values(), ids=LIES)
def test_an_id_token_must_be_right_in_all(edge: Edge, browser: Browser, claims: dict[str, Any]) -> None:
    """An ID token with one claim that is not right makes no session."""
    edge.provider.claims = claims
    assert reason(browser.log_in(edge.provider)) == (400, "login_failed")
    assert COOKIE not in browser.cookies


def test_an_id_token_must_be_signed_by_the_provider(edge: Edge, browser: Browser) -> None:
    """An ID token without signature, by another key, or that is none makes no session."""
    good = edge.provider.issuer.claims(aud="shop", iat=time.time())
    secret = json.dumps(good).encode()
    foreign = Issuer("k1", edge.provider.url).token(aud="shop", iat=time.time()).decode()
    for each in (unsigned({"alg": "none"}, good).decode(), foreign, "x.y.z", secret.decode(), None, 7):
        edge.provider.tell = {"id_token": each}
        assert reason(browser.log_in(edge.provider)) == (400, "login_failed")
    assert COOKIE not in browser.cookies


def test_what_the_token_endpoint_says_is_looked_at(edge: Edge, browser: Browser) -> None:
    """Refusals, HTML, other kinds of tokens and userinfo about somebody else end a login; what is too long and whoever
    hangs up is a provider that is away."""
    answers = [
        (200, b"<html>"), (500, b""), (400, b'{"error":"invalid_grant"}'), (400, b'{"error":["x"]}'), (200, b"[]"),
        (200, b'{"access_token":"a","token_type":"mac"}'), (302, b"{}"), (200, b"\xff"),
    ]  # fmt: skip
    for answer in answers:
        edge.provider.answer = answer
        assert reason(browser.log_in(edge.provider)) == (400, "login_failed"), answer
    edge.provider.answer = None
    for userinfo in ({"sub": "eve"}, [], {}):
        edge.provider.userinfo = userinfo
        assert reason(browser.log_in(edge.provider)) == (400, "login_failed"), userinfo
    edge.provider.answer = 200, b" " * 300_000
    assert reason(browser.log_in(edge.provider)) == (503, "login_unavailable")
    edge.document(edge.provider.document(token_endpoint="http://127.0.0.1:1/token"))
    assert reason(browser.log_in(edge.provider)) == (503, "login_unavailable")
    assert COOKIE not in browser.cookies


def test_the_answer_says_whose_it_is(edge: Edge, browser: Browser) -> None:
    """Where the provider says that its answers name it, one that does not, or names another, is refused; one that names
    another always is (RFC 9207)."""
    evil = "http://evil.example"
    assert reason(browser.get(edge.provider.authorize(browser.begin(), iss=evil))) == (400, "login_failed")
    edge.document(edge.provider.document(authorization_response_iss_parameter_supported=True))
    assert reason(browser.log_in(edge.provider)) == (400, "login_failed")
    assert edge.provider.asked == []
    assert browser.get(edge.provider.authorize(browser.begin(), iss=edge.provider.url)).status_code == 302


# sessions


def test_only_this_mesh_makes_sessions(edge: Edge) -> None:
    """A session that is changed in any place, of another mesh, another way, another client or another kind is none; a
    script is told so, a browser logs in again."""
    good = edge.sealed(session(1))
    assert edge.page(session(1)).status_code == 200
    changed = [good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in (0, 4, 10, 30, len(good) - 3)]
    foreign = [
        edge.sealed(session(1), key=bytes(32)),
        edge.sealed(session(1), way="two"),
        edge.sealed(session(1), client="two"),
        good[:-8],
        good + "AAAA",
        "",
        "é",
        "A" * 20_000,
    ]
    for text in (f"1{each}" for each in (*changed, *foreign)):
        headers = {"Cookie": f"{COOKIE}={text}".encode("latin-1")}
        answer = plain.get(edge.url + "/page", headers=headers)
        assert reason(answer) == (401, "session_invalid"), text[:40]
    answer = plain.get(edge.url + "/page", headers=HTML | {"Cookie": f"{COOKIE}=9{good}"})
    assert answer.status_code == 302
    pending = edge.browser()
    pending.begin()
    ((_, login),) = pending.cookies.items()
    pending.close()
    swapped = plain.get(edge.url + "/page", headers={"Cookie": f"{COOKIE}=1{login}"})
    assert reason(swapped) == (401, "session_invalid")


def test_a_session_ends(edge: Edge) -> None:
    """A session is over when its time is, however often its tokens were renewed."""
    over = session(2, began=time.time() - 3601, turn=7)
    assert reason(edge.page(over)) == (401, "session_expired")
    assert edge.page(over, **HTML).status_code == 302


def test_tokens_are_renewed_once(edge: Edge) -> None:
    """When the tokens of a session are due, one question renews them for all requests; the answer brings the new
    session, and whoever still has the old one goes on, and is given the new one too."""
    edge.provider.refreshes.add("r1")
    due = session(3, due=time.time() - 1, access_until=time.time() - 1, refresh="r1")
    edge.provider.held.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(edge.page, due) for _ in range(8)]
        edge.proxy.until(lambda: bool(edge.provider.asked))
        edge.provider.held.set()
        found = [each.result() for each in answers]
    assert [each.status_code for each in found] == [200] * 8
    assert [form["refresh_token"] for _, form in edge.provider.asked] == ["r1"]
    late = edge.page(due)
    assert late.status_code == 200
    assert len(edge.provider.asked) == 1
    for each in (*found, late):
        assert each.headers["set-cookie"].startswith(f"{COOKIE}=1")
    cookie = late.headers["set-cookie"].partition(";")[0]
    renewed = plain.get(edge.url + "/page", headers={"Cookie": cookie})
    assert (renewed.status_code, "set-cookie" in renewed.headers) == (200, False)
    assert edge.page(session(3)).headers["set-cookie"].startswith(COOKIE)


def test_who_may_not_renew_logs_in_again(edge: Edge) -> None:
    """A refresh token that the provider does not take ends the session; one who answers for somebody else, too."""
    due = session(4, due=0.0, refresh="gone")
    assert reason(edge.page(due)) == (401, "session_expired")
    assert edge.page(due, **HTML).status_code == 302
    assert len(edge.provider.asked) == 1, "nobody asks again for a session that is over"
    edge.provider.refreshes.add("r5")
    edge.provider.claims = {"sub": "eve", "nonce": None}
    assert reason(edge.page(session(5, due=0.0, refresh="r5"))) == (401, "session_expired")


def test_a_provider_that_is_away_ends_no_session_before_its_tokens_do(edge: Edge) -> None:
    """While the provider cannot be asked a session goes on as long as its tokens hold, and is refused with 503 then."""
    edge.document(edge.provider.document(token_endpoint="http://127.0.0.1:1/token"))
    assert edge.page(session(6, due=0.0, refresh="secret-r")).status_code == 200
    assert reason(edge.page(session(7, due=0.0, access_until=1.0, refresh="secret-r"))) == (503, "login_unavailable")
    assert edge.page(session(8, due=inf)).status_code == 200
    edge.proxy.ask("commit")
    said = [each.fields for each in edge.proxy.notices if each.event == "session_not_renewed"]
    assert len(said) == 2
    assert all(each["error"].startswith("http://127.0.0.1:1 ") and "secret-r" not in str(each) for each in said)


def test_sessions_of_any_size_that_fits(edge: Edge, browser: Browser) -> None:
    """Claims that are too long for one cookie take several, and go when a smaller session comes; those that fit into
    none end the login."""
    edge.provider.userinfo = {"sub": "ada", "email": "e" * 6_000}
    assert browser.log_in(edge.provider).status_code == 302
    assert {COOKIE, f"{COOKIE}_1", f"{COOKIE}_2"} == set(browser.cookies)
    assert browser.get("/page").status_code == 200
    assert edge.echo.requests[-1].get("x-email") == b"e" * 6_000
    assert edge.echo.requests[-1].get("cookie") is None
    edge.provider.userinfo = {"sub": "ada"}
    whole = dict(browser.cookies)
    del browser.client.cookies[f"{COOKIE}_1"]
    assert browser.log_in(edge.provider).status_code == 302
    assert set(browser.cookies) == {COOKIE}
    part = f"{COOKIE}={whole[COOKIE]}; {COOKIE}_2={whole[f'{COOKIE}_2']}"
    assert reason(plain.get(edge.url, headers={"Cookie": part})) == (401, "session_invalid")
    edge.provider.userinfo = {"sub": "ada", "email": "e" * 20_000}
    browser.client.cookies.clear()
    assert reason(browser.log_in(edge.provider)) == (400, "login_failed")
    assert browser.cookies == {}


def test_no_service_sees_a_session(edge: Edge, browser: Browser) -> None:
    """Routes that ask nobody pass other cookies and no session; a request without any passes as it came."""
    browser.log_in(edge.provider)
    assert browser.get("/open").status_code == 200
    assert edge.echo.requests[-1].all("cookie") == []
    cookie = b"Cookie: a=1; " + f"{COOKIE}_login3=x; {COOKIE}_2=y; meshctl_two=1z".encode() + b"; c=3"
    assert edge.raw(b"GET /open HTTP/1.1", b"Host: h", cookie, b"Connection: cookie").status == 200
    assert edge.echo.requests[-1].all("cookie") == [b"a=1; c=3"]


def test_what_changes_between_requests_of_a_connection(edge: Edge) -> None:
    """A connection whose other headers and cookies change has them passed on as they are, without the session."""
    ours = f"{COOKIE}={split(edge.sealed(session(10)))[0]}".encode()
    with edge.proxy.connect("gateway") as client:
        for number in (b"1", b"2", b"2", b"3"):
            cookie = b"Cookie: " + ours + b"; n=" + (b"x" if number == b"2" else b"y")
            head = (b"GET /page HTTP/1.1", b"Host: h", b"X-A: a", cookie, b"X-B: " + number, b"X-C: c", b"", b"")
            client.send(b"\r\n".join(head))
            assert client.read_response().status == 200
            seen = edge.echo.requests[-1]
            assert seen.all("cookie") == [b"n=x" if number == b"2" else b"n=y"]
            assert (seen.all("x-a"), seen.all("x-b"), seen.all("x-c")) == ([b"a"], [number], [b"c"])
            assert seen.all("x-user") == [b"ada"]


def test_signing_out(edge: Edge, browser: Browser) -> None:
    """Signing out takes the cookie away, ends the session for whoever kept it, and goes on to the provider; pages of
    other sites cannot do it, and who has no session is sent on."""
    browser.log_in(edge.provider)
    kept = f"{COOKIE}={browser.cookies[COOKIE]}"
    head = f"GET /page HTTP/1.1\r\nHost: h\r\nCookie: {kept}\r\n\r\n".encode()
    other = edge.proxy.connect("gateway")
    other.send(head)
    assert other.read_response().status == 200
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert reason(browser.client.post("/oauth2/logout", headers=headers)) == (403, "logout_refused")
    assert browser.get("/page").status_code == 200
    out = browser.client.post("/oauth2/logout", headers={"Origin": edge.url, "Sec-Fetch-Site": "same-origin"})
    where = urlsplit(out.headers["location"])
    asked = parse_qs(where.query)
    assert (out.status_code, f"{where.scheme}://{where.netloc}{where.path}") == (303, edge.provider.url + "/end")
    assert (asked["client_id"], asked["post_logout_redirect_uri"]) == (["shop"], [edge.url + "/"])
    assert asked["id_token_hint"][0].count(".") == 2
    assert browser.cookies == {}
    with other:
        other.send(head)
        assert other.read_response().status == 401, "a connection on which it was known"
    again = plain.get(edge.url + "/page", headers={"Cookie": kept})
    assert reason(again) == (401, "session_expired")
    assert browser.get("/oauth2/logout").headers["location"] == "/"
    assert browser.get("/page").status_code == 302


# where it is asked


def test_beside_other_ways(edge: Edge, browser: Browser) -> None:
    """Where a login is one of several ways, only who shows nothing else is sent to it; where all are needed, only who
    lacks nothing else."""
    key = KEY.decode()
    assert browser.get("/any", x_api_key=key).status_code == 200
    assert reason(browser.get("/any", x_api_key="mk_bad")) == (401, "key_invalid")
    assert browser.get("/any").status_code == 302
    assert reason(browser.get("/all")) == (401, "unauthenticated")
    assert browser.get("/all", x_api_key=key).status_code == 302
    browser.log_in(edge.provider)
    assert browser.get("/all", x_api_key=key).status_code == 200
    assert browser.get("/any").status_code == 200


def test_two_logins_and_the_access_token(edge: Edge, browser: Browser) -> None:
    """Two ways have sessions of their own; with `forward` the service gets the access token in the place of whatever
    the client says, and without a secret the client proves itself by PKCE alone."""
    edge.provider.claims = {"aud": "two"}
    assert browser.log_in(edge.provider, "/two/page").headers["location"] == "/two/page"
    ((authorization, form),) = edge.provider.asked
    assert (authorization, form["client_id"]) == ("", "two")
    assert list(browser.cookies) == ["meshctl_two"]
    assert browser.get("/two/page", Authorization="Bearer eve").status_code == 200
    (told,) = edge.echo.requests[-1].all("authorization")
    assert told.startswith(b"Bearer access")
    assert browser.get("/page").status_code == 302, "the other login"
    over = session(9, access="a", access_until=time.time() - 1)
    cookie = {"Cookie": f"meshctl_two=1{edge.sealed(over, 'two', 'two')}"}
    assert reason(plain.get(edge.url + "/two/page", headers=cookie)) == (401, "session_expired")


def test_where_the_browser_believes_to_be(edge: Edge) -> None:
    """Behind a trusted proxy the address is the one that it names, and over https the cookie is for https alone; in the
    clear there is a login on this machine only."""
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}
    answer = plain.get(edge.url + "/page", headers=HTML | told)
    assert parse_qs(urlsplit(answer.headers["location"]).query)["redirect_uri"] == [
        "https://shop.example/oauth2/callback"
    ]
    assert answer.headers["set-cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")
    back = edge.provider.authorize(answer.headers["location"]).removeprefix("https://shop.example")
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert reason(plain.get(edge.url + back, headers=cookie)) == (400, "login_failed")
    done = plain.get(edge.url + back, headers=cookie | told)
    assert done.status_code == 302
    assert {line.rpartition("; ")[2] for line in done.headers.get_list("set-cookie")} == {"Secure"}
    clear = plain.get(edge.url + "/page", headers=HTML | {"Host": "shop.example"})
    assert reason(clear) == (400, "login_failed")
    assert "https" in clear.json()["detail"]


def test_hosts_with_a_name_have_their_own_callback(edge: Edge) -> None:
    """On a host that has routes of its own a login comes back as anywhere else."""
    answer = edge.raw(b"GET / HTTP/1.1", b"Host: named.localhost", b"Accept: text/html")
    back = edge.provider.authorize((answer.get("location") or b"").decode())
    path = back.removeprefix("http://named.localhost").encode()
    cookie = (answer.get("set-cookie") or b"").split(b";")[0]
    done = edge.raw(b"GET " + path + b" HTTP/1.1", b"Host: named.localhost", b"Cookie: " + cookie)
    assert (done.status, done.get("location")) == (302, b"/")


def test_until_the_provider_is_known(edge: Edge, tmp_path: Path) -> None:
    """While the provider cannot be reached logins are refused with 503; when it can, they wait for nothing more."""
    source = f"provider {edge.provider.url}"
    proxy = LoneProxy(tmp_path, edge.mesh, "gateway")
    browser = Browser(proxy.url("gateway"))
    try:
        proxy.tell(Fetched({source: b""}))
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(browser.get, "/page")
            proxy.until(lambda: proxy.ask("commit") == b"" and proxy.wants() > 0)
            proxy.tell(Fetched({source: b""}))
            assert reason(waiting.result()) == (503, "login_unavailable")
            proxy.tell(Fetched({source: edge.provider.document()}))
            waiting = pool.submit(browser.get, "/page")
            proxy.tell(Sealing((SEALING,)))
            assert waiting.result().status_code == 302
    finally:
        browser.close()
        assert proxy.end() == []
