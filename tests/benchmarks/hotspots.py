"""Where a peer's time goes under load: Python functions (py-spy), libraries (perf), system calls (strace)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence

from . import load
from .case import Case
from .measure import LOAD_CORE, PROXY_CORE, Say, site, start
from .programs import program
from .running import Running
from .scenarios import Contender, Scenario

_TOP = 25
_SECONDS = 6


def hotspots(scenario: Scenario, peer: str, say: Say) -> str:
    """Three reports of one peer, each with a stretch of the scenario's load of its own; an absent tool says so."""
    contender = scenario.own[-1] if scenario.own else Contender(peer, peer, scenario.routes, tls=scenario.tls)
    paths = contender.paths(scenario.suffix)
    with site(LOAD_CORE) as (folder, server):
        running, case = start(contender, folder, server.port, PROXY_CORE, paths[-1])
        with running:
            prepared = load.prepare(
                case.folder, paths, scenario.connections, LOAD_CORE, scenario.upload, scenario.visits
            )
            prepared.run(case.url, 2)
            worker = _busiest(running, prepared, case)
            reports = []
            for title, tool in (("functions", _functions), ("libraries", _libraries), ("system calls", _system_calls)):
                say(f"hotspots: {title}")
                reports.append(f"{title}\n{tool(worker, prepared, case)}")
    return "\n\n".join(reports)


def _busiest(running: Running, prepared: load.Load, case: Case) -> int:
    before = running.cpu()
    prepared.run(case.url, 1)
    after = running.cpu()
    return max(after, key=lambda pid: after[pid] - before.get(pid, 0.0))


def _functions(pid: int, prepared: load.Load, case: Case) -> str:
    found = program("py-spy")
    if found is None:
        return "  py-spy is not on this machine"
    stacks = case.folder / "stacks.raw"
    rate = ["-d", str(_SECONDS), "-r", "400"]
    # -n sees C extensions too; -F counts by function, not by line.
    command = [found, "record", *rate, "-n", "-F", "-f", "raw", "-o", str(stacks), "--pid", str(pid)]
    _beside(command, prepared, case)
    own, inclusive = self_and_inclusive(stacks.read_text()) if stacks.exists() else (Counter[str](), Counter[str]())
    if not own:
        return "  py-spy saw no Python"
    total = sum(own.values())
    lines = [f"  {own[name] / total:6.1%} {inclusive[name] / total:6.1%}  {name}" for name, _ in own.most_common(_TOP)]
    return "\n".join(["    self  total", *lines])


def self_and_inclusive(stacks: str) -> tuple[Counter[str], Counter[str]]:
    """Samples by function from `a;b;c 12` lines: where it was on top, and where it was anywhere.

    >>> self_and_inclusive("a;b;a 2")
    (Counter({'a': 2}), Counter({'a': 2, 'b': 2}))
    """
    own, inclusive = Counter[str](), Counter[str]()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        names = re.sub(r":\d+\)", ")", frames).split(";")
        own[names[-1]] += int(count)
        for name in dict.fromkeys(names):
            inclusive[name] += int(count)
    return own, inclusive


def _libraries(pid: int, prepared: load.Load, case: Case) -> str:
    if shutil.which("perf") is None:
        return "  perf is not on this machine"
    data = case.folder / "perf.data"
    _beside(
        ["perf", "record", "-q", "-F", "997", "-o", str(data), "-p", str(pid), "--", "sleep", str(_SECONDS)],
        prepared,
        case,
    )
    report = ["perf", "report", "-i", str(data), "--stdio", "--no-children", "-g", "none", "-s", "dso"]
    said = subprocess.run(report, capture_output=True, text=True, check=False).stdout
    return "\n".join(line for line in said.splitlines() if re.match(r"\s+\d", line)) or "  perf recorded nothing"


def _system_calls(pid: int, prepared: load.Load, case: Case) -> str:
    if shutil.which("strace") is None:
        return "  strace is not on this machine"
    summary = case.folder / "strace.txt"
    answered = _beside(["strace", "-f", "-c", "-S", "calls", "-o", str(summary), "-p", str(pid)], prepared, case)
    lines = summary.read_text().splitlines() if summary.exists() else []
    calls = [line.split() for line in lines if re.match(r"\s*\d+\.\d+ .* \d+ ", line)]
    shown = [f"  {int(words[3]) / answered.requests:6.2f} per request  {words[-1]}" for words in calls]
    return "\n".join(line for line in shown if not line.startswith("    0.00")) or "  strace saw nothing"


def _beside(command: Sequence[str], prepared: load.Load, case: Case) -> load.Answered:
    """Run a tool while the load runs, and end it with an interrupt, at which it writes what it saw."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tool:
        try:
            return prepared.run(case.url, _SECONDS)
        finally:
            _end(tool)


def _end(tool: subprocess.Popen[bytes]) -> None:
    try:
        tool.wait(3)
    except subprocess.TimeoutExpired:
        tool.send_signal(2)
        try:
            tool.wait(10)
        except subprocess.TimeoutExpired:
            tool.kill()
