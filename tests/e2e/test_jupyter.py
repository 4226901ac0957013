"""A Jupyter kernel through the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.sync.client import connect

from .conftest import StartGateway
from .gateway import Gateway
from .waiting import until

TOKEN = "e2e"


@pytest.fixture
def jupyter(start_gateway: StartGateway) -> Iterator[Gateway]:
    """A gateway in front of a Jupyter server on a Unix socket, which needs no port to be guessed."""
    with tempfile.TemporaryDirectory(prefix="mx-", dir="/tmp") as folder:
        path = Path(folder) / "jupyter.sock"
        options = {"sock": path, "root_dir": folder, "open_browser": False, "allow_root": True}
        words = [f"--ServerApp.{name}={value}" for name, value in options.items()]
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *words, f"--IdentityProvider.token={TOKEN}"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            until(path.exists, "the Jupyter server", timeout=150)
            yield start_gateway("--route", f"/=unix:{path}")
        finally:
            server.terminate()
            server.wait(60)


def request(code: str) -> dict[str, Any]:
    """An execute_request of the Jupyter messaging protocol."""
    header = {"msg_id": uuid4().hex, "session": "e2e", "username": "", "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}


@pytest.mark.timeout(300)
def test_a_kernel_computes(jupyter: Gateway) -> None:
    """A kernel is started, computes over its WebSocket and is stopped, all through the gateway."""
    authorised = {"Authorization": f"token {TOKEN}"}
    with httpx.Client(base_url=jupyter.url, timeout=60, headers=authorised, trust_env=False) as client:
        kernel = client.post("/api/kernels", json={}).raise_for_status().json()["id"]
        url = f"{jupyter.url.replace('http', 'ws')}/api/kernels/{kernel}/channels"
        sent = request("print(sum(range(1000)))")
        with connect(url, additional_headers=authorised, open_timeout=60, max_size=None, proxy=None) as channel:
            channel.send(json.dumps(sent))
            said = ""
            while True:
                message = json.loads(channel.recv(timeout=60))
                if message["parent_header"].get("msg_id") != sent["header"]["msg_id"]:
                    continue
                if message["msg_type"] == "stream":
                    said += message["content"]["text"]
                if message["msg_type"] == "execute_reply":
                    assert message["content"]["status"] == "ok"
                    break
            while not said:
                message = json.loads(channel.recv(timeout=60))
                if message["msg_type"] == "stream":
                    said += message["content"]["text"]
        assert said == "499500\n"
        assert client.delete(f"/api/kernels/{kernel}").status_code == 204
