"""The process that makes one certificate and ends: a `Task` on stdin, a `Reply` on stdout, both JSON.

    python -m meshctl.control.issuing

It is what loads cryptography, so that no proxy does. Nothing it says but the reply holds a key.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from meshctl.control.order import Issued, Refused, Reply, Task
from meshctl.errors import MeshError
from meshctl.store.home import Home


def reply_to(task: bytes) -> Reply:
    """The certificate that the task asks for, or why there is none. Raises nothing."""
    from contextlib import closing

    try:
        from meshctl.control.authority import Authority
        from meshctl.store.sqlite import SqliteStore

        wanted = msgspec.json.decode(task, type=Task)
        home = Home(Path(wanted.home))
        with closing(SqliteStore(home.database)) as store:
            return Issued(Authority(home, store).issue(wanted.order))
    except MeshError as error:
        return Refused(error.code, error.message, error.hint)
    except Exception as error:
        # Only its kind: what an error of a library says of what it was given, nobody knows.
        return Refused("failed", f"making a certificate failed: unexpected {type(error).__name__}", "please report it")


def main() -> None:
    """Read, make, answer, and end without ceremony: whoever waits waits for the end of this process."""
    said = msgspec.json.encode(reply_to(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
