"""A gateway has an identity from the first need on, and follows what the store asks of it."""

from __future__ import annotations

import os
from contextlib import closing

import msgspec

from meshctl import clock
from meshctl.control import trust_state
from meshctl.control.discovery import GONE, announce, machine
from meshctl.control.issued import issued, revoke
from meshctl.model.registration import Registration
from meshctl.store.protocol import Audit, Put
from meshctl.store.sqlite import SqliteStore

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until


def identity(gateway: Gateway) -> dict[str, object] | None:
    """Who it is to the mesh, as it tells."""
    ended = gateway.meshctl("gateway", "status", "-o", "json")
    # A gateway on a busy machine may be too late with its answer; whoever waits asks again.
    found: dict[str, object] | None = ended.json()[0]["identity"] if ended.status == 0 else None
    return found


def test_an_identity_comes_with_the_first_need(upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """Without sidecars nobody makes keys; with one the gateway is a member of the mesh, and gets a new certificate when
    its service is rotated or its certificate is revoked."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")
    assert identity(gateway) is None
    assert not (gateway.home / "pki").exists()
    with closing(SqliteStore(gateway.home / "mesh.db")) as store:
        lease = store.grant(600)
        announce(store, Registration("shop", "v1", "127.0.0.1", 1, "p", os.getpid(), machine(), 1.0), lease)
        first = until(lambda: identity(gateway), "an identity")
        assert first["spiffe"] == "spiffe://mesh.mesh/service/gateway"
        assert float(str(first["not_after"])) > clock.wall() + 80_000
        audit = Audit("test", clock.wall(), "rotate")
        store.transact([trust_state.next_generation(store, "gateway", at=0.0, who="test")], audit=audit)
        second = until(lambda: (found := identity(gateway)) and found["generation"] == 1 and found, "a rotation")
        assert second["serial"] != first["serial"]
        revoke(store, [each for each in issued(store) if each.serial == second["serial"]], at=clock.wall(), who="test")
        third = until(lambda: (found := identity(gateway)) and found["serial"] != second["serial"] and found, "another")
        assert third["spiffe"] == first["spiffe"]
        store.release(lease)


def test_services_that_have_gone(upstreams: Upstreams, start_gateway: StartGateway) -> None:
    """Sidecars may bring ever new services and versions: of those that have gone a gateway knows a number, the last
    ones, and serves on."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")

    def known() -> set[str]:
        answers = gateway.answer("services", "ls")
        return {service["name"] for answer in answers for service in answer["services"]}

    before = known()
    with closing(SqliteStore(gateway.home / "mesh.db")) as store:
        for turn in range(3):
            lease = store.grant(600)
            mine = {f"s{turn}-{number}" for number in range(GONE - 10)}
            made = [Registration(name, "v1", "127.0.0.1", 1, name, os.getpid(), machine(), 1.0) for name in mine]
            puts = [Put(f"endpoints/{each.service}/{each.proxy}", msgspec.json.encode(each), lease) for each in made]
            store.transact(puts, audit=Audit("test", clock.wall(), "register"))
            until(lambda: known() >= mine, "them all to be known")  # noqa: B023 - asked at once
            store.release(lease)
        found = known()
    assert before < found
    assert {name for name in found if name.startswith("s2-")} == mine
    gone = {name for name in found if name.startswith(("s0-", "s1-"))}
    assert len(gone) == GONE
    assert {name for name in gone if name.startswith("s1-")} == {f"s1-{number}" for number in range(GONE - 10)}
