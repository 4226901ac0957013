"""What a command is given: the terminal it speaks through, the home it was told to use, the doors to file and store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.cli.render import Terminal
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.config.files import Loaded
    from meshctl.store.home import Home
    from meshctl.store.protocol import Store


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one command."""

    home_option: Path | None = None
    terminal: Terminal = field(default_factory=Terminal)

    def home(self, *, create: bool = False) -> Home:
        """The mesh's home, checked; with `create` made where it is missing.

        It depends on --home, the environment and the working directory, never on -c: so that commands typed at one
        place always mean one mesh."""
        from meshctl.store.home import open_home, which_home

        return open_home(which_home(self.home_option), create=create)

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """The mesh's store, closed at the end."""
        from meshctl.store.sqlite import SqliteStore

        store = SqliteStore(self.home(create=create).database)
        try:
            yield store
        finally:
            store.close()

    def file(self, option: Path | None) -> Path:
        """The configuration file a command means: `option`, else the nearest mesh.toml upward. Raises not_found."""
        from meshctl.store.nearest import find_config

        found = option or find_config()
        if found is None:
            hint = "name one with -c FILE, or write one with `meshctl init`"
            raise MeshError("not_found", "there is no mesh.toml here or in a folder above", hint=hint)
        return found

    def load(self, option: Path | None) -> tuple[Path, Loaded]:
        """The configuration file a command means and what it says; its warnings are told. Raises ConfigInvalid."""
        from meshctl.config.files import load

        path = self.file(option)
        loaded = load(path)
        for warning in loaded.warnings:
            self.terminal.say(str(warning))
        return path, loaded
