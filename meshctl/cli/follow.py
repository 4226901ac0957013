"""Waiting until every running proxy has followed a change of the store, and telling of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from meshctl.cli.session import Session
from meshctl.errors import DONE, FAILED

if TYPE_CHECKING:
    from meshctl.control.following import Follower
    from meshctl.store.protocol import Store


def await_live(
    session: Session, store: Store, revision: int, timeout: float, *, starts: str = "these weights"
) -> Sequence[Follower]:
    """Wait until a change is live in every proxy, or `timeout` seconds, and tell of each. `starts` is what a proxy that
    comes later begins with."""
    from meshctl.control.following import await_followers

    followers = await_followers(store, revision, timeout)
    for each in followers:
        session.terminal.say(f"  {each.proxy}  {each.status}{f': {each.reason}' if each.reason else ''}")
    if not followers:
        session.terminal.say(f"no proxy is running; the next one starts with {starts}")
    return followers


def settle_live(followers: Iterable[Follower]) -> int:
    """The exit status: failed unless it is live everywhere."""
    return DONE if all(each.status == "live" for each in followers) else FAILED
