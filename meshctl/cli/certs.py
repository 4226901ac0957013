"""`meshctl certs init`, `issue`, `bundle` and `revoke`: the mesh's own authority, and what it gives and takes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshctl.cli.certs_doors import (
    OfflineOption,
    PassphraseFileOption,
    PassphraseOption,
    authority,
    intermediate,
    passphrase,
    trust_domain,
    write_new,
)
from meshctl.cli.command import Output, OutputOption, examples
from meshctl.cli.lifetimes import span
from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED, MeshError, because

if TYPE_CHECKING:
    from meshctl.control.order import Credentials
    from meshctl.store.protocol import Store

LONGEST_DAYS: Final = 365
# What programs that import .p12 files expect where nobody chose one; the file itself is 0600.
_P12_PASSPHRASE: Final = b"changeit"
_SECONDS: Final = 5.0


@examples("""
    meshctl certs init
    meshctl certs init --passphrase-file ~/root.pass
    meshctl certs init --offline-root /media/stick
""")
def init(
    session: Session,
    passphrase_file: PassphraseFileOption = None,
    ask: PassphraseOption = False,
    offline_root: OfflineOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make the mesh's certificate authority, or bring an existing one in order.

    Nobody needs to run it: the first proxy that needs an identity makes the authority. With a passphrase the root's key
    is encrypted, with --offline-root it is moved out of the home; both work at any time. The key is needed again once a
    year, to renew the intermediate: run the same command then."""
    from meshctl.control import trust_state

    secret = passphrase(passphrase_file, ask, again=True)
    with authority(session, passphrase=secret, offline=offline_root) as (found, store):
        is_new = trust_state.bundle(store) is None
        bundle = found.ensure(trust_domain(session, store))
        is_moved = not is_new and found.protect_root()
    root = bundle.issuing
    key = found.files.root_key(root.number)
    paths = str(found.files.root_certificate(root.number)), str(key) if key.exists() else None
    intermediate(session, root.number)
    if output is Output.JSON:
        document = {"made": is_new, "certificate": paths[0], "key": paths[1]}
        session.terminal.document(document | {"fingerprint": root.fingerprint, "not_after": root.not_after})
        return
    what = "made" if is_new else "protected the key of" if is_moved else "found"
    session.terminal.say(f"{what} the authority of this mesh; next: meshctl certs trust install")
    session.terminal.pairs(
        [("root", paths[0]), ("key", paths[1] or "not in this home"), ("fingerprint", root.fingerprint)]
    )


