"""Real clients through the gateway: what they send arrives, what is answered reaches them."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from .gateway import Gateway
from .servers import Upstreams

needs = {name: pytest.mark.skipif(not shutil.which(name), reason=f"{name} is absent") for name in ("ab", "node", "wrk")}


def curl(*arguments: object) -> str:
    """What curl writes to stdout; it must succeed."""
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "100", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight megabytes that are not all alike."""
    file = tmp_path_factory.mktemp("files") / "big"
    file.write_bytes(b"".join(b"%015d\n" % number for number in range(1 << 19)))
    return file


def test_curl_gets(gateway: Gateway) -> None:
    """curl's GET reaches the service with its path and query, and the answer's body comes back."""
    seen = json.loads(curl(f"{gateway.url}/some/path?x=1&y=%20z"))
    assert (seen["method"], seen["target"]) == ("GET", "/some/path?x=1&y=%20z")


def test_curl_posts_a_form(gateway: Gateway) -> None:
    """curl's POST arrives with its body and type."""
    seen = json.loads(curl("-d", "a=1&b=2", f"{gateway.url}/form"))
    assert seen["sha256"] == hashlib.sha256(b"a=1&b=2").hexdigest()
    assert seen["headers"]["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("how", [(), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:"), ("--http1.0",)])
def test_curl_puts_a_big_file(gateway: Gateway, big_file: Path, how: tuple[str, ...]) -> None:
    """A file that curl uploads arrives whole: after 100-continue, in chunks, without asking, and from HTTP/1.0."""
    seen = json.loads(curl("-T", big_file, *how, f"{gateway.url}/upload"))
    assert seen["sha256"] == hashlib.sha256(big_file.read_bytes()).hexdigest()


def test_curl_waits_for_100_continue(gateway: Gateway) -> None:
    """A client that asks before it sends its body gets the interim answer, and then the answer."""
    trace = curl("-v", "-H", "Expect: 100-continue", "--expect100-timeout", 30, "-d", "x" * 2000, f"{gateway.url}/e",
                 "--stderr", "-")  # fmt: skip
    assert "HTTP/1.1 100 Continue" in trace
    assert "HTTP/1.1 200 OK" in trace


def test_curl_heads(gateway: Gateway) -> None:
    """HEAD gets the head that GET would get, its length too, and no body."""
    head = curl("--head", f"{gateway.url}/bytes/1234567")
    assert head.startswith("HTTP/1.1 200 OK")
    assert "content-length: 1234567" in head.lower()


@pytest.mark.parametrize("keep", [True, False])
def test_curl_speaks_http10(gateway: Gateway, keep: bool) -> None:
    """An HTTP/1.0 client gets a whole answer, also one in chunks, and keeps its connection only where it asks to."""
    how = ("-H", "Connection: keep-alive") if keep else ()
    urls = [f"{gateway.url}/bytes/1000", f"{gateway.url}/bytes/1000"]
    sizes = curl(
        "--http1.0", *how, "-w", "%{size_download} %{num_connects}\n", "-o", "/dev/null", "-o", "/dev/null", *urls
    )
    assert sizes.split() == (["1000", "1", "1000", "0"] if keep else ["1000", "1", "1000", "1"])
    assert (
        curl("--http1.0", "-w", "%{size_download}", "-o", "/dev/null", f"{gateway.url}/bytes/70000?chunked") == "70000"
    )


def test_curl_reuses_its_connection(gateway: Gateway) -> None:
    """Requests that follow each other share one connection, errors and bodies between them."""
    urls = [
        f"{gateway.url}/one",
        f"{gateway.url}/bytes/100000",
        f"{gateway.url}/bytes/70000?chunked",
        f"{gateway.url}/two",
    ]
    sinks = [word for _ in urls for word in ("-o", "/dev/null")]
    assert curl("-w", "%{num_connects}", *sinks, *urls) == "1000"


