"""Cookies in fields: what is found, what is left, how one is set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.cookies import cookies, set_cookie, without_cookies

names = st.sampled_from(["a", "b", "ours", "ours_1", "ours_2"])
jars = st.lists(st.tuples(names, st.sampled_from(["", "1", "x=y", '"q"'])), min_size=1, max_size=6)


@given(st.lists(jars, max_size=3))
def test_only_ours_are_taken_out(lines: list[list[tuple[str, str]]]) -> None:
    """Without some cookies, all others are there in their order and no field is empty."""
    fields = [b"cooKie: " + "; ".join(f"{name}={value}" for name, value in each).encode() for each in lines]
    found = without_cookies([b"Accept: a=1; ours=2", *fields], {b"ours", b"ours_1"})
    kept = [f"{name}={value}" for each in lines for name, value in each if name not in {"ours", "ours_1"}]
    assert found[0] == b"Accept: a=1; ours=2"
    assert b"; ".join(line[8:] for line in found[1:]) == "; ".join(kept).encode()
    assert all(line[8:] for line in found[1:])


def test_odd_cookies() -> None:
    """Space, quotes and pairs without a name hide no cookie of ours; without any of ours a line stays as it came."""
    assert without_cookies([b"Cookie:ours=1;a=2 ;; \tours = 3"], {b"ours"}) == [b"Cookie: a=2"]
    assert without_cookies([b"Cookie: ours"], {b"ours"}) == []
    line = [b"Cookie:a=1;b"]
    assert without_cookies(line, {b"ours"}) == line
    assert cookies([b'Cookie: a="1"; b', b"COOKIE: c=3; a=4"]) == {"a": "1", "c": "3"}


def test_setting_one() -> None:
    """No script reads it, no other site's form sends it, and over https it is for https alone."""
    assert set_cookie("a", "1", path="/", seconds=9, secure=True) == (
        b"Set-Cookie: a=1; Path=/; Max-Age=9; HttpOnly; SameSite=Lax; Secure"
    )
    assert b"Secure" not in set_cookie("a", "", path="/x", seconds=0, secure=False)
