"""Nothing secret leaves with a bug report, and what helps to understand it stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.config.render import render
from meshctl.control.checks.redacting import GONE, redacted, redacted_text
from meshctl.model.mesh import Mesh
from meshctl.model.route import HeaderEdits, Match, Respond, Route, ValueMatch
from meshctl.model.service import Endpoint, Service, Version

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization: Basic {SECRET}",
        f'{{"password": "{SECRET}"}}',
        f'{{"api_key":"{SECRET}", "x": 1}}',
        f"DB_PASSWORD={SECRET} python app.py",
        f"python app.py --token {SECRET}",
        f"Set-Cookie: {SECRET}; path=/",
        f"GET /pay?card={SECRET} HTTP/1.1",
        f"https://user:{SECRET}@db.example/x",
        f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\nand cut",
        f"eyJhbGciOi.{SECRET}.c2ln",
        f"key {SECRET}ABCDEF0123456789abcdef01234",
        f"/reset/{SECRET}ABCDEF0123456789abcdef01234/now",
        f"{SECRET}A/Bc+d/{SECRET}e/f0123456789",
    ],
)
def test_secrets_go(text: str) -> None:
    """A secret beside the word for one, in a URL, a query, a token or a key is not in the text any more."""
    assert SECRET not in redacted_text(text)
    assert GONE in redacted_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T08:00:00.000Z error worker_ended worker=4711 why=signal SIGKILL restart_in=0.1s",
        "serial 5e0f27de6db0664c5e0f27de6db0664c5e0f27de",
        "spiffe://shop.mesh/service/orders",
        "/home/alice/Projects2026/shop/.meshctl/logs/gateway.log cannot be written",
        'no endpoint of "orders" can be asked: 127.0.0.1:9001 is unhealthy (connection refused)',
        "http://127.0.0.1:8080/v1/orders",
    ],
)
def test_what_helps_stays(text: str) -> None:
    """Names, addresses, paths, numbers, fingerprints and times are left as they are."""
    assert redacted_text(text) == text


def test_a_configuration_keeps_its_shape() -> None:
    """A configuration without its secrets still says which routes, services, endpoints and header names there are."""
    mesh = Mesh(
        routes=(
            Route(
                "all",
                match=Match(headers=(ValueMatch("x-key", value=SECRET),), cookies=(ValueMatch("c", value=SECRET),)),
                service="s",
                request_headers=HeaderEdits(set=(("authorization", SECRET), ("x-plain", SECRET))),
            ),
            Route("fixed", respond=Respond(body=SECRET)),
        ),
        services=(
            Service("s", (Version("v1", (Endpoint("db", 1),), command=f"env TOKEN={SECRET} run {SECRET}"),),
                    command=f"KEY={SECRET} python {SECRET}"),
        ),
    )  # fmt: skip
    found = redacted(render(mesh))
    assert SECRET not in str(found)
    assert [route["name"] for route in found["routes"]] == ["all", "fixed"]
    assert set(found["routes"][0]["request_headers"]["set"]) == {"authorization", "x-plain"}
    assert found["services"]["s"]["versions"]["v1"]["command"] == f"env {GONE}"
    assert "db:1" in str(found["services"]["s"])


@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda leaf: st.lists(leaf) | st.dictionaries(st.text(), leaf),
        max_leaves=8,
    )
)
def test_any_document(document: object) -> None:
    """Any document can be redacted, and doing it twice changes nothing that matters: names stay."""
    found = redacted(document)
    assert isinstance(found, dict) == isinstance(document, dict)
    if isinstance(document, dict):
        assert list(found) == list(document)


@pytest.mark.parametrize("piece", ["a-", "A1a/", "token", "//a", "?a", "-----BEGIN PRIVATE KEY-----", "eyJ", "bearer "])
def test_hostile_lines_cost_little(piece: str) -> None:
    """A log line that somebody made long on purpose does not keep doctor busy."""
    start = time.process_time()
    redacted_text(piece * (20_000 // len(piece)))
    assert time.process_time() - start < 5
