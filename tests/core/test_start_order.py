"""In which order services start and end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.start_order import closure, may_end, may_start, selected, waiting
from meshctl.errors import MeshError
from meshctl.model.service import Service

SHOP = {"web": ("orders", "users"), "orders": ("db",), "users": ("db",), "db": (), "mail": ()}
SERVICES = tuple(Service(name, command="run", after=after) for name, after in SHOP.items())


@st.composite
def orders(draw: st.DrawFn) -> dict[str, list[str]]:
    """Services that are after some of those drawn before, in any order."""
    names = draw(st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=8))
    after = {
        name: draw(st.lists(st.sampled_from(names[:at]), unique=True)) if at else [] for at, name in enumerate(names)
    }
    return dict(draw(st.permutations(list(after.items()))))


@pytest.mark.parametrize(
    ("begun", "ready", "expected"),
    [
        ((), (), ["db", "mail"]),
        (("db", "mail"), ("mail",), []),
        (("db", "mail"), ("db",), ["orders", "users"]),
        (("db", "mail", "orders", "users"), ("db", "orders"), []),
        (("db", "mail", "orders", "users"), ("db", "orders", "users"), ["web"]),
        (SHOP, SHOP, []),
    ],
)
def test_who_may_start(begun: tuple[str, ...], ready: tuple[str, ...], expected: list[str]) -> None:
    """A service starts once, when all that it is after are ready."""
    assert expected == may_start(SHOP, begun, ready)


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (SHOP, ["web", "mail"]),
        (("orders", "users", "db"), ["orders", "users"]),
        (("web", "db"), ["web"]),  # orders has ended by itself: web still is after db
        (("db",), ["db"]),
        ((), []),
    ],
)
def test_who_may_end(running: tuple[str, ...], expected: list[str]) -> None:
    """A service ends when nobody that is after it runs, be it through one that has gone already."""
    assert expected == may_end(SHOP, running)


def test_who_waits_for_whom() -> None:
    """Those that have not begun are named, with those that are not ready."""
    assert list(waiting(SHOP, ("db", "orders"), ("db",))) == [("web", "orders"), ("web", "users")]


@given(orders(), st.data())
def test_all_start_and_end_in_order(after: dict[str, list[str]], data: st.DataObject) -> None:
    """Whatever is after whom, and whoever is ready or ends first, all start in time and all end in reverse."""
    begun: list[str] = []
    ready: list[str] = []
    while len(ready) < len(after):
        for name in may_start(after, begun, ready):
            assert set(after[name]) <= set(ready)
            begun.append(name)
        coming = [name for name in begun if name not in ready]
        assert coming, "nobody can become ready"
        ready.append(data.draw(st.sampled_from(coming)))
    assert may_start(after, begun, ready) == []
    assert list(waiting(after, begun, ready)) == []
    running = set(after) - set(data.draw(st.lists(st.sampled_from(ready)))) if ready else set()
    while running:
        ending = may_end(after, running)
        assert ending, "nobody may end"
        assert not any(name in closure(after, other) for name in ending for other in running - {name})
        running.remove(data.draw(st.sampled_from(ending)))
    assert may_end(after, running) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ["web", "orders", "users", "db", "mail"]),
        (("web",), ["web", "orders", "users", "db"]),
        (("mail", "orders"), ["orders", "db", "mail"]),
    ],
)
def test_who_is_selected(names: tuple[str, ...], expected: list[str]) -> None:
    """Names select services and all they are after; no names select all."""
    assert expected == [service.name for service in selected(SERVICES, names)]


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("order", "not_found", 'did you mean "orders"?'),
        ("xyz", "not_found", "there are cache, db, mail, orders, users, web"),
        ("cache", "usage", "give it one in [services.cache], or wrap it with `meshctl sidecar wrap`"),
    ],
)
def test_who_cannot_be_selected(name: str, code: str, hint: str) -> None:
    """A name that is none, and a service without a command, are refused with what to do."""
    with pytest.raises(MeshError) as caught:
        selected((*SERVICES, Service("cache")), (name,))
    assert (caught.value.code, caught.value.hint) == (code, hint)
