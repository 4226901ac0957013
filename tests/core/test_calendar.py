"""Days and months of UTC: against the standard library's calendar."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.calendar import day, month, period

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC))


@given(MOMENTS)
def test_against_the_calendar(moment: datetime) -> None:
    """Names, numbers and ends are those of the day and the month that a moment lies in."""
    now = moment.timestamp()
    assert day(now).name == f"{moment:%Y-%m-%d}"
    assert month(now).name == f"{moment:%Y-%m}"
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    assert month(now).end == following.timestamp()
    assert 0 < day(now).end - now <= 86_400
    assert (period("day", now), period("month", now)) == (day(now), month(now))


@pytest.mark.parametrize("per", ["day", "month"])
def test_the_last_moment(per: str) -> None:
    """A period ends with its last moment, and the next one has the next number."""
    of = day if per == "day" else month
    now = of(1_709_164_799.0)
    assert now == of(now.end - 0.001)
    assert of(now.end).number == now.number + 1
