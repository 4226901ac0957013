"""A live service: its versions, the split between them and the balancer within each, with everything that changes while
traffic flows. The decisions are `core`'s; this keeps what they decide about current."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.core.balance import BALANCERS, Balancer, decayed
from meshctl.core.match import Condition, hold
from meshctl.core.outlier import next_return, usable
from meshctl.core.retry import RetryBudget
from meshctl.core.shift import effective
from meshctl.core.slow_start import effective_weight
from meshctl.core.split import Split
from meshctl.model.service import Endpoint, Service
from meshctl.proxy.breaking import LiveBreaker
from meshctl.proxy.endpoint import LiveEndpoint
from meshctl.proxy.keys import Sticky, request_key
from meshctl.proxy.trial import Trial, pick_on_trial
from meshctl.wire.reasons import NOBODY_THERE

if TYPE_CHECKING:
    from meshctl.proxy.admission import Admission
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.steering import ServiceSteering
    from meshctl.proxy.stream import Stream
    from meshctl.proxy.worker import Worker
    from meshctl.wire.message import Request


class LiveVersion:
    """One version: its endpoints and the balancer over those that may be used."""

    def __init__(
        self, worker: Worker, service: Service, name: str, weight: float, configured: tuple[Endpoint, ...]
    ) -> None:
        self.worker = worker
        self.config = service
        self.service = service.name
        self.name = name
        self.declared = weight
        """The weight that the configuration gives it."""
        self.weight = weight
        self._static = configured
        self.registered: tuple[Endpoint, ...] = ()
        """Endpoints of sidecars, beside those of the configuration."""
        self.asks: tuple[Condition, ...] | None = None
        """What makes a request one for this version, whatever the weights."""
        self.tls: ssl.SSLContext | None = None
        self.limit = 0
        self.home: LiveService | None = None
        """The service it is a version of."""
        self.standing = 0
        """How far it can serve: 0 it has no endpoint, 1 none that may be used, 2 only such as rest, 3 it can."""
        self.requests = 0
        self.endpoints: list[LiveEndpoint] = []
        self.available: list[LiveEndpoint] = []
        self._weights: dict[LiveEndpoint, float] = {}
        self._is_ramping = False
        self._key = service.balance.key
        self.on_trial: list[LiveEndpoint] = []
        """Those of the available that get one request at a time, to see whether they are back."""
        self.only: LiveEndpoint | None = None
        """The one endpoint there is to choose."""
        self._balancer: Balancer[LiveEndpoint] = BALANCERS[service.balance.policy](())

    def __repr__(self) -> str:
        return f"<LiveVersion {self.service}/{self.name} {len(self.available)} of {len(self.endpoints)} available>"

    @property
    def configured(self) -> tuple[Endpoint, ...]:
        """Where requests may go: what the configuration lists and what sidecars registered."""
        return self._static + self.registered

    def fill(self, find: Callable[[LiveVersion, Endpoint], list[LiveEndpoint]]) -> None:
        """Take the live endpoints that `find` has for those configured."""
        # An endpoint outlives configurations, so its weight in this one is kept here.
        self._weights = {live: config.weight for config in self.configured for live in find(self, config)}
        self.endpoints = list(self._weights)
        if not self.standing and self.endpoints:
            self.standing = 1

    def age(self, now: float) -> None:
        """Once a second: latencies that nobody confirms fade, so that a slow endpoint is tried again; new endpoints'
        shares grow."""
        for each in self.endpoints if len(self.endpoints) > 1 else ():
            if each.ewma:
                each.ewma = decayed(each.ewma, each.ewma_at, now)
                each.ewma_at = now
        slow = self.config.slow_start
        if self._is_ramping or (slow and any(now - each.appeared < slow + 1.0 for each in self.endpoints)):
            self.rebuild(now)

    def pick(self, exchange: Exchange) -> LiveEndpoint | None:
        """The endpoint for a request, other than those it has tried."""
        if self.on_trial and exchange.may_decide and not exchange.tried:
            found = pick_on_trial(self, exchange)
            if found is not None:
                return found
        key = None
        if self._key is not None:
            key = request_key(self._key, exchange.request, exchange.stream, self.worker)
        tried = exchange.tried
        if tried:
            return self._balancer.pick_other(key, clock.draw, tried) or self._balancer.pick(key, clock.draw)
        return self._balancer.pick(key, clock.draw)

    def rebuild(self, now: float) -> None:
        """The set of usable endpoints or a weight has changed: compile the balancer anew."""
        if any(each.owner is not self for each in self.endpoints):
            return  # A newer configuration has them: a timer or a request of this one was late.
        slow = self.config.slow_start
        for each in self.endpoints:
            each.weight = effective_weight(self._weights[each], now - each.appeared, slow) * each.health.share(now)
        self._is_ramping = any(each.health.is_ramping(now) for each in self.endpoints)
        self.available = usable(self.endpoints, now)
        self.on_trial = [each for each in self.available if each.weight > 0 and each.health.is_on_trial(now)]
        steady = [each for each in self.available if each not in self.on_trial] if self.on_trial else self.available
        self._balancer = BALANCERS[self.config.balance.policy](steady, start=self.worker.index + self.requests)
        weighted = self._balancer.candidates
        self.only = weighted[0] if len(weighted) == 1 and not self.on_trial else None
        for each in self.endpoints:
            each.is_compared = len(self.endpoints) > 1
        is_able = any(each.weight > 0 and each.health.available(now) for each in self.available)
        self._stand(3 if is_able else 2 if self.available else 1 if self.endpoints else 0)
        comes_back = next_return(self.endpoints, now)
        if comes_back is not None:
            self.worker.rebuild_later(self, comes_back - now)

    def failed(self, endpoint: LiveEndpoint, reason: str, now: float, trial: Trial | None = None) -> None:
        """A request failed at `endpoint`, with which the breaker may open; the endpoint may be ejected for that, which
        changes the choice."""
        endpoint.failures += 1
        endpoint.is_failing = True
        owner = endpoint.owner or self
        if owner.home is not None and owner.home.breaker is not None:
            owner.home.breaker.broke(owner.home, reason, now, trial)
        if owner.config.ejection.rate:
            endpoint.settle(now, 1)
        peers = [each.health for each in owner.endpoints if each.weight > 0]
        is_absent = reason in NOBODY_THERE
        is_spare = is_absent and owner.home is not None and owner.home.can_spare(owner)
        number = trial.number if trial is not None else 0
        if endpoint.health.failed(reason, now, peers, trial=number, is_absent=is_absent, is_spare=is_spare):
            endpoint.counters.eject()
            self.worker.notice(
                "endpoint_ejected", service=self.service, endpoint=endpoint.address, reason=endpoint.health.reason(now)
            )
            owner.rebuild(now)

    def returned(self, endpoint: LiveEndpoint, now: float) -> None:
        """`endpoint` has proved that it is back."""
        self.worker.notice("endpoint_returned", is_trouble=False, service=self.service, endpoint=endpoint.address)
        self.rebuild(now)

    def _stand(self, standing: int) -> None:
        if standing != self.standing:
            self.standing = standing
            if self.home is not None:
                self.home.set_versions(self.home.versions)


class LiveService:
    """A service and how a request finds its version."""

    steering: ServiceSteering | None = None
    """The faults and the mirror that hold for it."""

    def __init__(self, worker: Worker, service: Service) -> None:
        self._worker = worker
        self.config = service
        self.name = service.name
        self.counters = worker.counters.service(service.name)
        self.budget = RetryBudget(service.retry_budget.ratio, service.retry_budget.floor)
        self.breaker = LiveBreaker(worker, service.name, service.breaker) if service.breaker else None
        self.admission: Admission | None = None
        """Who has a place and who waits for one, where the service is limited."""
        self.versions: list[LiveVersion] = []
        self._split: Split[LiveVersion] | None = None
        self.only: LiveVersion | None = None
        """The one version that any request can be for."""
        self._asked: list[tuple[tuple[Condition, ...], LiveVersion]] = []
        self._weighted: LiveVersion | None = None
        self._settled = 0
        self.ended = 0
        """Attempts that the breaker knows to have ended."""
        self._whole = self
        """The service that counts: itself, or the one of which it is a part."""
        self._sticky = Sticky(service.sticky, service.name, worker) if service.sticky else None

    def __repr__(self) -> str:
        return f"<LiveService {self.name} {len(self.versions)} versions>"

    def choose(self, request: Request, stream: Stream) -> LiveVersion | None:
        """The version for a request: the one it asks for, else by its sticky key's bucket where it has one, else by a
        draw."""
        for conditions, version in self._asked:
            if hold(conditions, request):
                return version
        split = self._split
        if split is None:
            return self._weighted
        if self._sticky is not None:
            number = self._sticky.bucket(request, stream)
            if number is not None:
                return split.by_bucket(number)
        return split.draw(clock.draw())

    def pinned(self, version: str) -> LiveService:
        """The same service, of which only one version is meant. Raises ValueError where it has no such version."""
        found = next((each for each in self.versions if each.name == version), None)
        if found is None:
            raise ValueError(f'service "{self.name}" has no version "{version}"')
        made = copy(self)
        made.only = found
        made.versions = [found]
        made._whole = self._whole
        return made

    def can_spare(self, version: LiveVersion) -> bool:
        """Whether another version takes traffic and could take that of `version`."""
        return any(each.weight > 0 and each.standing == 3 for each in self.versions if each is not version)

    def elsewhere(self, version: LiveVersion, tried: tuple[LiveEndpoint, ...]) -> LiveVersion:
        """The version for another attempt: the same as long as it has an endpoint that was not tried, else one that
        takes traffic and has. A version whose last process has died costs nobody a request that way."""
        if any(each not in tried and each not in version.on_trial for each in version.available):
            return version
        others = (each for each in self.versions if each.weight > 0)
        return next((each for each in others if any(one not in tried for one in each.available)), version)

    def settle(self, now: float) -> None:
        """Tell the retry budget of the requests since the last time: it hears of them a few times a second, not each
        time."""
        if self._whole is not self:
            self._whole.settle(now)
            return
        begun = sum(version.requests for version in self.versions)
        if begun != self._settled:
            self.budget.deposit(now, begun - self._settled)
            self._settled = begun
        if self.breaker is not None:
            self.breaker.settle(self, now)
        if self.config.ejection.rate:
            for version in self.versions:
                for endpoint in version.endpoints:
                    endpoint.settle(now)

    def weigh(self, live: Mapping[str, float]) -> None:
        """Take on live weights by version, in the place of those configured; none where there are none."""
        weights = effective({version.name: version.declared for version in self.versions}, live)
        for version in self.versions:
            version.weight = weights[version.name]
        self.set_versions(self.versions)

    def set_versions(self, versions: list[LiveVersion]) -> None:
        """Take the versions of a new snapshot, or see anew which of them can serve."""
        self.versions = versions
        for version in versions:
            version.home = self
        # A version that waits for its first endpoint, has lost its last one, or whose endpoints are all down leaves its
        # share to the others, as long as there are any that are better off.
        best = max((version.standing for version in versions if version.weight > 0), default=0)
        shares = [(version, version.weight if version.standing >= best else 0.0) for version in versions]
        weighted = [version for version, weight in shares if weight > 0]
        self._weighted = weighted[0] if len(weighted) == 1 else None
        # Then it is not for those either who ask for it: they are served as others are.
        self._asked = [
            (version.asks, version) for version in versions if version.asks and version.standing >= max(best, 1)
        ]
        self.only = None if self._asked else self._weighted
        # The split takes them all, in order: a weight of 0 keeps the place of a version's buckets.
        self._split = Split(shares) if len(weighted) > 1 else None
