"""What each filter adds to a request: CPU of one worker's own code, without a system call.

Worker, client connection and upstream connection are the real ones; their transports take bytes and do nothing. Every
filter is measured against a route without it that gets the very same bytes, in another process, in turns of short
batches, and the median of their differences counts: whatever slows the machine down for longer than two batches slows
both. One process with both would run code that CPython has specialized for neither. `same` repeats a head on its
connection, as most clients do, `changing` has another field in it each time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import count, cycle
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Final, cast

from meshctl.config.files import load
from meshctl.model.api_key import StoredKey
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.messages import Channel, Keyed
from meshctl.proxy.upstream import UpstreamConnection
from meshctl.proxy.worker import Worker

from .load import HEADERS
from .measure import Say

BATCH, BATCHES, WARM_UP, FIRST_SIGHTS = 50, 800, 20, 400
VISITS = 100

_FORK: Final = get_context("fork")

_KEY: Final = "mk_00000000_" + "k" * 43
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: app\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    b"Vary: Accept-Encoding\r\n\r\n{}"
)
_HEAD: Final = "GET /api/items/4711?fields=name HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in HEADERS.items())
_AUTH: Final = """
[auth.keys]
api_key = {}
[auth.users]
jwt = { issuer = "https://issuer.test", audience = ["api"], algorithms = ["ES256"], keys = "keys.json" }
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """A row: what a route has, what its clients send for it, and the most it may add, in µs, where that is promised."""

    label: str
    route: str
    lines: str = ""
    limit: float = 0.0


@dataclass(slots=True)
class Added:
    """µs of CPU that a filter adds to a request, with the same head each time and with another."""

    filter: Filter
    same: float
    changing: float


@dataclass(slots=True)
class FirstSights:
    """µs for a token that was never seen: `whole` is what a request with it costs more than the same one again,
    `library` what the library's own verification takes."""

    whole: float
    library: float


def filters(token: str) -> tuple[Filter, ...]:
    """The rows; `token` is good for `users`."""
    return (
        Filter("API key", 'auth = "keys"', f"X-Api-Key: {_KEY}\r\n", 3.0),
        Filter("JWT, seen before", 'auth = "users"', f"Authorization: Bearer {token}\r\n", 5.0),
        Filter(
            "JWT and a rule on a scope",
            'auth = "users"\nrequire = [{ scopes = ["read"] }]',
            f"Authorization: Bearer {token}\r\n",
        ),
        Filter("rate limit", 'rate_limits = [{ limit = "1000000/s", by = "client_ip" }]', limit=3.0),
        Filter("header set and removed", 'request_headers = { set.x-a = "1", remove = ["referer"] }', limit=3.0),
        Filter("header from a template", 'request_headers = { set.x-a = "{client_ip}" }', limit=3.0),
        Filter("response header set", 'response_headers = { set.x-a = "1", remove = ["server"] }', limit=3.0),
        Filter("CORS", 'cors = { origins = ["https://app.test"] }', "Origin: https://app.test\r\n", 2.0),
        Filter("security headers", "security_headers = true"),
        Filter("address list", 'allow_addresses = ["127.0.0.0/8", "10.0.0.0/8"]'),
        Filter("query edited", 'request_query = { set = { a = "1" }, remove = ["fields"] }'),
    )


def measure(say: Say) -> tuple[list[Added], FirstSights]:
    """All rows, and tokens at first sight."""
    with tempfile.TemporaryDirectory(prefix="meshctl-bench-") as name:
        folder = Path(name)
        sign = _signer(folder)
        found = []
        for each in filters(sign()):
            say(f"filters: {each.label}")
            same, changing = (_added(folder, each, visits) for visits in (1, VISITS))
            found.append(Added(each, same, changing))
        say("filters: tokens at first sight")
        return found, _first_sights(folder, sign)


def _added(folder: Path, row: Filter, visits: int) -> float:
    heads = [_head(row.lines, f"X-Visit: {number:03d}\r\n") for number in range(visits)]
    found = []
    with _apart(folder, "", heads) as bare, _apart(folder, row.route, heads) as full:
        for number in range(BATCHES):
            # Who comes second finds the processor's caches otherwise.
            taken = {each: each() for each in ((bare, full) if number % 2 else (full, bare))}
            found.append(taken[full] - taken[bare])
    return median(found[WARM_UP:])


