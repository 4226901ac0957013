"""How many files a process may have open, which bounds its connections, and whether there are any left."""

from __future__ import annotations

import errno
import os
import resource
from typing import Final

OWN: Final = 100
"""Beside connections: log, sockets, store, event loop, with some room."""
EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
"""What is scarce for the whole process or system, and nobody else's fault."""


def needed(connections: int) -> int:
    """Files for so many clients. A client's connection may have one to an endpoint; that half of them have one at a
    time is much.

    >>> needed(10_000)
    15100
    """
    return 3 * connections // 2 + OWN


def fitting(files: int) -> int:
    """The clients for whom so many files are enough; at least one.

    >>> fitting(needed(10_000)), fitting(1024), fitting(3)
    (10000, 616, 1)
    """
    return max((files - OWN) * 2 // 3, 1)


def raise_limit(connections: int) -> int:
    """Have this process open as many files as so many clients may need, and an endpoint's connection for each besides,
    as far as the system allows; how many it may. What it starts later inherits that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + OWN
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        # Some systems allow less than they say.
        return soft
    return most


def are_left() -> bool:
    """Whether one more file could be opened now."""
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno not in EXHAUSTED
    return True
