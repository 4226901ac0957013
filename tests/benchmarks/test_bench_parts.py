"""The parts of the benchmarks that compute: what they make of given text and figures. Nothing here measures time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from . import envoy_mesh
from .case import Case, Member, Mesh, TlsFiles, prefix
from .discovery import KINDS, Discovery
from .goals import GOALS, Goal, judged
from .handshakes import HandshakeRound, HandshakeRow, rate_ratio
from .hop import HopRow, added_ratio
from .hotspots import self_and_inclusive
from .load import HEADERS, Answered, LoadFailed, parse, prepare
from .looking import Looks
from .noise import Disturbance, Mark
from .parts import PARTS
from .peers import PEERS
from .report import outcome_document, outcome_figures
from .report_mesh import discovery_figures, looking_figures, wrap_figures
from .results import Measured, Outcome, Round, ratio, throughput
from .running import Running
from .tree import Memory, members, memory
from .wrap_memory import Wrapped

SAID = """Running 4s test @ http://127.0.0.1:1
  32 connections
MESHCTL-BENCH {"requests":80000,"micros":4000000,"bytes":8000000,"bad_status":0,"broken":2,"p50":1500,"p99":4250}
"""


def _paced(p99: float) -> Answered:
    return Answered(4000, 4.0, 1_000_000, 0, 0, 1.0, p99)


def _round(number: int, cpu_micros: float, requests: int = 4000) -> Round:
    return Round(number, cpu_micros, 1.0, Answered(requests, 4.0, 1_000_000, 0, 0, 1.0, 2.0))


def test_parse_reads_the_line_the_script_prints() -> None:
    """Counts are as printed, microseconds become seconds and milliseconds."""
    answered = parse(SAID)

    assert Answered(80000, 4.0, 8_000_000, 0, 2, 1.5, 4.25) == answered
    assert answered.rate == 20_000
    assert answered.megabytes == 2.0


@pytest.mark.parametrize("said", ["", "unable to connect to 127.0.0.1:1 Connection refused"])
def test_parse_refuses_text_without_figures(said: str) -> None:
    """A wrk that did not finish is an error that quotes it, never a zero."""
    with pytest.raises(LoadFailed, match="no figures") as caught:
        parse(said)
    assert said in str(caught.value)


def test_prepare_writes_every_path_and_header(tmp_path: Path) -> None:
    """The load asks for each path given, with every browser header."""
    prepared = prepare(tmp_path, ["/a/1?x=%20", "/b/2"], 4, None)

    assert (tmp_path / "paths.txt").read_text().splitlines() == ["/a/1?x=%20", "/b/2"]
    script = prepared.script.read_text()
    assert [name for name in HEADERS if json.dumps(name) not in script] == []


def test_ratio_is_the_median_over_common_rounds() -> None:
    """A round that only one of two took part in does not count, and one odd round does not decide."""
    ours = [_round(0, 30), _round(1, 90), _round(2, 33), _round(4, 1000)]
    theirs = [_round(0, 60), _round(1, 60), _round(2, 60), _round(3, 1)]

    assert ratio(ours, theirs) == 0.55
    assert ratio(ours, []) is None


def test_ratio_of_rates_compares_throughput() -> None:
    """Twice the requests in the same time is a ratio of two."""
    assert ratio([_round(0, 1, 8000)], [_round(0, 1, 4000)], throughput) == 2.0


def test_figures_of_a_comparison_are_those_of_meshctl() -> None:
    """Goals are held against meshctl's row; a reference that failed gives no figure."""
    rows = [Measured("nginx", [_round(0, 20)]), Measured("meshctl", [_round(0, 30)]), Measured("envoy", error="absent")]
    outcome = Outcome("tls", "", ("nginx", "envoy"), False, False, rows, Disturbance(0, 0))

    assert outcome_figures(outcome) == {"tls: CPU ÷ nginx": 1.5}


