"""`meshctl keys`: API keys, made, listed, replaced and revoked. A new key is shown once, on stdout and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from meshctl.cli.changes import TimeoutOption
from meshctl.cli.command import Output, OutputOption, duration, examples
from meshctl.cli.follow import await_live, settle_live
from meshctl.cli.session import Session
from meshctl.errors import DONE, MeshError

if TYPE_CHECKING:
    from meshctl.control.keys import Made
    from meshctl.model.api_key import StoredKey

_STARTS = "this key"
NameArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, such as mk_1f0c3a9e.")]


@examples("""
    meshctl keys create --owner acme
    meshctl keys create --owner acme --scope orders:read --scope orders:write --expires 90d
""")
def create(
    session: Session,
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Whose key it is.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="SCOPE", help="What it may. May be given again.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="How long it holds: 90d (default: for ever).")
    ] = None,
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Make an API key for routes whose `auth` takes one, and show it: this once, for the store has only its digest.

    It holds in every proxy at once."""
    from meshctl import clock
    from meshctl.control import keys as door
    from meshctl.control.who import who

    _check(owner, "--owner")
    for each in scope or ():
        _check(each, "--scope")
        if " " in each:
            raise MeshError("usage", "a scope has no spaces", hint="give --scope again for another one")
    life = duration(f'--expires "{expires}"', expires) if expires is not None else 0.0
    if expires is not None and life <= 0:
        raise MeshError("usage", "--expires 0 would make a key that never holds", hint="leave it out for no end")
    with session.store(create=True) as store:
        end = clock.wall() + life if life else 0.0
        made = door.create(store, owner, tuple(dict.fromkeys(scope or ())), end, who=who())
        if output is Output.TABLE:
            _tell(session, made)
        followers = await_live(session, store, made.revision, timeout, starts=_STARTS)
    if output is Output.JSON:
        session.terminal.document({"key": made.key, **_document(made.stored), "proxies": followers})
    return settle_live(followers)


@examples("""
    meshctl keys ls
    meshctl keys ls --owner acme -o json
""")
def ls(
    session: Session,
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Those of one owner.")] = "",
    output: OutputOption = Output.TABLE,
) -> int:
    """List the API keys by id: nobody can see the keys themselves again."""
    from meshctl import clock
    from meshctl.control import keys as door

    with session.store() as store:
        found = door.listed(store, owner)
    if output is Output.JSON:
        session.terminal.document([_document(each) for each in found])
        return DONE
    now = clock.wall()
    session.terminal.table(
        ["ID", "OWNER", "SCOPES", "STATE", "CREATED", "EXPIRES", "BY"],
        [
            (
                each.id,
                each.owner,
                " ".join(each.scopes),
                door.state(each, now) + (f" by {each.successor}" if each.successor and not each.revoked else ""),
                _date(each.created),
                _date(each.expires) if each.expires else "never",
                each.who,
            )
            for each in found
        ],
        empty="there are no API keys",
    )
    return DONE


@examples("""
    meshctl keys rotate mk_1f0c3a9e
    meshctl keys rotate mk_1f0c3a9e --overlap 24h
""")
def rotate(
    session: Session,
    key: NameArgument,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="DURATION", help="How long the old key still holds.")
    ] = "1h",
    timeout: TimeoutOption = 10.0,
    output: OutputOption = Output.TABLE,
) -> int:
    """Make a key in the place of another one, with the same owner, scopes and life. Both hold for a while, so that
    whoever has the old one can change over."""
    from meshctl.control import keys as door
    from meshctl.control.who import who

    seconds = duration(f'--overlap "{overlap}"', overlap)
    with session.store() as store:
        made, old = door.rotate(store, key, seconds, who=who())
        if output is Output.TABLE:
            _tell(session, made)
            session.terminal.say(f"{old.id} holds until {_date(old.expires)}")
        followers = await_live(session, store, made.revision, timeout, starts=_STARTS)
    if output is Output.JSON:
        document = {"key": made.key, **_document(made.stored), "replaces": _document(old), "proxies": followers}
        session.terminal.document(document)
    return settle_live(followers)


@examples("""
    meshctl keys revoke mk_1f0c3a9e
""")
def revoke(
    session: Session, key: NameArgument, timeout: TimeoutOption = 10.0, output: OutputOption = Output.TABLE
) -> int:
    """Have an API key hold no more, in every proxy at once."""
    from meshctl.control import keys as door
    from meshctl.control.who import who

    with session.store() as store:
        revoked, revision = door.revoke(store, key, who=who())
        if output is Output.TABLE:
            session.terminal.say(f"revoked {revoked.id} of {revoked.owner}")
        followers = await_live(session, store, revision, timeout, starts="without it")
    if output is Output.JSON:
        session.terminal.document({**_document(revoked), "proxies": followers})
    return settle_live(followers)


def _tell(session: Session, made: Made) -> None:
    stored = made.stored
    session.terminal.say("shown this once:")
    session.terminal.pairs([
        ("key", made.key),
        ("id", stored.id),
        ("owner", stored.owner),
        ("scopes", " ".join(stored.scopes)),
        ("expires", _date(stored.expires) if stored.expires else "never"),
    ])  # fmt: skip


def _document(key: StoredKey) -> dict[str, object]:
    from meshctl import clock
    from meshctl.control.keys import state

    return {
        "id": key.id,
        "owner": key.owner,
        "scopes": key.scopes,
        "state": state(key, clock.wall()),
        "created": key.created,
        "expires": key.expires or None,
        "revoked": key.revoked or None,
        "successor": key.successor or None,
        "who": key.who,
    }


def _date(seconds: float) -> str:
    from meshctl import clock

    return clock.timestamp(seconds)[:16].replace("T", " ") + "Z"


def _check(text: str, option: str) -> None:
    if not text or not text.isprintable() or len(text) > 256:
        raise MeshError("usage", f"{option} needs a text of 1 to 256 characters that can be printed")
