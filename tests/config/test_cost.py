"""What reading costs: large files in linear time, and nothing heavy for who does not read files."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from meshctl.config.files import Loaded
from tests.config.reading import problems, read

ROUTE = '[[routes]]\npath = "/service/{0}"\nmethods = ["GET", "POST"]\nservice = "s{1}"\nretry = {{ attempts = 2 }}\n'
SERVICE = '[services.s{0}]\nendpoints = ["127.0.0.1:{1}"]\n'
SERVICES = "".join(SERVICE.format(number, 1000 + number) for number in range(100))


def routes(count: int) -> str:
    """A configuration of `count` routes."""
    return "".join(ROUTE.format(number, number % 100) for number in range(count)) + SERVICES


def seconds(action: Callable[[], object]) -> float:
    """The CPU time of the action: others may be busy on this machine. What other tests left is not collected in it."""
    gc.collect()
    gc.disable()
    try:
        before = time.process_time()
        action()
        return time.process_time() - before
    finally:
        gc.enable()


def test_ten_thousand_routes() -> None:
    """Ten thousand good routes are read within a few seconds."""
    text = routes(10_000)
    found: list[Loaded] = []
    assert seconds(lambda: found.append(read(text))) < 10
    assert len(found[0].mesh.routes) == 10_000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("service =", "srevice ="),
        lambda text: text.replace('"s1"', '"s1x"').replace("[services.s", "[services.q"),
        lambda text: text.replace("/service/", "/same?"),
        lambda text: text.replace('path = "', 'path = "/x" #'),
        lambda text: text.replace("attempts = 2", "attempts = 2, attempts = 3"),
    ],
    ids=["unknown keys", "unknown services", "bad paths", "hidden routes", "bad syntax"],
)
def test_problems_cost_no_more_than_linear_time(spoil: Callable[[str], str]) -> None:
    """Ten times the problems take about ten times as long, not a hundred."""
    small, large = spoil(routes(100)), spoil(routes(1000))
    assert problems(small)
    once = min(seconds(lambda: problems(small)) for _ in range(3))
    assert seconds(lambda: problems(large)) < 30 * once + 0.2


def circles(count: int) -> str:
    """Services that all start after each other, and rules that name others."""
    services = "".join(f'[services.s{n}]\nafter = ["s{(n + 1) % count}", "s{n * 7 % count}"]\n' for n in range(count))
    return services + "".join(f'[[allow]]\nfrom = "x{n}"\nto = "s{n}x"\n' for n in range(count))


def test_circles_cost_no_more_than_linear_time() -> None:
    """Ten times the services that start after themselves take about ten times as long to tell, not a hundred."""
    assert len(problems(circles(100))) > 50
    once = min(seconds(lambda: problems(circles(100))) for _ in range(3))
    assert seconds(lambda: problems(circles(1000))) < 30 * once + 0.2


@pytest.mark.parametrize("module", ["adhoc", "diff", "render", "problems", "templates", "naming", "endpoints", "files"])
def test_what_proxies_import_is_light(module: str) -> None:
    """Only the decoder loads pydantic, only positions load tree-sitter, only certificates load cryptography."""
    code = f"import sys, meshctl.config.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"meshctl.config.{module}" in loaded
    assert not {"pydantic", "tree_sitter", "cryptography", "tomli_w"} & set(loaded)
