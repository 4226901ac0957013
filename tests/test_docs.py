"""The README says the truth: its commands run, its tables are those of the code, its words name what exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.cli.app import TREE, Group
from meshctl.config.schema import json_schema
from meshctl.proxy.handshakes import HANDSHAKE_REASONS
from meshctl.sidecar.ports import choose_port
from meshctl.wire.reasons import CUT, REASONS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
# MESHCTL_GOLDEN=write pytest tests/test_docs.py writes the tables anew.
WRITE = os.environ.get("MESHCTL_GOLDEN") == "write"

COMMAND_ONE = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/meshctl demo"
COMMAND_TWO = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest"


def text() -> str:
    """The README."""
    return README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(), re.MULTILINE | re.DOTALL)


def reasons() -> Iterator[str]:
    """The table of refusals."""
    yield "| Reason | Status | What it means |"
    yield "|---|---|---|"
    for code, (status, title) in REASONS.items():
        yield f"| `{code}` | {status} | {title} |"


def cuts() -> Iterator[str]:
    """The table of broken-off exchanges."""
    yield "| Reason | What happened |"
    yield "|---|---|"
    for code, meaning in CUT.items():
        yield f"| `{code}` | {meaning[:1].upper()}{meaning[1:]} |"


def handshakes() -> Iterator[str]:
    """The table of failed handshakes."""
    yield "| Reason | What happened |"
    yield "|---|---|"
    for code, meaning in HANDSHAKE_REASONS.items():
        yield f"| `{code}` | {meaning[:1].upper()}{meaning[1:]} |"


def reference() -> Iterator[str]:
    """Every key of mesh.toml with its default, out of the schema that editors get."""
    schema = json_schema()
    yield "| Key | Default | |"
    yield "|---|---|---|"
    for key, entry in keys(schema, schema, ""):
        default = "" if entry.get("default") in (None, []) else f"`{shown(entry['default'])}`"
        text = entry.get("description", "")
        words = [f'"{word}"' for word in choices(schema, entry)]
        if len(words) > 1 and not all(word in text for word in words):
            text = f"{text} One of {', '.join(words)}{', or a table' if any(tables(schema, entry)) else ''}."
        yield f"| `{key}` | {default} | {text.replace('|', chr(92) + '|')} |"


def keys(schema: dict[str, Any], table: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys under `table`, each with its part of the schema; tables are followed, wherever they stand."""
    for name, entry in table.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, entry
        seen: list[dict[str, Any]] = []
        for way, below in tables(schema, entry):
            # A table or a list of such tables: the keys are the same.
            if below not in seen:
                seen.append(below)
                yield from keys(schema, below, here + way)


