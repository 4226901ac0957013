"""`meshctl status`: how the whole mesh is, on one page. What is judged stands in `control.glance`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from meshctl.cli.command import Output, OutputOption, examples, timeout_option
from meshctl.cli.proxies import running
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED

if TYPE_CHECKING:
    from meshctl.model.health import Glance


@examples("""
    meshctl status
    meshctl status -o json
    meshctl status --timeout 5s
""")
def status(
    session: Session,
    timeout: Annotated[float, timeout_option("What a proxy gets to answer.")] = 1.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show how the whole mesh is, on one page, each line with the command that tells more.

    Proxies that do not answer or serve an old revision; services whose endpoints are down, open breakers; rollouts,
    live weights, faults and mirrors; calls that were denied in the last five minutes; certificates that have expired
    or soon will. Every proxy is asked at once. fail: something does not work, and the command ends with 1. warn: it
    will not for long, or not for everybody. note: somebody wants it so for now. Ends with 4 where nothing runs."""
    records = running(session)
    from meshctl.control.glance import glance

    with session.store() as store:
        found = glance(store, records, timeout=timeout)
    if output is Output.JSON:
        session.terminal.document(found)
    else:
        _show(session, found)
    return FAILED if found.state == "fail" else DONE


def _show(session: Session, found: Glance) -> None:
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    for line in found.lines:
        name = "" if line.name == line.area else line.name
        sections.setdefault(line.area, []).append((line.state, name, line.detail, line.command))
    session.terminal.sections(list(sections.items()))
    counts = {state: sum(line.state == state for line in found.lines) for state in ("fail", "warn", "note")}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    session.terminal.say(said or "all is well")
