"""An OpenID provider on loopback that says what a test wants it to, and the browser of somebody who signs in there."""

from __future__ import annotations

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from meshctl.core.oidc import check_provider, provider_document

from .issuer import Issuer

Lie = Callable[[dict[str, Any]], Any]
HTML = {"Accept": "text/html,application/xhtml+xml"}


class LoginProvider:
    """See the module. `claims` go into every ID token, `tell` into every answer of the token endpoint; None takes one
    out."""

    def __init__(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
                status, answer = provider.token(self.headers["Authorization"] or "", _form(body))
                self.send(status, answer)

            def do_GET(self) -> None:
                self.send(200, json.dumps(provider.userinfo).encode())

            def send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = Issuer("k1", self.url)
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Each question to the token endpoint: Authorization and the form."""
        self._codes: dict[str, dict[str, str]] = {}
        self.refreshes: set[str] = set()
        """The refresh tokens that hold: each once."""
        self.count = 0
        self.reset()
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def reset(self) -> None:
        """Say the truth again."""
        self.claims: dict[str, Any] = {}
        self.userinfo: Any = {"sub": "ada", "email": "ada@example.com"}
        self.tell: dict[str, Any] = {}
        self.answer: tuple[int, bytes] | None = None
        """What the token endpoint answers in the place of everything else."""
        self.held = threading.Event()
        self.held.set()
        self.asked.clear()

    def end(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()

    # what the supervisor would fetch

    def document(self, **changes: Any) -> bytes:
        """What is known of it, in the form in which workers are told."""
        said = {
            "issuer": self.url,
            "authorization_endpoint": self.url + "/authorize?tenant=1",
            "token_endpoint": self.url + "/token",
            "userinfo_endpoint": self.url + "/userinfo",
            "end_session_endpoint": self.url + "/end",
        }
        configuration = json.dumps({name: value for name, value in (said | changes).items() if value}).encode()
        return provider_document(check_provider(configuration, self.url), self.issuer.jwks)

    # what it answers

    def authorize(self, url: str, **changes: str) -> str:
        """Somebody signs in at `url`; where the browser is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(self.url + "/authorize?tenant=1&")
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        self.count += 1
        code = f"code{self.count}"
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']} | changes)}"

    def token(self, authorization: str, form: dict[str, str]) -> tuple[int, bytes]:
        """The token endpoint."""
        self.asked.append((authorization, form))
        assert self.held.wait(60)
        if self.answer is not None:
            return self.answer
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self.refreshes:
                return 400, b'{"error":"invalid_grant"}'
            self.refreshes.remove(form["refresh_token"])
            return 200, self._tokens(None)
        asked = self._codes.pop(form["code"], None)
        if asked is None:
            return 400, b'{"error":"invalid_grant"}'
        digest = sha256(form["code_verifier"].encode()).digest()
        assert urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        return 200, self._tokens(asked["nonce"])

    def _tokens(self, nonce: str | None) -> bytes:
        self.count += 1
        refresh = f"refresh{self.count}"
        self.refreshes.add(refresh)
        claims = {"aud": "shop", "nonce": nonce, "iat": time.time(), "scope": None} | self.claims
        said = {
            "access_token": f"access{self.count}",
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": refresh,
            "id_token": self.issuer.token(**claims).decode(),
        }
        return json.dumps({name: value for name, value in (said | self.tell).items() if value is not None}).encode()


class Browser:
    """Keeps cookies, follows nothing by itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, headers=HTML, verify=False, timeout=60)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """An answer."""
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def begin(self, path: str = "/page") -> str:
        """Where a page without session sends the browser."""
        answer = self.get(path)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def log_in(self, provider: LoginProvider, path: str = "/page") -> httpx.Response:
        """The answer to coming back from the provider."""
        return self.get(provider.authorize(self.begin(path)))

    @property
    def cookies(self) -> dict[str, str]:
        """What it would send."""
        return dict(self.client.cookies.items())

    def close(self) -> None:
        """Close its connections."""
        self.client.close()


def _form(body: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
