"""What careless hands do to the files of a running mesh, and what it makes of that."""

from __future__ import annotations

import shutil

import httpx

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
        assert gateway.status()["state"] == "ready"
        assert http.get(gateway.url).status_code == 200
