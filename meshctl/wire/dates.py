"""How HTTP writes a moment (RFC 9110 §5.6.7). Pure: which moment it is, is an argument."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache


@lru_cache(maxsize=4)
def date_line(second: int) -> bytes:
    """The Date field (RFC 9110 §6.6.1) of what is answered in that second since the epoch."""
    return b"Date: " + formatdate(second, usegmt=True).encode()