@contextmanager
def _apart(folder: Path, route: str, heads: Sequence[bytes]) -> Iterator[Callable[[], float]]:
    """A worker in a process of its own; what is yielded has it take a batch, and tells the µs per request."""
    ours, theirs = _FORK.Pipe()
    process = _FORK.Process(target=_take_batches, args=(theirs, folder, route, heads), daemon=True)
    process.start()
    theirs.close()

    def batch() -> float:
        ours.send(True)
        return float(ours.recv())

    try:
        yield batch
    finally:
        process.kill()
        process.join()
        ours.close()


def _take_batches(orders: Connection, folder: Path, route: str, heads: Sequence[bytes]) -> None:
    # All on one core: the host may slow one down for its other guests and not the next.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    turns = cycle(heads)
    with _proxy(folder, route) as ask:
        while orders.recv():
            orders.send(_timed(ask, [next(turns) for _ in range(BATCH)]) / BATCH * 1e6)


def _first_sights(folder: Path, sign: Callable[[], str]) -> FirstSights:
    import jwt

    key = jwt.PyJWK(json.loads((folder / "keys.json").read_text())["keys"][0])
    first, again, library = [], [], []
    with _proxy(folder, 'auth = "users"') as ask:
        for _ in range(FIRST_SIGHTS):
            token = sign()
            head = [_head(f"Authorization: Bearer {token}\r\n", "")]
            # In turns, so that neither finds the processor's caches warmer than the other.
            first.append(_timed(ask, head))
            began = time.process_time()
            jwt.decode(token, key, algorithms=["ES256"], audience="api", issuer="https://issuer.test", leeway=30)
            library.append(time.process_time() - began)
            again.append(_timed(ask, head))
    return FirstSights((median(first) - median(again)) * 1e6, median(library) * 1e6)


def _timed(ask: Callable[[bytes], None], heads: Sequence[bytes]) -> float:
    began = time.process_time()
    for head in heads:
        ask(head)
    return time.process_time() - began


def _head(lines: str, more: str) -> bytes:
    return f"{_HEAD}{lines}{more}\r\n".encode()


@contextmanager
def _proxy(folder: Path, route: str) -> Iterator[Callable[[bytes], None]]:
    """A worker with one client and one upstream; what is yielded sends a request through it and has it answered."""
    file = folder / f"mesh-{os.getpid()}.toml"
    file.write_text(f"""
[gateway]
access_log = {{ path = "/dev/null", format = "json" }}
[[routes]]
path = "/api"
service = "shop"
{route}
[services.shop]
endpoints = ["127.0.0.1:9"]
{_AUTH if "auth" in route else ""}""")
    ours, theirs = socket.socketpair()
    loop = asyncio.new_event_loop()
    worker = Worker(loop, Channel(ours), 0, 1)
    now = time.time()
    key = StoredKey("00000000", sha256(_KEY.encode()).digest(), "bench", created=now)
    worker.vouching.take(Keyed((key,)))
    worker.adopt(worker.registry.compile(1, load(file).mesh))
    listener = cast(Any, SimpleNamespace(scheme="http", address="127.0.0.1:1", entry="gateway", tls=None))
    client = Downstream(worker, listener)
    transport = _Transport()
    client.connection_made(cast(Any, transport))
    endpoint = worker.registry.endpoints()[0]
    upstream = UpstreamConnection(endpoint)
    endpoint.opened = 1
    upstream.connection_made(cast(Any, _Transport()))
    endpoint.idle.append(upstream)
    asked = count(1)

    def ask(head: bytes) -> None:
        client.data_received(head)
        upstream.data_received(_ANSWER)
        if next(asked) % BATCH == 0:
            worker.ledger.flush()

    gc.collect()
    gc.disable()
    try:
        yield ask
        assert b"200 OK" in transport.last[:15], transport.last
    finally:
        gc.enable()
        worker.close()
        for end in (ours, theirs):
            end.close()
        loop.close()


class _Transport:
    """A transport that nothing comes from."""

    last = b""

    def write(self, data: bytes) -> None:
        """Take it."""
        self.last = data

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Everybody is on this machine."""
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """It never does."""
        return False

    def close(self) -> None:
        """Nothing to close."""

    abort = pause_reading = resume_reading = close


def _signer(folder: Path) -> Callable[[], str]:
    """Makes tokens, each another one, whose public key stands in keys.json."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": "bench", "alg": "ES256"}
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}))
    numbers = count()
    claims = {"iss": "https://issuer.test", "aud": "api", "exp": int(time.time()) + 3600, "scope": "read write"}

    def sign() -> str:
        return jwt.encode(claims | {"sub": f"user-{next(numbers)}"}, key, "ES256", {"kid": "bench"})

    return sign