def test_figures_of_an_own_comparison_are_those_of_the_last_variant() -> None:
    """With meshctl alone the second variant is measured by the first."""
    rows = [Measured("1 worker", [_round(0, 20)]), Measured("2 workers", [_round(0, 21)])]
    outcome = Outcome("workers", "", ("1 worker",), False, True, rows, Disturbance(0, 0))

    assert outcome_figures(outcome) == {"workers: CPU ÷ 1 worker": 1.05}


def test_document_is_plain_json() -> None:
    """What -o json prints survives a round trip and holds every round."""
    rows = [Measured("nginx", [_round(0, 20), _round(1, 22)])]
    found = json.loads(json.dumps(outcome_document(Outcome("x", "", ("nginx",), True, False, rows, Disturbance(0, 0)))))

    assert [one["cpu_micros"] for one in found["rows"][0]["rounds"]] == [20, 22]
    assert found["rows"][0]["median"]["cpu_micros"] == 21
    assert found["rows"][0]["ratios"] == {"CPU ÷ nginx": 1.0, "rate ÷ nginx": 1.0}


@pytest.mark.parametrize(
    ("goal", "value", "expected"),
    [
        (Goal("x", 0.6, 0.45), 0.45, "aim"),
        (Goal("x", 0.6, 0.45), 0.46, "limit"),
        (Goal("x", 0.6, 0.45), 0.61, "missed"),
        (Goal("x", 0.7, 1.0, at_least=True), 1.2, "aim"),
        (Goal("x", 0.7, 1.0, at_least=True), 0.7, "limit"),
        (Goal("x", 0.7, 1.0, at_least=True), 0.69, "missed"),
    ],
)
def test_verdict_names_the_best_promise_kept(goal: Goal, value: float, expected: str) -> None:
    """Bounds belong to the promise, in both directions."""
    assert goal.verdict(value) == expected


def test_every_goal_names_a_part_of_a_run() -> None:
    """No goal waits for a scenario that does not exist."""
    assert [goal.figure for goal in GOALS if goal.figure.split(":")[0] not in PARTS] == []
    assert list(judged({})) == []


def test_samples_count_a_recursive_function_once_in_its_total() -> None:
    """Self is the top of the stack; a total never exceeds the samples."""
    own, inclusive = self_and_inclusive("main;a;a 3\nmain;b 1\n")

    assert own == {"a": 3, "b": 1}
    assert inclusive == {"main": 4, "a": 3, "b": 1}


def test_disturbance_is_what_neither_we_nor_idleness_explain() -> None:
    """Two cores for ten seconds, twelve busy of which eight ours: a fifth was foreign, a tenth stolen."""
    before, after = Mark(100, 5, 1000, 50), Mark(112, 7, 1020, 58)

    assert before.until(after) == Disturbance(foreign=0.2, stolen=0.1)


def test_memory_alone_is_never_less_than_the_shared_view() -> None:
    """Sharing files with others makes the proportional size smaller, not the process."""
    found = memory([os.getpid()])

    assert 0 < found.pss <= found.alone


def test_a_wrapped_app_is_not_counted(tmp_path: Path) -> None:
    """What is used by a process that wrote its id where outsiders do, or by its children, is not the contender's."""
    told = tmp_path / "app.pid"
    inner = 'echo $$ >"$0" && { sleep 1000 & wait; }'
    outer = ["sh", "-c", 'sh -c "$1" "$0" & wait', str(told), inner]

    with Running([outer], tmp_path / "output", 0, None, [told]) as running:
        running.until(lambda: told.exists() and bool(told.read_text()), lambda: "nothing was told")
        app = int(told.read_text())
        running.until(lambda: len(members(app)) == 2, lambda: "it has no child")

        assert len(running.pids) == 1
        assert set(running.cpu()) & set(members(app)) == set()


def test_what_a_hop_adds_is_compared_round_by_round() -> None:
    """The app's own latency of the same round is taken off both; a round in which the other added nothing is left
    out."""
    direct = {0: _paced(1.0), 1: _paced(2.0), 2: _paced(1.0)}
    ours = HopRow(Measured("meshctl"), {0: _paced(2.0), 1: _paced(3.5), 2: _paced(9.0)})
    theirs = HopRow(Measured("envoy"), {0: _paced(3.0), 1: _paced(4.0), 2: _paced(1.0)})

    assert added_ratio(ours, theirs, direct) == (0.5 + 0.75) / 2
    assert added_ratio(ours, HopRow(Measured("envoy")), direct) is None


