"""What is shown of a message's head to who looks on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.discretion import GONE, shown_fields, shown_target

SECRETS = [
    "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "apikey", "X-Auth-Request-Email",
    "X-CSRF-Token", "X-Amz-Security-Token", "X-Hub-Signature-256", "X-Vault-Token", "X-Session-Id", "Client-Secret",
    "X-Forwarded-Client-Cert",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_not_shown(name: str) -> None:
    """A header that may let one in somewhere is named, and its value is nowhere; of several neither is."""
    lines = [f"{name}: hunter2".encode(), b"Accept: */*", f"{name.upper()}:hunter3".encode()]
    assert shown_fields(lines) == {name.lower(): GONE, "accept": "*/*"}


def test_what_is_configured_is_secret() -> None:
    """A header that callers are known by is one, whatever it is called."""
    assert shown_fields([b"X-Shop: k1"], secret={"x-shop"}) == {"x-shop": GONE}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [("Referer", "http://x/a?t=1#b", "http://x/a?…"), ("Location", "/a?code=1", "/a?…"), ("Accept", "a?b", "a?b")],
)
def test_queries_in_urls_are_not_shown(name: str, value: str, shown: str) -> None:
    """URLs in headers lose their queries where the target does."""
    line = f"{name}: {value}".encode()
    assert shown_fields([line]) == {name.lower(): shown}
    assert shown_fields([line], redact=False) == {name.lower(): value}


def test_several_of_one_name_are_one() -> None:
    """As in a combined field, in their order; what stands apart is there, too."""
    assert shown_fields([b"Accept: a", b"accept: b"], more={b"user-agent": b"curl"}) == {
        "user-agent": "curl",
        "accept": "a, b",
    }


def test_what_is_shown_is_bounded() -> None:
    """Neither long values nor many fields are shown whole."""
    assert len(shown_fields([b"a: " + b"x" * 9_000])["a"]) < 1_100
    assert len(shown_fields([b"n%d: x" % number for number in range(200)])) == 64
    assert len(shown_target("/" + "x" * 9_000, redact=True)) < 2_100


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_a_query_is_nowhere(path: str, query: str) -> None:
    """Nothing of what follows the first question mark is shown, unless it is asked for."""
    path = path.replace("?", "")
    assert shown_target(f"{path}?{query}", redact=True) == f"{path}?…"
    assert shown_target(f"{path}?{query}", redact=False) == f"{path}?{query}"
    assert shown_target(path, redact=True) == path
