"""Where a key stands in the text: key path → line and column, by tree-sitter's TOML grammar.

It knows nothing of what keys mean. tomllib gives values without places, so the text is parsed a second time, but only
once somebody asks: a configuration without problems never loads tree-sitter.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from meshctl.config.problems import Finding, Path, Problem, path_text

if TYPE_CHECKING:
    from tree_sitter import Node

Place = tuple[int, int]


class Positions:
    """The places of all keys of one text. Lines and columns count from 1, columns in characters."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode("utf-8", "replace").split(b"\n")
        self._places: dict[Path, Place] = {}
        # Arrays of tables seen so far and how many elements they have: [a.b] under [[a]] belongs to a's last element.
        self._arrays: dict[Path, int] = {}
        self._index()

    def of(self, path: Path) -> Place:
        """The place of the key, or of the nearest table around it that the text has; (1, 1) at worst."""
        for end in range(len(path), 0, -1):
            if found := self._places.get(path[:end]):
                return found
        return (1, 1)

    def exact(self, path: Path) -> Place | None:
        """The place of the key, or None where the text does not have it."""
        return self._places.get(path)

    def _index(self) -> None:
        import tree_sitter_toml
        from tree_sitter import Language, Parser

        root = Parser(Language(tree_sitter_toml.language())).parse(b"\n".join(self._lines)).root_node
        for node in root.named_children:
            if node.type == "pair":
                self._pairs([node], ())
            elif node.type in ("table", "table_array_element"):
                self._table(node)

    def _table(self, node: Node) -> None:
        key, *rest = node.named_children
        parts = _segments(key)
        path: Path = ()
        for number, part in enumerate(parts, 1):
            path = (*path, _name(part))
            is_last = number == len(parts)
            self._note(path, part, replace=is_last and node.type == "table")
            if is_last and node.type == "table_array_element":
                self._arrays[path] = self._arrays.get(path, 0) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path] - 1)
                self._note(path, part)
        self._pairs([child for child in rest if child.type == "pair"], path)

    def _pairs(self, nodes: list[Node], base: Path) -> None:
        waiting: list[tuple[Node, Path]] = [(node, base) for node in nodes]
        while waiting:
            node, path = waiting.pop()
            if node.type == "pair":
                waiting.append(self._pair(node, path))
            elif node.type == "inline_table":
                waiting += [(child, path) for child in node.named_children if child.type == "pair"]
            elif node.type == "array":
                for number, child in enumerate(c for c in node.named_children if c.type != "comment"):
                    self._note((*path, number), child)
                    waiting.append((child, (*path, number)))

    def _pair(self, node: Node, base: Path) -> tuple[Node, Path]:
        path = base
        for part in _segments(node.named_children[0]):
            path = (*path, _name(part))
            self._note(path, part)
        return node.named_children[1], path

    def _note(self, path: Path, node: Node, *, replace: bool = False) -> None:
        if replace or path not in self._places:
            row, column = node.start_point
            self._places[path] = (row + 1, len(self._lines[row][:column].decode("utf-8", "replace")) + 1)


def locate(findings: list[Finding], text: str, name: str) -> list[Problem]:
    """The findings as problems of the file called `name`, in the text's order, each once."""
    if not findings:
        return []
    positions = Positions(text)
    problems = [
        Problem(name, *positions.of(f.path), path_text(f.path), f.message, f.expected, f.hint, f.severity)
        for f in dict.fromkeys(findings)
    ]
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _segments(key: Node) -> list[Node]:
    """The parts of a key. Dotted keys nest to the left, so this walks instead of recursing."""
    parts: list[Node] = []
    while key.type == "dotted_key":
        key, right = key.named_children[0], key.named_children[-1]
        parts.append(right)
    parts.append(key)
    return parts[::-1]


def _name(node: Node) -> str:
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type != "quoted_key":
        return text
    try:
        return next(iter(tomllib.loads(f"{text} = 0")))
    except tomllib.TOMLDecodeError:  # the grammar took what tomllib would not; the place is then the table around it
        return text
