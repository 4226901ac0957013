"""A gateway as a process: started by the command people use, ended by its pid, its words kept."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import psutil

from .wire import PATIENCE, Wire, connect

_READY: Final = re.compile(r"ready  (.*?)  \(")
_URL: Final = re.compile(r"https?://127\.0\.0\.1:([0-9]+)")


class Gateway:
    """A running `meshctl gateway up`."""

    def __init__(self, folder: Path, config: str, *options: str) -> None:
        self.folder = folder
        self.file = folder / "mesh.toml"
        self.file.write_text(config, encoding="utf-8")
        self.words: list[str] = []
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
        listen = () if "listen = " in config else ("--listen", "127.0.0.1:0")
        command = self._meshctl("gateway", "up", "-c", str(self.file), *listen, *options)
        self.process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        ready: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(ready,), daemon=True)
        self._reader.start()
        line = ready.get(timeout=90)
        assert line, f"the gateway did not start: {self.words}"
        self.ports = [int(port) for port in _URL.findall(line)]

    def __repr__(self) -> str:
        return f"<Gateway {self.process.pid} on {self.ports}>"

    @property
    def address(self) -> tuple[str, int]:
        """Where its first listener is."""
        return "127.0.0.1", self.ports[0]

    def connect(self, *, source: str = "127.0.0.1", receive: int = 0, listener: int = 0) -> Wire:
        """A client's connection."""
        return connect(("127.0.0.1", self.ports[listener]), source=source, receive=receive)

    def memory(self) -> int:
        """The resident bytes of the gateway and its workers."""
        root = psutil.Process(self.process.pid)
        return sum(each.memory_info().rss for each in (root, *root.children(recursive=True)))

    def lets_go_of(self, port: int) -> bool:
        """Waits until the gateway has no connection to that port of a peer's any more."""
        worker = psutil.Process(self.process.pid).children(recursive=True)[0]
        for _ in range(int(PATIENCE / 0.05)):
            if all(not each.raddr or each.raddr.port != port for each in worker.net_connections("tcp")):
                return True
            threading.Event().wait(0.05)
        return False

    def call(self, *words: str) -> str:
        """What a meshctl command says of this gateway's home."""
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
        done = subprocess.run(
            self._meshctl(*words), cwd=self.folder, env=environ, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self) -> int:
        """Stop it as `kill` does and wait for its end; the exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        try:
            return self.process.wait(timeout=2 * PATIENCE)
        finally:
            self.process.kill()
            self._reader.join(PATIENCE)
            if self.process.stderr:
                self.process.stderr.close()

    def complaints(self) -> list[str]:
        """What it said that speaks of a defect."""
        marks = ("Traceback", "exception", "Error", "never awaited")
        return [line for line in self.words if any(mark in line for mark in marks)]

    def _meshctl(self, *words: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "meshctl", "--home", str(self.folder / "home"), *words]

    def _read(self, ready: queue.Queue[str]) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.words.append(line)
            if found := _READY.search(line):
                ready.put(found[1])
        ready.put("")
