"""What checks look at: the home, the store, the configuration and what the running proxies say.

Each fact is read once, by whichever check asks for it first, and so is its failure: where the store is damaged one
check says so, and those that would need it say only that they could not look. It makes no home and no store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies, recorded
from meshctl.control.checks.finding import Unknown
from meshctl.control.client import Answer, ask_all
from meshctl.control.discovery import Registrations, extended, names, registrations
from meshctl.control.revisions import Revision, current, nothing
from meshctl.errors import MeshError, because
from meshctl.model.mesh import Mesh
from meshctl.model.views import ProxyRecord, ProxyView, ServiceView
from meshctl.store.home import Home

if TYPE_CHECKING:
    from meshctl.config.files import Loaded
    from meshctl.store.examining import Examined
    from meshctl.store.protocol import Store

T = TypeVar("T")

NO_STORE: Final = "nothing was ever stored here"
UNREADABLE: Final = "not looked at, because the store cannot be read"
MEND: Final = "mend the store first: see the group store"


class Once(Generic[T]):
    """A fact: read by the first who asks, kept for all others, its failure too."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._lock = Lock()
        self._kept: list[T] = []
        self._error: Exception | None = None

    def __call__(self) -> T:
        """The fact. Raises what reading it raised."""
        with self._lock:
            if not self._kept and self._error is None:
                try:
                    self._kept.append(self._read())
                except Exception as error:
                    self._error = error
        if self._error is not None:
            raise self._error
        return self._kept[0]


class Told(msgspec.Struct, frozen=True):
    """What one running proxy says of itself, or why it says nothing."""

    record: ProxyRecord
    view: ProxyView | None = None
    services: tuple[ServiceView, ...] = ()
    error: str = ""


class Facts:
    """See the module. `file` is the configuration that is meant, `folder` where the command runs, `system` the root of
    the file system that is looked at, so that tests may show another one."""

    def __init__(
        self,
        home: Path,
        *,
        file: Path | None = None,
        folder: Path,
        environ: Mapping[str, str],
        system: Path = Path("/"),
        option: Path | None = None,
    ) -> None:
        self.home = Home(home)
        self.option = option
        """The home that was named on the command line."""
        self.folder = folder
        self.environ = environ
        self.system = system
        self.now = clock.wall()
        self._named = file
        self.store = Once(self._open_store)
        self.applied: Once[Revision | None] = Once(lambda: current(self._readable()))
        self.registered: Once[Registrations] = Once(lambda: registrations(self._readable()))
        self.mesh = Once(self._mesh)
        self.records = Once(lambda: recorded(self._readable()))
        self.living = Once(lambda: proxies(self._readable()))
        self.told = Once(self._ask)
        self.file = Once(self._find)
        self.loaded = Once(self._load)
        self.ports = Once(_listening)
        self.examined = Once(self._examine)

    def __repr__(self) -> str:
        return f"<Facts of {self.home.path}>"

    def close(self) -> None:
        """Give back the store, where it was opened. Hangs where reading it does."""
        try:
            self._readable().close()
        except (MeshError, Unknown, OSError):
            pass

    def read(self) -> Store:
        """The store. Raises Unknown where there is none or where it cannot be read, which a check of its own tells."""
        return self._readable()

    def views(self) -> list[ProxyView]:
        """What the proxies that answered say of themselves. Raises Unknown where none does."""
        found = [each.view for each in self.told() if each.view is not None]
        if not found:
            raise Unknown("nothing runs" if not self.told() else "no running proxy answers")
        return found

    def services(self) -> list[tuple[ProxyRecord, ServiceView]]:
        """Each service as each proxy that answered sees it. Raises Unknown where none does."""
        self.views()
        return [(told.record, service) for told in self.told() for service in told.services]

    def text(self, path: str) -> str:
        """What a file of the system says, such as "proc/uptime". Raises Unknown where it is not there."""
        try:
            return (self.system / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            raise Unknown(f"this system has no /{path}") from None

    # the rest is private

    def _examine(self) -> Examined:
        from meshctl.store.examining import examine

        return examine(self._database())

    def _open_store(self) -> Store:
        from meshctl.store.sqlite import SqliteStore

        return SqliteStore(self._database(), wait=1.0)

    def _database(self) -> Path:
        """The store's file. Raises Unknown where there is none: opening would make one."""
        path = self.home.database
        try:
            is_there = path.exists()
        except OSError as error:
            why = because(error)
            raise MeshError("store_unavailable", f'the store "{path}" cannot be looked at: {why}') from error
        if not is_there:
            raise Unknown(NO_STORE)
        return path

    def _readable(self) -> Store:
        try:
            return self.store()
        except MeshError as error:
            raise Unknown(UNREADABLE, status="warn", hint=MEND) from error

    def _mesh(self) -> Mesh:
        """What is applied, with the services and versions that sidecars have registered."""
        return extended((self.applied() or nothing()).mesh(), names(self.registered()))

    def _ask(self) -> list[Told]:
        living = self.living()
        if not living:
            return []
        told = [_told(answer) for answer in ask_all(living, "/v1/status")]
        # Whoever has let one deadline pass would only let pass another.
        answering = [each.record for each in told if each.view is not None]
        answers = ask_all(answering, "/v1/services") if answering else []
        services = {answer.record.id: _services(answer) for answer in answers}
        return [msgspec.structs.replace(each, services=services.get(each.record.id, ())) for each in told]

    def _find(self) -> Path | None:
        from meshctl.store.nearest import find_config

        found = self._named or find_config(self.folder)
        if found is not None:
            return found
        # Where the command runs somewhere else, the file is meant that was applied.
        try:
            applied = self.applied()
        except (Unknown, MeshError):
            return None
        source = Path(applied.summary.source) if applied else Path()
        return source if source.is_absolute() and source.is_file() else None

    def _load(self) -> Loaded:
        from meshctl.config.files import load

        found = self.file()
        if found is None:
            raise Unknown("there is no mesh.toml")
        return load(found)


def _told(answer: Answer) -> Told:
    if answer.error is not None:
        return Told(answer.record, error=answer.error.message)
    try:
        return Told(answer.record, msgspec.json.decode(answer.body, type=ProxyView))
    except msgspec.DecodeError:
        error = f'proxy "{answer.record.id}" says what this version of meshctl does not understand'
        return Told(answer.record, error=error)


def _services(answer: Answer) -> tuple[ServiceView, ...]:
    if answer.error is not None:
        return ()
    try:
        return msgspec.json.decode(answer.body, type=tuple[ServiceView, ...])
    except msgspec.DecodeError:
        return ()


def _listening() -> frozenset[int]:
    """The TCP ports that somebody on this machine listens on."""
    import psutil

    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError) as error:
        raise Unknown("this system does not tell who listens where") from error
    return frozenset(each.laddr.port for each in found if each.laddr and each.status == psutil.CONN_LISTEN)
