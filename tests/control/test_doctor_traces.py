"""What doctor says of traces: on real sockets and files."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from meshctl.control.checks import traces
from meshctl.model.tracing import Tracing


def test_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that listens passes, one that does not is warned of, and what keeps anybody from being told fails."""
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        asked = Tracing(f"http://127.0.0.1:{receiver.getsockname()[1]}")
        assert traces.judge(asked).status == "pass"
        file = tmp_path / "otlp.headers"
        broken = Tracing(asked.endpoint, headers_file=str(file))
        assert (traces.judge(broken).status, "cannot be read" in traces.judge(broken).detail) == ("fail", True)
        file.write_text("secret\n")
        assert traces.judge(broken).detail.startswith(f"{file}: line 1 is no header field")
        file.write_text("a: secret\n")
        assert traces.judge(broken).status == "pass"
    found = traces.judge(asked)
    assert (found.status, "connection refused" in found.detail) == ("warn", True)
    monkeypatch.setattr(traces, "has_library", lambda: False)
    assert traces.judge(asked).hint == f"in a checkout of meshctl: {sys.executable} -m pip install '.[otlp]'"
