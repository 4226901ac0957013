"""Addresses that stand for names."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.aliases import OWN_V4, OWN_V6, Aliases

NAMES = st.sampled_from([f"{letter}.example" for letter in "abcdefgh"])


def test_a_name_keeps_its_addresses_and_they_mean_it() -> None:
    """Both addresses of a name are always the same and lead back to it; those of others are others, and none is the
    app's own."""
    aliases = Aliases()
    orders, web = aliases.of("orders"), aliases.of("web")
    assert aliases.of("orders") == orders
    assert len({*orders, *web, OWN_V4, OWN_V6}) == 6
    assert [aliases.name(str(each)) for each in (*orders, *web)] == ["orders", "orders", "web", "web"]
    assert aliases.name(f"::ffff:{orders[0]}") == "orders"


def test_real_addresses_stand_for_nothing() -> None:
    """An address that is none of ours is a real one, and one of ours that was never given is forgotten."""
    aliases = Aliases()
    for real in ("127.0.0.1", "10.0.0.1", "198.17.255.255", "198.20.0.0", "::1", "2001:db8::1", "fe80::1%eth0"):
        assert aliases.name(real) is None, real
    assert aliases.name("198.18.44.1") == ""
    assert aliases.name("fd6d:6573:6863:746c::99") == ""


def test_who_was_not_used_for_longest_makes_room() -> None:
    """Where there are too many names the one that was neither asked for nor called for longest is forgotten, and its
    address leads to nobody else."""
    aliases = Aliases(most=2)
    old, _ = aliases.of("old")
    kept, _ = aliases.of("kept")
    assert aliases.name(str(old)) == "old"
    new, _ = aliases.of("new")
    assert aliases.name(str(kept)) == ""
    assert (aliases.name(str(old)), aliases.name(str(new))) == ("old", "new")


def test_numbers_go_round() -> None:
    """After the last address the first one is given again, but for those that still stand for a name."""
    aliases = Aliases(most=3)
    first, _ = aliases.of("first")
    aliases.give("last", (1 << 17) - 1)
    assert str(aliases.of("last")[0]) == "198.19.255.255"
    assert first < aliases.of("another")[0] < IPv4Address("198.18.1.0")
    assert aliases.name(str(first)) == "first"


@given(st.lists(NAMES), st.integers(1, 5))
def test_what_is_known_is_never_wrong(asked: list[str], most: int) -> None:
    """Whatever was asked for, an address means the name that it was last given for, or nothing; there are never more
    names than there may be."""
    aliases = Aliases(most)
    given_for: dict[IPv4Address | IPv6Address, str] = {}
    for name in asked:
        given_for.update(dict.fromkeys(aliases.of(name), name))
        assert len(list(aliases.numbers())) <= most
    for address, name in given_for.items():
        assert aliases.name(str(address)) in (name, "")
    if asked:
        assert aliases.name(str(aliases.of(asked[-1])[0])) == asked[-1]


@given(st.lists(NAMES, max_size=20))
def test_what_was_noted_can_be_given_again(asked: list[str]) -> None:
    """Aliases that are told of the numbers that others gave mean the same by them."""

    class Noting(Aliases):
        def noted(self, name: str, number: int) -> None:
            noted.append((name, number))

    noted: list[tuple[str, int]] = []
    before, after = Noting(3), Aliases(3)
    addresses = {before.of(name) for name in asked}
    for name, number in noted:
        after.give(name, number)
    for old, new in addresses:
        if before.name(str(old)):
            # What was used since makes room later there than here.
            assert after.name(str(old)) in (before.name(str(old)), "")
            assert after.name(str(new)) == after.name(str(old))
