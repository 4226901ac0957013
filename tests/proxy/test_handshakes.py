"""The reasons of failed handshakes, for errors as they come, and how often people are told of them."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from meshctl import clock
from meshctl.proxy.complaints import TELL_EVERY, Complaints
from meshctl.proxy.handshakes import HANDSHAKE_REASONS, reason_of


def verification(code: int, said: str) -> ssl.SSLCertVerificationError:
    """What OpenSSL says of a chain."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, said
    return error


def protocol(reason: str) -> ssl.SSLError:
    """What OpenSSL says of a handshake."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (verification(10, "certificate has expired"), ("peer_expired", "certificate has expired")),
        (verification(9, "certificate is not yet valid"), ("peer_expired", "certificate is not yet valid")),
        (verification(19, "self-signed"), ("peer_unknown_authority", "self-signed")),
        (verification(20, "no issuer"), ("peer_unknown_authority", "no issuer")),
        (verification(26, "unsuitable purpose"), ("peer_unfit", "unsuitable purpose")),
        (verification(25, "path length exceeded"), ("peer_unfit", "path length exceeded")),
        (protocol("PEER_DID_NOT_RETURN_A_CERTIFICATE"), ("peer_no_certificate", "peer did not return a certificate")),
        (protocol("UNSUPPORTED_PROTOCOL"), ("tls_version", "unsupported protocol")),
        (protocol("TLSV1_ALERT_UNKNOWN_CA"), ("tls_refused", "tlsv1 alert unknown ca")),
        (protocol("WRONG_VERSION_NUMBER"), ("tls_broken", "wrong version number")),
        (ssl.SSLError(1), ("tls_broken", "")),
        (ConnectionAbortedError("SSL handshake is taking longer than 1 seconds"), ("tls_timeout", "")),
        (ConnectionResetError(104, "Connection reset by peer"), ("tls_gone", "Connection reset by peer")),
        (ConnectionResetError(), ("tls_gone", "")),
        (ConnectionAbortedError(103, "Software caused connection abort"),
         ("tls_gone", "Software caused connection abort")),
    ],
)  # fmt: skip
def test_reasons(error: OSError, expected: tuple[str, str]) -> None:
    """Every failure has one of the reasons there are, and says what was wrong."""
    assert reason_of(error) == expected
    assert expected[0] in HANDSHAKE_REASONS


class Told:
    """Stands for a worker: what it was asked to tell."""

    def __init__(self) -> None:
        self.notices: list[dict[str, str]] = []

    def notice(self, event: str, *, is_trouble: bool, **fields: str) -> None:
        """See `Worker.notice`."""
        assert is_trouble
        self.notices.append({"event": event, **fields})


def test_complaints_are_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of each event and reason is told at once, others not before a while, and then how many there were."""
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    told = Told()
    worker: Any = told
    mouth = Complaints(worker)
    for _ in range(5):
        mouth.tell("handshake_failed", "tls_gone", client="192.0.2.1")
    mouth.tell("handshake_failed", "tls_timeout", client="192.0.2.2")
    mouth.tell("peer_refused", "tls_gone", client="192.0.2.3")
    now[0] += TELL_EVERY - 0.1
    mouth.tell("handshake_failed", "tls_gone", client="192.0.2.4")
    now[0] += 0.1
    mouth.tell("handshake_failed", "tls_gone", client="192.0.2.5")
    now[0] += TELL_EVERY
    mouth.tell("handshake_failed", "tls_gone", client="192.0.2.6")
    assert [(each["event"], each["reason"], each["client"], each["untold"]) for each in told.notices] == [
        ("handshake_failed", "tls_gone", "192.0.2.1", ""),
        ("handshake_failed", "tls_timeout", "192.0.2.2", ""),
        ("peer_refused", "tls_gone", "192.0.2.3", ""),
        ("handshake_failed", "tls_gone", "192.0.2.5", "5"),
        ("handshake_failed", "tls_gone", "192.0.2.6", ""),
    ]
