"""Sessions in cookies: what is sealed is found again, whole, or nothing is."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.sealing import Sealer
from meshctl.core.session import (
    LONGEST_PART,
    MOST_PARTS,
    Pending,
    Session,
    decode_pending,
    decode_session,
    due_at,
    encode,
    joined,
    kept_claims,
    login_name,
    own_names,
    part_names,
    split,
)

ONE, TWO, NONCE = bytes(32), b"k" * 32, b"n" * 12
SESSION = Session(b"i" * 16, 1, 5.0, {"sub": "ada", "groups": ["a"]}, "openid", refresh="r")


@given(st.binary(max_size=200), st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens(plain: bytes, nonce: bytes) -> None:
    """What was sealed is opened for the same purpose, with that key among others, and for nothing else."""
    text = Sealer([ONE]).seal(plain, b"purpose", nonce)
    assert Sealer([TWO, ONE]).open(text, b"purpose") == plain
    assert Sealer([ONE]).open(text, b"other") is None
    assert Sealer([TWO]).open(text, b"purpose") is None
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.data())
def test_what_is_changed_does_not_open(data: st.DataObject) -> None:
    """A sealed text with any byte changed, cut or added to is nothing."""
    sealer = Sealer([ONE])
    text = sealer.seal(encode(SESSION), b"p", NONCE)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("AZaz09-_=+/. é").filter(lambda each: each != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    # Bits of the last character that stand for nothing are no part of it.
    assert sealer.open(changed, b"p") in ((None, encode(SESSION)) if at == len(text) - 1 else (None,))
    assert sealer.open(text[:at], b"p") is None


def test_keys_are_replaced_without_ending_sessions() -> None:
    """The first key seals, all of them open."""
    old = Sealer([ONE]).seal(b"x", b"", NONCE)
    both = Sealer([TWO, ONE])
    assert both.open(old, b"") == b"x"
    assert Sealer([TWO]).open(both.seal(b"y", b"", NONCE), b"") == b"y"


def test_values_are_decoded_as_they_were() -> None:
    """A session and a login are what they were; one is not the other, nor is what another version may have made."""
    pending = Pending("s", "n", "v", "o", "/", 1.0)
    assert decode_session(encode(SESSION)) == SESSION
    assert decode_pending(encode(pending)) == pending
    assert decode_session(encode(pending)) is None
    assert decode_pending(encode(SESSION)) is None
    assert decode_session(b"\xc1") is None
    assert (SESSION.due, SESSION.access_until) == (inf, inf)


@given(st.integers(1, LONGEST_PART * MOST_PARTS - 1))
def test_cookies_are_put_together_again(size: int) -> None:
    """A text of any length that fits is found again in its cookies, and not without one of them."""
    text = "".join(chr(65 + at % 26) for at in range(size))
    values = split(text)
    cookies = dict(zip(part_names("c"), values, strict=False))
    assert joined(cookies | {"c_9": "x"}, "c") == text
    assert max(map(len, values)) <= LONGEST_PART
    for name in list(cookies):
        rest = {each: value for each, value in cookies.items() if each != name}
        assert joined(rest, "c") == (None if name == "c" else "")


def test_cookies_that_are_no_session() -> None:
    """What begins with no number of parts is no session; what does not fit is not cut."""
    for value in ("", "0x", "5x", "x1", "1"):
        assert joined({"c": value}, "c") == ""
    assert joined({}, "c") is None
    with pytest.raises(ValueError, match="does not fit"):
        split("x" * LONGEST_PART * MOST_PARTS)


def test_names_of_cookies() -> None:
    """All cookies of the gateway are known by name; a login's has a path, which "__Host-" would forbid."""
    assert login_name("__Host-s", 3) == "s_login3"
    assert {"s", "s_1", "s_3", "s_login0", "s_login7"} <= own_names("s")
    assert "s_4" not in own_names("s")


def test_when_tokens_are_due() -> None:
    """A minute before their end, or a tenth of their life where that is short."""
    assert due_at(100.0, 3600.0) == 3640.0
    assert due_at(100.0, 10.0) == 109.0


def test_what_is_kept() -> None:
    """Claims about the token itself are of no use once it was verified."""
    assert kept_claims({"sub": "a", "exp": 1, "nonce": "n", "email": "e"}) == {"sub": "a", "email": "e"}
