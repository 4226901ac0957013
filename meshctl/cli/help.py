"""What `--help` looks like: usage, what the command does, arguments, options, and always an example at the end.

Written here rather than left to the library so that it stays the same from version to version and loads no renderer."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

_SHARED: Final = ("home", "quiet", "version")
BARE: Final = "required"
"""The value of an option that may stand without one, and does."""
_HELP_ROW: Final = ("-h, --help", "Show this text.")


class HelpfulCommand(TyperCommand):
    """A command whose help ends with its examples. An option whose metavar is in brackets, as [=auto], may stand
    without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed."""
        bare = {name for param in self.params if may_be_bare(param) for name in param.opts}
        end = next((at for at, word in enumerate(args) if word == "--"), len(args))
        return super().parse_args(ctx, [f"{word}={BARE}" if word in bare else word for word in args[:end]] + args[end:])

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
        _section("Options", [(declaration(param), told(param)) for param in own]),
        _section("Options of every command", [*((declaration(param), told(param)) for param in shared), _HELP_ROW]),
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
    if may_be_bare(option):
        return f"{names}{option.metavar}"
    return f"{names} {option.metavar}" if option.metavar else names


def told(option: Any) -> str:
    """What an option is for, and its default where there is one and the text does not tell it better."""
    text, default = option.help or "", getattr(option.default, "value", option.default)
    if option.required:
        return f"{text.rstrip('.')} (required)."
    if not default or default is True or "(default" in text:
        return str(text)
    if isinstance(default, float):
        default = f"{default:g}{'s' if option.metavar == 'DURATION' else ''}"
    return f"{text.rstrip('.')} (default: {default})."


def may_be_bare(param: Any) -> bool:
    """Whether an option may stand without a value."""
    return (param.metavar or "").startswith("[=")


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
