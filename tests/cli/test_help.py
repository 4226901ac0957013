"""The help texts: whole, golden, and with examples that hold."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.cli.app import build, run
from meshctl.cli.help import help_text, told

GOLDEN = Path(__file__).parent / "golden"
# MESHCTL_GOLDEN=write pytest tests/cli/test_help.py writes them anew; look at the difference before committing it.
WRITE = os.environ.get("MESHCTL_GOLDEN") == "write"
ROOT = build()


def tree(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group under `command`, with the words that lead to it."""
    yield words, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from tree(sub, (*words, name))


PLACES = dict(tree(ROOT))
COMMANDS = {words: command for words, command in PLACES.items() if not hasattr(command, "commands")}
EXAMPLES = [(words, line) for words, command in COMMANDS.items() for line in (command.epilog or "").splitlines()]


@pytest.mark.parametrize("words", PLACES, ids=lambda words: " ".join(words) or "meshctl")
def test_help_is_golden(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of every command says what its golden file says, and ends with 0."""
    assert run([*words, "--help"]) == 0
    said = capsys.readouterr().out
    golden = GOLDEN / f"{'-'.join(words) or 'meshctl'}.txt"
    if WRITE:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    """Every golden file belongs to a command that exists."""
    assert {f"{'-'.join(words) or 'meshctl'}.txt" for words in PLACES} == {path.name for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("words", PLACES, ids=lambda words: " ".join(words) or "meshctl")
def test_every_command_has_help_and_examples(words: tuple[str, ...]) -> None:
    """Every command and group says what it does, and shows at least one line that uses it."""
    command = PLACES[words]
    assert len(command.help.split()) >= 3
    assert any(" ".join(["meshctl", *words]) in line for line in command.epilog.splitlines())


@pytest.mark.parametrize("words", PLACES, ids=lambda words: " ".join(words) or "meshctl")
def test_every_parameter_has_help(words: tuple[str, ...]) -> None:
    """No option or argument is listed without an explanation."""
    assert [param.name for param in PLACES[words].params if not param.help] == []


@pytest.mark.parametrize(("words", "line"), EXAMPLES, ids=lambda each: each if isinstance(each, str) else "")
def test_examples_parse(words: tuple[str, ...], line: str) -> None:
    """Every example in a help text is a command line that its command accepts."""
    lexer = shlex.shlex(line.removeprefix("source <(").removesuffix(")"), posix=True, punctuation_chars=">")
    lexer.whitespace_split = True
    typed = list(lexer)
    typed = typed[: typed.index(">")] if ">" in typed else typed
    assert typed[: len(words) + 1] == ["meshctl", *words]
    COMMANDS[words].make_context(words[-1], typed[len(words) + 1 :])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_tells_defaults(words: tuple[str, ...]) -> None:
    """Every option that has a value by itself says which, and times are told with their unit."""
    for param in COMMANDS[words].params:
        if param.param_type_name == "option" and param.default not in (None, False, "", 0, [], ()):
            assert "(default" in told(param), param.name
    assert "SECONDS" not in help_text(COMMANDS[words], "meshctl")


@pytest.mark.parametrize(("said", "seconds"), [("10", 10.0), ("0.5", 0.5), ("250ms", 0.25), ("1m30s", 90.0)])
def test_time_is_said_with_or_without_a_unit(said: str, seconds: float) -> None:
    """`--timeout` takes a duration as mesh.toml has it, or a bare number of seconds."""
    assert COMMANDS["apply",].make_context("apply", ["--timeout", said]).params["timeout"] == seconds


@pytest.mark.parametrize("said", ["soon", "-1", "1e3", "1.2.3", ""])
def test_what_is_no_time_is_refused(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is a wrong command line, and an example of a right one is told."""
    assert run(["apply", f"--timeout={said}"]) == 2
    assert 'expected a duration such as "250ms"' in capsys.readouterr().err
