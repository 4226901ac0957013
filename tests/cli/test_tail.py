"""Following log files: the last lines, the new ones, across rotation and truncation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.cli.tail import tail


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        ("", 5, []),
        ("a\nb\nc\n", 2, ["b", "c"]),
        ("a\nb\nc\n", 0, []),
        ("a\nb\nc\n", 9, ["a", "b", "c"]),
        ("a\n\nc\n", 2, ["", "c"]),
        ("x" * 200_000 + "\nend\n", 1, ["end"]),
        ("\n".join(map(str, range(50_000))) + "\n", 3, ["49997", "49998", "49999"]),
    ],
    ids=range(7),
)
def test_the_last_lines(content: str, lines: int, expected: list[str], tmp_path: Path) -> None:
    """The last lines of a file are found however long they or the file are."""
    (tmp_path / "log").write_text(content)
    assert list(tail([tmp_path / "log"], lines, follow=False)) == expected


class Steps:
    """Runs one action before each look of a follower, then ends it after `rest` more looks."""

    def __init__(self, *actions: object) -> None:
        self._actions = [*actions, None, None]

    def __call__(self) -> bool:
        if not self._actions:
            return True
        action = self._actions.pop(0)
        if callable(action):
            action()
        return False


def followed(path: Path, *actions: object) -> Iterator[str]:
    """The lines a follower sees of `path` while the actions happen."""
    return tail([path], 10, follow=True, ended=Steps(*actions))


def append(path: Path, text: str) -> object:
    """An action: write `text` at the end of `path`."""

    def act() -> None:
        with path.open("a") as file:
            file.write(text)

    return act


def test_following(tmp_path: Path) -> None:
    """New lines come whole, also when they are written in pieces."""
    log = tmp_path / "log"
    log.write_text("old\nhal")
    assert list(followed(log, append(log, "f\nne"), append(log, "w\n"))) == ["old", "half", "new"]


def test_following_across_rotation(tmp_path: Path) -> None:
    """A file that is moved away is read to its end, and the new one under its name from its beginning."""
    log, moved = tmp_path / "log", tmp_path / "log.1"
    log.write_text("a\n")

    def rotate() -> None:
        log.rename(moved)
        append(moved, "last\n")()  # type: ignore[operator]
        log.write_text("first\n")

    assert list(followed(log, rotate, append(log, "more\n"))) == ["a", "last", "first", "more"]


def test_following_a_truncated_file(tmp_path: Path) -> None:
    """A file that is cut short is read from its new beginning."""
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    assert list(followed(log, lambda: log.write_text("x\n"))) == ["one", "two", "x"]


def test_following_what_is_not_there_yet(tmp_path: Path) -> None:
    """A file that comes into being later is read from its beginning."""
    log = tmp_path / "log"
    assert list(followed(log, append(log, "here\n"))) == ["here"]
