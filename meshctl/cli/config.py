"""`meshctl config`: what is in force and where each value comes from, the schema for editors, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption, await_proxies, settle, show_changes
from meshctl.cli.command import FileOption, Output, OutputOption, examples
from meshctl.cli.render import share
from meshctl.cli.session import Session
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.config.effective import Setting


@examples("""
    meshctl config show
    meshctl config show -c staging/mesh.toml -o json
""")
def show(session: Session, config: FileOption = None, output: OutputOption = Output.TABLE) -> None:
    """Show every setting of a mesh.toml that is in force: its value, and its line in the file or "default".

    Weights that were shifted live are shown beside the file's."""
    from meshctl.config.effective import effective

    settings = _with_live(session, effective(session.load(config)[1]))
    if output is Output.JSON:
        session.terminal.document(settings)
        return
    session.terminal.table(
        ["SETTING", "VALUE", "FROM"],
        [(each.path, _value(each.value) + _live(each), each.origin) for each in settings],
    )


@examples("""
    meshctl config schema > mesh.schema.json
""")
def schema(session: Session) -> None:
    """Print the JSON Schema of mesh.toml, for completion and checks in editors."""
    from meshctl.config.schema import json_schema

    session.terminal.document(json_schema())


@examples("""
    meshctl config history
    meshctl config history -n 3 -o json
""")
def history(
    session: Session,
    limit: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="How many, newest first.")] = 20,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the revisions that can be rolled back to, newest first: when, by whom and from what each was applied."""
    from meshctl import clock
    from meshctl.control import revisions

    with session.store() as store:
        current = revisions.pointer(store)
        found = revisions.history(store, limit)
    number = current.number if current else 0
    if output is Output.JSON:
        session.terminal.document({"current": number, "revisions": found})
        return
    rows = [
        (
            f"{each.number}{' *' if each.number == number else ''}",
            clock.timestamp(each.at),
            each.who,
            _source(each.source),
            each.hash[:12],
        )
        for each in found
    ]
    columns = ["REVISION", "APPLIED", "BY", "FROM", "HASH"]
    session.terminal.table(columns, rows, empty="nothing has been applied yet", spare=("HASH",))


@examples("""
    meshctl config export > mesh.toml
    meshctl config export 3
""")
def export(
    session: Session,
    number: Annotated[
        int | None, typer.Argument(metavar="REVISION", help="The revision to write (default: the current one).")
    ] = None,
) -> None:
    """Write an applied revision as a mesh.toml, with every setting: to have a file back, or what --route asked for."""
    from meshctl.config.render import to_toml
    from meshctl.control import revisions
    from meshctl.observe.quoting import clean_json

    with session.store() as store:
        found = revisions.current(store) if number is None else revisions.revision(store, number)
    if found is None:
        hint = "`meshctl apply` applies a mesh.toml, `meshctl gateway up` starts with one"
        raise MeshError("not_found", "nothing has been applied yet", hint=hint)
    # Strings of TOML are escaped as those of JSON are.
    session.terminal.data(clean_json(to_toml(found.mesh())))


@examples("""
    meshctl config rollback
    meshctl config rollback 3
""")
def rollback(
    session: Session,
    number: Annotated[
        int | None, typer.Argument(metavar="REVISION", help="The revision to go back to (default: the one before).")
    ] = None,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Apply an earlier revision again, as a new one, and wait until every running proxy has taken it."""
    from meshctl.control import apply as door
    from meshctl.control.who import who

    with session.store() as store:
        applied = door.rollback(store, number, who=who())
        show_changes(session, applied.changes, store)
        session.terminal.say(f"revision {applied.number} is {'already current' if applied.unchanged else 'applied'}")
        reports = await_proxies(session, store, applied.number, timeout)
    if output is Output.JSON:
        session.terminal.document({"revision": applied.number, "changes": applied.changes, "proxies": reports})
    return settle(reports)


def _with_live(session: Session, settings: list[Setting]) -> list[Setting]:
    """The settings, those that are weights of versions with what holds in their place."""
    import msgspec

    from meshctl.control.weights import live_weights

    try:
        with session.store() as store:
            found = live_weights(store)
    except MeshError as error:
        # Without a home nothing was ever shifted; looking must not make one.
        if error.code != "not_found":
            raise
        return settings
    shifted = {
        f"services.{service}.versions.{version}.weight": weight
        for service, weights in found.items()
        for version, weight in weights.items()
    }
    return [msgspec.structs.replace(each, live=shifted.get(each.path)) for each in settings]


def _live(setting: Setting) -> str:
    return "" if setting.live is None else f" (live {share(setting.live / 100)}, `meshctl traffic`)"


def _value(value: object) -> str:
    """A setting's value on one line, near to how the file writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _source(source: str) -> str:
    """Where a revision came from; a file below the working directory without the way to there."""
    return source.removeprefix(f"{Path.cwd()}/")
