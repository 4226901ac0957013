"""What one worker knows of callers: API keys, the keys that tokens are verified with, and the ways and guards made of
them, kept over revisions. Without `auth` in the configuration there is nothing here, and nothing is loaded for it.

Keys come from the supervisor, which follows the store and fetches what has to be fetched. Whenever any of it changes a
new epoch begins: whatever was found before has to be found again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from meshctl import clock
from meshctl.model.auth import Auth, Jwt, Need, Oidc
from meshctl.model.login import LoginMessage, Sealing
from meshctl.model.route import Route

if TYPE_CHECKING:
    from meshctl.model.api_key import StoredKey
    from meshctl.model.mesh import Mesh
    from meshctl.proxy.client_authorities import Authority
    from meshctl.proxy.guard import Guard, Stripping
    from meshctl.proxy.login_desk import Desk
    from meshctl.proxy.messages import Fetched, Keyed
    from meshctl.proxy.sessions import Sessions
    from meshctl.proxy.sources import FileSource, RemoteSource, Source
    from meshctl.proxy.ways import Way
    from meshctl.proxy.worker import Worker

_Remote = TypeVar("_Remote", bound="RemoteSource")

GuardKey = tuple[Need, tuple[Auth, ...], frozenset[bytes], str, frozenset[bytes]]


class Vouching:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.epoch = object()
        """Another one whenever anything changes."""
        self.moment = self.epoch
        """Another one also when a session ends: connections ask again, and nothing is verified anew."""
        self.keys: dict[bytes, StoredKey] = {}
        """The API keys by their digests."""
        self._told: dict[str, bytes] = {}
        """What was fetched, by source."""
        self._files: dict[tuple[str, bool], FileSource] = {}
        self._remote: dict[str, RemoteSource] = {}
        self._authorities: dict[str, Authority] = {}
        """Those of clients' certificates, by file."""
        self._sessions: Sessions | None = None
        self._sealing: Sealing | None = None
        self._ways: dict[Auth, Way] = {}
        self._guards: dict[GuardKey, tuple[tuple[Way, ...], Guard]] = {}

    def __repr__(self) -> str:
        return f"<Vouching {len(self.keys)} API keys, {len(self._ways)} ways>"

    def take(self, keyed: Keyed) -> None:
        """These API keys hold from the next request on, in the place of those before."""
        self.keys.clear()
        self.keys.update((each.digest, each) for each in keyed.keys)
        self.change()

    def fetched(self, fetched: Fetched) -> None:
        """The supervisor has looked for keys."""
        self._told = fetched.sets
        found = [self._remote[name].take(document) for name, document in self._told.items() if name in self._remote]
        if any(found):
            self.change()

    def about_sessions(self, message: LoginMessage) -> None:
        """The supervisor has keys for them, or word of one."""
        if isinstance(message, Sealing):
            self._sealing = message
        if self._sessions is not None:
            self._sessions.take(message, {each.name: each.purpose for each in self._ways.values()})

    def change(self) -> None:
        """Begin a new epoch."""
        self.epoch = self.moment = object()

    def ended(self) -> None:
        """Somebody who was known is so no more."""
        self.moment = object()

    def forget(self) -> None:
        """Let go of those who were known for a time that is over, and of sources that no revision has any more."""
        if not self._ways:
            return
        from meshctl.proxy.ways import drop

        now = clock.wall()
        for way in self._ways.values():
            way.forget(now)
        # What is compiled and waits is not served yet; what was compiled and refused leaves the one before in use.
        asked = {*self._ways, *self._worker.snapshot.mesh.asked}
        tokens = [each.jwt for each in asked if each.jwt is not None]
        fetched = {each.source for each in tokens} | {each.oidc.source for each in asked if each.oidc is not None}
        drop(self._remote, self._remote.keys() - fetched)
        drop(self._files, self._files.keys() - {_file(each) for each in tokens})
        certified = {each.certificate.ca for each in asked if each.certificate is not None}
        drop(self._authorities, self._authorities.keys() - certified)

    def guards(self, mesh: Mesh) -> dict[str, Stripping]:
        """The guards of a configuration by route. Raises ValueError where a way cannot be made."""
        asked = mesh.asked
        if not asked:
            self._ways, self._guards = {}, {}
            return {}
        from meshctl.proxy.guard import Stripping

        configs = {each.name: each for each in asked}
        self._ways = {config: self._way(config) for config in asked}
        hidden = _hidden(mesh.routes, configs)
        cookies = _cookies(asked)
        found: dict[str, Stripping] = {}
        before, self._guards = self._guards, {}
        for route in mesh.served:
            if route.login:
                found[route.name] = self._desk(configs[route.login])
                continue
            told = frozenset(name for each in route.services for name in hidden.get(each, ()))
            if route.auth is not None:
                found[route.name] = self._guard(route.auth, configs, told, mesh.name, cookies, before)
            elif (told or cookies) and route.entry == "gateway":
                found[route.name] = Stripping(told, cookies=cookies)
        return found

    def authorities(self, mesh: Mesh) -> tuple[Authority, ...]:
        """Those that its routes believe clients' certificates of, once there are guards for it."""
        files = dict.fromkeys(each.certificate.ca for each in mesh.asked if each.certificate is not None)
        return tuple(self._authorities[file] for file in files if file)

    def _guard(
        self,
        need: Need,
        configs: dict[str, Auth],
        hidden: frozenset[bytes],
        realm: str,
        cookies: frozenset[bytes],
        before: dict[GuardKey, tuple[tuple[Way, ...], Guard]],
    ) -> Guard:
        from meshctl.proxy.guard import Guard

        asked = tuple(configs[name] for name in need.names)
        ways = tuple(self._ways[each] for each in asked)
        key = need, asked, hidden, realm, cookies
        known = self._guards.get(key) or before.get(key)
        if known is None or known[0] != ways:
            known = ways, Guard(self, ways, hidden, realm, every=need.every, cookies=cookies)
        self._guards[key] = known
        return known[1]

    def _desk(self, config: Auth) -> Desk:
        from meshctl.proxy.login import LoginWay
        from meshctl.proxy.login_desk import Desk

        way = self._ways[config]
        assert isinstance(way, LoginWay)
        return Desk(way)

    def _login(self, config: Auth, oidc: Oidc) -> Way:
        from meshctl.proxy.login import LoginWay
        from meshctl.proxy.provider import ProviderSource
        from meshctl.proxy.sessions import Sessions

        worker = self._worker
        if self._sessions is None:
            self._sessions = Sessions(worker, self.ended)
            if self._sealing is not None:
                self._sessions.take(self._sealing, {})
        return LoginWay(config, self._fetched(oidc.source, ProviderSource), self._sessions, worker)

    def _source(self, config: Jwt) -> Source:
        from meshctl.proxy.sources import FileSource, RemoteSource

        if config.keys:
            key = _file(config)
            file = self._files.get(key)
            if file is not None:
                file.refresh()
                return file
            file = self._files[key] = FileSource(config.keys, self.change, with_secrets=key[1])
            return file
        return self._fetched(config.source, RemoteSource)

    def _authority(self, file: str) -> Authority | None:
        if not file:
            return None
        from meshctl.proxy.client_authorities import Authority

        known = self._authorities.get(file)
        if known is None:
            known = self._authorities[file] = Authority(file, self.change)
        else:
            known.refresh()
        return known

    def _fetched(self, name: str, kind: type[_Remote]) -> _Remote:
        """What the supervisor fetches from there, as a source of this kind or of one that is more."""
        from meshctl.proxy.messages import Wanted

        found = self._remote.get(name)
        if not isinstance(found, kind):
            worker = self._worker
            found = kind(name, worker.loop, lambda name: worker.orders.send(Wanted(name)))
            self._remote[name] = found
            if name in self._told:
                found.take(self._told[name])
        return found

    def _way(self, config: Auth) -> Way:
        """The way that a configuration describes; the one there is where nothing about it has changed."""
        known = self._ways.get(config)
        if known is not None:
            known.refresh()
            return known
        from meshctl.proxy.ways import CertificateWay, KeyWay

        if config.jwt is not None:
            from meshctl.proxy.tokens import TokenWay

            return TokenWay(config, self, self._source(config.jwt))
        if config.api_key is not None:
            return KeyWay(config, self)
        if config.certificate is not None:
            return CertificateWay(config, self._authority(config.certificate.ca))
        if config.oidc is not None:
            return self._login(config, config.oidc)
        if config.introspection is not None:
            from meshctl.proxy.introspecting import IntrospectionWay

            return IntrospectionWay(config, self._worker)
        if config.forward_auth is not None:
            from meshctl.proxy.forward_auth import ForwardAuthWay

            return ForwardAuthWay(config, self._worker)
        from meshctl.proxy.passwords import PasswordWay

        return PasswordWay(config, self._worker)


def _file(config: Jwt) -> tuple[str, bool]:
    """The file that its keys are in, and whether they are secrets."""
    return config.keys, config.algorithms[0].startswith("HS")


def _cookies(asked: tuple[Auth, ...]) -> frozenset[bytes]:
    """The cookies of sessions, which no service sees."""
    if not any(each.oidc is not None for each in asked):
        return frozenset()
    from meshctl.core.session import own_names

    return frozenset(name.encode() for each in asked if each.cookie for name in own_names(each.cookie))


def _hidden(routes: tuple[Route, ...], configs: dict[str, Auth]) -> dict[str, frozenset[bytes]]:
    """The headers by which each service is told claims, whatever route leads to it."""
    from meshctl.wire.fields import plain

    found: dict[str, frozenset[bytes]] = {}
    for route in routes:
        for name in route.auth.names if route.auth else ():
            told = frozenset(plain(header.encode()) for header in configs[name].told)
            for service in route.services:
                found[service] = found.get(service, frozenset()) | told
    return found
