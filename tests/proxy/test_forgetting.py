"""A worker holds on to nobody who is known no more, and to nothing of revisions that are gone: counted in the worker's
own memory, since nothing else tells it."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import bcrypt
import pytest

from meshctl.core.principal import Principal
from meshctl.core.session import Session, split
from meshctl.model.auth import Auth, Basic, Introspection, Jwt, Need, Oidc
from meshctl.model.login import Sealing
from meshctl.model.mesh import AccessLog, Gateway, Mesh, encode
from meshctl.model.route import Match, PathMatch, Route
from meshctl.model.service import Endpoint, Service, UpstreamTls, Version
from meshctl.observe.access_log import FLUSH_EVERY
from meshctl.proxy import housekeeping
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.login import LoginWay
from meshctl.proxy.messages import Channel, Commit, Prepare, Prepared
from meshctl.proxy.sources import FileSource
from meshctl.proxy.ways import Way
from meshctl.proxy.worker import Worker

from .asked import Introspector
from .issuer import NAME, Issuer
from .members import Authority

FEW = 40


def mesh_of(*services: Service, auth: tuple[Auth, ...] = ()) -> Mesh:
    """A configuration with a route for each way to be known and each service."""
    routes = (
        *(Route(each.name, Match(path=PathMatch("prefix", f"/{each.name}")), service="shop", auth=Need((each.name,)))
          for each in auth),
        *(Route(f"to-{each.name}", service=each.name) for each in services),
    )  # fmt: skip
    shop = Service("shop", (Version("default", (Endpoint("127.0.0.1", 9),)),))
    gateway = Gateway(access_log=AccessLog(path="off"))
    return Mesh(gateway=gateway, routes=routes, services=(shop, *services), auth=auth)


class Told:
    """A worker in this process that serves one revision after another."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.loop = asyncio.new_event_loop()
        self.channel = Channel(ours)
        self.worker = Worker(self.loop, Channel(theirs), 0, 1)
        self.number = 0

    def serve(self, mesh: Mesh) -> None:
        """Have it serve this."""
        self.number += 1
        self.channel.send(Prepare(self.number, self.number, encode(mesh), ()))
        self.until(lambda: Prepared(self.number) in list(self.channel.receive()))
        self.channel.send(Commit(self.number))
        self.until(lambda: self.worker.snapshot.number == self.number)

    def until(self, holds: Callable[[], bool]) -> None:
        """Run it until this holds."""

        async def wait() -> None:
            async with asyncio.timeout(60):
                while not holds():
                    await asyncio.sleep(0.02)

        self.loop.run_until_complete(wait())

    def way(self, config: Auth) -> Way:
        """The way that it has made of a table."""
        found: Way
        (found,) = (each for each in there(Way) if each.config == config)
        return found

    def close(self) -> None:
        """End it."""
        self.worker.close()
        self.loop.remove_reader(self.worker.orders.channel.socket)
        self.channel.close()
        self.worker.orders.channel.close()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def there(kind: type[Any]) -> list[Any]:
    """All objects of a kind, and of kinds of it, that anything in this process holds on to."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, kind)]


def sessions() -> int:
    """How many sessions of these tests there are."""
    return sum(each.scope == "forgetful" for each in there(Session))


def known(way: str) -> int:
    """How many callers are known in a way."""
    return sum(each.way == way for each in there(Principal))


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.close()


NOBODY = cast(Exchange, None)
"""The request; these ways look at its fields alone."""


@pytest.fixture
def tokens(told: Told, tmp_path: Path) -> Auth:
    """A way by tokens, in which many are known: half of them for a minute, half for an hour."""
    issuer = Issuer()
    (tmp_path / "jwks.json").write_bytes(issuer.jwks)
    config = Auth("forgetful", jwt=Jwt(NAME, ("api",), ("ES256",), keys=str(tmp_path / "jwks.json"), leeway=0.0))
    told.serve(mesh_of(auth=(config,)))
    way = told.way(config)
    for number in range(FEW):
        life = 3600 if number % 2 else 60
        token = issuer.token(sub=f"user{number}", exp=time.time() + life)
        assert isinstance(way.find(NOBODY, [b"Authorization: Bearer " + token]), Principal)
    assert known("forgetful") == FEW
    return config


def test_tokens_that_have_expired(told: Told, tokens: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that has expired is not remembered for as long as the worker lives: nobody will show it again. Those that
    hold are."""
    told.worker.vouching.forget()
    assert known(tokens.name) == FEW
    monkeypatch.setattr("meshctl.clock.wall", lambda: time.time() + 100)
    told.worker.vouching.forget()
    assert known(tokens.name) == FEW // 2


