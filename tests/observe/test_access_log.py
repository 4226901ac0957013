"""Each request has its line, whatever a client sends stays inside of it, and secrets are not in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.model.mesh import AccessLog as Config
from meshctl.observe.access_line import RENDER, Line
from meshctl.observe.access_log import AccessLog, check_access_log, open_access_log

NOW = 1_795_311_034.1235
REQUEST: dict[str, Any] = {
    "time": "2026-11-22T01:30:34.123Z",
    "request_id": "8f3c",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "client": "203.0.113.9",
    "method": "GET",
    "host": "api.localhost",
    "path": "/v1/orders/7?token=secret&b",
    "status": 200,
    "reason": "",
    "route": "orders",
    "service": "orders",
    "version": "v2",
    "endpoint": "127.0.0.1:9002",
    "duration_ms": 12.345,
    "upstream_ms": 11.2,
    "bytes_in": 0,
    "bytes_out": 1234,
    "protocol": "HTTP/1.1",
    "user_agent": "curl/8.5.0",
    "retries": 1,
    "listener": "127.0.0.1:8080",
}
AS_JSON = REQUEST | {"path": "/v1/orders/7?…"}
AS_TEXT = (
    '203.0.113.9 - - [22/Nov/2026:01:30:34 +0000] "GET /v1/orders/7?… HTTP/1.1" 200 1234 "-" "curl/8.5.0" '
    'host="api.localhost" route=orders service=orders version=v2 endpoint=127.0.0.1:9002 '
    "duration_ms=12.345 upstream_ms=11.2 bytes_in=0 retries=1 listener=127.0.0.1:8080 "
    'request_id="8f3c" trace_id="4bf92f3577b34da6a3ce929d0e0e4736"\n'
)
# The combined log format as log readers know it: seven fields, two of them quoted with backslashes inside.
QUOTED = r'"((?:[^"\\]|\\.)*)"'
COMBINED = re.compile(rf"(\S+) (\S+) (\S+) \[([^\]]+)\] {QUOTED} (\d{{3}}) (\d+) {QUOTED} {QUOTED} (.+)")
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")

# What comes over the wire is bytes read as Latin-1; what comes otherwise may be anything a str can hold.
HOSTILE = st.one_of(
    st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")),
    st.text(max_size=40),
    st.text(st.characters(categories=["Cs", "Cc"]), max_size=10),
    st.sampled_from(['"', "\\", '\\"', "\r\n", "\x1b[2J", "\x9b31m", "\x7f", "\u2028", "\ud800", "", "é", "日本"]),
)


class Log:
    """An access log to a file, and what is in it."""

    def __init__(self, path: Path, form: Literal["json", "text"] = "json", redact: bool = True) -> None:
        self.path = path
        opened = open_access_log(Config(str(path), form, redact))
        assert opened is not None
        self.log: AccessLog = opened

    def append(self, **changes: object) -> None:
        self.log.append(Line(**(REQUEST | changes)))

    def close(self) -> str:
        self.log.close()
        return self.path.read_text("utf-8")


def rendered(form: str, **changes: object) -> str:
    """One line in `form`, without a file."""
    return RENDER[form]([Line(**(REQUEST | changes))]).decode()


def test_json(tmp_path: Path) -> None:
    """A request is one JSON object with these keys, in this order."""
    log = Log(tmp_path / "log")
    log.append()
    text = log.close()
    assert text.count("\n") == 1
    assert list(json.loads(text).items()) == list(AS_JSON.items())


def test_text(tmp_path: Path) -> None:
    """A request is one line in the combined log format, followed by key=value."""
    log = Log(tmp_path / "log", "text")
    log.append()
    assert log.close() == AS_TEXT


def test_parts() -> None:
    """What came of each part stands in the line of what is made of them, and in no other."""
    parts = {"user": "200", "ads": "part_timeout"}
    assert json.loads(rendered("json", parts=parts))["parts"] == parts
    assert " parts=user:200,ads:part_timeout duration_ms=" in rendered("text", parts=parts)
    assert "parts" not in json.loads(rendered("json"))
    assert "parts=" not in rendered("text")


def test_a_user() -> None:
    """Who called stands in the line where that is known: as a key, and where the combined format has its user."""
    assert json.loads(rendered("json", user="ada"))["user"] == "ada"
    assert "user" not in json.loads(rendered("json"))
    assert " - ada [" in rendered("text", user="ada")
    assert ' - a\\x20\\"b\\"\\x0a [' in rendered("text", user='a "b"\n')
    assert " - - [" in rendered("text", user="")


def test_text_leaves_out_what_is_empty(tmp_path: Path) -> None:
    """A request that came to no service has no empty service in its line, but its reason."""
    log = Log(tmp_path / "log", "text")
    log.append(status=404, reason="no_route", route="", service="", version="", endpoint="")
    line = log.close()
    assert 'host="api.localhost" reason=no_route duration_ms=' in line


@pytest.mark.parametrize(
    ("redact", "path", "expected"),
    [
        (True, "/a?token=secret", "/a?…"),
        (True, "/a?", "/a?…"),
        (True, "/a?b?c", "/a?…"),
        (True, "/a%3Fb", "/a%3Fb"),
        (False, "/a?token=secret", "/a?token=secret"),
    ],
)
def test_query_strings(tmp_path: Path, redact: bool, path: str, expected: str) -> None:
    """A query string is not written, unless the configuration says so; that there was one is."""
    log = Log(tmp_path / "log", redact=redact)
    log.append(path=path)
    assert json.loads(log.close())["path"] == expected


def test_credentials_have_no_place() -> None:
    """There is no field for what Authorization and Cookie carry."""
    assert not {"authorization", "cookie", "headers", "referer"} & set(Line.__struct_fields__)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_hostile_bytes_stay_inside_a_json_line(path: str, host: str, agent: str, request_id: str) -> None:
    """Whatever is sent, the line is one line, valid JSON, without control characters, and says what was sent."""
    line = rendered("json", path=path, host=host, user_agent=agent, request_id=request_id)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert not CONTROLS.search(line)
    found = json.loads(line)
    for name, sent in (("path", path), ("host", host), ("user_agent", agent), ("request_id", request_id)):
        assert found[name] == sent.encode("utf-8", "backslashreplace").decode()


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_hostile_bytes_stay_inside_a_text_line(path: str, host: str, agent: str, request_id: str) -> None:
    """Whatever is sent, the line is one line in the combined log format whose other fields are what they were."""
    line = rendered("text", path=path, host=host, user_agent=agent, request_id=request_id)
    assert line.count("\n") == 1
    assert not CONTROLS.search(line)
    found = COMBINED.fullmatch(line[:-1])
    assert found is not None
    assert (found[1], found[6], found[7], found[8]) == ("203.0.113.9", "200", "1234", "-")
    assert found[5].startswith("GET ")
    assert found[5].endswith(" HTTP/1.1")
    assert " route=orders service=orders " in found[10]


def test_one_hostile_line_does_not_spoil_its_batch() -> None:
    """A line that UTF-8 cannot hold is written with escapes, and its neighbours as they are."""
    values = [AS_JSON["time"], *list(REQUEST.values())[1:]]
    lines = [Line(*values) for _ in range(3)]
    lines[1].host = "a\ud800b"
    hosts = [json.loads(line)["host"] for line in RENDER["json"](lines).splitlines()]
    assert hosts == ["api.localhost", "a\\ud800b", "api.localhost"]


def test_long_fields_are_cut(tmp_path: Path) -> None:
    """A line stays short, whatever is sent; that something was cut is seen."""
    log = Log(tmp_path / "log")
    log.append(path="/" + "p" * 60_000, host="h" * 60_000, user_agent="u" * 60_000)
    log.append(path="/" + "p" * 2_000)
    cut, whole = map(json.loads, log.close().splitlines())
    assert (len(cut["path"]), len(cut["host"]), len(cut["user_agent"])) == (2_049, 256, 513)
    assert cut["path"].endswith("p…")
    assert whole["path"] == "/" + "p" * 2_000


@given(st.lists(st.integers(0, 4_102_444_800_000), min_size=1, max_size=20))
def test_times(milliseconds: list[int]) -> None:
    """Each line has its own time to the millisecond, in whatever order they come: clocks are set back too."""
    seen: list[str] = []

    def render(lines: Any) -> bytes:
        seen.extend(line.time for line in lines)
        return b""

    log = AccessLog(_Nowhere(), render=render)  # type: ignore[arg-type]
    for value in milliseconds:
        log.append(Line(**(REQUEST | {"time": log.stamp(value / 1000 + 0.0002)})))
    log.flush()
    assert seen == [clock.timestamp(value / 1000) for value in milliseconds]


class _Nowhere:
    def write(self, lines: bytes) -> None:
        assert lines == b""

    def flush(self) -> None:
        """Nothing was kept."""


def test_nothing_is_lost_on_a_clean_stop(tmp_path: Path) -> None:
    """Every line appended before closing is in the file, in order, flushed or not."""
    log = Log(tmp_path / "log")
    for number in range(1_000):
        log.append(request_id=str(number))
        if number % 77 == 0:
            log.log.flush()
    assert [json.loads(line)["request_id"] for line in log.close().splitlines()] == [str(n) for n in range(1_000)]
    assert log.log.dropped == 0


def test_flushing_writes_what_was_gathered(tmp_path: Path) -> None:
    """After a flush a line can be read, though the batch is not full."""
    log = Log(tmp_path / "log")
    log.append()
    assert log.path.read_text() == ""
    log.log.flush()
    assert json.loads(log.path.read_text()) == AS_JSON
    log.close()


def test_a_burst_does_not_wait_for_the_timer(tmp_path: Path) -> None:
    """Under load lines are written without a flush, so that no more than a batch is held in memory."""
    log = Log(tmp_path / "log")
    for _ in range(1_000):
        log.append()
    assert 1_000 - 128 <= len(log.path.read_text().splitlines()) <= 1_000
    log.close()


def test_rotation(tmp_path: Path) -> None:
    """What was appended before reopening is in the old file, what came after it in the new."""
    log = Log(tmp_path / "log")
    log.append(request_id="before")
    log.path.rename(tmp_path / "log.1")
    assert log.log.reopen()
    log.append(request_id="after")
    assert json.loads(log.close())["request_id"] == "after"
    assert json.loads((tmp_path / "log.1").read_text())["request_id"] == "before"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with suppress(OSError):
            os.close(fd)


def test_standard_output(pipe: tuple[int, int]) -> None:
    """ "stdout" is what the process was given as such."""
    reader, writer = pipe
    log = open_access_log(Config("stdout"), stdout=writer)
    assert log is not None
    log.append(Line(**REQUEST))
    log.close()
    os.close(writer)
    assert json.loads(os.read(reader, 65536)) == AS_JSON


def test_a_closed_standard_output_is_told(pipe: tuple[int, int]) -> None:
    """When nobody reads any more, serving goes on and the lost lines are counted with the reason."""
    reader, writer = pipe
    log = open_access_log(Config("stdout"), stdout=writer)
    assert log is not None
    os.close(reader)
    for _ in range(200):
        log.append(Line(**REQUEST))
    log.flush()
    assert log.dropped == 200
    assert "Broken pipe" in log.problem
    log.close()


def test_off() -> None:
    """Without a log there is none to append to."""
    assert open_access_log(Config("off")) is None


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """Whoever asks hears of a log that cannot be opened. One that has to be used all the same counts the lines it
    loses, and writes as soon as it can."""
    config = Config(str(tmp_path / "nowhere" / "log"))
    with pytest.raises(MeshError, match="cannot be opened"):
        check_access_log(config)
    log = open_access_log(config)
    assert log is not None
    for _ in range(200):
        log.append(Line(**REQUEST))
    log.flush()
    assert log.dropped == 200
    assert "cannot be opened" in log.problem
    (tmp_path / "nowhere").mkdir()
    assert log.reopen()
    log.append(Line(**REQUEST))
    log.close()
    assert (log.dropped, log.problem) == (200, "")
    assert (tmp_path / "nowhere" / "log").read_text().count("\n") == 1
