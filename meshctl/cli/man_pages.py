"""Pages of the manual, written from the tree of commands: one for each command and each group, as `man` wants them.

A test holds the files under `meshctl/_data/man/` to what this writes. Knows roff as far as man(7) goes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

from meshctl.cli.help import declaration, first_sentence, is_shared, may_be_bare, told, usage

_EXIT: Final = (
    ("0", "Done."),
    ("1", "It failed, or part of it: what and why stands on stderr."),
    ("2", "The command line is wrong."),
    ("3", "The configuration is not valid."),
    ("4", "What was named does not exist, or nothing runs."),
)
_ENVIRONMENT: Final = (
    ("MESHCTL_HOME", "The mesh's home, where `--home` does not say which."),
    ("XDG_STATE_HOME", "Where the home is that belongs to no mesh.toml: its folder `meshctl`."),
    ("NO_COLOR", "Where it is set, nothing is coloured."),
    ("MESHCTL_DEBUG", "Where it is set, an unexpected failure shows where it happened."),
)
_FILES: Final = (
    ("mesh.toml", "The configuration: the nearest one, from the working directory upward."),
    (".meshctl/", "The mesh's home, beside it: the store, keys, sockets and logs."),
)
# Characters that have a name in roff, and some that need none.
_NAMED: Final = {"\\": "\\e", "…": "...", "–": "\\(en", "→": "\\(->", "×": "\\(mu", "µ": "\\(mc", "’": "\\(cq"}


def pages(command: Any, words: tuple[str, ...] = ("meshctl",)) -> Iterator[tuple[str, str]]:
    """The name of each page under `command`, and its text."""
    yield f"{'-'.join(words)}.1", "\n".join([*_page(command, words), ""])
    for name, sub in getattr(command, "commands", {}).items():
        yield from pages(sub, (*words, name))


def _page(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    commands = getattr(command, "commands", {})
    yield '.\\" Written by `python -m meshctl.cli.write_completions`.'
    yield f'.TH {_literal("-".join(words)).upper()} 1 "" meshctl "meshctl manual"'
    yield ".SH NAME"
    yield f"{_literal('-'.join(words))} \\- {_prose(first_sentence(command.help or ''))}"
    yield ".SH SYNOPSIS"
    yield f".B {_literal(' '.join(words))}"
    yield _safe(
        " ".join(["[\\fIoptions\\fR]", *map(_argument, arguments), *(["\\fICOMMAND\\fR ..."] if commands else [])])
    )
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    if commands:
        yield ".SH COMMANDS"
        for name, sub in commands.items():
            yield from (".TP", f".BR {_literal('-'.join((*words, name)))} (1)")
            yield from _paragraphs(first_sentence(sub.help or "") + ".")
    yield from _rows("ARGUMENTS", ((_italic(param), param.help) for param in arguments))
    own = [param for param in options if not is_shared(param)]
    shared = [param for param in options if is_shared(param)]
    yield from _rows("OPTIONS", [*((_option(param), told(param)) for param in (*own, *shared)), _HELP])
    if command.epilog:
        yield from (".SH EXAMPLES", ".EX", *(_safe(_literal(line)) for line in command.epilog.splitlines()), ".EE")
    yield from _end(words, commands)


def _end(words: tuple[str, ...], commands: Iterable[str]) -> Iterator[str]:
    if words == ("meshctl", "sidecar", "wrap"):
        yield from (".SH EXIT STATUS", "That of the app.")
    elif not commands:
        yield from _rows("EXIT STATUS", _EXIT, is_bold=True)
    if len(words) == 1:
        yield from _rows("EXIT STATUS", _EXIT, is_bold=True)
        yield from _rows("ENVIRONMENT", _ENVIRONMENT, is_bold=True)
        yield from _rows("FILES", _FILES, is_bold=True)
    else:
        yield from (".SH SEE ALSO", f".BR {_literal('-'.join(words[:-1]))} (1)")


def _rows(title: str, rows: Iterable[tuple[str, str]], *, is_bold: bool = False) -> Iterator[str]:
    rows = list(rows)
    if rows:
        yield f".SH {title}"
    for name, text in rows:
        yield from (".TP", f".B {_literal(name)}" if is_bold else _safe(name))
        yield from _paragraphs(text)


def _argument(param: Any) -> str:
    return _roff(usage(param)).replace(_roff(_name(param)), _italic(param))


def _italic(param: Any) -> str:
    return f"\\fI{_roff(_name(param))}\\fR"


def _name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _option(param: Any) -> str:
    names, _, value = (
        declaration(param).partition(f" {param.metavar}") if param.metavar else (declaration(param), "", "")
    )
    bold = ", ".join(f"\\fB{_literal(name)}\\fR" for name in names.split(", "))
    if may_be_bare(param):
        return bold
    return f"{bold} \\fI{_roff(param.metavar)}\\fR{value}" if param.metavar else bold


_HELP: Final = ("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show a shorter text than this.")


def _paragraphs(text: str) -> Iterator[str]:
    """Prose, its paragraphs apart."""
    for index, paragraph in enumerate(text.strip().split("\n\n")):
        if index:
            yield ".PP"
        lines = textwrap.wrap(_prose(" ".join(paragraph.split())), 100, break_on_hyphens=False, break_long_words=False)
        yield from map(_safe, lines)


def _prose(text: str) -> str:
    """Words for people: code in bold, a minus sign where one is typed."""
    parts = _roff(text).split("`")
    return "".join(
        f"\\fB{part.replace('-', chr(92) + '-')}\\fR" if index % 2 else re.sub(r"(?<![\w\\])-(-?)(?=\w)", _minus, part)
        for index, part in enumerate(parts)
    )


def _minus(found: re.Match[str]) -> str:
    return "\\-" * len(found[0])


def _literal(text: str) -> str:
    """Words to type: hyphens are minus signs, quotes stay what they are."""
    return _roff(text).replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq").replace("`", "\\(ga")


def _roff(text: str) -> str:
    """The text in ASCII, with nothing in it that roff would take for more than text."""
    return "".join(_NAMED.get(each) or (each if each.isascii() else f"\\[u{ord(each):04X}]") for each in text)


def _safe(line: str) -> str:
    """A line that does not begin as a request does."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
