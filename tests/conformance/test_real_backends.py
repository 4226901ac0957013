"""Gateway and service agree where a request ends, whatever was made so that they might not and whoever wrote the
service: the gateway's access log tells of the requests that the service saw, and nobody gets another's answer."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .desync import PLAIN, SWALLOWING, corpus
from .real_backends import KINDS, Backend
from .running import Gateway
from .wire import PATIENCE, EndedEarly, Message, Wire

CASES = corpus()
ACCEPTED = {name: case for name, case in CASES.items() if name in PLAIN or name.startswith("odd: ")}
"""The others are refused before any route matters."""
MODES = {"cached": "nginx", "edited": "node", "parts": "aiohttp", "mirrored": "h11"}
"""What routes do beside passing requests on, each before another service."""
TRIALS = [*((kind, "plain") for kind in KINDS), *((kind, mode) for mode, kind in MODES.items())]
ROUTES = {
    "plain": "retry = { attempts = 0 }\n",
    "mirrored": "retry = { attempts = 0 }\n",
    "cached": "cache = true\n",
    "edited": 'request_body = { remove = ["$.secret"] }\nresponse_body = { remove = ["$.secret"] }\n'
    '[routes.compression]\nminimum = "0B"\n',
}
PARTS = 'path = "/{id}"\n[[routes.parts]]\nname = "a"\nservice = "NAME"\npath = "/{path.id}"\n'

_OWN = re.compile(r"/[0-9]{3}(?:-[a-z]+)?")


def config(folder: Path) -> str:
    """For each trial a route to a service on a socket, whose other version gets copies where it is mirrored."""
    rules = ['[gateway]\naccess_log = "access.log"\n']
    for kind, mode in TRIALS:
        name = named(kind, mode)
        route = PARTS if mode == "parts" else f'service = "NAME"\n{ROUTES[mode]}'
        rules.append(f'[[routes]]\nname = "{name}"\nhosts = ["{host(kind, mode)}"]\n{route}'.replace("NAME", name))
        rules.append(f"[services.{name}]\nejection = false\n")
        for version, weight in (("v1", 100), ("v2", 0)):
            rules.append(f"[services.{name}.versions.{version}]\nweight = {weight}\n")
            rules.append(f'endpoints = ["unix:{folder}/{name}-{version}.sock"]\n')
    return "\n".join(rules)


def named(kind: str, mode: str) -> str:
    """The service's name."""
    return f"{kind}-{mode}".replace(".", "-")