def choices(schema: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    """The words that may stand under a key as they are."""
    yield from (word for word in (*entry.get("enum", ()), entry.get("const")) if isinstance(word, str))
    for branch in entry.get("anyOf", ()):
        yield from choices(schema, branch)
    named = schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else {}
    if "properties" not in named:
        yield from choices(schema, named) if named else ()


def tables(schema: dict[str, Any], entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables that may stand under an entry, and how one writes the way there."""
    if "$ref" in entry:
        yield "", schema["$defs"][entry["$ref"].rpartition("/")[2]]
    for branch in entry.get("anyOf", ()):
        yield from tables(schema, branch)
    for way, below in tables(schema, entry["items"]) if "items" in entry else ():
        yield f"[]{way}", below
    for named in (*entry.get("patternProperties", {}).values(), entry.get("additionalProperties")):
        if isinstance(named, dict):
            yield from ((f".NAME{way}", below) for way, below in tables(schema, named))


def shown(value: object) -> str:
    """A default as the file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize("table", [reasons, cuts, handshakes, reference], ids=lambda table: table.__name__)
def test_tables_are_those_of_the_code(table: Any) -> None:
    """The README's tables of reasons and keys have exactly what the code has."""
    lines = "\n".join(table())
    name = table.__name__
    pattern = re.compile(rf"(<!-- {name}: begin[^>]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    written = pattern.sub(lambda found: f"{found[1]}{lines}\n{found[2]}", text())
    if WRITE:
        README.write_text(written, encoding="utf-8")
    assert pattern.search(text())
    assert written == text()


def test_the_two_commands() -> None:
    """The README's two commands stand in it, each on one line, once."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert lines == [COMMAND_ONE, COMMAND_TWO]
    assert text().count(COMMAND_ONE) == text().count(COMMAND_TWO) == 1


def test_ci_runs_command_two() -> None:
    """.ci/run takes its command out of the README, and finds exactly command two."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r'grep -E "([^"]+)" README\.md', script)
    found = subprocess.run(["grep", "-E", pattern, README], capture_output=True, text=True, check=True)
    assert found.stdout == COMMAND_TWO + "\n"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md"])
def test_every_command_that_is_named_exists(document: str) -> None:
    """No document names a command that is not there."""
    content = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`?meshctl ((?:[a-z][a-z|]*)(?: [a-z][a-z|]*)?)", "\n".join(code(content)))
    assert named
    assert [words for words in named if not exists(words)] == []


def code(content: str) -> list[str]:
    """What of a document is code: blocks, and words between backticks."""
    return [
        *re.findall(r"^```[a-z]*\n(.*?)^```$", content, re.MULTILINE | re.DOTALL),
        *re.findall(r"`([^`\n]+)`", content),
    ]


def exists(words: str) -> bool:
    """Whether `gateway up|status` and the like are commands."""
    first, _, rest = words.partition(" ")
    for name in first.split("|"):
        entry = TREE.get(name)
        if entry is None or (isinstance(entry, Group) and rest and not set(rest.split("|")) <= set(entry.commands)):
            return False
    return True


def test_links_lead_somewhere() -> None:
    """Every relative link of the README leads to a file that is there."""
    links = re.findall(r"\]\(([^)#]+)\)", text())
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


@pytest.fixture
def ports() -> Iterator[list[str]]:
    """Three ports that are free, and that neither other tests nor outgoing connections are given meanwhile."""
    chosen = [choose_port() for _ in range(3)]
    yield [str(each.number) for each in chosen]
    for each in chosen:
        each.release()


# Where the tour goes on to sidecars, in a folder of its own.
SECOND_HALF = "mkdir mesh && cd mesh"


def walk(tour: str, folder: Path, on_error: str) -> subprocess.CompletedProcess[str]:
    """Run the lines of a tour, as a reader would type them; `on_error` cleans up after one that fails."""
    (bin_folder := folder / "bin").mkdir()
    shim = bin_folder / "meshctl"
    run = f'"{sys.executable}" -m meshctl "$@"'
    # On a busy machine a proxy may be too late for these two, which say so and end with 1; a reader asks again.
    again = f'case "$1" in stat|edges) for _ in 1 2 3 4 5 6 7 8; do {run} && exit; done;; esac'
    shim.write_text(f"#!/bin/sh\n{again}\nexec {run}\n")
    subprocess.run(["chmod", "+x", shim], check=True)
    # The services need a moment to listen, which a reader's fingers give them.
    calm = 'curl() { command curl -sS --retry 50 --retry-delay 1 --retry-max-time 60 --retry-connrefused "$@"; }\n'
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    done = subprocess.run(
        # -E: the trap is for functions, too.
        ["bash", "-Eeuxc", f"trap '{on_error}' ERR\n{calm}{tour}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.timeout(600)
def test_the_tour_runs(tmp_path: Path, ports: list[str]) -> None:
    """Every line of the five-minute tour works, in its order, as it stands; only the ports differ, and a timeout that a
    machine of many tests may exceed."""
    tour = "\n".join(blocks("sh")).partition(SECOND_HALF)[0]
    free = dict(zip(("8080", "9001", "9002"), ports, strict=True))
    # All at once: what is chosen may have the digits of another in it.
    tour = re.sub(r"\b(8080|9001|9002)\b", lambda found: free[found[1]], tour)
    assert tour.count('timeout = "2s"') == 1
    tour = tour.replace('timeout = "2s"', 'timeout = "60s"')
    # `--route` alone listens on the default port: the one word that the tour's port stands for.
    tour = tour.replace("--detach\ncurl", f"--listen 127.0.0.1:{port_of(tour)} --detach\ncurl", 1)
    done = walk(tour, tmp_path, "kill $(jobs -p) 2>/dev/null || true; meshctl gateway down -q || true")
    answers = [line for line in done.stdout.splitlines() if line.startswith('{"version"')]
    assert answers[0] == '{"version": "v1", "orders": 2}'
    assert answers[-1] == '{"version": "v2", "orders": 2, "total": "43.50"}'
    assert "revision 3 is applied" in done.stderr
    assert "x-meshctl-reason: no_route" in done.stdout.lower()


@pytest.mark.timeout(600)
def test_the_tour_of_sidecars_runs(tmp_path: Path, ports: list[str]) -> None:
    """The second half of the tour works as it stands, too: one app calls another by name, whom no rule lets in gets the
    rule's name, and certificates are replaced under way."""
    _, start, tour = "\n".join(blocks("sh")).partition(SECOND_HALF)
    port = ports[0]
    tour = tour.replace("8080", port)
    # The template's own port, which the tour does not write.
    tour = tour.replace("--template mesh\n", f"--template mesh\nsed -i.bak s/8080/{port}/ mesh.toml\n")
    done = walk(start + tour, tmp_path, "meshctl down || true")
    assert re.search(r"^web asked orders: 2 orders", done.stdout, re.MULTILINE)
    assert re.search(r"^2 orders", done.stdout, re.MULTILINE)
    assert "x-meshctl-reason: denied:web-reads-orders" in done.stdout.lower()
    assert "ended gateway, web, orders v1, orders v2" in done.stderr


def port_of(tour: str) -> str:
    """The port that the tour's gateway listens on."""
    found = re.search(r'listen = \["127\.0\.0\.1:(\d+)"\]', tour)
    assert found
    return found[1]


def test_every_promise_of_security_has_a_test() -> None:
    """Each promise under "Security" names test files that are there; the section stays short enough to be read."""
    section = text().partition("\n## Security\n")[2].partition("\n## ")[0]
    assert len(section.splitlines()) < 45
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    named = [re.findall(r"`(tests/[a-z0-9_/]+\.py)`", row[-1]) for row in rows]
    assert all(named)
    assert [path for paths in named for path in paths if not (ROOT / path).is_file()] == []
