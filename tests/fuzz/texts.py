"""Small texts out of heads: cookies, fields with a grammar of their own, paths and queries. None makes its reader fail
in a way that it does not say it may, and what is written again is read as the same."""

from __future__ import annotations

from contextlib import suppress
from math import isfinite, isnan
from urllib.parse import parse_qsl

from meshctl.core.accept_encoding import preferred
from meshctl.core.api_version import ranges
from meshctl.core.cache_control import asked, directives, seconds
from meshctl.core.deadline import allowed
from meshctl.core.parameters import split_query
from meshctl.core.paths import is_normal, normalise, replace_prefix
from meshctl.core.query_edits import edited
from meshctl.wire.cookies import cookies, without_cookies
from meshctl.wire.dates import moment
from meshctl.wire.discretion import GONE, shown_fields, shown_target
from meshctl.wire.fields import encode_fields, keep_alive_timeout, named_by_connection, pairs, passing_trailers, tokens
from meshctl.wire.retry_after import wait_asked
from meshctl.wire.target import split_absolute, split_host, split_port
from meshctl.wire.trace_fields import LONGEST_STATE, MOST_MEMBERS, combined, is_silent
from meshctl.wire.trace_fields import read as read_trace
from meshctl.wire.tracing import trace_and_flags, valid_request_id, valid_traceparent

NOW = 1_800_000_000.0


def attack_cookies(data: bytes) -> None:
    """Cookies are found by name, and those that are taken out are gone for every reader."""
    fields = [b"Cookie: " + line for line in data.split(b"\n")]
    found = cookies(fields)
    for name in list(found)[:4]:
        raw = name.encode("latin-1")
        left = without_cookies(fields, {raw})
        # Names are told apart by their spaces where they are read, and not where they are taken out.
        assert name not in cookies(left) or name != name.strip(" \t")
        assert cookies(left).keys() <= found.keys()
    assert cookies(without_cookies(fields, ())) == found


def attack_fields(data: bytes) -> None:
    """The values of fields that the proxy reads."""
    lines = [line for line in data.split(b"\n") if line.partition(b":")[1] and line.partition(b":")[0]]
    text = data.decode("latin-1")
    for name in tokens(data):
        assert name == name.lower().strip(b" \t")
    assert b"host" not in named_by_connection(data)
    assert keep_alive_timeout(data) >= 0
    said = directives(text)
    for value in said.values():
        assert isfinite(seconds(value))
    assert not isnan(asked(text).max_age)
    for _, _ in ranges(text):
        pass
    assert preferred(text, ("br", "gzip")) in {"", "br", "gzip"}
    assert wait_asked([b"Retry-After: " + data], NOW) >= 0
    when = moment(data, NOW)
    assert when is None or isfinite(when)
    for name in (b"x-request-timeout", b"grpc-timeout"):
        assert allowed({name: data}) >= 0
    for line in passing_trailers(lines):
        assert line.partition(b":")[0].lower() not in {b"host", b"content-length", b"transfer-encoding", b"cookie"}
    assert encode_fields(lines).count(b"\r\n") >= len(lines)
    shown = shown_fields(lines)
    for name, _ in pairs(lines):
        if b"authorization" in name.lower() or b"cookie" in name.lower():
            assert shown.get(name.decode("latin-1").lower(), GONE) == GONE
    assert "?" not in shown_target(text, redact=True).replace("?…", "", 1)


def attack_trace(data: bytes) -> None:
    """What says which trace a request belongs to."""
    lines = [line for line in data.split(b"\n") if b":" in line and line[0] != 0x3A]
    said = read_trace(lines)
    if is_silent(lines):
        assert (said.b3, said.state, said.fields) == (None, b"", lines)
    assert len(said.state) <= LONGEST_STATE
    assert said.state.count(b",") < MOST_MEMBERS
    assert combined([said.state]) == said.state
    assert read_trace(said.bare).state == b""
    if said.b3 is not None and said.b3.trace:
        assert len(said.b3.trace) == 32
        assert len(said.b3.span) == 16
    for value in data.split(b"\n"):
        found = trace_and_flags(value)
        assert found is None or (valid_traceparent(value.strip(b" \t")) and len(found[0]) == 32)
        if valid_request_id(value):
            assert value.isascii()
            assert not {*value} & {*b"\r\n\0 \"'\\"}


def attack_paths(data: bytes) -> None:
    """A path has one normal form, which has no dots to climb with, and a target one host."""
    text = data.decode("latin-1")
    with suppress(ValueError):
        path = normalise(data.decode("ascii", "surrogateescape"))
        assert path == "*" or is_normal(path), path
        assert normalise(path) == path
        assert not {".", ".."} & {*path.split("/")}
        assert path.isascii()
        for prefix, new in (("/a", "/"), ("/", "/b"), ("/a/", "/b/"), ("/a", "")):
            made = replace_prefix(path, prefix, new)
            assert made == path or not made.startswith("//") or path.startswith("//")
    host = split_host(text)
    if host is not None:
        assert host == host.lower()
        assert not {*host} & {*"/\\@?#\r\n\0 \t"}
        assert not host or ":" in host or split_host(host) == host.removesuffix("."), host
        with suppress(ValueError):
            port = split_port(text)
            assert port is None or 0 <= port <= 65_535
    absolute = split_absolute(text)
    if absolute is not None:
        assert absolute[1].startswith("/")
        assert "@" not in absolute[0]
    split_query(text)
    with suppress(ValueError):
        before = parse_qsl(text, keep_blank_values=True)
        after = edited(text, {}, {"drop"}, ())
        left = parse_qsl(after or "", keep_blank_values=True)
        assert [pair for pair in before if pair[0] != "drop"] == left
