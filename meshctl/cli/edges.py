"""`meshctl edges`: who calls whom, as whom, and over what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.counted import (
    OUTSIDE,
    By,
    ServicesArgument,
    WindowOption,
    ask,
    check_known,
    document,
    rows_by,
    settle,
    success,
    why,
)
from meshctl.cli.session import Session

if TYPE_CHECKING:
    from meshctl.observe.reading import Row


@examples("""
    meshctl edges
    meshctl edges orders --window 15m
    meshctl edges -o json
""")
def edges(
    session: Session,
    services: ServicesArgument = None,
    window: WindowOption = "1m",
    output: OutputOption = Output.TABLE,
) -> int | None:
    """Show who calls whom: which version, as whom, over mutual TLS or not, how often and with what success.

    Callers are known by their certificates. (unknown) came in the clear, past any proxy that could tell. With services
    only what they call and who calls them. Ends with 1 where a proxy did not answer."""
    from meshctl.observe.reading import MTLS
    from meshctl.pki.identity import spiffe_id

    asked, meshed, seconds = ask(session, window)
    check_known(services, asked, meshed)
    found = [(name, row) for name, row in rows_by(asked, By.EDGE, services or [], meshed) if name[1]]
    domain = _trust_domain(session)

    def identity(name: str, row: Row) -> str:
        return spiffe_id(domain, name) if name and MTLS in row.tls.split("+") else ""

    if output is Output.JSON:
        rows = [
            document(By.EDGE, name, row, None, None)
            | {"tls": row.tls, "from_identity": identity(name[0], row), "identity": identity(name[1], row)}
            for name, row in found
        ]
        session.terminal.document({"window": seconds, "edges": rows, "silent": sorted(asked.silent)})
    else:
        session.terminal.table(
            ["FROM", "TO", "VERSION", "FROM ID", "TO ID", "SECURED", "SUCCESS>", "RPS>", "WHY"],
            [
                (
                    name[0] or OUTSIDE,
                    name[1],
                    name[2],
                    identity(name[0], row),
                    identity(name[1], row),
                    row.tls,
                    success(row),
                    row.rps,
                    why(row),
                )
                for name, row in found
            ],
            empty=f"nobody called anybody in the last {window}",
            spare=("TO ID", "FROM ID"),
        )
    return settle(session, asked)


def _trust_domain(session: Session) -> str:
    from meshctl.control.revisions import current

    with session.store() as store:
        revision = current(store)
        return revision.mesh().trust_domain if revision else ""
