"""`meshctl doctor`: is everything all right, and what to do where it is not. What is looked at is `control.checks`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.command import FileOption, Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from meshctl.control.checks.facts import Facts
    from meshctl.control.checks.finding import Check, Result


# From so many on, checks of a group that say the same are one line.
_MANY: Final = 3
_COLLECTING: Final = 20.0


@examples("""
    meshctl doctor
    meshctl doctor --group certificates --group clock
    meshctl doctor -o json
    meshctl doctor --bundle report.tar.gz
""")
def doctor(
    session: Session,
    config: FileOption = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group", "-g", metavar="GROUP", help="Only these checks, such as store, proxies; may be given again."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write an archive (tar.gz) without secrets for a bug report."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Look whether everything is all right: this machine, the mesh's home and store, certificates, running proxies.

    Each check passes, warns or fails, and says what to do. Ends with 1 where one fails. It changes nothing, and works
    whether or not anything runs."""
    from meshctl.control.checks.running import IMPATIENCE, examine, within

    checks = _chosen(group or ())
    facts = _facts(session, config)
    try:
        results = examine(facts, checks)
        if bundle is not None:
            _write(session, facts, results, bundle)
    finally:
        within(IMPATIENCE, facts.close)
    if output is Output.JSON:
        session.terminal.document(results)
    elif bundle is None:
        session.terminal.sections(_sections(results))
        session.terminal.say(_summary(results))
    return FAILED if any(each.status == "fail" for each in results) else DONE


def _facts(session: Session, config: Path | None) -> Facts:
    import os

    from meshctl.control.checks.facts import Facts
    from meshctl.store.home import which_home

    home = which_home(session.home_option)
    return Facts(home, file=config, folder=Path.cwd(), environ=os.environ, option=session.home_option)


def _chosen(groups: Sequence[str]) -> Sequence[Check]:
    from meshctl.control.checks.table import CHECKS, GROUPS

    for name in groups:
        if name not in GROUPS:
            raise MeshError("usage", f'there is no group "{name}"', hint=f"one of {', '.join(GROUPS)}")
    return [check for check in CHECKS if not groups or check.group in groups]


def _write(session: Session, facts: Facts, results: Sequence[Result], path: Path) -> None:
    """Write the archive, and show what is in it: people should know before they send it to somebody."""
    from meshctl.control.checks.bundle import collect, write
    from meshctl.control.checks.running import within

    parts = within(_COLLECTING, lambda: collect(facts, results))
    if parts is None:
        message = f"the archive could not be put together within {_COLLECTING:g} s"
        raise MeshError("failed", message, hint="send what `meshctl doctor -o json` says instead")
    write(path, parts)
    session.terminal.say(f"wrote {path}; look through it before you send it to anybody:")
    for part in parts:
        session.terminal.say(f"  {part.name}  {len(part.content)} bytes")


def _sections(results: Sequence[Result]) -> list[tuple[str, list[tuple[str, str, str, str]]]]:
    """The results by their groups, as the terminal lists them: what many of a group say alike is one line."""
    sections: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for each in results:
        alike = sections.setdefault(each.group, {})
        alike.setdefault((each.status, each.detail, each.hint), []).append(each.name)
    return [
        (group, [line for said, names in alike.items() for line in _lines(*said, names)])
        for group, alike in sections.items()
    ]


def _lines(status: str, detail: str, hint: str, names: Sequence[str]) -> list[tuple[str, str, str, str]]:
    if len(names) < _MANY:
        return [(status, name, detail, hint) for name in names]
    return [(status, f"{len(names)} checks", f"{detail} ({', '.join(names)})", hint)]


def _summary(results: Sequence[Result]) -> str:
    counts = {status: sum(each.status == status for each in results) for status in ("pass", "warn", "fail")}
    return f"{counts['pass']} pass, {counts['warn']} warn, {counts['fail']} fail"
