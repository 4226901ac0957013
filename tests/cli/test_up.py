"""What `meshctl up` and `down` say where nothing was started."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from typing import TextIO

import pytest

from meshctl.cli.render import Terminal
from meshctl.cli.session import Session
from meshctl.cli.up import has_colours

from .conftest import Meshctl


@pytest.fixture
def screen() -> Iterator[TextIO]:
    """A stream to a terminal."""
    main, side = pty.openpty()
    with os.fdopen(side, "w") as stream:
        yield stream
    os.close(main)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours(screen: TextIO, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool) -> None:
    """A terminal gets colours, unless it has none or its user wants none."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert has_colours(Session(terminal=Terminal(out=screen))) is expected


def test_no_colours_in_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not a terminal gets plain text."""
    monkeypatch.setenv("TERM", "xterm")
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        assert not has_colours(Session(terminal=Terminal(out=stream)))
    os.close(reading)


def test_nothing_to_end(meshctl: Meshctl) -> None:
    """`down` where no home is ends with 4 and makes none."""
    ended = meshctl("down")
    assert (ended.status, ended.out) == (4, "")
    assert "nothing runs here that `meshctl up` has started" in ended.err


def test_no_file(meshctl: Meshctl) -> None:
    """`up` without a mesh.toml says how to come by one."""
    ended = meshctl("up")
    assert ended.status == 4
    assert "meshctl init" in ended.err
