"""What a refusal of another proxy says about how far a request got."""

from __future__ import annotations

import pytest

from meshctl.wire.reasons import REASONS, told


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([b"Content-Type: text/plain", b"X-Meshctl-Reason: upstream_connect"], ("connect", False)),
        ([b"x-meshctl-reason:no_endpoint "], ("refused", False)),
        ([b"x-meshctl-reason: overloaded"], ("refused", False)),
        ([b"X-Meshctl-Reason: upstream_reset"], ("reset", True)),
        ([b"X-Meshctl-Reason: upstream_timeout"], ("", True)),
        ([b"X-Meshctl-Reason: denied:web"], ("", True)),
        ([b"X-Meshctl-Reason: \xff\xfe"], ("", True)),
        ([b"X-Meshctl-Reasons: no_endpoint"], ("", True)),
        ([], ("", True)),
    ],
)
def test_only_what_is_certain_counts(fields: list[bytes], expected: tuple[str, bool]) -> None:
    """A refusal that proves that the application never saw the request allows another attempt of any method; one that
    does not prove it only of idempotent ones; whatever else stands there allows none."""
    assert told(fields) == expected


def test_causes_are_reasons() -> None:
    """Every refusal that is understood is one that is made."""
    understood = {reason for reason in REASONS if told([b"x-meshctl-reason: " + reason.encode()])[0]}
    refused = {"no_endpoint", "overloaded", "limit_reached", "upstream_busy"}
    assert understood == refused | {"upstream_connect", "upstream_reset", "connect_timeout"}
