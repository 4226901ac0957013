"""The services behind mesh.toml, with Python's standard library alone. `meshctl up` runs the first two:

python3 api.py catalogue v1                    products, the same for all
python3 api.py orders                          orders, of whom the gateway says that it is
python3 api.py token ada admin orders:read     a signed token for ada, with that role and that scope, for an hour
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NAMES = ["green tea", "black tea", "coffee", "cocoa", "mint", "honey", "sugar", "milk", "oats", "rice"]
PRODUCTS = [
    {"id": number, "name": name, "price": number * 2.5, "about": f"{name}, from a shop that does not exist. " * 3}
    for number, name in enumerate(NAMES, 1)
]
ORDERS: list[dict[str, Any]] = []
Answer = tuple[int, Any]


def catalogue(asked: Handler, version: str = "v1") -> Answer:
    """Products by name or number, and what is in stock."""
    first, *rest = asked.segments
    if first == "stock":
        return 200, {"stock": {each["name"]: 100 for each in PRODUCTS}, "asked_by": asked.headers["x-user"]}
    if first != "products":
        return 404, {"error": "there is nothing here"}
    if rest:
        found = [each for each in PRODUCTS if str(each["id"]) == rest[0]]
        return (200, found[0]) if found else (404, {"error": "there is no such product"})
    listed = [each for each in PRODUCTS if asked.query.get("search", "") in str(each["name"])]
    return 200, {"version": version, "products": listed}


def orders(asked: Handler) -> Answer:
    """The caller's own orders, and new ones. Version 1 of the API told only how many there are."""
    user, segments = asked.headers["x-user"], asked.segments
    mine = [each for each in ORDERS if each["internal"]["user"] == user]
    if segments[0] == "v1":
        return 200, {"count": len(mine)}
    if asked.command == "POST":
        ORDERS.append({"id": len(ORDERS) + 1, **asked.document, "internal": {"user": user, **asked.seen}})
        return 201, ORDERS[-1]
    if len(segments) > 1:
        found = [each for each in mine if str(each["id"]) == segments[1]]
        return (200, found[0]) if found else (404, {"error": "there is no such order"})
    product = asked.query.get("product")
    return 200, {"orders": [each for each in mine if product in (None, str(each["product"]))]}


class Handler(BaseHTTPRequestHandler):
    """One connection; it answers with JSON."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Ask the service that runs here."""
        url = urlsplit(self.path)
        self.segments = url.path.strip("/").split("/")
        self.query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self.document = json.loads(self.rfile.read(int(self.headers["content-length"] or 0)) or "{}")
        self.seen = {"client": self.headers["x-client"]}
        status, document = (200, {}) if self.path == "/healthz" else SERVICES[sys.argv[1]](self, *sys.argv[2:])
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer  # noqa: N815 - the names are the library's

    def log_message(self, *_: object) -> None:
        """The gateway has written what there is to say."""


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever leaves before the answer has come, as a gateway whose own client has, is no error of this program."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def token(name: str, role: str, *scopes: str) -> None:
    """Print a token that mesh.toml's [auth.users] takes. A key pair is made where there is none yet."""
    key = "users-key.pem"
    if not os.path.exists(key):
        os.umask(0o077)
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    modulus = bytes.fromhex(openssl("rsa", "-in", key, "-noout", "-modulus").decode().strip().partition("=")[2])
    kid = hashlib.sha256(modulus).hexdigest()[:8]
    # The gateway looks into the file as soon as it sees a token of a key that it does not know.
    with open("jwks.json", "w", encoding="utf-8") as file:
        public = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": encoded(modulus), "e": "AQAB"}
        json.dump({"keys": [public]}, file, indent=2)
    now = int(time.time())
    claims = {"iss": "https://id.example.com", "aud": "shop", "sub": name, "iat": now, "exp": now + 3600}
    claims |= {"roles": [role], "scope": " ".join(scopes)}
    signed = f"{encoded(json.dumps({'alg': 'RS256', 'typ': 'JWT', 'kid': kid}))}.{encoded(json.dumps(claims))}"
    print(f"{signed}.{encoded(openssl('dgst', '-sha256', '-sign', key, given=signed))}")


def openssl(*words: str, given: str = "") -> bytes:
    """What openssl makes of it."""
    return subprocess.run(["openssl", *words], input=given.encode(), capture_output=True, check=True).stdout


def encoded(part: str | bytes) -> str:
    """As the parts of a token are written."""
    given = part.encode() if isinstance(part, str) else part
    return base64.urlsafe_b64encode(given).decode().rstrip("=")


SERVICES = {"catalogue": catalogue, "orders": orders}

if __name__ == "__main__":
    if sys.argv[1] == "token":
        token(*sys.argv[2:])
    else:
        Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
