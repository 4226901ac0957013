"""Asking running proxies from within a proxy: all at once, without a thread, with a deadline.

What `client` is for commands, for whoever has an event loop. Knows the documents as bytes only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from meshctl.model.views import ProxyRecord


async def ask_each(records: Sequence[ProxyRecord], target: str, timeout: float) -> dict[str, bytes]:
    """The answers to GET `target`, by the proxies' ids, of those that gave one within `timeout` seconds."""
    answers = await asyncio.gather(*(_ask(record, target, timeout) for record in records))
    return {record.id: answer for record, answer in zip(records, answers, strict=True) if answer is not None}


async def _ask(record: ProxyRecord, target: str, timeout: float) -> bytes | None:
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(record.socket)
            try:
                writer.write(f"GET {target} HTTP/1.1\r\nHost: meshctl\r\nConnection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    # Our own server: it closes at the end of a body that it gave the length of.
    return body if head.startswith(b"HTTP/1.1 200 ") and _is_whole(head, body) else None


def _is_whole(head: bytes, body: bytes) -> bool:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value) == len(body)
    return False
