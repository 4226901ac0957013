"""The applied configurations as the store keeps them: which is current, what each was, who made it. Reads only.

A revision is two entries, so that a history of large configurations is read without their content: who and when under
`config/revisions/<number>`, what under `config/meshes/<number>`. `config/current` points at one by number and hash.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from meshctl.errors import MeshError
from meshctl.model import mesh as model
from meshctl.store.protocol import Entry, Put, Store

CURRENT: Final = "config/current"
_SUMMARIES: Final = "config/revisions/"
_MESHES: Final = "config/meshes/"

# Above this many bytes a configuration is stored compressed: ten thousand routes are megabytes of repetitive JSON.
_LONG: Final = 64 * 1024

_S = TypeVar("_S", bound=msgspec.Struct)


class Pointer(msgspec.Struct, frozen=True):
    """Which revision is current, and the hash of its content."""

    number: int
    hash: str


class Summary(msgspec.Struct, frozen=True):
    """A revision without its content: `hash` is the SHA-256 of the mesh's canonical JSON in hex, `source` where it came
    from: a file's path, "routes" or "revision 3" for a rollback."""

    number: int
    hash: str
    at: float
    who: str
    source: str


class Revision(msgspec.Struct, frozen=True):
    """An applied configuration; `content` is the mesh as canonical JSON."""

    summary: Summary
    content: bytes

    @property
    def number(self) -> int:
        """The revision's number: one more than that of the one before."""
        return self.summary.number

    @property
    def hash(self) -> str:
        """The SHA-256 of the content, in hex."""
        return self.summary.hash

    def mesh(self) -> model.Mesh:
        """The configuration itself. Raises MeshError store_corrupt where it is none."""
        try:
            return model.decode(self.content)
        except msgspec.DecodeError as error:
            raise _unreadable(_key(_MESHES, self.number), error) from error


def nothing() -> Revision:
    """What is in force before the first apply."""
    content = model.encode(model.Mesh())
    return Revision(Summary(0, digest(content), 0.0, "", ""), content)


def digest(content: bytes) -> str:
    """The hash that tells one configuration from another."""
    return sha256(content).hexdigest()


def pointer(store: Store) -> Pointer | None:
    """Which revision is current, None before the first apply. Cheap enough to ask after every change."""
    entry = store.get(CURRENT)
    return None if entry is None else decode(entry, Pointer)


def current(store: Store) -> Revision | None:
    """The current revision with its content, None before the first apply."""
    while found := pointer(store):
        try:
            return revision(store, found.number)
        except MeshError as error:
            # Fifty applies between the two reads would drop it; anything else is a real gap.
            if error.code != "not_found" or pointer(store) == found:
                raise
    return None


def revision(store: Store, number: int) -> Revision:
    """The revision `number`. Raises MeshError not_found for one that never was or is no longer kept."""
    summary = store.get(_key(_SUMMARIES, number))
    content = store.get(_key(_MESHES, number))
    if summary is None or content is None:
        kept = [each.number for each in history(store, 0)]
        hint = f"revisions {kept[-1]} to {kept[0]} are kept" if kept else "nothing has been applied yet"
        raise MeshError("not_found", f"there is no revision {number}", hint=hint)
    return Revision(decode(summary, Summary), _unpack(content))


def history(store: Store, limit: int = 0) -> list[Summary]:
    """The kept revisions, newest first; at most `limit` of them where it is not 0."""
    found = [decode(entry, Summary) for entry in reversed(store.list(_SUMMARIES))]
    return found[:limit] if limit > 0 else found


def puts(revision: Revision) -> list[Put]:
    """The changes that store `revision` and make it current."""
    content = revision.content
    packed = zlib.compress(content, 1) if len(content) > _LONG else content
    return [
        Put(_key(_SUMMARIES, revision.number), msgspec.json.encode(revision.summary)),
        Put(_key(_MESHES, revision.number), packed),
        Put(CURRENT, msgspec.json.encode(Pointer(revision.number, revision.hash))),
    ]


def keys(number: int) -> tuple[str, str]:
    """The two keys of revision `number`."""
    return _key(_SUMMARIES, number), _key(_MESHES, number)


def decode(entry: Entry, kind: type[_S]) -> _S:
    """The `kind` in an entry. Raises MeshError store_corrupt where it holds something else."""
    try:
        return msgspec.json.decode(entry.value, type=kind)
    except msgspec.DecodeError as error:
        raise _unreadable(entry.key, error) from error


def _key(prefix: str, number: int) -> str:
    return f"{prefix}{number:010d}"


def _unpack(entry: Entry) -> bytes:
    # JSON begins with "{", a zlib stream never does (RFC 1950 §2.2: the low four bits of its first byte are 8).
    if entry.value.startswith(b"{"):
        return entry.value
    try:
        return zlib.decompress(entry.value)
    except zlib.error as error:
        raise _unreadable(entry.key, error) from error


def _unreadable(key: str, error: Exception) -> MeshError:
    hint = "another version of meshctl may have written it: use that one, or apply mesh.toml again"
    return MeshError("store_corrupt", f'"{key}" in the store cannot be read: {error}', hint=hint)
