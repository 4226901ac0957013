"""Servers behind the gateway, as processes of their own that end when their stdin does."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Server:
    """A program of this folder that writes where it listens, as JSON, in its first line."""

    def __init__(self, program: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(program)), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said: Any = json.loads(self.process.stdout.readline())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.said}>"

    @property
    def url(self) -> str:
        """The base URL of a server with one port."""
        return f"http://127.0.0.1:{self.said}"

    def end(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


class Upstreams(Server):
    """One `upstream.py` process with a port for each name."""

    def __init__(self, *names: str) -> None:
        super().__init__("upstream.py", *names)

    def address(self, name: str) -> str:
        """host:port of `name`."""
        return f"127.0.0.1:{self.said[name]}"

    def url_of(self, name: str) -> str:
        """The base URL of `name`."""
        return f"http://{self.address(name)}"

    def control(self, name: str, **settings: Any) -> dict[str, Any]:
        """Change how `name` answers; what it has seen."""
        connection = http.client.HTTPConnection("127.0.0.1", self.said[name], timeout=60)
        try:
            connection.request("POST", "/control", json.dumps(settings), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())  # type: ignore[no-any-return]
        finally:
            connection.close()
