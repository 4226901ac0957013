"""Whatever the text, reading ends with a configuration or with problems at places that the text has."""

from __future__ import annotations

import tomllib
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshctl.config import templates
from meshctl.config.files import Loaded
from meshctl.config.problems import ConfigInvalid
from meshctl.config.schema import json_schema
from tests.config.reading import read

FULL = templates.text("full")
VALIDATOR = jsonschema.Draft202012Validator(json_schema())

PIECES_TEXT = """\
[
]
{
}
=
"
'
.
,
#
-1
0
1e999
nan
true
é
\\
\\u0000
x
""
"a"
0xffffffffffffffffffffffff
1979-05-27
[[routes]]
[services.a]
[gateway.tls]"""
# One piece per line; a line break and a space are pieces too.
PIECES = st.sampled_from(["\n", " ", *PIECES_TEXT.split("\n")])


def judge(text: str) -> Loaded | ConfigInvalid:
    """What reading gives; problems are checked to stand in the text."""
    try:
        loaded = read(text)
    except ConfigInvalid as error:
        assert any(problem.severity == "error" for problem in error.problems)
        found, answer = error.problems, error
    else:
        found, answer = loaded.warnings, loaded
    lines = text.removeprefix("\ufeff").split("\n")
    for problem in found:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert "\n" not in str(problem)
        assert problem.message
    return answer


@example("\ufeff")
@example("a = " + "[" * 5000)
@example("a = " + "{a=" * 5000)
@example("mesh" + ".a" * 5000 + " = 1")
@example("a = " + "9" * 5000)
@example("gateway.workers = 0x" + "f" * 5000)
@example("[gateway]\nlisten = [0x" + "f" * 5000 + "]")
@example("[gateway.limits]\nbody_bytes = '" + "9" * 500 + "TiB'")
@example("\r")
@example("[gateway]\nlisten = ['localhost:1', 'xn--\u0130:2']")
@given(st.text())
def test_any_text(text: str) -> None:
    """No text makes the reader fail in any other way."""
    judge(text)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_toml_like_text(text: str) -> None:
    """Nor does text that is nearly TOML."""
    judge(text)


@given(st.data())
def test_a_damaged_configuration(data: st.DataObject) -> None:
    """Nor does a configuration with every key in which something was cut out or put in."""
    text = FULL
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(PIECES) + text[end:]
    judge(text)


TABLE_KEYS = st.sampled_from(["header", "path", "exact", "x"])
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([0, -1, 1.5, True, False, "", "x", "/a", "1s", "50%", "h:1", "64KiB", "GET", "client_ip", "off"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["header", "path", "exact", "x"]), inner, max_size=2)
    ),
    max_leaves=3,
)


def _replace(value: Any, path: tuple[str | int, ...], new: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


def _paths(path: tuple[str | int, ...], value: Any) -> list[tuple[str | int, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for step, each in steps for found in ((*path, step), *_paths((*path, step), each))]


PATHS = _paths((), tomllib.loads(FULL))


@given(st.lists(st.tuples(st.sampled_from(PATHS), values), min_size=1, max_size=3))
def test_any_value_anywhere(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    """Nor does any value at any key. What the reader takes, the schema takes."""
    import tomli_w

    document = tomllib.loads(FULL)
    for path, value in changes:
        try:
            _replace(document, path, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    if isinstance(judge(tomli_w.dumps(document)), Loaded):
        assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_a_wrong_type_at_every_key(path: tuple[str | int, ...]) -> None:
    """A date fits nowhere: at each key there is, it gives a problem that names that key, or the list around it."""
    import tomli_w

    document = tomllib.loads(FULL)
    _replace(document, path, tomllib.loads("x = 2026-11-22")["x"])
    answer = judge(tomli_w.dumps(document))
    assert isinstance(answer, ConfigInvalid)
    assert any(problem.path.endswith((str(path[-1]), f"[{path[-1]}]", f'"{path[-1]}"')) for problem in answer.problems)
