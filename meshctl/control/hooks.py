"""Commands that a rollout runs: by the shell, with what there is to know in their environment, and never for longer
than their time, because a rollback waits for nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from meshctl.control.signal_names import signal_name
from meshctl.model.limits import REDIS_PASSWORD

DEADLINE: Final = 30.0
"""Seconds that a command may take."""

_LOOK: Final = 0.02
_SAID: Final = 300


async def run_hook(command: str, facts: Mapping[str, str], folder: str, deadline: float = DEADLINE) -> str:
    """Run a command in `folder`, or / where that is not there; "" where it succeeded, else what went wrong, with the
    end of what it said. It and all it started are ended at its deadline."""
    where = folder if Path(folder).is_dir() else "/"
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(  # noqa: S602 - that is what the user gave it for
                command,
                shell=True,
                cwd=where,
                env=_environ(facts),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                # A group of its own, which can be ended whole; and Ctrl-C at the proxy's terminal is not for it.
                start_new_session=True,
            )
        except OSError as error:
            return os.strerror(error.errno or 0).lower()
        try:
            async with asyncio.timeout(deadline):
                while process.poll() is None:
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            return f"it did not end within {deadline:g} s"
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return "" if process.returncode == 0 else _why(process.returncode, said.fileno())


def _environ(facts: Mapping[str, str]) -> dict[str, str]:
    """What our own environment has but for what is a secret of proxies; facts may hold what a command said, and a NUL
    ends a variable."""
    ours = {name: value for name, value in os.environ.items() if name != REDIS_PASSWORD}
    return ours | {name: value.replace("\0", "") for name, value in facts.items()}


def _why(status: int, said: int) -> str:
    size = os.fstat(said).st_size
    end = os.pread(said, _SAID, max(0, size - _SAID)).decode("utf-8", "replace").strip()
    why = f"it ended with {status}" if status >= 0 else f"it was ended by {signal_name(-status)}"
    return f"{why}: {' '.join(end.split())}" if end else why