@examples("""
    meshctl certs issue localhost
    meshctl certs issue api.example.test '*.api.example.test' 10.0.0.5 --days 30 --out certs/
    meshctl certs issue laptop --client --p12
""")
def issue(
    session: Session,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help='Host names, "*.host" and addresses; the first is its name.')
    ],
    dns: Annotated[
        list[str] | None, typer.Option("--dns", metavar="HOST", help="Another host name; may be repeated.")
    ] = None,
    ip: Annotated[
        list[str] | None, typer.Option("--ip", metavar="ADDRESS", help="Another address; may be repeated.")
    ] = None,
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=LONGEST_DAYS, help="How long it lives (default: 90).")
    ] = 90,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write it (default: here).")] = Path(),
    client: Annotated[bool, typer.Option("--client", help="Make it good for a client too.")] = False,
    p12: Annotated[bool, typer.Option("--p12", help="Write a PKCS #12 file as well.")] = False,
    p12_passphrase_file: Annotated[
        Path | None,
        typer.Option("--p12-passphrase-file", metavar="FILE", help='Its passphrase (default: "changeit").'),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Issue a certificate for a server of your own, signed by the mesh's authority.

    It is not renewed by itself: `certs ls` shows how long it still lives. Services in the mesh need none of this, their
    sidecars care for themselves."""
    from meshctl.control.order import Order
    from meshctl.pki.authority import DAY

    hosts = tuple(dict.fromkeys([*names, *(dns or ()), *_addresses(ip or ())]))
    stem = names[0].replace("*", "_wildcard").replace(":", "_").replace("/", "_")
    secret = passphrase(p12_passphrase_file, ask=False, again=False) or _P12_PASSPHRASE
    paths = {kind: out / f"{stem}.{kind}" for kind in ("crt", "key", *(("p12",) if p12 else ()))}
    if not force and (there := next((path for path in paths.values() if path.exists()), None)):
        raise MeshError("failed", f'"{there}" is already there', hint="--force replaces it, --out names another folder")
    _make(out)
    with authority(session) as (found, store):
        order = Order("server", trust_domain(session, store), hosts=hosts, life=days * DAY, is_client=client)
        made = found.issue(order)
    _write(paths, made, names[0], secret, force=force)
    if output is Output.JSON:
        document = {"serial": made.serial, "hosts": hosts, "not_after": made.not_after}
        session.terminal.document(document | {"files": {kind: str(path) for kind, path in paths.items()}})
        return
    _tell(session, made, hosts, [str(path) for path in paths.values()], days)
    if p12 and secret == _P12_PASSPHRASE:
        session.terminal.say(f'the passphrase of {paths["p12"]} is "{_P12_PASSPHRASE.decode()}"')


@examples("""
    meshctl certs bundle > mesh-roots.pem
    meshctl certs bundle --out mesh-roots.pem
""")
def bundle(
    session: Session,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there (default: stdout).")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the roots that the mesh trusts, as PEM, for clients outside of it."""
    from meshctl.control import trust_state

    with session.store() as store:
        found = trust_state.bundle(store)
    if found is None:
        raise MeshError("not_found", "this mesh has no authority yet", hint="make it with `meshctl certs init`")
    if output is Output.JSON:
        session.terminal.document({"issuing": found.issuing.fingerprint, "roots": found.roots})
    elif out is None:
        session.terminal.data(found.pem.decode())
    else:
        write_new(out, found.pem, mode=0o644, force=True)
        session.terminal.say(f"wrote {out}: {len(found.roots)} root{'' if len(found.roots) == 1 else 's'}")


@examples("""
    meshctl certs revoke orders
    meshctl certs revoke 5e0f27de6db0664c
""")
def revoke(
    session: Session,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help="Serials, or names of services, servers or identities.")
    ],
    output: OutputOption = Output.TABLE,
) -> int:
    """Have every proxy of the mesh refuse certificates from now on, and close connections made with them.

    A service whose own certificate is revoked gets a new one within a second; to lose no request meanwhile, rotate it
    first and revoke the old one by its serial. Programs outside the mesh do not learn of it."""
    from meshctl import clock
    from meshctl.control import issued
    from meshctl.control.who import who

    with session.store() as store:
        wanted = [each for name in names for each in issued.find(store, name)]
        before = issued.revoked(store)
        issued.revoke(store, wanted, at=clock.wall(), who=who())
        behind = _behind(session, store)
    if output is Output.JSON:
        serials = sorted({each.serial for each in wanted})
        session.terminal.document({"revoked": serials, "behind": behind})
    else:
        for each in {each.serial: each for each in wanted}.values():
            state = "was revoked already" if each.serial in before else "is revoked"
            session.terminal.say(f"{each.subject} ({each.kind}) {each.serial} {state}")
    return FAILED if behind else DONE


def _addresses(texts: list[str] | tuple[str, ...]) -> list[str]:
    from ipaddress import ip_address

    try:
        return [str(ip_address(text)) for text in texts]
    except ValueError as error:
        raise MeshError("usage", f"--ip: {error}") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = because(error)
        raise MeshError("failed", f'"{folder}" cannot be made: {why}') from error


def _write(paths: dict[str, Path], made: Credentials, name: str, secret: bytes, *, force: bool) -> None:
    write_new(paths["key"], made.key, mode=0o600, force=force)
    write_new(paths["crt"], made.certificate, mode=0o644, force=force)
    if "p12" in paths:
        from meshctl.pki import pem

        write_new(paths["p12"], pem.write_p12(made.certificate, made.key, name, secret), mode=0o600, force=force)


def _tell(session: Session, made: Credentials, hosts: tuple[str, ...], paths: list[str], days: int) -> None:
    from meshctl import clock

    life = made.not_after - clock.wall()
    session.terminal.say(f"issued {made.serial} for {', '.join(hosts)}, for {span(life + 60)}")
    if life < days * 86400 - 3600:
        session.terminal.warn("it ends with the intermediate that signed it, earlier than asked")
    session.terminal.data("\n".join(paths))


def _behind(session: Session, store: Store) -> list[str]:
    """The proxies that do not refuse yet what the store says, after waiting a while; each is told."""
    from meshctl.control.following import await_followers

    behind = [each for each in await_followers(store, store.revision(), _SECONDS) if each.status != "live"]
    for each in behind:
        session.terminal.warn(f"{each.proxy}: {each.reason}")
    return [each.proxy for each in behind]
