"""The metrics of one proxy and of all proxies of a home: what is gathered for them, and from whom.

A proxy that is asked for another's scrape tells what it knows (GET /v1/metrics) without putting it into words, so that
only the one that Prometheus talks to pays for that. How it is said stands in `observe.exposition`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import __version__
from meshctl.control.acks import recorded
from meshctl.control.asking import ask_each
from meshctl.control.client import ask_all
from meshctl.control.revisions import pointer
from meshctl.control.views import service_views
from meshctl.errors import MeshError, none_runs
from meshctl.model.mesh import Listener
from meshctl.model.views import ProxyRecord
from meshctl.observe.exposition import Facts, expose
from meshctl.observe.mesh_exposition import Member, Told, expose_mesh
from meshctl.observe.processes import usage
from meshctl.store.protocol import Store

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor

DEADLINE: Final = 2.0
"""Seconds a proxy gets to answer: less than a scrape may take (10 s, where Prometheus is not told otherwise)."""
_TARGET: Final = "/v1/metrics"
# Made here because threads ask: msgspec crashes where several are the first to meet a type at once.
_TOLD: Final = msgspec.json.Decoder(Told)


async def own_metrics(supervisor: Supervisor, accept: str) -> tuple[str, bytes]:
    """Content type and body of a scrape of this proxy alone."""
    facts = await _facts(supervisor)
    return expose(supervisor.fleet.totals.merged(), facts, accept)


async def mesh_metrics(supervisor: Supervisor, accept: str) -> tuple[str, bytes]:
    """Content type and body of a scrape of every proxy of the home, this one included. Raises MeshError where the
    store cannot be read."""
    records = recorded(supervisor.store)
    others = [record for record in records if record.id != supervisor.record.id]
    answers = await ask_each(others, _TARGET, DEADLINE)
    own = await told(supervisor)
    members = _members(records, answers | {supervisor.record.id: own})
    # Many proxies' series take a while to be written, for which duties need not wait.
    return await asyncio.to_thread(expose_mesh, members, accept)


async def told(supervisor: Supervisor) -> bytes:
    """The answer to GET /v1/metrics."""
    facts = await _facts(supervisor)
    facts = msgspec.structs.replace(facts, usage=usage(facts.pids))
    return msgspec.json.encode(Told(supervisor.fleet.totals.merged(), facts))


def ask_metrics(store: Store, home: Path) -> tuple[list[Member], dict[str, str]]:
    """Every proxy of the home with what it told, asked at the same time, and why some did not answer, by their ids.
    Raises MeshError not_running, which names the home."""
    records = recorded(store)
    if not records:
        raise none_runs(home)
    answers = ask_all(records, _TARGET)
    said = {answer.record.id: answer.body for answer in answers if not answer.error}
    return _members(records, said), {answer.record.id: answer.error.message for answer in answers if answer.error}


def _members(records: Sequence[ProxyRecord], answers: dict[str, bytes]) -> list[Member]:
    ordered = sorted(records, key=lambda each: each.id)
    return [Member(record.id, record.role, decoded(answers.get(record.id))) for record in ordered]


def decoded(body: bytes | None) -> Told | None:
    """What a proxy told; None as well where it is of another version, and tells it otherwise."""
    try:
        return _TOLD.decode(body) if body is not None else None
    except msgspec.DecodeError:
        return None


async def _facts(supervisor: Supervisor) -> Facts:
    await supervisor.sampling.sample()
    return Facts(
        version=__version__,
        role=supervisor.record.role,
        revision=supervisor.number,
        latest=_latest(supervisor),
        started=supervisor.record.started,
        restarts=supervisor.fleet.restarts,
        pids=(os.getpid(), *supervisor.fleet.pids),
        services=await service_views(supervisor),
        identity=supervisor.identity.view,
        roots=supervisor.identity.roots(),
        served=await asyncio.to_thread(served, supervisor.role.listeners(supervisor.mesh)),
        apis=tuple((route.name, route.api.api, route.api.version) for route in supervisor.mesh.routes if route.api),
        limits_backend=supervisor.limits.is_shared,
    )


def served(listeners: Sequence[Listener]) -> tuple[tuple[str, float], ...]:
    """When the certificates end that listeners have from files; what cannot be read is not served anew either, of
    which the log and `doctor` tell."""
    found = {}
    for certificate in dict.fromkeys(pair.certificate for listener in listeners for pair in listener.tls):
        try:
            stamp = os.stat(certificate).st_mtime_ns
            found[certificate] = _ends(certificate, stamp)
        except (OSError, ValueError):
            continue
    return tuple(found.items())


@lru_cache(maxsize=256)
def _ends(certificate: str, _stamp: int) -> float:
    """When the certificate in a file ends. A file that stays the same is read once."""
    from meshctl.pki.pem import read_certificates

    return read_certificates(Path(certificate).read_bytes())[0].not_valid_after_utc.timestamp()


def _latest(supervisor: Supervisor) -> int:
    try:
        latest = pointer(supervisor.store)
    except MeshError:
        return supervisor.number
    return latest.number if latest is not None else supervisor.number