def test_forgetting_by_itself(told: Told, tokens: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker forgets them now and then without being asked anything."""
    monkeypatch.setattr(housekeeping, "FORGET_EVERY", FLUSH_EVERY)
    monkeypatch.setattr("meshctl.clock.wall", lambda: time.time() + 7200)
    told.until(lambda: not known(tokens.name))


def test_passwords_that_were_right(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has shown a password that was right is forgotten when it would be asked about again."""
    (tmp_path / "users").write_text(f"ada:{bcrypt.hashpw(b'right', bcrypt.gensalt(4)).decode()}\n")
    config = Auth("forgetful-staff", basic=Basic(str(tmp_path / "users")))
    told.serve(mesh_of(auth=(config,)))
    way = told.way(config)
    for password in (b"right", b"wrong"):
        told.loop.call_soon(way.find, NOBODY, [b"Authorization: Basic " + b64encode(b"ada:" + password)])
    told.until(lambda: known(config.name) == 1)
    told.worker.vouching.forget()
    assert known(config.name) == 1
    monkeypatch.setattr("meshctl.clock.wall", lambda: time.time() + 7200)
    told.worker.vouching.forget()
    assert known(config.name) == 0


def test_tokens_that_were_asked_about(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another server has said of a token is forgotten when it would be asked again."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("secret")
    with closing(Introspector()) as server:
        server.tokens["good"] = {"active": True, "sub": "ada"}
        asked = Introspection(server.url + "/introspect", "gate", str(secret), timeout=60.0)
        config = Auth("forgetful-asking", introspection=asked)
        told.serve(mesh_of(auth=(config,)))
        way = told.way(config)
        for token in (b"good", b"bad"):
            told.loop.call_soon(
                way.find, cast(Exchange, SimpleNamespace(questions=None)), [b"Authorization: Bearer " + token]
            )
        told.until(lambda: known(config.name) == 1)
        told.worker.vouching.forget()
        assert known(config.name) == 1
        monkeypatch.setattr("meshctl.clock.wall", lambda: time.time() + 7200)
        told.worker.vouching.forget()
        assert known(config.name) == 0
        outward = told.worker.outward
        assert outward is not None
        told.loop.run_until_complete(outward.close())


def test_sessions_that_are_over(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session of somebody who has signed in is forgotten with its time."""
    config = Auth("forgetful-login", oidc=Oidc("https://id.example.com", "gate", cookie="gate"))
    told.serve(mesh_of(auth=(config,)))
    told.worker.vouching.about_sessions(Sealing((b"k" * 32,)))
    way = told.way(config)
    assert isinstance(way, LoginWay)
    for number in range(FEW):
        session = Session(b"%d" % number, 0, time.time(), {"sub": "ada"}, "forgetful")
        (value,) = split(way.sessions.seal(session, way.purpose))
        assert isinstance(way.find(NOBODY, [f"Cookie: {way.cookie}={value}".encode()]), Principal)
    del session
    told.worker.vouching.forget()
    assert sessions() == FEW
    monkeypatch.setattr("meshctl.clock.wall", lambda: time.time() + 100_000)
    told.worker.vouching.forget()
    assert sessions() == 0


def test_sources_of_revisions_that_are_gone(told: Told, tmp_path: Path) -> None:
    """Files of keys that a revision had, and that none has any more, are let go of; those there are stay."""
    configs = []
    before = len(there(FileSource))
    for number in range(10):
        file = tmp_path / f"jwks{number}.json"
        file.write_bytes(Issuer().jwks)
        configs.append(Auth("forgetful", jwt=Jwt(NAME, ("api",), ("ES256",), keys=str(file))))
        told.serve(mesh_of(auth=(configs[-1],)))
    told.worker.vouching.forget()
    assert len(there(FileSource)) <= before + 1
    assert told.way(configs[-1]).find(NOBODY, []) is not None


def test_upstreams_of_revisions_that_are_gone(told: Told, tmp_path: Path, authority: Authority) -> None:
    """What a worker keeps for upstreams, a context for HTTPS and the addresses of names, goes with the last service
    that needs it: however many revisions there were, it is as much as the last one needs."""
    contexts = len(there(ssl.SSLContext))
    for number in range(10):
        file = tmp_path / f"ca{number}.pem"
        file.write_bytes(authority.bundle)
        host = f"host{number}.invalid"
        told.serve(
            mesh_of(Service("far", (Version("v", (Endpoint(host, 443, tls=True),)),), tls=UpstreamTls(ca=str(file))))
        )
        told.worker.registry.resolved(host, 443, ("127.0.0.2:443", "127.0.0.3:443"))
    assert len(there(ssl.SSLContext)) <= contexts + 1
    assert "1 names" in repr(told.worker.registry)
