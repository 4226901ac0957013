"""Addresses that stand for names: what an app is told when it asks for a name's address, and which name it means when
it then connects there.

Every name gets the next number, as an address of both families. There is a bounded count of them; the name that was not
asked for nor called for longest makes room, and as numbers go round before one is given again, whoever still has an old
address is told that it means nothing rather than led to somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from meshctl.model.address import bare_address

OWN_V4: Final = IPv4Address("198.18.0.1")
OWN_V6: Final = IPv6Address("fd6d:6573:6863:746c::1")
"""The app's own: what a network without any address has programs believe that there is none."""
MOST: Final = 16_384
"""Names at once."""

# RFC 2544: for the measurement of networks, so no host has any of them; and a local network of our own (RFC 4193).
_V4: Final = int(IPv4Address("198.18.0.0"))
_V6: Final = int(IPv6Address("fd6d:6573:6863:746c::"))
_NUMBERS: Final = 1 << 17
_FIRST: Final = 16
"""Those before it are ours."""


class Aliases:
    """The names of one app. `most` at once."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._next = _FIRST
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"<Aliases of {len(self._numbers)} names>"

    def of(self, name: str) -> tuple[IPv4Address, IPv6Address]:
        """The addresses of a name."""
        number = self._numbers.pop(name, None)
        if number is None:
            while self._next in self._names:
                self._next = self._following(self._next)
            number = self._next
            self.give(name, number)
            self.noted(name, number)
        # The last one used is the last in order.
        self._numbers[name] = number
        return IPv4Address(_V4 + number), IPv6Address(_V6 + number)

    def give(self, name: str, number: int) -> None:
        """A name has this number, whoever had either of them before."""
        self._names.pop(self._numbers.pop(name, 0), None)
        self._numbers.pop(self._names.pop(number, ""), None)
        if len(self._numbers) >= self._most:
            del self._names[self._numbers.pop(next(iter(self._numbers)))]
        self._names[number] = name
        self._numbers[name] = number
        self._next = self._following(number)

    def numbers(self) -> Iterable[tuple[str, int]]:
        """The names and their numbers, in the order in which they make room."""
        return self._numbers.items()

    def noted(self, name: str, number: int) -> None:
        """A name was given a number, for whoever wants to remember that."""

    def name(self, address: str) -> str | None:
        """The name that an address stands for; "" where it does so no more, None where it is a real one."""
        number = _number(address)
        if number is None:
            return None
        name = self._names.get(number, "")
        if name:
            self._numbers[name] = self._numbers.pop(name)
        return name

    @staticmethod
    def _following(number: int) -> int:
        return number + 1 if number + 1 < _NUMBERS else _FIRST


def _number(address: str) -> int | None:
    """Which of ours an address is; None for one that is not."""
    found = bare_address(address)
    number = int(found) - (_V4 if isinstance(found, IPv4Address) else _V6)
    return number if 0 <= number < _NUMBERS else None
