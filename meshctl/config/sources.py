"""The documents that an OpenAPI description or a JSON Schema is made of: a file and those beside it that it refers to.

It finds what a `$ref` means and never leaves the folder of the first file, let alone the machine. Files are read by a
function that it is given.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

from meshctl.config.problems import Wrong, quoted
from meshctl.config.source_text import Pointer, composed, line_of, parse

Place = tuple[str, Pointer]
"""A file, by its name relative to the folder, and a part of it."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HERE: Final = "a file beside the document"
_LONGEST_CHAIN: Final = 50
MOST_FILES: Final = 200


class Broken(Exception):  # noqa: N818 - reads as `raise Broken`, like Wrong
    """Something wrong at a place in a document."""

    def __init__(self, place: Place, message: str, expected: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.expected, self.hint = place, message, expected, hint


class Sources:
    """The files around the one called `name`; `read` gives the bytes of each, or raises Wrong."""

    def __init__(self, name: str, read: Callable[[str], bytes]) -> None:
        self.name = name
        self._read = read
        self._bytes: dict[str, bytes] = {}
        self._documents: dict[str, Any] = {}
        self._nodes: dict[str, Any] = {}
        self._ids: dict[str, dict[str, Pointer]] = {}

    @property
    def top(self) -> Any:
        """The first document. Raises Wrong."""
        return self._document(self.name)

    def at(self, place: Place) -> Any:
        """What stands at a place. Raises Broken where there is nothing."""
        file, pointer = place
        found = self._document(file)
        for step in pointer:
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                raise Broken(place, f"there is nothing at {quoted(pointer_text(pointer))}")
        return found

    def refers(self, place: Place, ref: object) -> Place:
        """What a `$ref` at `place` means. Raises Broken."""
        if not isinstance(ref, str):
            raise Broken(place, "$ref is no string", '"#/components/…" or ' + _HERE)
        file = place[0]
        url, fragment = urldefrag(ref)
        if url and not (url == self._id(file) and url):
            file = self._file(place, ref, unquote(url))
        try:
            self._document(file)
        except Wrong as error:
            raise Broken(place, f"{quoted(ref)}: {error.message}", error.expected or _HERE, error.hint) from error
        fragment = unquote(fragment)
        if not fragment or fragment.startswith("/"):
            steps = fragment.split("/")[1:] if fragment else []
            found: Place = file, tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
        else:
            anchor = self._names(file).get(f"#{fragment}")
            if anchor is None:
                raise Broken(place, f"{quoted(ref)}: nothing has the $anchor {quoted(fragment)}")
            found = file, anchor
        try:
            self.at(found)
        except Broken as error:
            raise Broken(place, f"{quoted(ref)} leads nowhere: {error.message}") from error
        return found

    def followed(self, place: Place) -> Place:
        """`place`, or what its `$ref` leads to in the end. Raises Broken."""
        for _ in range(_LONGEST_CHAIN):
            found = self.at(place)
            if not isinstance(found, dict) or "$ref" not in found:
                return place
            place = self.refers(place, found["$ref"])
        raise Broken(place, "$ref leads round in a circle")

    def line(self, place: Place) -> int:
        """The line of a place in its file, 0 where that is not known."""
        file, pointer = place
        if file not in self._nodes:
            self._nodes[file] = composed(self._bytes.get(file, b""))
        return line_of(self._nodes[file], pointer)

    def _document(self, file: str) -> Any:
        if file not in self._documents:
            if len(self._documents) >= MOST_FILES:
                raise Wrong(f"refers to more than {MOST_FILES} files")
            data = self._bytes[file] = self._read(file)
            self._documents[file] = parse(data, file)
        return self._documents[file]

    def _file(self, place: Place, ref: str, url: str) -> str:
        """The file that the URL of a reference means: relative ones stand beside the one that has it."""
        own = self._id(place[0])
        if own:
            base, url = own.rpartition("/")[0] + "/", urljoin(own, url)
            # What has an address of its own speaks of its neighbours by theirs.
            url = url.removeprefix(base)
        if _SCHEME.match(url) or url.startswith("/"):
            raise Broken(place, f"{quoted(ref)} is no file here: nothing is fetched", _HERE)
        file = posixpath.normpath(posixpath.join(posixpath.dirname(place[0]), url))
        if file.startswith(".."):
            raise Broken(place, f"{quoted(ref)} leads out of the document's folder", _HERE)
        return file

    def _id(self, file: str) -> str:
        found = self._documents.get(file)
        said = found.get("$id") if isinstance(found, dict) else None
        return said.rstrip("#") if isinstance(said, str) and _SCHEME.match(said) else ""

    def _names(self, file: str) -> dict[str, Pointer]:
        if file not in self._ids:
            self._ids[file] = dict(_anchors(self._document(file), ()))
        return self._ids[file]


def pointer_text(pointer: Pointer) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in pointer)


def _anchors(value: Any, path: Pointer) -> Iterator[tuple[str, Pointer]]:
    if len(path) > 100:
        return
    if isinstance(value, dict):
        anchor, own = value.get("$anchor"), value.get("$id")
        if isinstance(anchor, str):
            yield f"#{anchor}", path
        if isinstance(own, str) and own.startswith("#"):
            yield own, path  # as draft 7 has it
        for name, each in value.items():
            yield from _anchors(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _anchors(each, (*path, str(number)))
