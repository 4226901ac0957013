"""`meshctl certs trust`: whether this machine's own programs trust the mesh's roots, and making them do so or not."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.certs_doors import trust_domain
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import MeshError

if TYPE_CHECKING:
    from meshctl.pki.trust_stores import TrustedRoot, TrustStore


class Which(StrEnum):
    """Which trust stores are meant."""

    ALL = "all"
    SYSTEM = "system"
    NSS = "nss"


StoreOption = Annotated[
    Which,
    typer.Option("--store", metavar="all|system|nss", help="Which: the system's, or the browsers' own (NSS)."),
]
PrefixOption = Annotated[
    Path | None,
    typer.Option("--prefix", metavar="DIR", help="The system that is built below DIR, such as an image's."),
]


@examples("""
    meshctl certs trust install
    meshctl certs trust install --store nss
    meshctl certs trust install --prefix rootfs/
""")
def install(session: Session, which: StoreOption = Which.ALL, prefix: PrefixOption = None) -> None:
    """Have this machine's programs trust the mesh's roots. One that they trust already is left as it is.

    Where it needs root, the exact command is told: the mesh's home stays closed to other users."""

    def act(store: TrustStore, root: TrustedRoot) -> str:
        if store.has(root):
            return "is there already"
        store.install(root)
        return "is installed"

    _in_each(session, which, prefix, act)


@examples("""
    meshctl certs trust uninstall
""")
def uninstall(session: Session, which: StoreOption = Which.ALL, prefix: PrefixOption = None) -> None:
    """Have this machine's programs trust the mesh's roots no longer, also those that were rotated away."""

    def act(store: TrustStore, root: TrustedRoot) -> str:
        if not store.has(root):
            return "is not there"
        store.uninstall(root)
        return "is removed"

    _in_each(session, which, prefix, act, retired=True)


@examples("""
    meshctl certs trust status
    meshctl certs trust status -o json
""")
def status(
    session: Session, which: StoreOption = Which.ALL, prefix: PrefixOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Show in which trust stores of this machine each root of the mesh is."""
    rows = []
    for store in _stores(which, prefix):
        for root in _roots(session):
            try:
                state = "installed" if store.has(root) else "missing"
            except MeshError as error:
                state = error.message
            rows.append({"store": store.kind, "place": store.place, "root": root.slug, "state": state})
    if output is Output.JSON:
        session.terminal.document(rows)
        return
    columns = ["STORE", "STATE", "ROOT", "PLACE"]
    session.terminal.table(
        columns,
        [(row["store"], row["state"], row["root"], row["place"]) for row in rows],
        empty="no trust store was found on this machine",
    )


def _in_each(
    session: Session,
    which: Which,
    prefix: Path | None,
    act: Callable[[TrustStore, TrustedRoot], str],
    *,
    retired: bool = False,
) -> None:
    """Do something with each root in each store, tell what came of it, and at the end how root can do what is left."""
    from meshctl.pki.trust_stores import NeedsRoot

    found = _stores(which, prefix)
    if not found:
        raise MeshError("not_found", "no trust store was found here", hint="`meshctl certs bundle` prints the roots")
    commands: list[str] = []
    failures: list[MeshError] = []
    for store in found:
        for root in _roots(session, retired=retired):
            try:
                said = act(store, root)
            except NeedsRoot as needed:
                commands.append(needed.command)
                said = "needs root"
            except MeshError as error:
                failures.append(error)
                said = error.message
            if said != "is not there":
                session.terminal.say(f"{root.slug} {said}: {store.place}")
    if prefix is not None:
        session.terminal.say("the system that runs there must still take it up with its own command")
    if commands:
        hint = "run: " + " && ".join(dict.fromkeys(commands))
        raise MeshError("refused", "the system's trust store belongs to root", hint=hint)
    if failures:
        raise failures[0]


def _stores(which: Which, prefix: Path | None) -> list[TrustStore]:
    import sys

    from meshctl.pki.trust_stores import stores

    found = stores(home=Path.home(), platform=sys.platform, prefix=prefix)
    return [store for store in found if which is Which.ALL or store.kind == which.value]


def _roots(session: Session, *, retired: bool = False) -> list[TrustedRoot]:
    """The mesh's roots as trust stores know them; with `retired` also those it has rotated away."""
    from meshctl.control import trust_state
    from meshctl.pki.trust_stores import TrustedRoot

    home = session.home()
    with session.store() as store:
        bundle = trust_state.bundle(store)
        name = trust_domain(session, store)
    if bundle is None:
        raise MeshError("not_found", "this mesh has no authority yet", hint="make it with `meshctl certs init`")
    roots = [*bundle.roots, *(bundle.retired if retired else ())]
    return [
        TrustedRoot(
            slug=f"meshctl-{name}-root-{root.number}-{root.fingerprint[:8]}",
            fingerprint=root.fingerprint,
            pem=root.certificate.encode(),
            file=home.path / "pki" / f"root-{root.number}.crt",
        )
        for root in roots
    ]
