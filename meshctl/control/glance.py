"""The whole mesh at a glance: what the store says, what every running proxy tells, and the lines that follow from it.

Reads only. What is wrong with proxies, services and certificates is judged in `symptoms`; here is what people have set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl import clock
from meshctl.control import issued, symptoms, trust_state
from meshctl.control.acks import acknowledgements
from meshctl.control.checks.certificates import judge_end
from meshctl.control.checks.finding import counted
from meshctl.control.checks.served import judge_edges, judge_file, judge_servers
from meshctl.control.faults import faults
from meshctl.control.health import DEADLINE, ask_health
from meshctl.control.mirrors import described, mirrors
from meshctl.control.readings import meshed
from meshctl.control.revisions import Revision, current
from meshctl.control.rollout_state import unfinished
from meshctl.control.rotation import rotation
from meshctl.control.weights import live, live_weights
from meshctl.core.faults import told as told_of
from meshctl.model.health import Area, Glance, Line
from meshctl.model.views import ProxyRecord
from meshctl.store.protocol import Store


def glance(store: Store, records: Sequence[ProxyRecord], *, timeout: float = DEADLINE) -> Glance:
    """How a mesh is whose proxies are `records`: each gets `timeout` seconds to answer. Blocks."""
    revision = current(store)
    number = revision.number if revision else 0
    told = ask_health(records, timeout=timeout)
    healths = [each.health for each in told if each.health is not None]
    endpoints = {name: each.endpoints for name, each in meshed(store).items()}
    views = [each.proxy for each in healths]
    now = clock.wall()
    answering = counted(len(healths), "proxy", "proxies")
    found: list[tuple[Area, list[Line], str]] = [
        (
            "proxies",
            list(symptoms.proxy_lines(told, acknowledgements(store), number)),
            f"{answering} on revision {number}",
        ),
        (
            "services",
            list(symptoms.service_lines(healths, endpoints)),
            f"{counted(len({service for service, _ in endpoints}), 'service')}, every endpoint takes requests",
        ),
        ("traffic", list(_steered(store, now)), "as mesh.toml has it"),
        ("callers", list(symptoms.denied_lines(healths)), "none was denied lately"),
        (
            "certificates",
            [
                *symptoms.certificate_lines(views, issued.revoked(store), now),
                *_certificates(store, revision, records, now),
            ],
            "all in their time",
        ),
    ]
    lines = [line for area, seen, well in found for line in symptoms.with_passes(area, seen, well)]
    silent = tuple(each.record.id for each in told if each.health is None)
    return Glance(symptoms.gravest(lines), number, tuple(each.id for each in records), silent, tuple(lines))


def _steered(store: Store, now: float) -> Iterator[Line]:
    """What people have set beside the file: rollouts, weights, faults, mirrors."""
    rollouts = {each.service: each for each in unfinished(store)}
    for name, each in rollouts.items():
        said = f"{each.origin} is {each.phase.replace('_', ' ')} at {each.weight:g}%"
        yield Line("traffic", "note", name, said, f"meshctl traffic rollout {name}")
    for name, weights in live_weights(store).items():
        held = live(store, name)
        if name in rollouts or held is None:
            continue
        split = ", ".join(f"{version} {weight:.3g}%" for version, weight in weights.items())
        said = f"live weights in the place of the file's: {split}, by {held.now.who}"
        yield Line("traffic", "note", name, said, f"meshctl traffic split {name}")
    for fault in faults(store):
        yield Line(
            "traffic", "note", fault.service, f"fault: {told_of(fault, now)}", f"meshctl traffic fault {fault.service}"
        )
    for mirror in mirrors(store):
        yield Line(
            "traffic",
            "note",
            mirror.service,
            f"mirror: {described(mirror)}",
            f"meshctl traffic mirror {mirror.service}",
        )


def _certificates(
    store: Store, revision: Revision | None, records: Sequence[ProxyRecord], now: float
) -> Iterator[Line]:
    """Certificates that no proxy tells of: roots, those for servers of the user's own, those in files."""
    listing = "meshctl certs ls"
    bundle = trust_state.bundle(store)
    roots = bundle.fingerprints if bundle else ()
    for root in bundle.roots if bundle else ():
        name = f"root {root.number}"
        yield from symptoms.certificate_line(name, judge_end(name, root.not_after, now, ""), listing)
    known = issued.issued(store)
    refused = issued.revoked(store)
    for record in records:
        yield from symptoms.certificate_line(record.id, judge_edges(known, {record.id}, now), listing)
    newest: dict[str, issued.Issued] = {}
    for each in known:
        if each.kind == "server" and each.serial not in refused:
            newest.setdefault(each.subject, each)
    for subject, each in newest.items():
        found = judge_servers([each], refused, roots, now)
        yield from symptoms.certificate_line(subject, found, f"meshctl certs show {each.serial[:16]}")
    listeners = revision.mesh().gateway.listeners if revision else ()
    for pair in dict.fromkeys(pair for each in listeners for pair in each.tls):
        found = judge_file(pair.certificate, pair.key, now)
        yield from symptoms.certificate_line(pair.certificate, found, f"meshctl certs show {pair.certificate}")
    under_way = rotation(store)
    if under_way is not None:
        said = f'a rotation of the root stands at "{under_way.step}"'
        yield Line("certificates", "note", "root", said, "meshctl certs rotate --root --status")
