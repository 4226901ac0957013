"""Traces: what tells of them is installed, what the receiver wants is there, and somebody listens where it should."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from meshctl.config.build_tracing import has_library, read_fields
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, failed, passed, warned
from meshctl.control.revisions import nothing
from meshctl.errors import because, install
from meshctl.model.tracing import Tracing

_PATIENCE: Final = 2.0


def told(facts: Facts) -> Finding:
    """Traces that are asked for can be told to their receiver."""
    asked = (facts.applied() or nothing()).mesh().tracing
    if asked is None:
        raise Unknown("no traces are asked for")
    return judge(asked)


def judge(asked: Tracing) -> Finding:
    """See `told`."""
    if not has_library():
        return failed("OpenTelemetry is not installed, so nobody is told of traces", install("otlp"))
    if problem := _headers(asked.headers_file):
        return failed(problem, "put it right: proxies look again within seconds")
    parts = urlsplit(asked.endpoint)
    where = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(where, _PATIENCE).close()
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        return warned(
            f"{asked.endpoint} takes no connections ({why}): traces are dropped and counted",
            "start the receiver, or see what is between: proxies go on by themselves",
        )
    return passed(f"{asked.endpoint} takes connections")


def _headers(file: str) -> str:
    """What is wrong with the file of header fields; "" for nothing."""
    try:
        read_fields(Path(file).read_text(encoding="utf-8") if file else "")
    except OSError as error:
        return f"{file} cannot be read: {because(error)}"
    except ValueError as error:
        return f"{file}: {error}"
    return ""
