"""What people are told of a bad mesh.toml, to the letter: `problems.txt` has texts and the lines each must give."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.config.problems import ConfigInvalid, did_you_mean, one_of, path_text, quoted
from tests.config.reading import problems, read

CASES = Path(__file__).with_name("problems.txt")


def cases() -> list[tuple[str, str, list[str]]]:
    """Name, text and expected lines of every case."""
    found = []
    for case in CASES.read_text("utf-8").split("=== ")[1:]:
        name, _, rest = case.partition("\n")
        text, _, expected = rest.partition("---\n")
        found.append((name, text, expected.splitlines()))
    return found


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in cases()], ids=[case[0] for case in cases()])
def test_problems(text: str, expected: list[str]) -> None:
    """Each text gives exactly these problems, at these places, in this order."""
    assert expected == [str(problem) for problem in problems(text)]


def test_the_error_tells_every_problem() -> None:
    """The exception's message is all the lines, so that nothing is lost where it is only printed."""
    with pytest.raises(ConfigInvalid) as caught:
        read("[mesh]\na = 1\nb = 2\n")
    assert [str(problem) for problem in caught.value.problems] == caught.value.message.splitlines()
    assert (caught.value.code, caught.value.exit_status) == ("config_invalid", 3)


def test_path_text() -> None:
    """Paths read as people write them, with quotes where TOML needs them."""
    assert path_text(("routes", 0, "headers", "x y", "regex")) == 'routes[0].headers."x y".regex'


def test_quoted_is_one_short_line() -> None:
    """A value in a message cannot break the line or flood the terminal."""
    assert quoted("a\nb\x1b") == '"a\\u000ab\\u001b"'
    assert len(quoted("x" * 1000)) == 62


def test_suggestions() -> None:
    """Only a near name is suggested, and only a short list is listed."""
    assert did_you_mean("Odrers", ["users", "orders"]) == 'did you mean "orders"?'
    assert not did_you_mean("zzz", ["users", "orders"])
    assert one_of(["a", "b"]) == 'one of "a", "b"'
    assert not one_of([f"name-{n}" for n in range(50)])
