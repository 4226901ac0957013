"""Versions of APIs that should be gone: nobody calls one past its sunset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from meshctl import clock
from meshctl.control.apis import merged, state
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, counted, warned, worst
from meshctl.model.mesh import Mesh
from meshctl.model.views import ApiCallerView

LATELY: Final = 86_400.0
"""Seconds within which a call counts: who has not called for longer may have moved."""


def sunsets(facts: Facts) -> Finding:
    """Versions past their sunset are called no more, or refused."""
    mesh, now = facts.mesh(), clock.wall()
    return judge_sunsets(mesh, _callers(facts) if _over(mesh, now) else [], now)


def judge_sunsets(mesh: Mesh, callers: Sequence[ApiCallerView], now: float) -> Finding:
    """See `sunsets`."""
    over = _over(mesh, now)
    late = [each for each in callers if now - each.last_seen < LATELY]
    found = {key: sum((each.api, each.version) == key for each in late) for key in over}
    return worst(
        (
            warned(
                f'version "{version}" of api "{api}" is past its sunset: {counted(count, "caller")} came within a day',
                f"meshctl api callers {api} {version}",
            )
            for (api, version), count in found.items()
            if count
        ),
        f"{counted(len(over), 'version')} past the sunset, called no more" if over else "no version past its sunset",
    )


def _over(mesh: Mesh, now: float) -> list[tuple[str, str]]:
    return [(api.name, each.name) for api in mesh.apis for each in api.versions if state(api, each, now) == "sunset"]


def _callers(facts: Facts) -> list[ApiCallerView]:
    import msgspec

    from meshctl.control.client import ask_all

    answers = ask_all(facts.living(), "/v1/api/callers")
    decoder = msgspec.json.Decoder(list[ApiCallerView])
    return merged(view for answer in answers if not answer.error for view in decoder.decode(answer.body))
