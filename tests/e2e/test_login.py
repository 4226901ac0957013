"""People sign in through a running gateway, at real OpenID providers: two of them, written by others."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final

import httpx
import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until

SECRET: Final = "s3cret-of-the-client"
HTML: Final = {"Accept": "text/html"}
LIFE: Final = 8
"""Seconds for which an access token of the mock holds: longer than a machine stalls, so that it ends once in a test."""

# It warns of what its own libraries will change, so it has a process of its own.
_MOCK: Final = f"""
import sys
from datetime import timedelta
from oidc_provider_mock import run_server_in_thread
with run_server_in_thread(access_token_max_age=timedelta(seconds={LIFE})) as server:
    print(f"http://localhost:{{server.server_port}}", flush=True)
    sys.stdin.read()
"""


class Provider:
    """A provider's process, which says first where it is."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._log = folder / "provider.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout
        self.issuer = self._process.stdout.readline().strip()
        assert self.issuer, self._log.read_text()

    def asked(self) -> int:
        """How often its token endpoint was asked."""
        return self._log.read_text().count("POST /oauth2/token")

    def end(self) -> None:
        """Have it end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[Provider]:
    """oidc-provider-mock."""
    made = Provider(tmp_path, sys.executable, "-W", "ignore", "-c", _MOCK)
    yield made
    made.end()


def library() -> str:
    """Where npm's oidc-provider is; "" where it is not, or node is too old for it."""
    if not (shutil.which("node") and shutil.which("npm")):
        return ""
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    root = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=True).stdout.strip()
    found = Path(root) / "oidc-provider" / "lib" / "index.js"
    return str(found) if found.exists() and int(version.strip("v\n").split(".")[0]) >= 20 else ""


def mesh_of(folder: Path, upstreams: Upstreams, issuer: str, *scopes: str) -> Path:
    """Everything behind a login at the issuer, in two workers."""
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(SECRET)
    file = folder / "mesh.toml"
    file.write_text(f"""
        [mesh]
        name = "shop"
        [gateway]
        workers = 2
        admin = "off"
        [auth.web]
        headers = {{ x-user = "sub", x-email = "email" }}
        [auth.web.oidc]
        issuer = "{issuer}"
        client_id = "shop"
        client_secret_file = "secret"
        scopes = {json.dumps(["openid", "email", *scopes])}
        [[routes]]
        path = "/"
        service = "a"
        auth = "web"
        [services.a]
        endpoints = ["{upstreams.address("a")}"]
    """)
    return file


def browser(gateway: Gateway) -> httpx.Client:
    """One that keeps cookies and follows nothing by itself."""
    return httpx.Client(base_url=here(gateway), headers=HTML, verify=False, timeout=60)


def here(gateway: Gateway) -> str:
    """The gateway as a browser on this machine has it."""
    return gateway.url.replace("127.0.0.1", "localhost")


def with_cookies(gateway: Gateway, cookies: dict[str, str]) -> httpx.Response:
    """An answer over a connection of its own, so that every worker is asked now and then."""
    said = "; ".join(f"{name}={value}" for name, value in cookies.items())
    # A client of its own would be much more than a connection.
    return forgetful.get(here(gateway) + "/headers", headers={"Cookie": said, "Connection": "close"})


forgetful: Final = httpx.Client(cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])), verify=False, timeout=60)


