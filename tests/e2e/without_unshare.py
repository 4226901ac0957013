"""`python -m tests.e2e.without_unshare COMMAND…`: a program that may make no namespaces, as under the profile of a
container, or of AppArmor: the kernel says that it is not permitted (seccomp(2))."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Final

_NUMBERS: Final = {"x86_64": 272, "aarch64": 97}
"""Of unshare(2), by machine."""
_NO_NEW_PRIVILEGES: Final = 38
_SECCOMP: Final = 22
_FILTER: Final = 2
_REFUSED: Final = 0x00050000 | errno.EPERM
_ALLOWED: Final = 0x7FFF0000
# Of linux/bpf_common.h: load a word, jump where it is equal, return.
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def main() -> None:
    """See the module."""
    lines = [(_LOAD, 0, 0, 0), (_EQUAL, 0, 1, _NUMBERS[platform.machine()]), (_RETURN, 0, 0, _REFUSED)]
    code = b"".join(struct.pack("=HBBI", *line) for line in [*lines, (_RETURN, 0, 0, _ALLOWED)])
    program = _Program(len(lines) + 1, code)
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program))):
        if libc.prctl(*words):
            raise OSError(ctypes.get_errno(), "it cannot be forbidden")
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
