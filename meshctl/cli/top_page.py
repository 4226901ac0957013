"""The live page of `meshctl top`: a table that is drawn anew, and the keys that change it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from meshctl import clock
from meshctl.cli.keyboard import Keyboard
from meshctl.cli.session import Session
from meshctl.cli.top import KEYS, table, take
from meshctl.observe.busiest import SORTS
from meshctl.observe.quoting import clean

if TYPE_CHECKING:
    from meshctl.control.watching import Heard, Watch
    from meshctl.observe.busiest import Busiest

DRAW_EVERY: Final = 0.25
_ORDER: Final = tuple(SORTS)
_ENTER: Final = "\r\n"
_ESCAPE: Final = "\x1b"
_ERASE: Final = "\x7f\b"
# The heading, the line of keys and one to spare.
_OTHER_LINES: Final = 4


class Page:
    """See the module."""

    def __init__(self, session: Session, found: Busiest, sort: str) -> None:
        self._session = session
        self._found = found
        self.sort = sort
        self.text = ""
        """What rows must hold to be shown."""
        self.is_paused = False
        self.is_typing = False
        self.is_over = False

    def __repr__(self) -> str:
        return f"<Page by {self.sort}, {len(self._found)} kinds>"

    def run(self, watch: Watch, lasting: float) -> None:
        """Show until a key, or the time, ends it."""
        began = drawn = clock.monotonic()
        with Keyboard() as keyboard, self._session.terminal.page(self.render) as live:
            watch.listen_to(keyboard)
            live.refresh()
            while not self.is_over and (now := clock.monotonic()) - began < lasting:
                heard = watch.hear(DRAW_EVERY)
                self._take(heard)
                if heard.is_key:
                    self.press(keyboard.read())
                if heard.is_key or now - drawn >= DRAW_EVERY:
                    drawn = now
                    live.refresh()
                if not len(watch):
                    break

    def press(self, keys: str) -> None:
        """Do what these keys mean; none at all is the end of input."""
        if not keys:
            self.is_over = True
        for key in keys:
            if self.is_typing:
                self._type(key)
            elif key in "qQ":
                self.is_over = True
            elif key in "p ":
                self.is_paused = not self.is_paused
            elif key == "s":
                self.sort = _ORDER[(_ORDER.index(self.sort) + 1) % len(_ORDER)]
            elif key == "r":
                self._found.clear()
            elif key == "/":
                self.is_typing, self.text = True, ""

    def render(self) -> Any:
        """What is on the screen."""
        from rich.console import Group
        from rich.text import Text

        size = shutil.get_terminal_size()
        shown = table(self._found, self.sort, self.text, max(size.lines - _OTHER_LINES, 1), size.columns)
        return Group(shown, Text(""), Text(clean(self._footer()), style="dim", no_wrap=True))

    def _take(self, heard: Heard) -> None:
        if not self.is_paused:
            take(self._session, self._found, heard)

    def _type(self, key: str) -> None:
        if key in _ENTER:
            self.is_typing = False
        elif key == _ESCAPE:
            self.is_typing, self.text = False, ""
        elif key in _ERASE:
            self.text = self.text[:-1]
        elif key.isprintable():
            self.text += key

    def _footer(self) -> str:
        if self.is_typing:
            return f"filter: {self.text}▏  Enter keeps it, Escape drops it"
        words = [KEYS]
        if self.text:
            words.append(f"only with “{self.text}”")
        if self.is_paused:
            words.append("PAUSED")
        if self._found.skipped:
            words.append(f"{self._found.skipped} more not counted (--max-rate)")
        return " · ".join(words)
