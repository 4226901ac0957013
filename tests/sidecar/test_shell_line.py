"""Command lines without a shell that stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from meshctl.sidecar.shell_line import exec_last

REPLACED = [
    ("python app.py", "exec python app.py"),
    ("  uvicorn shop:app --port $PORT\n", "exec uvicorn shop:app --port $PORT"),
    ("DEBUG=1 flask run", "exec env DEBUG=1 flask run"),
    ("cd shop && python app.py", "cd shop && exec python app.py"),
    ("cd shop;python app.py", "cd shop; exec python app.py"),
    ("export A=1\npython app.py", "export A=1\nexec python app.py"),
    ("python -c '\nimport os; print(1 & 2)\n'\n", "exec python -c '\nimport os; print(1 & 2)\n'"),
    ('sh -c "a | b; c && d" x', 'exec sh -c "a | b; c && d" x'),
    ("serve >log 2>&1", "exec serve >log 2>&1"),
    ("say it\\'s \\; fine", "exec say it\\'s \\; fine"),
    ('serve "${NAME}" --all', 'exec serve "${NAME}" --all'),
]
KEPT = [
    "",
    "exec python app.py",
    "generate | serve",
    "serve & wait",
    "worker & serve",
    "serve &",
    "(cd shop; serve)",
    "{ cd shop; serve; }",
    "if true; then serve; fi",
    "for each in 1 2; do serve $each; done",
    "while true; do serve; done",
    "f() { serve; }; f",
    "trap 'echo bye' EXIT; serve",
    "case $A in a) serve;; esac",
    "serve $(cat options)",
    "serve `cat options`",
    'serve "$(echo "a; b")"',
    "cat <<END\nserve\nEND",
    "serve # and a comment",
    "cd shop",
    "echo done",
    "2>log serve",
    "serve;",
]


@pytest.mark.parametrize(("line", "expected"), REPLACED)
def test_the_last_command_replaces_the_shell(line: str, expected: str) -> None:
    """A simple command, or one at the end of a list, is what is run in the shell's place."""
    assert expected == exec_last(line)
    assert expected == exec_last(expected)


@pytest.mark.parametrize("line", KEPT)
def test_what_might_mean_something_else_is_left(line: str) -> None:
    """Pipes, groups, jobs, traps and the shell's own commands run as they are written."""
    assert line == exec_last(line)


@pytest.mark.parametrize(
    "line",
    [
        "env",
        "A='1 2' B=$HOME env",
        "export A=1; env | sort",
        "A=1\nexport A\nenv",
        "false && env || sh -c 'echo $A; exit 3'",
        "cd / && sh -c 'pwd; exit 4'",
        "sh -c 'echo out; echo err >&2' 2>&1",
        "true && missing-command",
        "for each in 1 2; do echo $each; done",
        "sh -c 'kill -TERM $$'",
    ],
)
def test_it_means_the_same(line: str, tmp_path: Path) -> None:
    """What a line prints and ends with is the same with and without the shell."""

    def run(text: str) -> tuple[str, int]:
        done = subprocess.run(
            ["sh", "-c", text],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": "/home"},
        )
        lines = sorted(each for each in done.stdout.splitlines() if not each.startswith("_="))
        return "\n".join(lines), done.returncode if done.returncode >= 0 else 128 - done.returncode

    assert run(line) == run(exec_last(line))


def test_the_process_is_the_program() -> None:
    """Of a line that is one command, the process is that command and no shell."""
    script = "import os; print(os.getpid())"
    child = subprocess.Popen(["sh", "-c", exec_last(f"{sys.executable} -c '{script}'")], stdout=subprocess.PIPE)
    said, _ = child.communicate()
    assert child.pid == int(said)
