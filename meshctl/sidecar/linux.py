"""The few calls of Linux that Python 3.11 has no words for: namespaces, capabilities, and the signal of a parent's
death.

Loaded before any fork: a child between fork and exec must not load libraries. Decides nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

NEW_USER: Final = 0x10000000
NEW_NETWORK: Final = 0x40000000
"""Kinds of namespaces (unshare(2), setns(2))."""
NET_ADMIN: Final = 12
"""The capability to configure a network (capabilities(7))."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAPABILITIES: Final = 0x20080522
"""The version of what capget(2) and capset(2) take: two words of 32 bits for each set."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def unshare(kinds: int) -> None:
    """Have this process go on in new namespaces. Raises OSError."""
    _call("unshare", kinds)


def enter(handle: int, kind: int) -> None:
    """Have this process, which has one thread, go on in the namespace behind a descriptor. Raises OSError."""
    _call("setns", handle, kind)


def die_with_parent(number: int) -> None:
    """Have the kernel send this process a signal when its parent ends. A change of its rights undoes it."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def hand_down(capability: int) -> None:
    """Have the programs that this process runs keep a capability of its own, whoever its user is. Raises OSError."""
    header, sets = _Header(_CAPABILITIES, 0), (_Sets * 2)()
    _call("capget", ctypes.byref(header), ctypes.byref(sets))
    sets[capability // 32].inheritable |= 1 << capability % 32
    _call("capset", ctypes.byref(header), ctypes.byref(sets))
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def renounce() -> None:
    """Give up every capability. Raises OSError."""
    _call("capset", ctypes.byref(_Header(_CAPABILITIES, 0)), ctypes.byref((_Sets * 2)()))


def hide() -> None:
    """Have no other process of this user read this one's memory."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_DUMPABLE, 0)


def _call(name: str, *arguments: object) -> None:
    if _LIBC is None:
        raise OSError(0, "this is not Linux")
    if getattr(_LIBC, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
