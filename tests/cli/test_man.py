"""The manual: a page for each command, as the command line is, that roff has nothing to say of."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from meshctl import resources
from meshctl.cli.app import build
from meshctl.cli.man_pages import pages

ROOT = build()
PAGES = dict(pages(ROOT))
FOLDER = resources.folder("man")

needs_groff = pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")


def rendered(name: str) -> str:
    """A page as people read it, without its styles."""
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tascii", "-P-c", "-P-b", "-P-u", "-rLL=200n", "-"],
        input=PAGES[name],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return " ".join(done.stdout.split())


def test_pages_match_the_commands() -> None:
    """The files are what the tree gives, and there are no others; `python -m meshctl.cli.write_completions` writes
    them."""
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == PAGES


@needs_groff
def test_roff_has_nothing_to_say() -> None:
    """With all its warnings on, groff finds nothing wrong with any page."""
    files = sorted(str(path) for path in FOLDER.glob("*.1"))
    done = subprocess.run(["groff", "-ww", "-z", "-man", "-Tutf8", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_groff
@pytest.mark.parametrize("words", ["meshctl", "meshctl gateway", "meshctl sidecar wrap", "meshctl traffic mirror"])
def test_a_page_says_what_help_says(words: str) -> None:
    """A page that is read has the command's sentences, options, arguments and examples, sign for sign."""
    page = rendered(f"{words.replace(' ', '-')}.1")
    command = ROOT
    for word in words.split()[1:]:
        command = command.commands[word]
    assert f"SYNOPSIS {words} [options]" in page
    assert command.help.split("\n\n")[0].replace("`", "").replace("\n", " ") in page
    for param in command.params:
        for name in param.opts if param.param_type_name == "option" else ():
            assert name in page
    for line in command.epilog.splitlines():
        assert " ".join(line.split()) in page


def test_pages_that_are_named_exist() -> None:
    """Every page that another one names is there."""
    named = {
        re.sub(r"\\", "", name) for text in PAGES.values() for name in re.findall(r"^\.BR (\S+) \(1\)", text, re.M)
    }
    assert len(named) > 40
    assert {f"{name}.1" for name in named} <= PAGES.keys()


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_plain(name: str) -> None:
    """A page is ASCII, and no line of its text begins as a request does by accident."""
    assert PAGES[name].isascii()
    requests = {line.split()[0] for line in PAGES[name].splitlines() if line.startswith((".", "'"))}
    assert requests <= {'.\\"', ".TH", ".SH", ".B", ".BR", ".TP", ".PP", ".EX", ".EE"}
