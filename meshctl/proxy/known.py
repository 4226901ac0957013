"""Who sent a connection's last request, so that the next one is only looked at where it differs from that.

What a caller is known by is the guard's business; here only fields are compared.
"""

from __future__ import annotations

from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.core.principal import Principal
    from meshctl.proxy.guard import Guard
    from meshctl.wire.fields import Fields


class Known:
    """Who sent a connection's last request: its fields, those that went on, and where each of them stands there."""

    __slots__ = ("epoch", "fields", "guard", "passing", "places", "principal", "until", "user")

    def __init__(
        self, guard: Guard, epoch: object, principal: Principal, user: str, fields: Fields, passing: Fields,
        is_odd: dict[bytes, bool],
    ) -> None:  # fmt: skip
        self.guard = guard
        self.epoch = epoch
        self.until = principal.until
        self.principal = principal
        self.user = user
        self.fields = fields
        self.passing = passing
        # What passes stands in the same order, and then what is told.
        self.places: list[int] = []
        at = 0
        for line in fields:
            # -1 for what is no matter of others.
            self.places.append(-1 if is_odd[line[: line.index(b":")]] else at)
            at += passing[at : at + 1] == [line]

    def amend(self, fields: Fields, is_odd: dict[bytes, bool]) -> bool:
        """Take these fields in the place of the last ones, where they differ only in what nobody is known by. The
        reader gives the same objects for lines that have not changed."""
        before = self.fields
        if len(fields) != len(before):
            return False
        passing = self.passing.copy()
        for at in compress(range(len(fields)), map(is_not, fields, before)):
            line, place = fields[at], self.places[at]
            if place < 0 or is_odd[line[: line.index(b":")]]:
                return False
            passing[place] = line
        self.fields, self.passing = fields, passing
        return True
