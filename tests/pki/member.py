"""The identity side of a proxy, in this process: follows the store with the real authority, and answers /v1/status.

Unlike a real proxy it can be told to be stubborn, so that tests see what happens when one is behind.
"""

from __future__ import annotations

import os
import socketserver
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread

import msgspec

from meshctl.control import acks, trust_state
from meshctl.control.authority import Authority
from meshctl.control.credentials import Credentials, Order
from meshctl.control.trust_state import TrustState
from meshctl.model.views import PlainCallerView, ProxyRecord, ProxyView
from meshctl.store.home import Home
from meshctl.store.sqlite import SqliteStore


class Member:
    """A proxy of `service` called `name`. Ready when made."""

    def __init__(self, home: Home, service: str, name: str = "") -> None:
        self.service = service
        self.name = name or f"{service}-1"
        self.is_stubborn = Event()
        """While set it takes no new certificate and trusts no other root."""
        self.keeps_certificate = Event()
        """While set it takes no new certificate, but trusts whom it is told to."""
        self.is_silent = Event()
        """While set its admin socket answers with an error."""
        self.plain: list[PlainCallerView] = []
        """Who calls it without mutual TLS."""
        self.history: list[tuple[str, tuple[str, ...]]] = []
        """Each identity it had: the root of its certificate, and the roots it trusted."""
        self._home = home
        self._stopped = Event()
        self._ready = Event()
        self._server = _Server(self, str(home.socket(f"{self.name}.sock")))
        self.own: Credentials
        self.state = TrustState()
        self._threads = [Thread(target=self._server.serve_forever, args=(0.01,)), Thread(target=self._live)]
        for each in self._threads:
            each.start()
        assert self._ready.wait(60)

    @property
    def view(self) -> ProxyView:
        """What it says of itself."""
        identity = msgspec.structs.replace(self.own.view, roots=self.state.roots)
        return ProxyView(self.name, "sidecar", os.getpid(), "0", 0.0, 1, 1, identity=identity)

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self._server.shutdown()
        for each in self._threads:
            each.join()
        self._server.server_close()

    def _live(self) -> None:
        with closing(SqliteStore(self._home.database)) as store:
            lease = store.grant(60)
            self._issue(store)
            record = ProxyRecord(self.name, "sidecar", os.getpid(), 0.0, self._server.path)
            acks.register(store, record, lease)
            self._ready.set()
            while not self._stopped.wait(0.005):
                if not self.is_stubborn.is_set():
                    self._follow(store)
            store.release(lease)

    def _follow(self, store: SqliteStore) -> None:
        state, own = self._read(store), self.own
        why = trust_state.must_reissue(state, serial=own.serial, root=own.root, generation=own.generation)
        if why and not self.keeps_certificate.is_set():
            self._issue(store)
        self._take(self._read(store))

    def _issue(self, store: SqliteStore) -> None:
        order = Order("workload", "shop.mesh", service=self.service, proxy=self.name)
        self.own = Authority(self._home, store).issue(order)
        self._take(self._read(store))

    def _take(self, state: TrustState) -> None:
        self.state = state
        if not self.history or self.history[-1] != (self.own.root, state.roots):
            self.history.append((self.own.root, state.roots))

    def _read(self, store: SqliteStore) -> TrustState:
        return trust_state.read(store, self.service)


class _Server(socketserver.ThreadingUnixStreamServer):
    """Its admin socket."""

    daemon_threads = True

    def __init__(self, member: Member, path: str) -> None:
        self.member = member
        self.path = path
        super().__init__(path, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with what the member is, who calls it in plain, or that it is as far as the store is."""
        member = self.server.member  # type: ignore[attr-defined]
        path, _, revision = self.path.partition("?revision=")
        answers = {"/v1/status": member.view, "/v1/plain": member.plain, "/v1/synced": {"revision": int(revision or 0)}}
        body = msgspec.json.encode(answers[path])
        self.send_response(500 if member.is_silent.is_set() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""
