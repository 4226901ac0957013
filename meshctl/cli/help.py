"""What `--help` looks like: usage, what the command does, arguments, options, and always an example at the end.

Written here rather than left to the library so that it stays the same from version to version and loads no renderer."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

_SHARED: Final = ("home", "quiet", "version")
_HELP_ROW: Final = ("-h, --help", "Show this text.")


class HelpfulCommand(TyperCommand):
    """A command whose help ends with its examples."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help text."""
        formatter.write(help_text(self, ctx.command_path))


class HelpfulGroup(TyperGroup):
    """A group whose help lists its commands in the order they were declared."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the whole help text."""
        formatter.write(help_text(self, ctx.command_path))


def help_text(command: Any, path: str) -> str:
    """The help of `command`, reached by typing `path`."""
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    options = [param for param in shown if param.param_type_name == "option"]
    own = [param for param in options if not is_shared(param)]
    shared = [param for param in options if is_shared(param)]
    commands = getattr(command, "commands", {})
    blocks = [
        "Usage: " + " ".join([path, "[options]", *map(usage, arguments), *(["COMMAND …"] if commands else [])]),
        _wrapped(command.help or ""),
        _section("Commands", [(name, first_sentence(sub.help or "")) for name, sub in commands.items()]),
        _section("Arguments", [(param.metavar or param.name.upper(), param.help or "") for param in arguments]),
        _section("Options", [(declaration(param), param.help or "") for param in own]),
        _section(
            "Options of every command", [*((declaration(param), param.help or "") for param in shared), _HELP_ROW]
        ),
        "Examples:\n" + textwrap.indent(command.epilog, "  ") if command.epilog else "",
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def first_sentence(text: str) -> str:
    """The first sentence of a help text, on one line and without its full stop."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")


def is_shared(option: Any) -> bool:
    """Whether every command has the option."""
    return option.name in _SHARED


def usage(argument: Any) -> str:
    """An argument as usage lines have it."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def declaration(option: Any) -> str:
    """An option's spellings, the short one first, and what follows it."""
    names = ", ".join(sorted(option.opts, key=len))
    return f"{names} {option.metavar}" if option.metavar else names


def _wrapped(text: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    return "\n\n".join(textwrap.fill(paragraph, _width(), break_on_hyphens=False) for paragraph in paragraphs)


def _section(title: str, rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    if not rows:
        return ""
    left = min(max(len(name) for name, _ in rows), 30)
    lines = [f"{title}:"]
    for name, text in rows:
        wrapped = textwrap.wrap(" ".join(text.split()), max(_width() - left - 4, 30), break_on_hyphens=False) or [""]
        fits = len(name) <= left
        if not fits:
            lines.append(f"  {name}")
        lines.append(f"  {name if fits else '':<{left}}  {wrapped[0]}".rstrip())
        lines += [" " * (left + 4) + line for line in wrapped[1:]]
    return "\n".join(lines)


def _width() -> int:
    return max(min(shutil.get_terminal_size().columns, 100), 50)
