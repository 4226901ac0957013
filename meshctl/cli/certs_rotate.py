"""`meshctl certs rotate`: new keys and certificates in running proxies, and the end of it seen in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli import certs_root
from meshctl.cli.certs_doors import OfflineOption, PassphraseFileOption, PassphraseOption, passphrase
from meshctl.cli.certs_follow import follow
from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError, nearest

if TYPE_CHECKING:
    from meshctl.control.confirming import Standing
    from meshctl.store.protocol import Store


@examples("""
    meshctl certs rotate
    meshctl certs rotate orders web
    meshctl certs rotate --root
    meshctl certs rotate --root --status
""")
def rotate(
    session: Session,
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="SERVICE…", help="Whose certificates (default: all, the gateway's too)."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of every service and the gateway, as without a name.")] = False,
    root: Annotated[bool, typer.Option("--root", help="Change the whole mesh over to a new root.")] = False,
    status: Annotated[bool, typer.Option("--status", help="With --root: show where a change stands.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="With --root: go on where one was interrupted.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="With --root: go back to the old root.")] = False,
    timeout: TimeoutOption = 60.0,
    passphrase_file: PassphraseFileOption = None,
    ask: PassphraseOption = False,
    offline_root: OfflineOption = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Give running proxies new keys and certificates, without losing a request, and wait until each one has them.

    New connections use the new certificate at once; connections of the old one are drained. Ends with 1 where a proxy
    is still behind when the time is up, and names it; it goes on by itself all the same.

    With --root the mesh gets a new root: both are trusted, then every certificate is issued under the new one, then the
    old one is dropped. Each step waits for every running proxy; where one is behind it stops there, and Ctrl-C does no
    harm at any point."""
    names = list(dict.fromkeys(services or ()))
    verbs = sum((status, resume, abort))
    if root and (names or every):
        raise MeshError("usage", "--root is about the whole mesh: it takes neither --all nor names of services")
    if verbs > 1 or (verbs and not root):
        raise MeshError("usage", "--status, --resume and --abort are about --root, and exclude each other")
    if every and names:
        raise MeshError("usage", "--all and names of services exclude each other")
    if not root:
        return _rotate(session, names, timeout, output)
    if status:
        return certs_root.status(session, output)
    if resume:
        return certs_root.resume(session, timeout, output)
    if abort:
        return certs_root.abort(session, timeout, output)
    secret = passphrase(passphrase_file, ask, again=True)
    return certs_root.begin(session, timeout, output, secret=secret, offline_root=offline_root)


def _rotate(session: Session, names: Sequence[str], timeout: float, output: Output) -> int:
    from meshctl.control import generations

    with session.store() as store:
        _check_known(store, names)
        generations.rotate(store, names)
        lack = generations.lacking_generation(store, names)
        standing: dict[str, Standing] = {}
        behind = follow(session, store, lack, timeout, seen=standing, services=names)
    if output is Output.JSON:
        session.terminal.document(
            [
                {"proxy": each.proxy, "service": each.service, "identity": each.identity, "lacks": behind.get(proxy)}
                for proxy, each in standing.items()
            ]
        )
    if not standing:
        session.terminal.say("no running proxy uses such a certificate; the next one starts with a new one")
    return FAILED if behind else DONE


def _check_known(store: Store, names: Sequence[str]) -> None:
    """Raises MeshError not_found for a service that the mesh has never heard of: nobody would notice a slip."""
    from meshctl.control import issued, revisions
    from meshctl.model.names import GATEWAY

    if not names:
        return
    revision = revisions.current(store)
    known = {each.service for each in issued.issued(store) if each.service} | {GATEWAY}
    known |= {each.name for each in revision.mesh().services} if revision else set()
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"there are: {', '.join(sorted(known))}"
            raise MeshError("not_found", f'there is no service "{name}"', hint=hint)
