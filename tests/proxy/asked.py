"""A server that a proxy asks about requests and credentials: it answers as the test has it, or not at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs

from tests.conformance.wire import EndedEarly, Message, Wire

from .passage import answer

HANG = b""
"""What is said by one that says nothing."""


class Asked:
    """See the module."""

    def __init__(self, said: Callable[[Message], bytes]) -> None:
        self.said = said
        self.questions: list[Message] = []
        self.open = threading.Event()
        """Answers are held back while it is not set."""
        self.open.set()
        self._ended = threading.Event()
        self._wires: list[Wire] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Asked {self.url} {len(self.questions)} questions>"

    def close(self) -> None:
        """Be gone: take no more connections, and end those there are."""
        if self._ended.is_set():
            return
        self._ended.set()
        self.open.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for wire in self._wires:
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            self._wires.append(Wire(end))
            # A proxy may keep a connection for as long as it likes.
            end.settimeout(None)
            threading.Thread(target=self._serve, args=(self._wires[-1],), daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        with wire:
            while True:
                try:
                    question = wire.read_request()
                    self.questions.append(question)
                    self.open.wait()
                    said = self.said(question)
                    if not said:
                        self._ended.wait()
                        return
                    wire.send(said)
                except (EndedEarly, OSError, AssertionError):
                    return


class Introspector(Asked):
    """One that knows tokens: what it says of each, as claims, or as bytes where it lies. Others are not active."""

    def __init__(self) -> None:
        super().__init__(self._told)
        self.tokens: dict[str, object] = {}

    def _told(self, question: Message) -> bytes:
        (token,) = parse_qs(question.body.decode())["token"]
        found = self.tokens.get(token, {"active": False})
        if isinstance(found, bytes):
            return found
        return answer("Content-Type: application/json", body=json.dumps(found).encode())

    def times(self, token: str) -> int:
        """How often it was asked about a token."""
        return sum(parse_qs(each.body.decode()).get("token") == [token] for each in self.questions)
