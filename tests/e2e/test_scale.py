"""Ten thousand routes: the gateway starts with them, answers by each, changes one, and says what they weigh."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest

from .conftest import StartGateway
from .servers import Upstreams

ROUTES = 10_000


def mesh(upstreams: Upstreams, count: int, last: str) -> str:
    """Many routes, exact, by prefix, by host and by method; the last one's answer is `last`."""
    rules = []
    for number in range(count - 1):
        match number % 4:
            case 0:
                rules.append(f'[[routes]]\nname = "r{number}"\npath = "/area{number % 100}/p{number}"\nservice = "s"\n')
            case 1:
                rules.append(f'[[routes]]\nname = "r{number}"\npath = {{ exact = "/x/{number}" }}\nservice = "s"\n')
            case 2:
                rules.append(f'[[routes]]\nname = "r{number}"\nhosts = ["h{number}.example"]\nservice = "s"\n')
            case _:
                rules.append(f'[[routes]]\nname = "r{number}"\npath = "/m{number}"\nmethods = ["GET"]\nservice = "s"\n')
    rules.append(f'[[routes]]\nname = "last"\npath = "/last"\nrespond = {{ body = "{last}" }}\n')
    return (
        'gateway.listen = ["127.0.0.1:0"]\n'
        + "\n".join(rules)
        + f'\n[services.s]\nendpoints = ["{upstreams.address("a")}"]\n'
    )


def expected(number: int) -> dict[str, str]:
    """A request for route `number`: its path and host."""
    paths = (f"/area{number % 100}/p{number}/more", f"/x/{number}", "/anything", f"/m{number}/deep/er")
    return {"path": paths[number % 4], "host": f"h{number}.example" if number % 4 == 2 else "x"}


@pytest.mark.timeout(400)
def test_ten_thousand_routes(
    upstreams: Upstreams, start_gateway: StartGateway, tmp_path: Path, http: httpx.Client
) -> None:
    """A gateway with ten thousand routes starts, sends requests by the right ones and takes a change."""
    file = tmp_path / "mesh.toml"
    file.write_text(mesh(upstreams, 10, "small"))
    gateway = start_gateway("-c", file, listen="")
    assert http.get(f"{gateway.url}/last").text == "small"
    small = gateway.memory()
    gateway.check()

    file.write_text(mesh(upstreams, ROUTES, "first"))
    gateway = start_gateway("-c", file, listen="")
    assert http.get(f"{gateway.url}/last").text == "first"
    large = gateway.memory()
    print(f"{(large - small) / (ROUTES - 10) * 1000 / 1e6:.2f} MB for 1,000 routes, over all processes")
    numbers = random.Random(2).sample(range(ROUTES - 1), 100)
    for number in numbers:
        asked = expected(number)
        assert http.get(f"{gateway.url}{asked['path']}", headers={"host": asked["host"]}).status_code == 200
    assert http.get(f"{gateway.url}/none").status_code == 404
    file.write_text(mesh(upstreams, ROUTES, "second"))
    gateway.apply(file)
    assert http.get(f"{gateway.url}/last").text == "second"
    gateway.check()
    assert [line["route"] for line in gateway.log()] == ["last", *(f"r{number}" for number in numbers), "", "last"]
