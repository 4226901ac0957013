"""What a shell completes words with that only the mesh knows: services, versions, routes, identities, proxies.

The scripts of `completions` call `meshctl __complete KINDS WORD…` when TAB is pressed, so this loads next to nothing,
asks no proxy, says nothing but names, and ends in time whatever happens. Names come from the store, before the
first apply from mesh.toml; those that a shell could take for more than a name are left out.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

DEADLINE: Final = 2.0
"""Seconds after which it ends, whatever it does: so long a busy machine may take for a tenth of a second's work."""
_HARMLESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=-]*", re.ASCII)

Documents = Mapping[str, Any]


class Configured(NamedTuple):
    """What a configuration names: versions by service, routes, and versions by API."""

    services: dict[str, list[str]]
    routes: list[str]
    apis: dict[str, list[str]]


class Names:
    """The names there are; what they come from is read when it is asked for."""

    def __init__(self, listed: Callable[[str], Mapping[str, bytes]], file: Path | None) -> None:
        self._listed = listed
        self._file = file
        self._mesh: Configured | None = None
        self._read: dict[str, Documents] = {}

    def services(self) -> Iterable[str]:
        """Those configured and those that wrapped apps serve."""
        return [*self._configured().services, *(each["service"] for each in self._documents("endpoints/").values())]

    def versions(self, services: Sequence[str]) -> Iterable[str]:
        """The versions of these services, of all where there are none."""
        wanted = services or list(self.services())
        for service, versions in self._configured().services.items():
            yield from versions if service in wanted else ()
        for each in self._documents("endpoints/").values():
            yield from [each["version"]] if each["service"] in wanted else ()

    def shares(self, services: Sequence[str], typed: Sequence[str]) -> Iterable[str]:
        """The beginnings of "v2=10", for versions that have no weight among the words yet."""
        weighted = {word.partition("=")[0] for word in typed}
        return [f"{version}=" for version in self.versions(services) if version not in weighted]

    def rivals(self, services: Sequence[str]) -> Iterable[str]:
        """What a version may be compared to."""
        return ["baseline", *self.versions(services)]

    def routes(self) -> Iterable[str]:
        """The routes by name."""
        return self._configured().routes

    def apis(self) -> Iterable[str]:
        """The APIs that have versions."""
        return self._configured().apis

    def api_versions(self, apis: Sequence[str]) -> Iterable[str]:
        """The versions of these APIs."""
        return [version for api in apis for version in self._configured().apis.get(api, ())]

    def proxies(self) -> Iterable[str]:
        """The ids of those that run."""
        return self._documents("proxies/")

    def sidecars(self) -> Iterable[str]:
        """The ids of sidecars, and what they wrap."""
        for name, each in self._documents("proxies/").items():
            if each.get("role") == "sidecar":
                yield from (name, each.get("service", ""))

    def sources(self) -> Iterable[str]:
        """Whoever writes a log."""
        return [*self.proxies(), *(each.get("service", "") for each in self._documents("proxies/").values())]

    def callers(self) -> Iterable[str]:
        """Whoever calls services."""
        return ["gateway", *self.services()]

    def targets(self) -> Iterable[str]:
        """Services, and versions of them as "orders/v2"."""
        found = list(dict.fromkeys(self.services()))
        return [*found, *(f"{service}/{version}" for service in found for version in self.versions([service]))]

    def identities(self) -> Iterable[str]:
        """Whom the mesh's authority has issued certificates to."""
        return [each.get("service") or each["subject"] for each in self._documents("pki/issued/").values()]

    def revisions(self) -> Iterable[str]:
        """The numbers of the kept revisions, the newest first."""
        return [str(int(number)) for number in reversed(list(self._listed("config/revisions/")))]

    def keys(self) -> Iterable[str]:
        """The ids of API keys that were not revoked."""
        return [name for name, each in self._documents("auth/keys/").items() if not each.get("revoked")]

    def _documents(self, prefix: str) -> Documents:
        if prefix not in self._read:
            self._read[prefix] = {name: json.loads(value) for name, value in self._listed(prefix).items()}
        return self._read[prefix]

    def _configured(self) -> Configured:
        """The current revision, else the file."""
        if self._mesh is None:
            self._mesh = self._applied() or self._written()
        return self._mesh

    def _applied(self) -> Configured | None:
        pointer = self._listed("config/current").get("")
        if pointer is None:
            return None
        content = self._listed(f"config/meshes/{json.loads(pointer)['number']:010d}")[""]
        mesh = json.loads(content if content.startswith(b"{") else zlib.decompress(content))
        services, apis = (
            {each["name"]: [version["name"] for version in each.get("versions", ())] for each in mesh.get(kind, ())}
            for kind in ("services", "apis")
        )
        return Configured(services, [route["name"] for route in mesh.get("routes", ())], apis)

    def _written(self) -> Configured:
        if self._file is None:
            return Configured({}, [], {})
        import tomllib

        mesh = tomllib.loads(self._file.read_text("utf-8"))
        services = {name: list(each.get("versions", ("default",))) for name, each in mesh.get("services", {}).items()}
        apis = {name: list(each.get("versions", ())) for name, each in mesh.get("api", {}).items()}
        return Configured(services, [route["name"] for route in mesh.get("routes", ()) if "name" in route], apis)