def test_handshakes_are_compared_without_their_requests() -> None:
    """Half the CPU for a handshake is twice the rate, whatever the request beside it costs."""
    ours = HandshakeRow("meshctl", [HandshakeRound(0, 600.0, 100.0), HandshakeRound(1, 9000.0, 0.0)])
    theirs = HandshakeRow("envoy", [HandshakeRound(0, 1300.0, 300.0)])

    assert rate_ratio(ours, theirs) == 2.0
    assert rate_ratio(ours, HandshakeRow("envoy")) is None


def test_memory_of_sidecars_is_that_of_all_their_files() -> None:
    """What other programs happen to share does not make a sidecar smaller; without a reference there is no figure."""
    ours = Wrapped("meshctl", Memory(alone=40, pss=20), Memory(alone=50, pss=30))

    assert wrap_figures([ours, Wrapped("envoy", Memory(alone=80, pss=80))]) == {"wrap-memory: idle ÷ envoy": 0.5}
    assert wrap_figures([ours, Wrapped("envoy", error="absent")]) == {}


def test_the_slowest_registration_of_either_kind_counts() -> None:
    """A service's first endpoint is as much a registration as one more; a withdrawal is none."""
    live = {KINDS[0]: [10.0, 12.0], KINDS[1]: [50.0], KINDS[2]: [70.0]}
    found = Discovery(live, idle=[0.001, 0.004])

    expected = {"discovery: median ms": 12.0, "discovery: worst ms": 50.0, "discovery: idle % of a core": 0.4}
    assert discovery_figures(found) == expected
    assert discovery_figures(Discovery(error="none started")) == {}


def test_a_look_at_the_mesh_takes_its_middle_time() -> None:
    """One odd look does not decide; a command that was never run has no figure."""
    found = Looks({"stat": [100.0, 4000.0, 120.0], "status": []})

    assert looking_figures(found) == {"stat: stat median ms": 120.0}


def test_envoys_of_a_hop_ask_for_each_other(tmp_path: Path) -> None:
    """Each has its own pair and trusts the bundle; the caller takes the callee alone, the callee any member."""
    web, orders = (
        Member(f"spiffe://bench.mesh/service/{name}", *(Path(f"/x/{name}.{end}") for end in ("crt", "key", "bundle")))
        for name in ("web", "orders")
    )

    commands = envoy_mesh.configure(Case(tmp_path, 18001, 18002), Mesh(tmp_path, web, orders))

    callee, caller = ((tmp_path / f"{name}.json").read_text() for name in ("callee", "caller"))
    assert [
        name for name in ("callee.json", "caller.json") if not any(name in " ".join(each) for each in commands)
    ] == []
    assert [
        word for word in ("/x/orders.key", '"prefix": "spiffe://bench.mesh/service/"', "18002") if word not in callee
    ] == []
    assert [word for word in ("/x/web.key", f'"exact": "{orders.identity}"', "18001") if word not in caller] == []
    assert '"require_client_certificate": true' in callee


@pytest.mark.parametrize("peer", [name for name in PEERS if name != "floor"])
@pytest.mark.parametrize("tls", [False, True])
def test_configuration_names_every_route_and_port(peer: str, tls: bool, tmp_path: Path) -> None:
    """Each peer is told all that the case says; nothing lands outside its folder."""
    files = TlsFiles(Path("/x/cert.pem"), Path("/x/key.pem"), Path("/x/bundle.pem"))
    case = Case(tmp_path, 18001, 18002, routes=12, tls=files if tls else None)

    command = PEERS[peer].configure(case)

    text = "".join(path.read_text() for path in tmp_path.iterdir())
    wanted = [*(prefix(number) for number in range(12)), "18001", "18002"]
    assert [word for word in wanted if word not in text] == []
    assert (".pem" in text) is tls
    assert any(str(tmp_path) in word for word in command)
