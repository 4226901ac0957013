"""Have all proxies acted on a change of the store? Asked before an app that others may still send to is ended.

Without threads and without aiohttp: a wrapper is small. Knows nothing of what was changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from meshctl.control.acks import proxies
from meshctl.errors import MeshError
from meshctl.model.views import ProxyRecord
from meshctl.proxy.tasks import spawn
from meshctl.store.protocol import Store

_PAUSE: Final = 0.05
"""Seconds before a proxy that could not be asked is asked again: it may be starting."""
_LONGEST: Final = 65_536


class _Synced(msgspec.Struct):
    revision: int


async def until_seen(store: Store, revision: int, others: Iterable[ProxyRecord], seconds: float) -> list[str]:
    """Return when all of `others` have acted on store revision `revision`, or after `seconds`: the ids of those that
    may not have. Whoever ends meanwhile is not waited for."""
    tasks = {each.id: spawn(_until_one(store, each, revision), name=f"ask {each.id}") for each in others}
    if not tasks:
        return []
    _, late = await asyncio.wait(tasks.values(), timeout=seconds)
    for task in late:
        task.cancel()
    return sorted(name for name, task in tasks.items() if task in late)


async def _until_one(store: Store, record: ProxyRecord, revision: int) -> None:
    while await _reached(record, revision) < revision:
        try:
            if all(each.id != record.id or each.pid != record.pid for each in proxies(store)):
                return
        except MeshError:
            pass  # Whether it runs is asked again.
        await asyncio.sleep(_PAUSE)


async def _reached(record: ProxyRecord, revision: int) -> int:
    """The store revision that a proxy is up to, once that is `revision` or it has waited long enough; -1 where it does
    not answer."""
    try:
        reader, writer = await asyncio.open_unix_connection(record.socket)
    except OSError:
        return -1
    try:
        request = f"GET /v1/synced?revision={revision} HTTP/1.1\r\nHost: meshctl\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        answer = await reader.read(_LONGEST)
        while piece := await reader.read(_LONGEST):
            answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return msgspec.json.decode(body, type=_Synced).revision if b" 200 " in head.split(b"\r\n")[0] else -1
    except (OSError, msgspec.DecodeError):
        return -1
    finally:
        writer.transport.abort()
