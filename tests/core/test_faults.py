"""Faults in words: what options ask for, what is refused, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.faults import active, check_fits, described, fault, left, told
from meshctl.errors import MeshError
from meshctl.model.steering import Fault

NOW = 1000.0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"delay": "300ms@20%"}, {"delay": 0.3, "delay_share": 0.2}),
        ({"delay": "1m30s"}, {"delay": 90.0, "delay_share": 1.0}),
        ({"abort": "503@5%"}, {"abort": 503, "abort_share": 0.05}),
        ({"abort": "404"}, {"abort": 404, "abort_share": 1.0}),
        ({"reset": "1%"}, {"reset_share": 0.01}),
        ({"throttle": "64KiB/s"}, {"throttle": 65_536, "throttle_share": 1.0}),
        ({"throttle": "6MB/m@50%"}, {"throttle": 100_000, "throttle_share": 0.5}),
        ({"reset": "1%", "lasting": "2m"}, {"reset_share": 0.01, "until": NOW + 120}),
        ({"reset": "1%", "lasting": "24h"}, {"reset_share": 0.01, "until": NOW + 86_400}),
        ({"reset": "1%", "caller": "web"}, {"reset_share": 0.01, "caller": "web"}),
    ],
)
def test_options(options: dict[str, str], expected: dict[str, Any]) -> None:
    """Each option says a value and a share; ten minutes is how long it lasts where nobody says."""
    assert fault("orders", now=NOW, who="ann", **options) == Fault(
        "orders", **({"until": NOW + 600, "who": "ann", "at": NOW} | expected)
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lasting": "2m"},
        {"delay": "300ms@0%"},
        {"delay": "@20%"},
        {"delay": "300ms@"},
        {"delay": "300"},
        {"delay": "0s"},
        {"delay": "2h"},
        {"delay": "300ms@120%"},
        {"abort": "200"},
        {"abort": "600"},
        {"abort": "50"},
        {"abort": "5xx"},
        {"reset": "1"},
        {"reset": "1%@2%"},
        {"throttle": "64KiB"},
        {"throttle": "64/s"},
        {"throttle": "0B/s"},
        {"throttle": "10B/m"},
        {"reset": "1%", "lasting": "0s"},
        {"reset": "1%", "lasting": "24h1s"},
        {"reset": "1%", "lasting": "soon"},
    ],
)
def test_refused(options: dict[str, str]) -> None:
    """What means nothing, would never end, or would do nothing is refused, with an example of what does."""
    with pytest.raises(MeshError) as found:
        fault("orders", now=NOW, **options)
    assert found.value.code == "usage"
    assert found.value.hint


@given(
    delay=st.sampled_from(["", "300ms@20%", "2s"]),
    abort=st.sampled_from(["", "503@5%", "404"]),
    reset=st.sampled_from(["", "1%"]),
    throttle=st.sampled_from(["", "64KiB/s", "1B/s@12.5%"]),
)
def test_words(delay: str, abort: str, reset: str, throttle: str) -> None:
    """A fault is told in the words that ask for it."""
    given_ = {"delay": delay, "abort": abort, "reset": reset, "throttle": throttle}
    asked = {name: text for name, text in given_.items() if text}
    if not asked:
        return
    made = fault("orders", now=NOW, caller="web", **asked)
    assert described(made) == ", ".join([*(f"{name} {text}" for name, text in asked.items()), "from web"])


def test_end() -> None:
    """A fault holds until its end and not longer, and says how long that is."""
    made = fault("orders", reset="1%", lasting="2m", now=NOW)
    assert active([made], NOW + 119.9) == (made,)
    assert active([made], NOW + 120) == ()
    assert left(made, NOW + 20) == "1m40s"
    assert told(made, NOW + 20) == "reset 1%, ends in 1m40s"
    assert left(made, NOW + 500) == "0s"


def test_raw_services() -> None:
    """A service without HTTP can be delayed and cut; what needs answers is refused by name."""
    check_fits(fault("db", delay="1s", reset="1%", now=NOW), "tcp")
    check_fits(fault("orders", abort="503", throttle="1KiB/s", now=NOW), "http")
    with pytest.raises(MeshError, match="--abort and --throttle") as found:
        check_fits(fault("db", delay="1s", abort="503", throttle="1KiB/s", now=NOW), "tcp")
    assert found.value.code == "refused"
