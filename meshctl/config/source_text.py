"""JSON and YAML → plain data, and where in the text a part of it stands. It sees bytes, never a file.

YAML is read as version 1.2 has it and OpenAPI asks for: "no" is a word and not a boolean, a date is a string, and all
names are strings. A name that an object has twice is an error in both.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from meshctl.config.problems import Wrong, quoted
from meshctl.core.instances import INSTALL

Pointer = tuple[str, ...]
"""Names and positions from the top of a document, as in a JSON pointer."""

_BOOL: Final = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT: Final = re.compile(r"^[-+]?[0-9]{1,400}$")


MOST_VALUES: Final = 1_000_000
"""Values in a document whose aliases are written out: what they stand for is looked at each time."""


def parse(data: bytes, name: str) -> Any:
    """The document in a file's bytes. Raises Wrong, with the line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Wrong(f"line {data[: error.start].count(10) + 1}: is not UTF-8", hint="save the file as UTF-8") from error
    if name.endswith(".json") or text.lstrip()[:1] in ("{", "["):
        return _json(text)
    if find_spec("yaml") is None:
        raise Wrong("is YAML, which needs a library that is not installed", hint=INSTALL)
    return _yaml(text)


def composed(data: bytes) -> Any:
    """The document in a file's bytes as nodes that know their places, None where there is none, for `line_of`."""
    if find_spec("yaml") is None:
        return None
    import yaml

    try:
        # YAML knows JSON, too, but for tabs.
        return yaml.compose(data.decode("utf-8-sig").replace("\t", " "), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def line_of(node: Any, pointer: Pointer) -> int:
    """The line of the part of `node` at `pointer`, or of the nearest one around it; 0 where that is not known."""
    if node is None:
        return 0
    import yaml

    line = int(node.start_mark.line)
    for step in pointer:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise Wrong(f"line {error.lineno}, column {error.colno}: is not JSON", expected=error.msg.lower()) from error
    except RecursionError:
        raise Wrong("is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Wrong(f"has an object with the name {quoted(name)} twice", expected="each name once")
        found[name] = value
    return found


def _yaml(text: str) -> Any:
    import yaml

    try:
        found = yaml.load(text, Loader=_loader())  # noqa: S506 - a safe one
        if "*" in text and _weight(found, {}) > MOST_VALUES:
            raise Wrong("is too large a document", expected=f"at most {MOST_VALUES:,} values, aliases written out")
        return found
    except Wrong:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Wrong(f"{where}is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise Wrong(f"is not YAML: {str(error).partition(chr(10))[0]}") from error
    except RecursionError:
        raise Wrong("is nested too deeply") from None


def _weight(value: Any, known: dict[int, int]) -> int:
    """How many values that is; what aliases share is counted each time, and looked at once."""
    if not isinstance(value, dict | list):
        return 1
    found = known.get(id(value))
    if found is None:
        members = value.values() if isinstance(value, dict) else value
        found = known[id(value)] = 1 + sum(_weight(each, known) for each in members)
    return found


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.CSafeLoader):  # type: ignore[misc]
        """Plain data of YAML 1.2."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
            self.flatten_mapping(node)
            found: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
                if key is None or key in found:
                    what = "names are plain words" if key is None else f"the name {quoted(key)} is there twice"
                    raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
                found[key] = self.construct_object(value_node, deep=True)
            return found

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] in ("null", "float", "merge")]
        for first, known in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
    Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(str(node.value)))
    return Loader
