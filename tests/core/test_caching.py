"""RFC 9111 in tables: what may be kept, how long it is fresh, and what it may be given for."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.cache_control import NOTHING, Asked
from meshctl.core.caching import (
    Head,
    Keeping,
    Refusal,
    Use,
    first_age,
    holds_still,
    kept,
    stands_in,
    use,
    varies_by,
)
from meshctl.model.caching import Caching

DATE = 1_000_000.0
USUAL = Caching()
MINUTE = Caching(default=60.0)
GRACE = Caching(stale_while_revalidate=10.0, stale_if_error=20.0)


def judged(
    said: str, config: Caching = USUAL, status: int = 200, expires: float | None = None, *, authorized: bool = False,
    **fields: str,
) -> Keeping | Refusal:  # fmt: skip
    """What is made of an answer with this Cache-Control and these fields."""
    head = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
    if said:
        head[b"cache-control"] = said.encode()
    return kept(config, status, head, date=DATE, expires=expires, authorized=authorized)


@pytest.mark.parametrize(
    ("said", "fields", "lifetime"),
    [
        ("max-age=60", {}, 60),
        ("max-age=60, s-maxage=5", {}, 5),
        ("s-maxage=5, max-age=60", {"expires": "x"}, 5),
        ("max-age=60", {"expires": "x"}, 60),
        ("public, max-age=60", {}, 60),
        ("max-age=60, unknown=x", {}, 60),
        ("no-cache", {"etag": '"x"'}, 0),
        ("no-cache, max-age=60", {"etag": '"x"'}, 60),
        ("max-age=0", {"last_modified": "x"}, 0),
        ("", {"etag": '"x"'}, 0),
        ("must-understand, no-store, max-age=60", {}, 60),
    ],
)
def test_kept(said: str, fields: dict[str, str], lifetime: float) -> None:
    """What may be kept, for how long."""
    found = judged(said, **fields)
    assert isinstance(found, Keeping)
    assert found.lifetime == lifetime


@pytest.mark.parametrize(
    ("said", "status", "fields"),
    [
        ("no-store, max-age=60", 200, {}),
        ("private, max-age=60", 200, {}),
        ('private="set-cookie", max-age=60', 200, {}),
        ("max-age=60", 200, {"vary": "*"}),
        ("max-age=60", 200, {"vary": "accept, *"}),
        ("max-age=60", 200, {"vary": "X-Forwarded-For"}),
        ("max-age=60", 200, {"set_cookie": "a=b"}),
        ("max-age=60", 206, {}),
        ("max-age=60", 304, {}),
        ("must-understand, max-age=60", 599, {}),
        # Nothing says how long, or nobody could ask whether it still holds.
        ("", 200, {}),
        ("public", 200, {}),
        ("no-cache", 200, {}),
        ("max-age=0", 200, {}),
        ("max-age=x", 200, {}),
        ("s-maxage=0, max-age=60", 200, {}),
        ("", 302, {"etag": '"x"'}),
    ],
)
def test_not_kept(said: str, status: int, fields: dict[str, str]) -> None:
    """What may not be kept, or would be of no use."""
    assert isinstance(judged(said, status=status, **fields), Refusal)


@pytest.mark.parametrize("status", [200, 203, 204, 301, 308, 404, 410])
def test_default(status: int) -> None:
    """A default holds for answers that do not say how long, of statuses that may be guessed about, and no others."""
    assert judged("", MINUTE, status) == Keeping(60)
    assert judged("public", MINUTE, status) == Keeping(60)
    assert judged("max-age=5", MINUTE, status) == Keeping(5)
    assert isinstance(judged("no-store", MINUTE, status), Refusal)
    assert isinstance(judged("no-cache", MINUTE, status), Refusal)
    assert isinstance(judged("", MINUTE, 500), Refusal)
    assert isinstance(judged("", MINUTE, 302), Refusal)
    assert judged("max-age=5", MINUTE, 500) == Keeping(5)


def test_expires() -> None:
    """Expires counts from Date; one that is no date is long ago."""
    assert judged("", expires=DATE + 30, expires_="", etag="x") == Keeping(0)
    head = {b"expires": b"x"}
    assert kept(USUAL, 200, head, date=DATE, expires=DATE + 30, authorized=False) == Keeping(30)
    assert isinstance(kept(MINUTE, 200, head, date=DATE, expires=DATE - 30, authorized=False), Refusal)
    assert isinstance(kept(MINUTE, 200, head, date=DATE, expires=None, authorized=False), Refusal)


@pytest.mark.parametrize(
    ("said", "is_kept"),
    [
        ("max-age=60", False),
        ("public, max-age=60", True),
        ("s-maxage=60", True),
        ("must-revalidate, max-age=60", True),
        ("proxy-revalidate, max-age=60", False),
    ],
)
def test_who_calls(said: str, is_kept: bool) -> None:
    """An answer to one caller is for others only where it says so (§3.5)."""
    assert isinstance(judged(said, authorized=True), Keeping) is is_kept
    assert isinstance(judged("", MINUTE, authorized=True), Refusal)


def test_cookies() -> None:
    """An answer that sets a cookie is kept where that is asked for."""
    assert isinstance(judged("max-age=5", Caching(set_cookie=True), set_cookie="a=b"), Keeping)


@pytest.mark.parametrize(
    ("said", "behind", "on_error"),
    [
        ("max-age=60", 10, 20),
        ("max-age=60, stale-while-revalidate=5", 5, 20),
        ("max-age=60, stale-if-error=0", 10, 0),
        # Who forbids it is heard before the route, and before what else is said.
        ("max-age=60, must-revalidate", 0, 0),
        ("max-age=60, proxy-revalidate, stale-if-error=5", 0, 0),
        ("s-maxage=60", 0, 0),
        ("s-maxage=60, stale-while-revalidate=5", 5, 0),
    ],
)
def test_graces(said: str, behind: float, on_error: float) -> None:
    """How long an answer may be given stale, by itself and by its route."""
    found = judged(said, GRACE)
    assert isinstance(found, Keeping)
    assert (found.revalidating, found.on_error) == (behind, on_error)


FRESH = Keeping(60.0)
GRACED = Keeping(60.0, 10.0, 20.0)


@pytest.mark.parametrize(
    ("keeping", "age", "asked", "found"),
    [
        (FRESH, 0, NOTHING, "fresh"),
        (FRESH, 59, NOTHING, "fresh"),
        (FRESH, 60, NOTHING, "ask"),
        (FRESH, 10, Asked(no_cache=True), "ask"),
        (FRESH, 10, Asked(max_age=10), "fresh"),
        (FRESH, 11, Asked(max_age=10), "ask"),
        (FRESH, 50, Asked(min_fresh=10), "fresh"),
        (FRESH, 51, Asked(min_fresh=10), "ask"),
        (FRESH, 70, Asked(max_stale=10), "stale"),
        (FRESH, 71, Asked(max_stale=10), "ask"),
        (FRESH, 1e9, Asked(max_stale=inf), "stale"),
        (FRESH, 70, Asked(max_stale=10, max_age=60), "ask"),
        (Keeping(60, is_strict=True), 70, Asked(max_stale=inf), "ask"),
        (Keeping(60, is_asked_for=True), 0, NOTHING, "ask"),
        (GRACED, 70, NOTHING, "refresh"),
        (GRACED, 71, NOTHING, "ask"),
        (GRACED, 65, Asked(min_fresh=1), "ask"),
        (GRACED, 65, Asked(max_age=61), "ask"),
    ],
)
def test_use(keeping: Keeping, age: float, asked: Asked, found: Use) -> None:
    """What an answer is good for, as it gets older, and by what the request wants."""
    assert use(keeping, age, asked) == found


def test_standing_in() -> None:
    """An answer stands in for a failure for so long, unless the request, or it itself, wants the service's word."""
    assert stands_in(GRACED, 80, NOTHING)
    assert not stands_in(GRACED, 81, NOTHING)
    assert not stands_in(GRACED, 70, Asked(no_cache=True))
    assert not stands_in(FRESH, 60, NOTHING)
    assert not stands_in(Keeping(60, 0, 20, is_asked_for=True), 10, NOTHING)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_nothing_stale_unasked(lifetime: float, age: float, behind: float, more: float) -> None:
    """What is fresh is younger than its time, and what was good once does not become so again by being older."""
    keeping = Keeping(lifetime, behind)
    found = use(keeping, age, NOTHING)
    assert (found == "fresh") == (age < lifetime)
    order: list[Use] = ["fresh", "refresh", "ask"]
    assert order.index(use(keeping, age + more, NOTHING)) >= order.index(found)