def host(kind: str, mode: str) -> str:
    """The route's host, as long as `HOST`."""
    return f"h{TRIALS.index((kind, mode))}.t"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway before all services; each test starts its own."""
    folder = tmp_path_factory.mktemp("real")
    running = Gateway(folder, config(folder))
    yield running
    assert running.end() == 0
    assert running.complaints() == []


class Trial:
    """One service behind the gateway, and the cases that were sent to it."""

    gateway: Any

    def __init__(self, gateway: Gateway, kind: str, mode: str) -> None:
        self.mode = mode
        self.gateway = gateway
        name = named(kind, mode)
        self.host = host(kind, mode)
        self.backend = Backend(kind, gateway.folder, f"{name}-v1")
        self.copies = Backend("http.server", gateway.folder, f"{name}-v2") if mode == "mirrored" else None
        if self.copies is not None:
            gateway.call("traffic", "mirror", name, "--to", "v2", "--percent", "100", "--all-methods")
        self.other = gateway.connect()

    def send(self, number: int, case: bytes, *, is_swallowed: bool) -> str:
        """Send a case and a request behind it; what went wrong, in words."""
        head = b"Host: HOST" + b"\r\nContent-Type: application/json" * (self.mode == "edited")
        raw = case.replace(b"Host: HOST", head, 1).replace(b"HOST", self.host.encode())
        raw = raw.replace(b"/@@@", b"/%03d" % number)
        with self.gateway.connect() as client:
            with suppress(OSError):
                client.send(raw + self._get(f"/{number:03}-last"))
            try:
                answers = [] if is_swallowed else read_answers(client, f"/{number:03}-last", raw.split(b" ")[0])
            except TimeoutError:
                return "nothing more comes"
        foreign = [each for each in map(told, answers) if each and not re.match(rf"\S+ \S*/{number:03}\b", each)]
        if foreign and b"*" not in raw.split(b" ")[1]:
            return f"got what is not its own: {foreign}"
        self.other.send(self._get(f"/{number:03}-after"))
        after = self.other.read_response()
        return "" if told(after).startswith(f"GET /{number:03}-after 0 ") else f"somebody else got {after}"

    def send_all(self, cases: dict[str, bytes]) -> dict[str, str]:
        """Send each case, as `send` does; what went wrong, by case."""
        told = {}
        for number, (name, case) in enumerate(cases.items(), 1):
            if problem := self.send(number, case, is_swallowed=name in SWALLOWING):
                told[name] = problem
        return told

    def counted(self) -> tuple[Counter[Any], Counter[Any]]:
        """What the service understood, and what the gateway says that it has passed on: method, path and length."""
        seen = Counter(self._key(*each[:3]) for each in self.backend.seen())
        return seen, self.passed("access.log")

    def passed(self, log: str) -> Counter[Any]:
        """What a log says that was passed on."""
        lines = [each for each in self._lines(log) if each["path"] != "/__seen"]
        passed = [each for each in lines if each.get("endpoint") and not each.get("reason") and each["status"] == 200]
        return Counter(self._key(each["method"], each["path"], each["bytes_in"]) for each in passed)

    def _key(self, method: str, target: str, length: int) -> tuple[str, str, int]:
        found = _OWN.search(target)
        # What is edited has another length, and parts are asked for with GET and nothing else.
        length = length if self.mode in {"plain", "cached", "mirrored"} else 0
        return "GET" if self.mode == "parts" else method, found[0] if found else target, length

    def _lines(self, name: str) -> list[dict[str, Any]]:
        """The access log, once all of it is there."""
        self.other.send(self._get("/000-end"))
        self.other.read_response()
        log = self.gateway.folder / name
        for _ in range(int(2 * PATIENCE / 0.05)):
            text = log.read_text()
            own = [
                each for each in map(json.loads, text[: text.rfind("\n") + 1].splitlines()) if each["host"] == self.host
            ]
            if own and own[-1]["path"] == "/000-end":
                # Of parts it is there twice.
                return [each for each in own if each["path"] != "/000-end"]
            threading.Event().wait(0.05)
        raise AssertionError("the access log does not come")

    def copied(self) -> Counter[Any]:
        """What those understood who got copies."""
        those = self.copies.seen() if self.copies is not None else []
        return Counter(self._key(*each[:3]) for each in those if each[1] != "/000-end")

    def close(self) -> None:
        """End the service."""
        self.other.close()
        self.backend.close()
        if self.copies is not None:
            self.copies.close()

    def _get(self, target: str) -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()


def read_answers(client: Wire, last: str, method: bytes) -> list[Message]:
    """The final answers on a connection, up to the one to `last` or to the end."""
    found: list[Message] = []
    with suppress(EndedEarly, ConnectionError):
        while not found or f" {last} " not in told(found[-1]):
            head = client.read_head()
            assert head.status != 101
            if head.status < 200:
                continue
            is_head = told(head).startswith("HEAD ") or (not found and method == b"HEAD")
            found.append(head if is_head else client._with_body(head, otherwise="close"))
    return found


def told(answer: Message) -> str:
    """What the service understood that gave this answer; "" where the gateway gave it."""
    if (said := answer.get("x-seen")) is not None:
        return said.decode("latin-1")
    if answer.status == 200 and answer.body.startswith(b'{"a":'):
        return " ".join(map(str, json.loads(answer.body)["a"]["seen"]))
    return ""


@pytest.mark.parametrize(("kind", "mode"), TRIALS, ids=[named(*each) for each in TRIALS])
def test_everybody_agrees_where_a_request_ends(gateway: Gateway, kind: str, mode: str) -> None:
    """Of each case the service understands the requests that the gateway has passed on, one for one; what comes behind
    it is answered as itself or not at all; and the next client gets its own answer."""
    if not Backend.is_there(kind):
        pytest.skip(f"{kind} is not installed")
    trial = Trial(gateway, kind, mode)
    cases = CASES if mode == "plain" else ACCEPTED
    try:
        wrong = trial.send_all(cases)
        seen, passed = trial.counted()
        copied = trial.copied()
    finally:
        trial.close()
    names = dict(enumerate(cases, 1))
    for key in {*(seen - passed), *(passed - seen), *(copied - seen)}:
        number = re.search(r"[0-9]+", key[1])
        said = f"{key}: passed on {passed[key]}, seen {seen[key]}, copied {copied[key]}"
        wrong[names.get(int(number[0]), key[1]) if number else key[1]] = said
    assert wrong == {}
    assert seen.total() > len(cases)
    assert bool(copied) == (mode == "mirrored")
