"""What careless hands do to the files of a running mesh, and what it makes of that."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from meshctl.store.home import Home

from .conftest import StartGateway
from .servers import Upstreams
from .waiting import until


def test_a_removed_socket(upstreams: Upstreams, start_gateway: StartGateway, http: httpx.Client) -> None:
    """A gateway whose admin socket, or the folder of it, was removed can be asked again a few seconds later."""
    gateway = start_gateway("--route", f"/={upstreams.url_of('a')}")
    run = Home(gateway.home).run
    (socket,) = run.glob("*.sock")
    for times, remove in ((1, socket.unlink), (2, lambda: shutil.rmtree(run))):
        remove()
        until(lambda: gateway.events().count("admin_socket_restored") == times, "the socket to be back", timeout=40)  # noqa: B023
        until(lambda: gateway.meshctl("gateway", "status").status == 0, "the gateway to answer", timeout=60)
        assert http.get(gateway.url).status_code == 200


def _garbage(database: Path) -> None:
    with database.open("r+b") as file:
        for page in range(0, database.stat().st_size, 4096):
            file.seek(page)
            file.write(b"\xa5garbage" * 200)


@pytest.mark.parametrize(
    "damage", [_garbage, lambda path: os.truncate(path, 5000), lambda path: os.truncate(path, 0)],
    ids=["garbage", "cut", "empty"],
)  # fmt: skip
def test_a_damaged_store(
    damage: Callable[[Path], None],
    upstreams: Upstreams,
    start_gateway: StartGateway,
    http: httpx.Client,
    tmp_path: Path,
) -> None:
    """With its store damaged a gateway serves on, also with a worker that had to be started again, and commands say
    what is wrong and what to do; who does that has a mesh again."""
    file = tmp_path / "mesh.toml"
    text = f"""
        [[routes]]
        service = "s"
        [services.s]
        endpoints = ["{upstreams.address("a")}"]
    """
    file.write_text(text)
    gateway = start_gateway("-c", file)
    gateway.forgiven = {"store_failed", "worker_ended"}
    with closing(sqlite3.connect(gateway.home / "mesh.db")) as raw:
        # What stands in the log would be read in the place of what is damaged.
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    damage(gateway.home / "mesh.db")
    (worker,) = gateway.workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: set(gateway.workers()) - {worker}, "another worker")
    file.write_text(f'[[routes]]\npath = "/new"\nrespond = {{ body = "new" }}\n{text}')
    refused = gateway.meshctl("apply", "-c", file)
    assert (refused.status, "damaged" in refused.err, "Traceback" in refused.err) == (1, True, False), refused.err
    assert f'move "{gateway.home / "mesh.db"}"' in " ".join(refused.err.split())
    assert httpx.get(gateway.url, trust_env=False, timeout=30).status_code == 200
    assert gateway.end() == 0
    # It looks at the store four times a second, and tells of each failure once a minute.
    assert gateway.events().count("store_failed") <= 12
    for each in gateway.home.glob("mesh.db*"):
        each.rename(tmp_path / each.name)
    assert http.get(f"{start_gateway('-c', file).url}/new").text == "new"
