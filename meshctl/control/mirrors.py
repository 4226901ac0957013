"""Mirrors that people set: which version of a service gets copies of its requests, and what all proxies together have
seen of that. The copies are `proxy.mirror`'s, the comparison is `comparing`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from meshctl.control.acks import proxies
from meshctl.control.client import ask_all
from meshctl.control.comparing import merged
from meshctl.control.revisions import decode
from meshctl.control.steered import drop, live_steering, mirror_key, put
from meshctl.control.weights import known_service
from meshctl.core.json_path import parse
from meshctl.core.shift import check_known
from meshctl.errors import MeshError
from meshctl.model.steering import Mirror, MirrorTally
from meshctl.model.units import format_percent
from meshctl.store.protocol import Store

# RFC 9110 §5.6.2.
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class MirrorView(msgspec.Struct, frozen=True):
    """A mirror and what all running proxies have seen of it."""

    mirror: Mirror
    tally: MirrorTally
    mismatch_rate: float | None
    """Of the answers compared, 0 to 1; None where none was."""
    proxies: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def begin(store: Store, mirror: Mirror) -> int:
    """Have a version get copies, in the place of the service's mirror before; the store revision from which on it does.

    Raises MeshError: not_found for no such service or version, refused where the service speaks no HTTP, usage for what
    is no JSONPath or no name of a header, conflict."""
    service = known_service(store, mirror.service)
    check_known(mirror.to, {version.name: version.weight for version in service.versions})
    if service.protocol == "tcp":
        raise MeshError("refused", f'"{service.name}" speaks no HTTP: its connections cannot be copied')
    for text in mirror.ignore:
        try:
            parse(text)
        except ValueError as error:
            raise MeshError("usage", f'--ignore "{text}": {error}') from error
    for name in mirror.headers:
        if not _FIELD_NAME.fullmatch(name):
            raise MeshError("usage", f'--header "{name}" is no name of a header')
    entry = store.get(mirror_key(mirror.service))
    before = described(decode(entry, Mirror)) if entry is not None else ""
    after = described(mirror)
    return put(store, mirror_key(mirror.service), mirror, before, after, f"{mirror.service}: mirror {after}")


def stop(store: Store, service: str, *, who: str) -> int:
    """Make no more copies; the store revision from which on none is made. Raises MeshError not_found, conflict."""
    entry = store.get(mirror_key(service))
    if entry is None:
        known_service(store, service)
        hint = f"`meshctl traffic mirror {service} --to VERSION` begins one"
        raise MeshError("not_found", f'"{service}" is not mirrored', hint=hint)
    before = described(decode(entry, Mirror))
    return drop(store, [entry], who=who, before=before, what=f"{service}: mirror stopped")


def mirrors(store: Store, service: str = "") -> tuple[Mirror, ...]:
    """The mirrors that hold, of one service or of all."""
    return tuple(each for each in live_steering(store).mirrors if not service or each.service == service)


def described(mirror: Mirror) -> str:
    """A mirror in a line: `10% to v2, compared`."""
    said = f"{format_percent(mirror.share)} to {mirror.to}"
    return f"{said}{', all methods' if mirror.all_methods else ''}{', compared' if mirror.diff else ''}"


def views(store: Store, service: str = "") -> list[MirrorView]:
    """The mirrors that hold with what every running proxy has seen of them. Blocks."""
    found = mirrors(store, service)
    records = proxies(store) if found else []
    answers = ask_all(records, "/v1/mirrors") if records else []
    told = [msgspec.json.decode(each.body, type=list[MirrorTally]) for each in answers if not each.error]
    silent = tuple(each.record.id for each in answers if each.error)
    asked = tuple(each.record.id for each in answers if not each.error)
    return [_view(each, [one for tallies in told for one in tallies], asked, silent) for each in found]


def _view(
    mirror: Mirror, tallies: Sequence[MirrorTally], asked: tuple[str, ...], silent: tuple[str, ...]
) -> MirrorView:
    tally = merged(mirror.service, mirror.at, tallies)
    rate = tally.mismatched / tally.compared if tally.compared else None
    return MirrorView(mirror, tally, rate, asked, silent)
