"""Content codings behind one face: pieces in, pieces out, and what is held back on demand.

Each is set to take about as long for a body as gzip does at its usual level, and a window that bounds its memory: one
read of the endpoint's answer (256 KiB) takes the worker some 4 ms. The libraries of br and zstd are loaded when a
configuration asks for them; where they are not installed, these are not offered.
"""

from __future__ import annotations

import zlib
from importlib.util import find_spec
from typing import Any, Final, Protocol

_LIBRARIES: Final = {"zstd": "zstandard", "br": "brotli"}
_GZIP_LEVEL, _BROTLI_QUALITY, _ZSTD_LEVEL = 5, 4, 3
_WINDOW: Final = 18
"""Of br and zstd: two to the power of this are 256 KiB."""


class Coder(Protocol):
    """One body on its way into a coding."""

    def take(self, data: bytes | memoryview) -> bytes:
        """What can be sent after this piece; often nothing."""

    def flush(self) -> bytes:
        """What is held back, so that a client can read all that was taken."""

    def end(self) -> bytes:
        """The rest."""


def there(codings: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the codings whose libraries are installed."""
    return tuple(each for each in codings if each not in _LIBRARIES or find_spec(_LIBRARIES[each]) is not None)


def coder(coding: str) -> Coder:
    """A coder for one body."""
    if coding == "br":
        return _Brotli()
    return _Zstd() if coding == "zstd" else _Gzip()


class _Gzip:
    def __init__(self) -> None:
        self._made = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)

    def take(self, data: bytes | memoryview) -> bytes:
        return self._made.compress(data)

    def flush(self) -> bytes:
        return self._made.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._made.flush()


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._made: Any = brotli.Compressor(quality=_BROTLI_QUALITY, lgwin=_WINDOW)

    def take(self, data: bytes | memoryview) -> bytes:
        return bytes(self._made.process(bytes(data)))

    def flush(self) -> bytes:
        return bytes(self._made.flush())

    def end(self) -> bytes:
        return bytes(self._made.finish())


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        parameters = zstandard.ZstdCompressionParameters.from_level(_ZSTD_LEVEL, window_log=_WINDOW)
        self._made: Any = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def take(self, data: bytes | memoryview) -> bytes:
        return bytes(self._made.compress(data))

    def flush(self) -> bytes:
        return bytes(self._made.flush(self._block))

    def end(self) -> bytes:
        return bytes(self._made.flush())
