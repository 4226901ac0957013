"""The load: wrk with browser-like headers over prepared paths. It tells how many were answered, and how fast."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEADERS = {
    "Host": "shop.localhost",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.8,de;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://shop.localhost/catalogue?page=3",
    "Cookie": "session=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08; theme=dark; seen=17.23.42.99",
    "Cache-Control": "max-age=0",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}

_MARK = "MESHCTL-BENCH "
# Requests are formatted once; a stride coprime with any count of routes that is a power of ten scatters the order.
_SCRIPT = """
local requests, at = {}, 0
function init(args)
  for path in io.lines(%(paths)s) do
    for visit = 1, visits do
      if visits > 1 then headers["X-Visit"] = path .. visit end
      requests[#requests + 1] = wrk.format(%(method)s, path, headers, body)
    end
  end
end
function request()
  at = (at + 7919) %% #requests
  return requests[at + 1]
end
%(pause)s
function done(summary, latency, all)
  local e = summary.errors
  io.write(string.format(
    %(mark)s .. '{"requests":%%d,"micros":%%d,"bytes":%%d,"bad_status":%%d,"broken":%%d,"p50":%%d,"p99":%%d}\\n',
    summary.requests, summary.duration, summary.bytes, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class LoadFailed(Exception):
    """wrk said nothing we understand, or requests failed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What wrk saw in one round; latencies in milliseconds."""

    requests: int
    seconds: float
    bytes: int
    bad_status: int
    broken: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def megabytes(self) -> float:
        """Megabytes received per second."""
        return self.bytes / self.seconds / 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """A prepared wrk script and how hard to run it."""

    script: Path
    connections: int
    core: int | None

    def run(self, url: str, seconds: float) -> Answered:
        """Drive `url`; raise LoadFailed when a single request did not get its 2xx or 3xx."""
        command = [
            "wrk",
            "-t1",
            f"-c{self.connections}",
            f"-d{seconds:g}s",
            "--timeout",
            "10s",
            "-s",
            str(self.script),
            url,
        ]
        if self.core is not None:
            command = ["taskset", "-c", str(self.core), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        answered = parse(done.stdout + done.stderr)
        if answered.bad_status or answered.broken or not answered.requests:
            raise LoadFailed(
                f"{answered.bad_status} bad answers, {answered.broken} broken, {answered.requests} requests"
            )
        return answered


def prepare(
    folder: Path,
    paths: Sequence[str],
    connections: int,
    core: int | None,
    upload: int = 0,
    visits: int = 1,
    pause: int = 0,
) -> Load:
    """Write the paths and the script for them; with `upload` each request posts that many bytes. With `visits` a path
    is asked for with as many different headers, so that no connection sees the same head twice in a row. With `pause`
    each connection rests that many milliseconds after an answer, give or take a quarter: a load that keeps nothing
    busy, so that latencies are not those of a queue."""
    listing = folder / "paths.txt"
    listing.write_text("".join(f"{path}\n" for path in paths))
    table = "".join(f"  [{json.dumps(name)}] = {json.dumps(value)},\n" for name, value in HEADERS.items())
    body = f"string.rep('x', {upload})" if upload else "nil"
    head = f"local headers = {{\n{table}}}\nlocal body = {body}\nlocal visits = {visits}\n"
    names = {"paths": str(listing), "method": "POST" if upload else "GET", "mark": _MARK}
    rest = f"function delay() return math.random({pause * 3 // 4}, {pause * 5 // 4}) end" if pause else ""
    script = folder / ("paced.lua" if pause else "load.lua")
    script.write_text(head + _SCRIPT % ({key: json.dumps(value) for key, value in names.items()} | {"pause": rest}))
    return Load(script, connections, core)


def parse(text: str) -> Answered:
    """The figures in what wrk printed.

    >>> line = '{"requests":9,"micros":2000000,"bytes":1,"bad_status":0,"broken":0,"p50":1500,"p99":9000}'
    >>> parse("MESHCTL-BENCH " + line).rate
    4.5
    """
    for line in text.splitlines():
        if line.startswith(_MARK):
            found = json.loads(line.removeprefix(_MARK))
            return Answered(
                requests=found["requests"],
                seconds=found["micros"] / 1e6,
                bytes=found["bytes"],
                bad_status=found["bad_status"],
                broken=found["broken"],
                p50=found["p50"] / 1e3,
                p99=found["p99"] / 1e3,
            )
    raise LoadFailed(f"no figures from wrk: {text.strip()[-300:]}")
