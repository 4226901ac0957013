"""`meshctl certs rotate`: new keys and certificates in running proxies, and the end of it seen in each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshctl.control.confirming import Standing
    from meshctl.store.protocol import Store

TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait for the proxies (default: 60).")
]


@examples("""
    meshctl certs rotate
    meshctl certs rotate orders web
""")
def rotate(
    session: Session,
    services: Annotated[
        list[str] | None, typer.Argument(metavar="SERVICE…", help="Whose certificates (default: of every service).")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of every service, the gateway included.")] = False,
    timeout: TimeoutOption = 60.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Give running proxies new keys and certificates, without losing a request, and wait until each one has them.

    New connections use the new certificate at once; connections of the old one are drained. Ends with 1 where a proxy
    is still behind when the time is up, and names it; it goes on by itself all the same."""
    from meshctl.control import generations

    names = list(dict.fromkeys(services or ()))
    if every and names:
        raise MeshError("usage", "--all and names of services exclude each other")
    with session.store() as store:
        _check_known(store, names)
        generations.rotate(store, names)
        standing: dict[str, Standing] = {}
        behind = follow(session, store, generations.lacking_generation(store, names), timeout, standing, names)
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


def follow(
    session: Session,
    store: Store,
    lack: Callable[[Standing], str],
    timeout: float,
    seen: dict[str, Standing],
    services: Sequence[str] = (),
) -> dict[str, str]:
    """Wait until no proxy lacks anything, telling of each as it gets there; what is still lacking, by proxy. `seen`
    takes the proxies of these services (all, where none is named) as they were last."""
    from meshctl.control.confirming import await_all

    def tell(standing: Standing, lacking: str) -> None:
        if services and standing.service and standing.service not in services:
            return
        seen[standing.proxy] = standing
        if not lacking and standing.identity is not None:
            serial = standing.identity.serial[:16]
            session.terminal.say(f"  {standing.proxy}  {standing.service}  has certificate {serial}")

    behind = await_all(store, lack, timeout, tell)
    for proxy, lacking in behind.items():
        session.terminal.say(f"  {proxy}  behind: {lacking}")
    return behind


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
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(sorted(known))}"
            raise MeshError("not_found", f'there is no service "{name}"', hint=hint)
