"""The gentle traffic of `meshctl demo`: a few requests a second over one connection, and what became of them."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from itertools import cycle
from threading import Event, Thread
from typing import Final
from urllib.parse import urlsplit

_PAUSE: Final = 0.05
_PLAN: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("/v1/orders", {}),
    ("/v1/orders", {}),
    ("/", {}),
    ("/v1/orders", {"x-beta": "yes"}),
    ("/orders.php", {}),
    ("/v1/orders?page=2", {}),
)


class Traffic:
    """Sends requests from a thread of its own between `start` and `stop`; its counts may be read at any time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="demo-traffic", daemon=True)
        self.sent = 0
        self.failed = 0
        self.versions: Counter[str] = Counter()
        """Which versions of orders answered the requests that leave the choice to the gateway."""
        self.failure = ""
        """What happened to the last request that failed."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the request in flight is over."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        for path, headers in cycle(_PLAN):
            if self._stopped.wait(_PAUSE):
                break
            self._one(connection, path, headers)
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> None:
        self.sent += 1
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._fail(path, str(error) or type(error).__name__)
            connection.close()
            return
        if response.status >= 400:
            self._fail(path, f"{response.status} {response.headers.get('x-meshctl-reason', '')}".strip())
        elif response.status == 200 and path.startswith("/v1/orders") and not headers:
            self.versions[str(json.loads(body).get("version"))] += 1

    def _fail(self, path: str, why: str) -> None:
        self.failed += 1
        self.failure = f"GET {path}: {why}"