def test_httpx_round_trips(gateway: Gateway, http: httpx.Client) -> None:
    """httpx: methods, headers that repeat, cookies and streamed bodies arrive; the answer carries a request id."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = http.request(method, f"{gateway.url}/x", headers=[("x-many", "1"), ("x-many", "2"), ("cookie", "a=b")])
        seen = answer.json()
        assert (seen["method"], seen["headers"]["x-many"], seen["headers"]["cookie"]) == (method, "1, 2", "a=b")
        assert answer.headers["x-request-id"] == seen["headers"]["x-request-id"]
    answer = http.post(f"{gateway.url}/x", content=(b"%d" % number * 1000 for number in range(100)))
    assert answer.json()["sha256"] == hashlib.sha256(b"".join(b"%d" % each * 1000 for each in range(100))).hexdigest()


def test_aiohttp_round_trips_at_once(gateway: Gateway) -> None:
    """aiohttp's client: two hundred requests at once, each gets the answer to its own."""

    async def ask(session: aiohttp.ClientSession, number: int) -> bool:
        async with session.post(f"{gateway.url}/n/{number}", data=b"%d" % number * number) as answer:
            seen = await answer.json()
            return bool(seen["target"] == f"/n/{number}" and seen["bytes"] == len(b"%d" % number) * number)

    async def main() -> list[bool]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
            return await asyncio.gather(*(ask(session, number) for number in range(200)))

    assert all(asyncio.run(main()))


NODE = """
const url = process.argv[1];
(async () => {
  const seen = [];
  for (let n = 0; n < 20; n++) {
    const answer = await fetch(url + '/node/' + n, {method: 'POST', body: 'x'.repeat(n * 1000)});
    seen.push((await answer.json()).bytes);
  }
  const all = await Promise.all([...Array(20).keys()].map(n => fetch(url + '/bytes/' + n * 10000)));
  const sizes = await Promise.all(all.map(async answer => (await answer.arrayBuffer()).byteLength));
  const streamed = await fetch(url + '/bytes/1000000?chunked');
  let size = 0;
  for await (const piece of streamed.body) size += piece.length;
  console.log(JSON.stringify({seen, sizes, size}));
})();
"""


@needs["node"]
def test_node_fetches(gateway: Gateway) -> None:
    """node's fetch: bodies of all sizes go and come, one after another and at once, and a stream is read to its end."""
    done = subprocess.run(["node", "-e", NODE, gateway.url], check=True, capture_output=True, text=True, timeout=100)
    found = json.loads(done.stdout)
    assert found["seen"] == [number * 1000 for number in range(20)]
    assert found["sizes"] == [number * 10000 for number in range(20)]
    assert found["size"] == 1_000_000


@needs["wrk"]
def test_wrk_meets_no_failure(gateway: Gateway) -> None:
    """wrk with 32 connections gets nothing but answers of 200."""
    command = ["wrk", "-t1", "-c32", "-d2s", "--timeout", "50s", f"{gateway.url}/wrk"]
    report = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout
    assert "requests in" in report
    assert "Socket errors" not in report
    assert "Non-2xx" not in report


@needs["ab"]
@pytest.mark.parametrize("how", [(), ("-k",)], ids=["new", "kept"])
def test_ab_meets_no_failure(gateway: Gateway, how: tuple[str, ...]) -> None:
    """ab, which speaks HTTP/1.0, completes every request, with new connections and with kept ones."""
    command = ["ab", "-q", *how, "-n", "1000", "-c", "16", "-s", "60", f"{gateway.url}/bytes/500"]
    report = dict(
        line.split(":", 1)
        for line in subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout.splitlines()
        if ":" in line
    )
    facts = {name: value.split()[0] for name, value in report.items() if value.split()}
    assert (facts["Complete requests"], facts["Failed requests"]) == ("1000", "0")
    assert facts.get("Keep-Alive requests") == ("1000" if how else None)


def test_server_sent_events_come_one_by_one(start_upstreams: Any, start_gateway: Any, http: httpx.Client) -> None:
    """Each event reaches the client before the server has thought of the next."""
    server: Upstreams = start_upstreams("sse")
    gateway: Gateway = start_gateway("--route", f"/={server.url_of('sse')}")
    seen = []
    with http.stream("GET", f"{gateway.url}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(line.removeprefix("data: "))
                server.control("sse", release=f"event-{len(seen) - 1}")
    assert seen == ["event 0", "event 1", "event 2"]


def test_a_client_that_leaves_cancels_its_request(start_upstreams: Any, start_gateway: Any) -> None:
    """The server's handler is cancelled when the client closes its connection before the answer."""
    from .waiting import until

    server: Upstreams = start_upstreams("s")
    gateway: Gateway = start_gateway("--route", f"/={server.url_of('s')}")
    client = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    client.request("GET", "/held/forever")
    until(lambda: server.control("s")["held"], "the request to arrive")
    client.close()
    until(lambda: server.control("s")["cancelled"] == 1, "the cancellation")
    until(lambda: [line["reason"] for line in gateway.log()] == ["client_gone"], "the log line")