def test_a_session_through_its_life(
    start_gateway: StartGateway, upstreams: Upstreams, mock: Provider, tmp_path: Path
) -> None:
    """Somebody signs in and is known to all workers; the tokens are renewed once for all of them; the session outlives
    the gateway, and ends for all workers when somebody signs out. No secret is in any log."""
    file = mesh_of(tmp_path, upstreams, mock.issuer)
    gateway = start_gateway("-c", file)
    client = browser(gateway)
    where = until(lambda: client.get("/headers?x=1").headers.get("location"), "the provider to be known")
    back = client.post(where, data={"sub": "ada", "action": "authorize"}).headers["location"]
    done = client.get(back)
    assert (done.status_code, done.headers["location"]) == (302, "/headers?x=1"), done.text
    assert client.get(back).status_code == 400, "a callback counts once"
    first = {name: value for name, value in client.cookies.items() if "_login" not in name}

    def renewed() -> list[str]:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: with_cookies(gateway, first), range(6)))
        assert [each.status_code for each in answers] == [200] * 6
        return [line for each in answers for line in each.headers.get_list("set-cookie")]

    lines = until(renewed, "the tokens to be renewed", every=0.25)
    assert mock.asked() == 2, "one code, one refresh token, whatever the workers"
    second = dict([lines[0].partition(";")[0].split("=", 1)])

    key = gateway.home / "sessions.keys"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    shown = gateway.meshctl("routes", "explain", "GET", "/x", "-H", "accept: text/html").out
    assert f"sent to log in at {mock.issuer}" in shown
    assert "login web" in gateway.meshctl("routes", "ls").out
    assert gateway.end() == 0

    port = gateway.port
    gateway = start_gateway("-c", file, listen=f"127.0.0.1:{port}")
    assert {with_cookies(gateway, second).status_code for _ in range(8)} == {200}
    client.cookies.clear()
    client.cookies.update(second)
    out = client.post("/oauth2/logout")
    assert out.status_code == 303
    assert out.headers["location"].startswith(f"{mock.issuer}/oauth2/end_session?")
    assert client.get(out.headers["location"]).status_code == 200
    client.close()
    until(lambda: {with_cookies(gateway, second).status_code for _ in range(8)} == {401}, "the session to end for all")
    said = "".join(each.read_text() for each in tmp_path.rglob("gateway*/*"))
    assert not [each for each in (SECRET, *first.values(), *second.values(), "refresh_token") if each in said]


@pytest.mark.skipif(not library(), reason="npm's oidc-provider is absent")
def test_a_strict_provider(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path) -> None:
    """With a certified provider, which insists on PKCE, names itself in its answers, rotates refresh tokens and tells
    claims by userinfo alone, somebody signs in, goes on beyond the first token's life, and signs out."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")
    provider = Provider(
        tmp_path, "node", str(Path(__file__).with_name("provider.mjs")), library(), here(gateway), SECRET
    )
    try:
        gateway.apply(mesh_of(tmp_path, upstreams, provider.issuer, "offline_access"))
        with browser(gateway) as client:
            until(lambda: client.get("/headers").next_request, "the provider to be known")
            answer = client.get("/headers")
            for form in ({"prompt": "login", "login": "ada", "password": "x"}, {"prompt": "consent"}):
                answer = followed(client, answer)
                action = re.search(r'action="([^"]+)"', answer.text)
                assert action, answer.text
                answer = client.post(answer.url.join(action[1]), data=form)
            answer = followed(client, answer)
            assert answer.status_code == 200, answer.text
            told = answer.json()["headers"]
            assert (told["x-user"], told["x-email"]) == ("ada", "ada@example.com")
            for _ in range(2):
                until(lambda: "set-cookie" in checked(client.get("/headers")).headers, "new tokens", every=0.25)
            out = client.get("/oauth2/logout")
            assert out.headers["location"].startswith(provider.issuer)
            assert "action=" in client.get(out.headers["location"]).text
            assert client.get("/headers").status_code == 302
    finally:
        provider.end()


def followed(client: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """The first answer that sends the browser nowhere."""
    for _ in range(12):
        if answer.next_request is None:
            return answer
        answer = client.send(answer.next_request)
    raise AssertionError(f"a browser is sent around for good: {answer.headers}")


def checked(answer: httpx.Response) -> httpx.Response:
    """The answer, which must be a good one."""
    assert answer.status_code == 200, answer.text
    return answer