_KINDS: Final[Mapping[str, Callable[[Names, Sequence[str]], Iterable[str]]]] = {
    "services": lambda names, _: names.services(),
    "versions": lambda names, typed: names.versions(_among(names.services(), typed)),
    "shares": lambda names, typed: names.shares(_among(names.services(), typed), typed),
    "rivals": lambda names, typed: names.rivals(_among(names.services(), typed)),
    "routes": lambda names, _: names.routes(),
    "apis": lambda names, _: names.apis(),
    "api_versions": lambda names, typed: names.api_versions(_among(names.apis(), typed)),
    "proxies": lambda names, _: names.proxies(),
    "sidecars": lambda names, _: names.sidecars(),
    "sources": lambda names, _: names.sources(),
    "callers": lambda names, _: names.callers(),
    "targets": lambda names, _: names.targets(),
    "identities": lambda names, _: names.identities(),
    "revisions": lambda names, _: names.revisions(),
    "keys": lambda names, _: names.keys(),
}
KINDS: Final = tuple(_KINDS)


def fitting(names: Names, kinds: Sequence[str], typed: Sequence[str]) -> list[str]:
    """What may follow the words `typed`: of several kinds, one for each argument, the first of which nothing was typed
    yet. What is there already is not offered again."""
    for kind in kinds:
        found = [each for each in dict.fromkeys(_KINDS[kind](names, typed)) if _HARMLESS.fullmatch(each)]
        if kind == kinds[-1] or not _among(found, typed):
            return [each for each in found if each not in typed]
    return []


def main(arguments: Sequence[str]) -> None:
    """Write the names that fit, each on a line: `arguments` are the kinds, joined by commas, and the words so far."""
    # The signal's own effect, which nothing here can delay: a shell that waits is worse than one that offers nothing.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        kinds, typed = arguments[0].split(","), arguments[1:]
        sys.stdout.write("".join(f"{each}\n" for each in _found(kinds, typed)))
    except Exception:
        # A home that cannot be read, a file that is half written: there is nothing to offer, and nobody to tell.
        return


def _found(kinds: Sequence[str], typed: Sequence[str]) -> list[str]:
    from meshctl import clock
    from meshctl.store.home import Home, which_home
    from meshctl.store.nearest import nearest_config
    from meshctl.store.peeking import glance

    file = _option(typed, "--config", "-c")
    with glance(Home(which_home(_option(typed, "--home") or None)).database, clock.monotonic()) as store:
        return fitting(Names(store.list, Path(file) if file else nearest_config()), kinds, typed)


def _option(typed: Sequence[str], *names: str) -> str:
    """What follows an option among the words; "" where nothing does."""
    for index, word in enumerate(typed):
        name, mark, value = word.partition("=")
        if name in names and mark:
            return value
        if word in names and index + 1 < len(typed):
            return typed[index + 1]
    return ""


def _among(found: Iterable[str], typed: Sequence[str]) -> list[str]:
    known = set(found)
    return [word for word in typed if word in known]
