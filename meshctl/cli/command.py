"""How a function becomes a command: it gets a session and the options that all commands share, so that `--home` and
`--quiet` hold wherever they are written. Knows no command; `app` has the tree of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meshctl.cli.help import HelpfulCommand, HelpfulGroup
from meshctl.cli.render import Terminal, silence_stdout
from meshctl.cli.session import Session
from meshctl.errors import MeshError

Body = Callable[..., int | None]
"""A command: `(session, …) -> exit status`, None being 0. Its docstring is the help text."""

# 128 + SIGPIPE, what a shell reports of a program that wrote into a closed pipe.
BROKEN_PIPE: Final = 141

_CONTEXT: Final = {"help_option_names": ["-h", "--help"]}


class Output(StrEnum):
    """What a reading verb writes to stdout."""

    TABLE = "table"
    JSON = "json"


# What may not be read is told of by those who read it: `readable` would have the library refuse it as a wrong value.
_HOME_HELP: Final = "Where the mesh's state lives (default: $MESHCTL_HOME, else .meshctl beside the nearest mesh.toml)."
HomeOption = Annotated[Path | None, typer.Option("--home", metavar="DIR", readable=False, help=_HOME_HELP)]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but data and errors.")]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", metavar="table|json", help="A table, or one JSON document.")
]
_FILE_HELP: Final = "The configuration (default: the nearest mesh.toml upward)."
FileOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", readable=False, help=_FILE_HELP)]
FileArgument = Annotated[Path | None, typer.Argument(metavar="FILE", readable=False, help=_FILE_HELP)]


def examples(lines: str) -> Callable[[Body], Body]:
    """Give a command the example lines its help ends with."""

    def remember(function: Body) -> Body:
        function.examples = inspect.cleandoc(lines)  # type: ignore[attr-defined]
        return function

    return remember


def takes_a_command(function: Body) -> Body:
    """Leave all that follows the first word that is no option to the command: it has options of its own."""
    function.settings = {"allow_interspersed_args": False}  # type: ignore[attr-defined]
    return function


def duration(said: str, text: str) -> float:
    """The seconds that an option means. Raises MeshError usage, which names it as `said`."""
    from meshctl.model.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise MeshError("usage", f"{said}: {error}") from error


def timeout_option(text: str) -> Any:
    """The option `--timeout`: a duration, or a bare number of seconds."""
    return typer.Option("--timeout", metavar="DURATION", parser=_seconds, help=text)


def _seconds(value: str | float) -> float:
    from meshctl.model.units import parse_duration

    if isinstance(value, float):
        return value
    try:
        return float(value) if value.replace(".", "", 1).isdecimal() else parse_duration(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def new_group(text: str, example: str) -> typer.Typer:
    """An empty group of commands, its help text and what that ends with."""
    return typer.Typer(
        cls=HelpfulGroup,
        help=text,
        epilog=example,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_CONTEXT,
    )


def add_command(app: typer.Typer, name: str, function: Body) -> None:
    """Make `function` the command `name` of `app`."""
    app.command(
        name,
        cls=HelpfulCommand,
        help=inspect.getdoc(function),
        epilog=getattr(function, "examples", None),
        context_settings=_CONTEXT | getattr(function, "settings", {}),
    )(_with_session(function))


def _with_session(function: Body) -> Body:
    def run(context: typer.Context, home: Path | None, quiet: bool, **arguments: Any) -> int | None:
        above = context.find_root().params
        session = Session(home or above.get("home"), Terminal(quiet=quiet or bool(above.get("quiet"))))
        try:
            return function(session, **arguments)
        except BrokenPipeError:
            silence_stdout()
            return BROKEN_PIPE

    run.__name__, run.__doc__, run.__annotations__ = function.__name__, function.__doc__, {}
    # typer reads parameters from the signature: the session stays ours, the shared options are added.
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("context", keyword, annotation=typer.Context),
            *(parameter.replace(kind=keyword) for parameter in own),
            inspect.Parameter("home", keyword, default=None, annotation=HomeOption),
            inspect.Parameter("quiet", keyword, default=False, annotation=QuietOption),
        ]
    )
    return run
