"""As whom a wrapped app takes part in the mesh, where nobody said."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.names import check_label
from meshctl.model.service import Service, Version
from meshctl.sidecar.naming import check_service, proxy_id, service_name, version_name
from meshctl.store.home import Home

MESH = Mesh(
    services=(Service("web", (Version("v1"),)), Service("orders", (Version("v1"), Version("v2"))), Service("db"))
)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python app.py", "app"),
        ("/usr/bin/python3.11 -u src/my_app.py --debug", "my-app"),
        ("python -m http.server 8000", "http"),
        ("./bin/orders --fast", "orders"),
        ("uvicorn shop.web:app", "uvicorn"),
        ("node server.js", "server"),
        ("env A=1 PORT=2 ./Orders.Service", "orders"),
        ("java -jar Orders-1.2.jar", "orders-1-2"),
        ("nohup ./x", "x"),
    ],
)
def test_a_command_names_its_service(command: str, name: str) -> None:
    """The service is called after the command's file, not after what runs it, as a DNS label."""
    assert service_name(shlex.split(command)) == name


@pytest.mark.parametrize(
    "command", ["python", "bash", "npm start", "sh -c 'cd x && ./app'", "./gateway", "", "--", "./_"]
)
def test_a_command_without_a_name(command: str) -> None:
    """Where the command has no name in it, it must be given."""
    with pytest.raises(MeshError, match="does not say what the service is called"):
        service_name(shlex.split(command) or [""])


@given(st.lists(st.text(), min_size=1))
def test_a_name_is_a_label(command: list[str]) -> None:
    """Whatever the command, its name is one that a service may have."""
    try:
        name = service_name(command)
    except MeshError:
        return
    assert check_service(name) == check_label(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("My_App", 'for example "my-app"'), ("", ""), ("a.b", 'for example "a-b"'), ("-x", 'for example "x"'), ("ü", "")],
)
def test_names_that_are_refused(name: str, hint: str) -> None:
    """What is no DNS label is refused with one that is near."""
    with pytest.raises(MeshError, match="is no name for a service: expected a DNS label") as refused:
        check_service(name)
    assert (refused.value.code, refused.value.hint) == ("usage", hint)


@pytest.mark.parametrize(
    ("name", "whose"), [("gateway", "the gateway's own name"), ("egress", "the name of what leaves the mesh")]
)
def test_names_that_are_taken(name: str, whose: str) -> None:
    """No sidecar is the gateway, nor what is outside the mesh."""
    with pytest.raises(MeshError, match=whose):
        check_service(name)


@pytest.mark.parametrize(
    ("given_version", "service", "expected"),
    [
        ("v9", "orders", "v9"),
        (None, "web", "v1"),
        (None, "db", "default"),
        (None, "unknown", "default"),
    ],
)
def test_versions(given_version: str | None, service: str, expected: str) -> None:
    """The version is the one given, else the only one there is, else "default"."""
    assert version_name(given_version, service, MESH) == expected


def test_several_versions_to_choose_from() -> None:
    """Where the service has several versions none is taken silently."""
    with pytest.raises(MeshError, match="has several versions: v1, v2"):
        version_name(None, "orders", MESH)


def test_a_version_that_is_none() -> None:
    """A version is a label as well."""
    with pytest.raises(MeshError, match='"V 1" is no name for a version'):
        version_name("V 1", "orders", MESH)


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    st.integers(0, 2**24 - 1),
)
def test_ids_fit_into_sockets(service: str, version: str, dice: int) -> None:
    """The admin socket of any sidecar has a path that can be bound."""
    name = proxy_id(service, version, dice)
    assert check_label(name) == name
    Home(Path("/home")).socket(f"{name}.sock")
