"""What a wrapped app finds in its environment."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.sidecar.environment import Facts, Upstream, environment, parse_upstream, replaced, same_variables

FACTS = Facts("orders", "v2", "orders-v2-0a1b2c", "/srv/.meshctl", 8123, 9001)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


def test_who_it_is() -> None:
    """The app learns where to listen, and as whom it takes part in which mesh; what it had stays."""
    made = environment({"PATH": "/bin", "PORT": "1"}, FACTS)
    assert made["PATH"] == "/bin"
    assert made["PORT"] == "8123"
    assert {name: made[name] for name in made if name.startswith("MESHCTL_")} == {
        "MESHCTL_SERVICE": "orders",
        "MESHCTL_VERSION": "v2",
        "MESHCTL_SIDECAR": "orders-v2-0a1b2c",
        "MESHCTL_HOME": "/srv/.meshctl",
        "MESHCTL_PROXY": "http://127.0.0.1:9001",
    }


def test_no_secrets_of_proxies() -> None:
    """What gateways prove themselves to others with is not for apps."""
    assert "MESHCTL_REDIS_PASSWORD" not in environment({"MESHCTL_REDIS_PASSWORD": "hunter2"}, FACTS)


def test_the_proxy_in_both_cases() -> None:
    """The proxy is set for HTTP and HTTPS in upper and lower case, and Node is told to take notice."""
    made = environment({"http_proxy": "http://proxy.corp:3128", "ALL_PROXY": "socks5://x"}, FACTS)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        assert made[name] == "http://127.0.0.1:9001"
    assert (made["NODE_USE_ENV_PROXY"], made["ALL_PROXY"]) == ("1", "socks5://x")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": ".corp, 10.0.0.0/8"}, ".corp,10.0.0.0/8,localhost,127.0.0.1,::1"),
        ({"no_proxy": "localhost,a"}, "localhost,a,127.0.0.1,::1"),
        ({"NO_PROXY": "a,b", "no_proxy": "b,c"}, "a,b,c,localhost,127.0.0.1,::1"),
        ({"NO_PROXY": " ,,"}, "localhost,127.0.0.1,::1"),
    ],
)
def test_this_machine_is_never_proxied(before: dict[str, str], expected: str) -> None:
    """What the user had in NO_PROXY, in either case, stays before this machine's own names."""
    made = environment(before, FACTS)
    assert (made["NO_PROXY"], made["no_proxy"]) == (expected, expected)


def test_no_proxy_at_all() -> None:
    """Without a port for it the user's own proxy settings stay as they are."""
    before = {"HTTP_PROXY": "http://proxy.corp:3128", "NO_PROXY": "a"}
    made = environment(before, Facts("orders", "v2", "id", "/home", 8123, 0))
    assert {name: made.get(name) for name in ("HTTP_PROXY", "NO_PROXY", "https_proxy", "MESHCTL_PROXY")} == {
        "HTTP_PROXY": "http://proxy.corp:3128",
        "NO_PROXY": "a",
        "https_proxy": None,
        "MESHCTL_PROXY": None,
    }


def test_upstreams() -> None:
    """An HTTP upstream is told as a URL, a raw one as address, host and port."""
    upstreams = (Upstream("user-db", True, 5001), Upstream("orders", False, 5002), Upstream("2fa", False, 5003))
    made = environment({}, Facts("web", "v1", "id", "/home", 1, 2, upstreams))
    assert made["USER_DB_ADDR"] == "127.0.0.1:5001"
    assert (made["USER_DB_HOST"], made["USER_DB_PORT"]) == ("127.0.0.1", "5001")
    assert made["ORDERS_URL"] == "http://127.0.0.1:5002"
    assert made["_2FA_URL"] == "http://127.0.0.1:5003"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", Upstream("orders")),
        ("orders=9000", Upstream("orders", False, 9000)),
        ("orders:http=9000", Upstream("orders", False, 9000)),
        ("db:tcp", Upstream("db", True)),
        ("db:tcp=5432", Upstream("db", True, 5432)),
    ],
)
def test_an_upstream_as_typed(text: str, expected: Upstream) -> None:
    """An upstream is a service, perhaps raw, perhaps with a port."""
    assert parse_upstream(text) == expected


@pytest.mark.parametrize("text", ["", "Orders", "orders:", "orders:udp", "orders=", "orders=x", "orders=65536", "=1"])
def test_what_is_no_upstream(text: str) -> None:
    """Anything else is refused with what was expected."""
    with pytest.raises(ValueError, match="expected"):
        parse_upstream(text)


def test_entries() -> None:
    """An upstream has an entry of its own, by its kind."""
    assert (Upstream("db", True).entry, Upstream("orders").entry) == ("tcp:db", "upstream:orders")


def test_what_is_replaced() -> None:
    """The user's own proxies that would be replaced are known by name."""
    assert replaced({"http_proxy": "x", "HTTPS_PROXY": "y", "HTTP_PROXY": ""}) == ("HTTPS_PROXY", "http_proxy")


@given(st.lists(NAMES.map(Upstream), unique=True))
def test_variables_are_variables_and_differ(upstreams: list[Upstream]) -> None:
    """Every upstream has variables that a shell can read, and two that would share one are known."""
    made = environment({}, Facts("web", "v1", "id", "/home", 1, 2, tuple(upstreams)))
    urls = [name for name in made if name.endswith("_URL")]
    assert all(re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) for name in urls)
    clash = same_variables(upstreams)
    if clash is None:
        assert len(urls) == len(upstreams)
    else:
        assert len(urls) < len(upstreams)
        assert clash[0] != clash[1]


def test_who_is_intercepted_needs_no_proxy() -> None:
    """An app whose connections are caught is told of no proxy, neither ours nor the user's own; all else stays."""
    before = {"http_proxy": "http://proxy.corp:3128", "ALL_PROXY": "socks5://x", "NO_PROXY": "corp", "PATH": "/bin"}
    made = environment(before, msgspec.structs.replace(FACTS, outbound=0, is_intercepted=True))
    assert {name: made[name] for name in made if not name.startswith("MESHCTL_")} == {
        "NO_PROXY": "corp",
        "PATH": "/bin",
        "PORT": "8123",
    }
    assert replaced(before, is_intercepted=True) == ("ALL_PROXY", "http_proxy")
