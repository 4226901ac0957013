"""Services that break the protocol, before each kind of route and each kind of request: the client gets one answer, a
refusal with its reason or a cut, and whoever comes next gets their own."""

# ruff: noqa: E501 - bytes stand on one line as they are sent
from __future__ import annotations

import pytest

from tests.conformance.test_broken_services import BAD_CHUNKS, CHUNKED, CUT_ANSWERS, EXTRA, NO_ANSWERS
from tests.conformance.upstream import OK

from .through import ASKED, CLOSES, SPLIT, attack_answers

MORE = {
    "many interim answers": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 50 + OK,
    "too many interim answers": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 8_000,
    "long status line": b"HTTP/1.1 200 " + b"x" * 300_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "nul in the status line": b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok",
    "cr in the status line": b"HTTP/1.1 200 OK\rX: y\r\nContent-Length: 2\r\n\r\nok",
    "status with sign": b"HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok",
    "nul in a name": b"HTTP/1.1 200 OK\r\nX\0: y\r\nContent-Length: 2\r\n\r\nok",
    "length with sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "length in hex": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    "length with underscore": b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n0123456789",
    "length of 63 bits": b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok",
    "length of 20 zeros": b"HTTP/1.1 200 OK\r\nContent-Length: 000000000000000000002\r\n\r\nok",
    "chunk sizes": CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
    "chunk of 64 bits": CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "chunk extension by lf": CHUNKED + b"2;\nok\r\n0\r\n\r\n",
    "trailers that frame": CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "no content with content": b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok",
    "no content with chunks": b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "not modified with content": b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nok",
    "reset content with content": b"HTTP/1.1 205 No\r\nContent-Length: 2\r\n\r\nok",
    "switched with more": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok" + OK,
    "switched to another": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + OK,
    "names its length": b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok",
    "1.0 and kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok" + OK,
    "until the end and kept": b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nok" + OK,
    "json that is none": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{]" + OK,
    "json without an end": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{" + b"[" * 2_000,
    "coded that is none": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
    "vary by everything": b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nVary: *\r\nContent-Length: 2\r\n\r\nok" + OK,
    "kept for ages": b"HTTP/1.1 200 OK\r\nCache-Control: max-age=99999999999999999999\r\nAge: -1\r\nContent-Length: 2\r\n\r\nok",
}  # fmt: skip
ANSWERS = {
    **MORE,
    **{f"none: {name}": raw for name, raw in NO_ANSWERS.items()},
    **{f"cut: {name}": raw for name, raw in CUT_ANSWERS.items()},
    **{f"wrong: {name}": CHUNKED + b"4\r\npart\r\n" + raw for name, raw in BAD_CHUNKS.items()},
    **{f"extra: {name}": OK + raw for name, raw in EXTRA.items()},
}


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=list(ANSWERS))
def test_broken_answer(raw: bytes) -> None:
    """Whatever is wrong, however it is cut and whether or not the service closes behind it, nobody is wronged."""
    # What takes long is much of the same, and is read alike for all.
    for number in range(len(ASKED)) if len(raw) < 20_000 else (0,):
        for closes in (0, CLOSES):
            attack_answers(bytes([number | closes]) + raw)
    for at in (1, len(raw) // 2, raw.find(b"\r\n\r\n") + 4, len(raw) - 1) if len(raw) < 2_000 else ():
        for number in (0, 3):
            attack_answers(bytes([number]) + SPLIT.join((raw[:at], raw[at:])))
    if len(raw) < 120:
        attack_answers(b"\0" + SPLIT.join(raw[at : at + 1] for at in range(len(raw))))
