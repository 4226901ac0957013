"""`meshctl certs verify`: whether a certificate holds in this mesh, and exactly what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meshctl.cli.certs_doors import read_file, trust_domain
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError


@examples("""
    meshctl certs verify localhost.crt --for localhost
    meshctl certs verify chain.pem -o json
""")
def verify(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PEM: the certificate, then what its chain needs.")],
    host: Annotated[
        str, typer.Option("--for", metavar="HOST", help="The host name or address it should be good for.")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> int:
    """Check a certificate against the roots of the mesh: chain, time, revocation, identity, host.

    Ends with 1 where anything does not hold, and says what."""
    from meshctl import clock
    from meshctl.control import issued, trust_state
    from meshctl.pki import pem
    from meshctl.pki.chain import examine

    chain = read_file(file)
    with session.store() as store:
        bundle = trust_state.bundle(store)
        if bundle is None:
            raise MeshError("not_found", "this mesh has no authority yet", hint="make it with `meshctl certs init`")
        checks = examine(
            chain,
            pem.read_certificates(bundle.pem),
            trust_domain=trust_domain(session, store),
            now=clock.wall(),
            revoked=issued.revoked(store),
            host=host,
        )
    holds = all(check.holds for check in checks)
    if output is Output.JSON:
        session.terminal.document({"file": str(file), "holds": holds, "checks": checks})
    else:
        rows = [(check.name, "holds" if check.holds else "fails", check.detail) for check in checks]
        session.terminal.table(["CHECK", "RESULT", "DETAIL"], rows)
    return DONE if holds else FAILED
