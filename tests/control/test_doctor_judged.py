"""What doctor makes of facts: each row is a state of the world and what is said of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from meshctl.control.checks import (
    apis,
    certificates,
    clocks,
    configured,
    directory,
    environment,
    limits,
    listening,
    reachable,
    running_proxies,
    served,
)
from meshctl.control.checks.facts import Told
from meshctl.control.checks.finding import Finding
from meshctl.control.checks.requirements import parsed
from meshctl.control.issued import Issued
from meshctl.control.rollout_state import Rollout
from meshctl.control.trust_state import Bundle, Root
from meshctl.model.api import Api, ApiVersion
from meshctl.model.mesh import Mesh
from meshctl.model.rollout import Plan
from meshctl.model.route import Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.steering import Fault, Mirror
from meshctl.model.views import (
    Acknowledgement,
    ApiCallerView,
    AppView,
    BreakerView,
    EndpointView,
    IdentityView,
    LimitView,
    ListenerView,
    ProxyRecord,
    ProxyView,
    ServiceView,
    VersionView,
    WorkerView,
)
from meshctl.model.weights import LiveWeights, State

NOW = 1.8e9
DAY = 86400.0
IDENTITY = IdentityView("spiffe://m/service/web", "ab", "cd", NOW - 0.5 * DAY, NOW + 0.5 * DAY, 0, roots=("cd",))
BUNDLE = Bundle(1, (Root(1, "cd", "", NOW + DAY),))
ONE = Service("one", (Version("v1", (Endpoint("h", 1),)), Version("v2", weight=0.0)))
RECORD = ProxyRecord("gateway", "gateway", 1, NOW, "/s")


def ends(sunset: float, *, enforced: bool = False) -> Mesh:
    """An API whose only version ends then."""
    return Mesh(apis=(Api("orders", enforce_sunset=enforced, versions=(ApiVersion("v1", sunset=sunset),)),))


def called(ago: float) -> ApiCallerView:
    """Somebody who has called it, and no more since."""
    return ApiCallerView("orders", "v1", "192.0.2.1", "address", 3, NOW - ago)


def proxy(**changes: object) -> ProxyView:
    return ProxyView(**{"id": "web-1", "role": "sidecar", "pid": 7, "version": "1", "started": NOW - 99, "revision": 3,
                        "latest": 3, "service": "web", **changes})  # type: ignore[arg-type]  # fmt: skip


def identity(**changes: object) -> list[tuple[ProxyView, IdentityView]]:
    fields = {name: getattr(IDENTITY, name) for name in IDENTITY.__struct_fields__}
    return [(proxy(), IdentityView(**{**fields, **changes}))]


def seen(
    *states: str, limit: LimitView | None = None, breaker: str = "", **changes: object
) -> list[tuple[ProxyRecord, ServiceView]]:
    endpoints = tuple(
        EndpointView(f"h:{at}", "v1", 1.0, state, **changes)  # type: ignore[arg-type]
        for at, state in enumerate(states)
    )
    view = ServiceView("one", "random", (VersionView("v1", 1.0, len(states), 0),), endpoints, limit=limit)
    if breaker:
        view = msgspec.structs.replace(view, breaker=BreakerView(breaker, "5 in a row"))
    return [(RECORD, view), (RECORD, view)]


def cert(kind: str, left: float = 0.5 * DAY) -> Issued:
    fields = (kind, "localhost", "", "gateway", ("localhost",), NOW - DAY, NOW + left, "cd", 0, "gw", "w")
    return Issued("ab", *fields)  # type: ignore[arg-type]


def held(age: float) -> LiveWeights:
    return LiveWeights("one", 1, State({"v2": 100.0}, "alice", NOW - age))


def rollout(phase: str) -> Rollout:
    return Rollout("one", 1, Plan("v2"), "w", NOW - 60, {}, 0, 5.0, phase=phase)  # type: ignore[arg-type]


def route_to(service: str) -> Mesh:
    return Mesh(routes=(Route("r", service=service), Route("x", respond=Respond())), services=(ONE, Service("two")))


ROWS = [
    # the environment
    (environment.judge_python((3, 11), "CPython", "3.11.1"), "pass", "3.11.1", ""),
    (environment.judge_python((3, 10), "CPython", "3.10.1"), "fail", "too old", "3.11"),
    (environment.judge_python((3, 12), "PyPy", "3.12"), "warn", "PyPy", "CPython"),
    (environment.judge_libraries([parsed("a>=1"), parsed("b")], {"a": "1.2", "b": "0"}), "pass", "a 1.2, b 0", ""),
    (environment.judge_libraries([parsed("a>=1"), parsed("b")], {"a": "1.2"}), "fail", "missing: b", "pip install"),
    (environment.judge_libraries([parsed("a>=1")], {"a": "0.9"}), "warn", "a 0.9", "pip install"),
    (environment.judge_system("Linux", "6.1-microsoft-standard"), "pass", "WSL", ""),
    (environment.judge_system("Windows", "11"), "warn", "Windows", "WSL 2"),
    (environment.judge_command("/b/meshctl", "/b/python3", "/b/python"), "pass", "/b/meshctl", ""),
    (environment.judge_command("/c/meshctl", "/b/python3", "/b/python"), "pass", "/c/meshctl", ""),
    (environment.judge_command("/c/meshctl", "/c/python3", "/b/python"), "warn", "another meshctl", "PATH"),
    (environment.judge_text("", "ANSI_X3.4-1968"), "pass", "no locale", ""),
    (environment.judge_text("de_DE", "ISO-8859-1"), "warn", "de_DE", "LC_ALL=C.UTF-8"),
    (environment.judge_no_proxy({}), "pass", "no proxy", ""),
    (environment.judge_interception("Darwin", "", None, is_root=False), "pass", "Linux alone", ""),
    (environment.judge_interception("Linux", "nft", None, is_root=True), "pass", "package nftables", ""),
    (environment.judge_interception("Linux", "", ("a = 0", ""), is_root=False), "pass", "--intercept: a = 0", ""),
    (environment.judge_interception("Linux", "", ("a = 0", ""), is_root=True), "pass", "no setting", ""),
    (environment.judge_no_proxy({"http_proxy": "http://proxy:3128"}), "warn", "127.0.0.1", "NO_PROXY="),
    (environment.judge_no_proxy({"http_proxy": "proxy:1", "NO_PROXY": "localhost, 127.0.0.1"}), "pass", "2 names", ""),
    (environment.judge_no_proxy({"http_proxy": "proxy:1", "no_proxy": "*"}), "pass", "1 name", ""),
    (environment.judge_no_proxy({"HTTP_PROXY": "http://127.0.0.1:15001"}), "pass", "", ""),
    # the home
    (directory.judge_owner(Path("/h"), 0, 1000), "fail", "user 0", "--home"),
    (directory.judge_space(1 << 40), "pass", "MiB free", ""),
    (directory.judge_space(100 << 20), "warn", "100 MiB", "free some space"),
    (directory.judge_space(1 << 20), "fail", "1 MiB", "free some space"),
    (directory.judge_disk(Path("/mnt/c/x"), "9p"), "warn", "9p", "/mnt/c"),
    (directory.judge_disk(Path("/n"), "nfs4"), "warn", "nfs4", "local disk"),
    (directory.judge_disk(Path("/h"), "ext4"), "pass", "ext4", ""),
    # configuration
    (configured.judge_targets(route_to("one"), ()), "pass", "2 routes", ""),
    (configured.judge_targets(route_to("two"), ()), "warn", '"r" leads to "two"', "sidecar wrap --service two"),
    (configured.judge_targets(route_to("two"), ("two",)), "pass", "", ""),
    (configured.judge_weights(Mesh(services=(ONE,)), (), {}), "pass", "", ""),
    (configured.judge_weights(Mesh(services=(ONE,)), (), {"one": {"v2": 100.0}}), "fail", "version v2", "reset one"),
    (configured.judge_weights(Mesh(services=(ONE,)), (), {"one": {"v1": 90.0, "v2": 10.0}}), "warn", "v2", "split one"),
    (configured.judge_weights(Mesh(services=(ONE,)), (("one", "v2"),), {"one": {"v2": 100.0}}), "pass", "", ""),
    (apis.judge_sunsets(Mesh(), [called(0.0)], NOW), "pass", "no version past", ""),
    (apis.judge_sunsets(ends(NOW + DAY), [called(0.0)], NOW), "pass", "no version past", ""),
    (apis.judge_sunsets(ends(NOW - DAY), [], NOW), "pass", "1 version past the sunset, called no more", ""),
    (apis.judge_sunsets(ends(NOW - DAY), [called(2 * DAY)], NOW), "pass", "called no more", ""),
    (apis.judge_sunsets(ends(NOW - DAY), [called(60.0)], NOW), "warn", "1 caller came", "api callers orders v1"),
    (apis.judge_sunsets(ends(NOW - DAY, enforced=True), [called(60.0)], NOW), "pass", "no version past", ""),
    (configured.judge_overrides([held(3600.0)], NOW), "pass", "1 service", ""),
    (configured.judge_overrides([held(30 * DAY)], NOW), "warn", "30 days, by alice", "traffic reset one"),
    (configured.judge_rollouts([], NOW, has_driver=False), "pass", "none", ""),
    (configured.judge_rollouts([rollout("running")], NOW, has_driver=True), "pass", "1 rollout", ""),
    (configured.judge_rollouts([rollout("running")], NOW, has_driver=False), "warn", "stands still", "gateway up"),
    (configured.judge_rollouts([rollout("paused")], NOW, has_driver=True), "warn", "5%", "traffic resume one"),
    (configured.judge_faults([Fault("one", abort=503, abort_share=0.1, until=NOW - 1)], NOW), "pass", "none", ""),
    (configured.judge_faults([Fault("one", abort=503, abort_share=0.1, until=NOW + 9)], NOW), "warn", "503", "--clear"),
    (configured.judge_mirrors([Mirror("one", "v2")], [("one", "v2")]), "pass", "1 mirror", ""),
    (configured.judge_mirrors([Mirror("one", "v2")], [("one", "v1")]), "warn", "v2", "mirror one --stop"),
    # certificates and clocks
    (certificates.judge_end("root 1", NOW + 90 * DAY, NOW, "h"), "pass", "root 1 until", ""),
    (certificates.judge_end("root 1", NOW + 9 * DAY, NOW, "h"), "warn", "in 9 days", "h"),
    (certificates.judge_end("root 1", NOW - 1, NOW, "h"), "fail", "root 1 expired on 2027", "h"),
    (certificates.judge_leaves(identity(), NOW), "pass", "1 proxy", ""),
    (certificates.judge_leaves(identity(not_after=NOW - 1), NOW), "fail", "web-1 expired", "certs rotate web"),
    (certificates.judge_renewals(identity(), NOW), "pass", "", ""),
    (certificates.judge_renewals(identity(not_after=NOW + 0.1 * DAY), NOW), "warn", "web-1", "certs rotate web"),
    (certificates.judge_revoked(identity(), {"00"}), "pass", "1 certificate", ""),
    (certificates.judge_revoked(identity(), {"ab"}), "fail", "revoked", "certs rotate web"),
    (certificates.judge_trust(identity(), BUNDLE), "pass", "1 root", ""),
    (certificates.judge_trust(identity(roots=("ef",)), BUNDLE), "fail", "web-1", "--status"),
    (served.judge_edges([cert("edge"), cert("edge", -9)], {"gw"}, NOW), "pass", "1 listener certificate", ""),
    (served.judge_edges([cert("edge", -9)], {"gw"}, NOW), "fail", "certificate of gw expired", "certs rotate gateway"),
    (served.judge_edges([cert("edge", -9)], {"other"}, NOW), "pass", "0 listener", ""),
    (served.judge_servers([cert("server"), cert("server", -9)], (), ("cd",), NOW), "pass", "1 certificate", ""),
    (served.judge_servers([cert("server", 3600)], (), ("cd",), NOW), "warn", "for localhost expires",
     "certs issue localhost"),
    (served.judge_servers([cert("server", -9)], (), ("cd",), NOW), "fail", "expired", "certs issue localhost"),
    (served.judge_servers([cert("server")], (), ("ef",), NOW), "warn", "of a root that was rotated away",
     "certs issue localhost"),
    (served.judge_servers([cert("server", -9)], ("ab",), (), NOW), "pass", "0 certificates", ""),
    (certificates.judge_future({"web": NOW - 60}, NOW), "pass", "1 certificate", ""),
    (certificates.judge_future({"web": NOW + 60}, NOW), "fail", "not valid yet", "clock"),
    (clocks.judge_forward([NOW - 5, NOW + 1], NOW), "pass", "", ""),
    (clocks.judge_forward([NOW + 3600], NOW), "fail", "went back", "timedatectl"),
    (clocks.judge_synchronised(5), "warn", "nothing keeps", "timedatectl"),
    (clocks.judge_synchronised(0), "pass", "NTP", ""),
    (clocks.judge_synchronised(-1), "pass", "does not tell", ""),
    # listeners
    (listening.judge_reserved([8080], 1024, may_bind=False), "pass", "none below 1024", ""),
    (listening.judge_reserved([8080, 443], 1024, may_bind=False), "fail", "port 443", "unprivileged_port_start=443"),
    (listening.judge_reserved([443], 1024, may_bind=True), "pass", "443", ""),
    (listening.judge_reached([("a", ListenerView("http://x", "[::1]:80"))], {80}), "pass", "1 listener", ""),
    (listening.judge_reached([("a", ListenerView("http://x", ":80"))], {81}), "fail", "a should listen on :80", "log"),
    (listening.judge_admin(["127.0.0.1:0", "localhost:1", "[::1]:2", "off"]), "pass", "only from", ""),
    (listening.judge_admin([":9901"]), "warn", ":9901", "127.0.0.1:0"),
    (listening.judge_admin(["10.0.0.1:1"]), "warn", "10.0.0.1:1", "[gateway]"),
    (listening.judge_plain([ListenerView("http://localhost:1", "127.0.0.1:1")]), "pass", "1 listener", ""),
    (listening.judge_plain([ListenerView("http://localhost:1", ":1")]), "pass", "plain HTTP", "tls ="),
    # proxies
    (running_proxies.judge_answering([Told(RECORD, proxy())]), "pass", "1 proxy", ""),
    (running_proxies.judge_answering([Told(RECORD, error="it hangs")]), "fail", "it hangs", "kill -9 1"),
    (running_proxies.judge_accepted({"a": Acknowledgement("a", 3, True)}, 3), "pass", "1 answer", ""),
    (running_proxies.judge_accepted({"a": Acknowledgement("a", 3, False, "no such file")}, 3), "fail",
     "a has refused revision 3 and serves the one before: no such file", "config rollback"),
    (running_proxies.judge_accepted({"a": Acknowledgement("a", 2, False, "old")}, 3), "pass", "", ""),
    (running_proxies.judge_current([proxy()], 3), "pass", "revision 3 everywhere", ""),
    (running_proxies.judge_current([proxy()], 4), "fail", "serves revision 3, and 4", "meshctl apply"),
    (running_proxies.judge_current([proxy(refusal="x")], 4), "warn", "refused", "accepted"),
    (running_proxies.judge_pending([proxy()]), "pass", "what is applied", ""),
    (running_proxies.judge_pending([proxy(pending=("gateway.admin",))]), "warn", "gateway.admin takes effect", "down"),
    (running_proxies.judge_same_version([proxy()], "1"), "pass", "1", ""),
    (running_proxies.judge_same_version([proxy()], "2"), "warn", "meshctl 1", "again"),
    (running_proxies.judge_workers([proxy(workers=(WorkerView(1, "ready"),))]), "pass", "1 worker", ""),
    (running_proxies.judge_workers([proxy(workers=(WorkerView(1, "ready", 1),))]), "warn", "1 time", "worker_ended"),
    (running_proxies.judge_workers([proxy(workers=(WorkerView(1, "ready", 9),))]), "fail", "9 times", "worker_ended"),
    (running_proxies.judge_workers([proxy(workers=(WorkerView(1, "restarting", 2),))]), "fail", "being started", "log"),
    (running_proxies.judge_states([proxy()], NOW), "pass", "ready", ""),
    (running_proxies.judge_states([proxy(state="draining")], NOW), "warn", "draining", "SIGTERM"),
    (running_proxies.judge_states([proxy(state="starting")], NOW), "fail", "since 99 s", "log"),
    (running_proxies.judge_states([proxy(state="starting", started=NOW - 1)], NOW), "pass", "", ""),
    (running_proxies.judge_apps([proxy(app=AppView(1, 2, "ready", "c"))]), "pass", "1 app", ""),
    (running_proxies.judge_apps([proxy(app=AppView(1, 2, "late", "c", problem="silent"))]), "fail", "silent", "$PORT"),
    (running_proxies.judge_apps([proxy(app=AppView(1, 2, "drained", "c"))]), "warn", "by hand", "drain web-1 --undo"),
    (running_proxies.judge_apps([proxy(app=AppView(1, 2, "ready", "c", restarts=2))]), "warn", "2 times", "output"),
    # endpoints
    (reachable.judge_services(seen("healthy", "unhealthy")), "pass", "1 service", ""),
    (reachable.judge_services(seen("unhealthy", "ejected", reason="refused")), "fail",
     'no endpoint of "one" can be asked, as gateway sees it: h:0 is unhealthy (refused); h:1 is ejected (refused)',
     "services show one"),
    (reachable.judge_services(seen()), "pass", "", ""),
    (reachable.judge_state(seen("healthy"), "unhealthy", "x"), "pass", "none is unhealthy", ""),
    (reachable.judge_state(seen("unhealthy"), "unhealthy", "x"), "warn", "h:0 of one v1 is unhealthy", "x; see"),
    (reachable.judge_failing(seen("healthy", requests=19, failures=19)), "pass", "", ""),
    (reachable.judge_failing(seen("healthy", requests=20, failures=19)), "warn", "19 of 20", "services show one"),
    (reachable.judge_breakers(seen("healthy")), "pass", "no service has a breaker", ""),
    (reachable.judge_breakers(seen("healthy", breaker="closed")), "pass", "2 breakers closed", ""),
    (reachable.judge_breakers(seen("healthy", breaker="open")), "fail", "open at gateway (5 in a row)", "show one"),
    (reachable.judge_breakers(seen("healthy", breaker="half_open")), "warn", "half open", "show one"),
    (reachable.judge_limited(seen("healthy")), "pass", "no service", ""),
    (reachable.judge_limited(seen("healthy", limit=LimitView(5, 5, 2))), "warn", "2 wait", "services.one.limit"),
    # limits and kernel
    (limits.judge_open_files(65536, 65536, 10_000, 1), "pass", "65536", ""),
    (limits.judge_open_files(1024, 65536, 10_000, 1), "pass", "1024, raised to 15100", ""),
    (limits.judge_open_files(1024, 4096, 10_000, 1), "warn", "15100", "limits.connections to 2664"),
    (limits.judge_open_files(1024, 4096, 10_000, 2), "warn", "7600", "limits.connections to 5328"),
    (limits.judge_open_files(float("inf"), float("inf"), 10_000, 1), "pass", "unlimited", ""),
    (limits.judge_files_in_use({"p": (10, 1024)}), "pass", "at most 10", ""),
    (limits.judge_files_in_use({"p": (900, 1024)}), "warn", "900 of 1024", "ulimit"),
    (limits.judge_files_in_use({"p": (1024, 1024)}), "fail", "1024 of 1024", "ulimit"),
    (limits.judge_core_count(0, 4), "pass", "4 of 4", ""),
    (limits.judge_core_count(16, 4), "warn", "16 workers", "auto"),
    (limits.judge_memory(1 << 30, 2 << 30), "pass", "1024 of 2048", ""),
    (limits.judge_memory(1 << 20, 2 << 30), "warn", "1 of 2048", "ps aux"),
    (limits.judge_queue(128), "warn", "128", "somaxconn=4096"),
    (limits.judge_queue(4096), "pass", "4096", ""),
    (limits.judge_local_ports(32768, 60999), "pass", "32768", ""),
    (limits.judge_local_ports(60000, 60999), "warn", "only 1000", "ip_local_port_range"),
    (limits.judge_reuse(2), "pass", "2", ""),
    (limits.judge_reuse(0), "warn", "0", "tcp_tw_reuse=2"),
    (limits.judge_tracked(10, 100), "pass", "10 of 100", ""),
    (limits.judge_tracked(90, 100), "warn", "90 of 100", "nf_conntrack_max=200"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[1]} {row[2]}"[:40])
def test_judgements(row: tuple[Finding, str, str, str]) -> None:
    """The state of the world in the row gets this status, words that name it, and what to do."""
    finding, status, said, hint = row
    assert finding.status == status, finding
    assert said in finding.detail
    assert hint in finding.hint
    assert (finding.hint == "") <= (status == "pass")
