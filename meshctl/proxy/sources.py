"""Where the keys that tokens are verified with come from: a file that is read here, or the supervisor, which fetches
them. Good keys are only ever replaced by good keys. Whoever shows a key that is not known yet has them looked for
anew, but not all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meshctl import clock
from meshctl.core.jwk import LARGEST, VerifyingKey, read_keys
from meshctl.core.principal import Refused
from meshctl.errors import because
from meshctl.proxy.filtering import Waiting

PATIENCE: Final = 5.0
"""Seconds that a request waits for keys."""
PAUSE: Final = 5.0
"""Seconds between two times that keys are fetched because of a token."""
FILE_PAUSE: Final = 1.0
"""The same for a file."""

_ABSENT: Final = Refused("keys_unavailable", "the keys that tokens are verified with cannot be had at the moment")


class Source:
    """Keys and whether there could be others by now."""

    pause = PAUSE

    def __init__(self) -> None:
        self.keys: tuple[VerifyingKey, ...] = ()
        self.waiting = Waiting("keys_unavailable", PATIENCE)
        self._looked = float("-inf")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self.keys)} keys>"

    def absent(self) -> Waiting | Refused:
        """What becomes of requests while there are no keys."""
        return _ABSENT

    def refresh(self) -> None:
        """A new revision is compiled: take what there is. Raises ValueError where that cannot be used."""

    def may_know_more(self) -> bool:
        """Look for keys anew, where that is due; whether the answer has to be waited for."""
        now = clock.monotonic()
        if now < self._looked + self.pause:
            return self.is_looking
        self._looked = now
        return self.look()

    @property
    def is_looking(self) -> bool:
        """Whether an answer is awaited."""
        return False

    def look(self) -> bool:
        """Look for keys; whether the answer has to be waited for."""
        raise NotImplementedError  # pragma: no cover - an interface


def read_file(path: Path, largest: int) -> bytes:
    """What is in the file, and one byte more than `largest` of one that has more. Raises ValueError."""
    try:
        with path.open("rb") as file:
            return file.read(largest + 1)
    except OSError as error:
        raise ValueError(f'"{path}" cannot be read: {because(error)}') from error


class FileSource(Source):
    """A file on this machine. Raises ValueError where it cannot be used from the beginning."""

    pause = FILE_PAUSE

    def __init__(self, path: str, on_changed: Callable[[], None], *, with_secrets: bool) -> None:
        super().__init__()
        self._on_changed = on_changed
        self._path = Path(path)
        self._with_secrets = with_secrets
        self._text = b""
        self.refresh()

    def refresh(self) -> None:
        """Read the file again. Raises ValueError, and then nothing has changed."""
        text = read_file(self._path, LARGEST)
        if text == self._text:
            return
        try:
            self.keys = read_keys(text, with_secrets=self._with_secrets)
        except ValueError as error:
            raise ValueError(f'"{self._path}" {error}') from error
        self._text = text
        self._on_changed()

    def look(self) -> bool:
        """See `Source`: a file is read at once."""
        try:
            self.refresh()
        except ValueError:
            pass  # Those there are go on to hold; the next revision tells.
        return False


class RemoteSource(Source):
    """A URL that the supervisor fetches; `ask` has it fetched."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, ask: Callable[[str], None]) -> None:
        super().__init__()
        self._name = name
        self._loop = loop
        self._ask = ask
        self._document = b""
        self._is_told = False
        self._is_looking = False

    @property
    def is_looking(self) -> bool:
        """See `Source`."""
        return self._is_looking

    def absent(self) -> Waiting | Refused:
        """See `Source`: the first answer is waited for, and whoever comes after a failure has them looked for anew."""
        return super().absent() if self._is_told and not self.may_know_more() else self.waiting

    def look(self) -> bool:
        """See `Source`."""
        self._is_looking = True
        self._ask(self._name)
        return True

    def take(self, document: bytes) -> bool:
        """The supervisor's answer, b"" where there are no keys yet; whether there are other keys now."""
        self._is_told = True
        self._is_looking = False
        changed = False
        if document and document != self._document:
            try:
                self.keys = read_keys(document, with_secrets=False)
            except ValueError:  # pragma: no cover - the supervisor has read it in the same way
                pass
            else:
                self._document = document
                changed = True
        self.waiting.over(self._loop)
        return changed
