"""Which of its own reasons another proxy gives for an answer."""

from __future__ import annotations

import pytest

from meshctl.wire.reasons import NOBODY_THERE, REASONS, reason_told


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([b"Content-Type: text/plain", b"X-Meshctl-Reason: upstream_timeout"], "upstream_timeout"),
        ([b"x-meshctl-reason:no_endpoint "], "no_endpoint"),
        ([b"X-Meshctl-Reason: denied:web"], ""),
        ([b"X-Meshctl-Reason: of an application's own"], ""),
        ([b"X-Meshctl-Reason: \xff\xfe"], ""),
        ([b"X-Meshctl-Reasons: no_endpoint"], ""),
        ([], ""),
    ],
)
def test_only_known_reasons_are_told(fields: list[bytes], expected: str) -> None:
    """What an answer gives as its reason is taken for one only where this proxy could have said it, too."""
    assert reason_told(fields) == expected


def test_who_is_not_there_has_a_reason() -> None:
    """Every reason that means that nobody was there is one that is given."""
    assert REASONS.keys() >= NOBODY_THERE
