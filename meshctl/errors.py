"""What can go wrong, as values with a stable code, and the one table from code to exit status.

Inner modules raise `MeshError` with facts; only the edges (`cli/`, the admin API) translate it. A message says what and
where in lower case without a full stop; `hint` says what to do now.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INVALID: Final = 3
NOT_FOUND: Final = 4

# Every code the toolkit raises, with the exit status of the command that ends on it.
EXIT_STATUS: Final[dict[str, int]] = {
    "failed": FAILED,
    "usage": USAGE,
    "config_invalid": INVALID,
    "config_unreadable": INVALID,
    "certificate_invalid": INVALID,
    "authority_unusable": FAILED,
    "not_found": NOT_FOUND,
    "not_running": NOT_FOUND,
    "already_running": FAILED,
    "address_in_use": FAILED,
    "address_unusable": FAILED,
    "conflict": FAILED,
    "refused": FAILED,
    "store_unavailable": FAILED,
    "store_corrupt": FAILED,
    "store_full": FAILED,
    "home_unusable": FAILED,
    "proxy_unreachable": FAILED,
    "interrupted": FAILED,
    # What a shell ends with.
    "command_not_executable": 126,
    "command_not_found": 127,
}


def none_runs(home: object = None) -> MeshError:
    """There is no running proxy to ask in `home`, a path, where that is known."""
    hint = "start one with `meshctl up` or `meshctl gateway up`, or name the home of one that runs with --home"
    return MeshError("not_running", f"nothing runs in {'this home' if home is None else f'the home {home}'}", hint=hint)


def install(extra: str) -> str:
    """What to do where the libraries of an extra are not there. On PyPI the name meshctl is somebody else's."""
    return f"in a checkout of meshctl: {sys.executable} -m pip install '.[{extra}]'"


def nearest(name: str, known: Collection[str]) -> str:
    """The hint for a name that is none of those known but like one of them; "" where it is like none."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f'did you mean "{near[0]}"?' if near else ""


class MeshError(Exception):
    """A failure with a stable `code` (a key of `EXIT_STATUS`), a message for people and, where one exists, a way
    out."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"

    @property
    def exit_status(self) -> int:
        """The process exit status this error ends a command with."""
        return EXIT_STATUS.get(self.code, FAILED)


def because(error: OSError) -> str:
    """What the system says of a failure, in small letters like all that is said here."""
    return (error.strerror or str(error)).lower()


def no_process(what: str, error: OSError) -> MeshError:
    """The system lets nobody start another process, which was to be `what`."""
    hint = "see `ulimit -u`, the container's limit of processes, and free memory"
    return MeshError("failed", f"no process can be started for {what}: {because(error)}", hint=hint)
