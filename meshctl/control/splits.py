"""How a service's traffic is split: what the file says, what holds, and what every running proxy really sends where.

Reads the store and asks the proxies; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.client import ask_all
from meshctl.control.discovery import registrations
from meshctl.control.rollout_state import Counted, rollout
from meshctl.control.steered import live_steering
from meshctl.control.weights import known_service, live
from meshctl.core.faults import active
from meshctl.core.shift import effective, shares
from meshctl.errors import MeshError
from meshctl.model.steering import Fault, Mirror
from meshctl.model.views import ProxyRecord
from meshctl.model.weights import Shares, State
from meshctl.observe.histogram import Distribution
from meshctl.observe.tally import VersionTally
from meshctl.store.protocol import Store


class VersionSplit(msgspec.Struct, frozen=True):
    """One version: its weights in percent, its endpoints, and what it got in the last minute."""

    version: str
    file: float
    """What the configuration gives it; 0 for a version that only sidecars have."""
    live: float
    """What holds."""
    endpoints: int
    healthy: int | None
    """How many take requests by the proxy that sees the fewest; None where no proxy runs that could tell."""
    requests: int = 0
    errors: int = 0
    share: float | None = None
    """Of the requests of the last minute, 0 to 1; None where there were none."""
    p50: float = 0.0
    """Seconds that half of them took at most; 0 where there were none."""
    p99: float = 0.0
    given_up: int = 0
    """Requests that their clients gave up before an answer: neither successes nor errors."""


class SplitView(msgspec.Struct, frozen=True):
    """`traffic split`."""

    service: str
    versions: tuple[VersionSplit, ...]
    changed: State | None
    """What was changed last, by whom and when; None where nothing ever was."""
    is_live: bool
    """Whether live weights hold in the place of the file's."""
    proxies: tuple[str, ...]
    """Whom this was asked of."""
    silent: tuple[str, ...] = ()
    """Who did not answer."""
    rollout: str = ""
    """Which rollout has the weights, if any: "rollout 3 to v2 is running"."""
    faults: tuple[Fault, ...] = ()
    """Those that are injected into its requests."""
    mirror: Mirror | None = None

    def healthy(self, version: str) -> bool:
        """Whether requests can be sent to a version; without a proxy to tell, whether it has endpoints at all."""
        found = next((each for each in self.versions if each.version == version), None)
        if found is None:
            return False
        return bool(found.endpoints if found.healthy is None else found.healthy)


def split(store: Store, name: str) -> SplitView:
    """The split of service `name`, as all running proxies together have it. Raises MeshError not_found."""
    service = known_service(store, name)
    held = live(store, name)
    declared = {version.name: version.weight for version in service.versions}
    file, now = shares(declared), shares(effective(declared, held.now.weights if held else {}))
    static = {version.name: len(version.endpoints) for version in service.versions}
    for each in registrations(store):
        if each.service == name:
            static[each.version] = static.get(each.version, 0) + 1
    told, silent = tallies(store, name)
    whole = sum(each.minute.requests for answer in told.values() for each in answer)
    versions = []
    for version in declared:
        seen = [each for answer in told.values() for each in answer if each.version == version]
        requests = sum(each.minute.requests for each in seen)
        latency = Distribution()
        for tally in seen:
            latency = latency.plus(tally.minute.latency)
        versions.append(
            VersionSplit(
                version,
                file[version],
                now[version],
                max((each.endpoints for each in seen), default=static[version]),
                min((each.healthy for each in seen), default=None),
                requests,
                sum(each.minute.errors for each in seen),
                requests / whole if whole else None,
                latency.quantile(0.5),
                latency.quantile(0.99),
                sum(each.minute.given_up for each in seen),
            )
        )
    is_live = bool(held and held.now.weights)
    runs = rollout(store, name)
    said = f"{runs.origin} is {runs.phase}" if runs and not runs.has_ended else ""
    steering = live_steering(store)
    faults = active([each for each in steering.faults if each.service == name], clock.wall())
    mirror = next((each for each in steering.mirrors if each.service == name), None)
    changed = held.now if held else None
    return SplitView(name, tuple(versions), changed, is_live, tuple(told), silent, said, faults, mirror)


def tallies(store: Store, name: str) -> tuple[Mapping[str, Sequence[VersionTally]], tuple[str, ...]]:
    """What each running proxy counted of the versions of a service, by the proxy's id; and who did not answer."""
    records = proxies(store)
    if not records:
        return {}, ()
    answers = ask_all(records, f"/v1/versions?service={quote(name)}")
    told = {
        answer.record.id: msgspec.json.decode(answer.body, type=list[VersionTally])
        for answer in answers
        if not answer.error
    }
    return told, tuple(answer.record.id for answer in answers if answer.error)


def counted(records: Sequence[ProxyRecord], answers: Mapping[str, bytes]) -> Counted:
    """What proxies answered to `/v1/versions`, by proxy and version. One that was started again under its name counts
    from zero: it is another one."""
    names = {record.id: f"{record.id}@{record.started}" for record in records}
    return {
        names[proxy]: {each.version: each.total for each in msgspec.json.decode(body, type=list[VersionTally])}
        for proxy, body in answers.items()
    }


def count(store: Store, name: str) -> Counted:
    """What every running proxy counted of a service's versions since it started. Blocks."""
    records = proxies(store)
    answers = ask_all(records, f"/v1/versions?service={quote(name)}") if records else []
    return counted(records, {answer.record.id: answer.body for answer in answers if not answer.error})


def check_healthy(view: SplitView, before: Shares, after: Shares) -> None:
    """Raise MeshError refused where a version that is to get more has no endpoint that could take it."""
    for version, weight in after.items():
        if weight > before.get(version, 0.0) and not view.healthy(version):
            message = f'version "{version}" of "{view.service}" has no healthy endpoint'
            hint = f"`meshctl services show {view.service}` tells why; --force shifts all the same"
            raise MeshError("refused", message, hint=hint)