@pytest.mark.parametrize(
    ("age", "date", "took", "found"),
    [
        (b"", DATE, 0, 0),
        (b"", DATE - 5, 0, 5),
        (b"30", DATE - 5, 0, 30),
        (b"30", DATE - 50, 2, 50),
        (b"30", DATE, 2, 32),
        (b"", DATE + 500, 0, 0),
        (b"30, 9", DATE, 0, 30),
        (b"x", DATE, 0, 0),
        (b"-30", DATE, 0, 0),
    ],
)
def test_first_age(age: bytes, date: float, took: float, found: float) -> None:
    """An answer is as old as it says, as its date says, and as its way here took, whichever is more."""
    assert first_age(age, date, DATE - took, DATE) == found


def test_what_it_varies_by() -> None:
    """The request headers that an answer is for: those it names and those of the route, once each."""
    head: Head = {b"vary": b"Accept-Language, accept , Accept-Language"}
    assert varies_by(Caching(vary=("x-tenant", "accept")), head) == (b"accept", b"accept-language", b"x-tenant")
    assert varies_by(USUAL, {}) == ()


@pytest.mark.parametrize(
    ("tags", "own", "found"),
    [
        (b'"x"', b'"x"', True),
        (b'"y", "x"', b'"x"', True),
        (b'W/"x"', b'"x"', True),
        (b'"x"', b'W/"x"', True),
        (b"*", b'"x"', True),
        (b"*", b"", True),
        (b'"y"', b'"x"', False),
        (b"", b"", False),
    ],
)
def test_holds_still(tags: bytes, own: bytes, found: bool) -> None:
    """A client has an answer already whose tag it names; then nobody looks at dates."""
    said, head = {b"if-none-match": tags, b"if-modified-since": b"x"}, {b"etag": own} if own else {}
    assert holds_still(said, 200, head, since=DATE, modified=DATE) is found
    assert not holds_still(said, 404, head, since=DATE, modified=DATE)


def test_holds_still_by_date() -> None:
    """Without a tag it is the date."""
    said = {b"if-modified-since": b"x"}
    assert holds_still(said, 200, {}, since=DATE, modified=DATE)
    assert not holds_still(said, 200, {}, since=DATE, modified=DATE + 1)
    assert not holds_still(said, 200, {}, since=None, modified=DATE)
    assert not holds_still(said, 200, {}, since=DATE, modified=None)
