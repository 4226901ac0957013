"""Who is at work, in one line for audit records. Knows nothing of what they do."""

from __future__ import annotations

import os
import socket


def who() -> str:
    """The user, the host and the process that runs this: "alice@laptop (4711)"."""
    return f"{_user()}@{socket.gethostname() or 'localhost'} ({os.getpid()})"


def _user() -> str:
    import pwd

    # Not $USER: it survives su and sudo, and anybody may set it.
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
