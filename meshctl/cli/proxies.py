"""Finding the running proxies of a mesh and asking them all; what the live reading verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl.cli.session import Session
from meshctl.errors import MeshError, none_runs

if TYPE_CHECKING:
    from meshctl.model.views import ProxyRecord

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds; even on a machine that is all busy a healthy proxy needs less."""


def running(session: Session) -> list[ProxyRecord]:
    """The records of the proxies that run in this home. Raises not_running where there is none."""
    from meshctl.control.acks import proxies

    try:
        with session.store() as store:
            found = proxies(store)
    except MeshError as error:
        if error.code != "not_found":
            raise
        found = []
    if not found:
        raise _none_runs(session)
    return found


def gateway_record(session: Session) -> ProxyRecord:
    """The record of the running gateway. Raises not_running."""
    for record in running(session):
        if record.role == "gateway":
            return record
    raise MeshError("not_running", "no gateway runs in this home", hint="start it with `meshctl gateway up`")


def ask_running(session: Session, target: str, kind: type[T]) -> list[tuple[ProxyRecord, T]]:
    """What each running proxy answers to GET `target`; those that did not answer are named on stderr.

    Raises the first one's error where none answered."""
    import msgspec

    from meshctl.control.client import ask_all

    # Somebody waits for just this: it is worth more time than a look at everybody.
    answers = ask_all(running(session), target, timeout=_PATIENCE)
    errors = [answer.error for answer in answers if answer.error]
    if len(errors) == len(answers):
        raise errors[0]
    for error in errors:
        session.terminal.warn(error.message)
    return [(answer.record, msgspec.json.decode(answer.body, type=kind)) for answer in answers if not answer.error]


def with_proxy(rows: Sequence[tuple[ProxyRecord, T]]) -> bool:
    """Whether a table needs a PROXY column: only where several answered."""
    return len(rows) > 1


def _none_runs(session: Session) -> MeshError:
    from meshctl.control.unlisted import unlisted
    from meshctl.store.home import which_home

    try:
        home = session.home()
    except MeshError:  # There is none at all.
        return none_runs(which_home(session.home_option))
    return unlisted(home) or none_runs(home.path)
