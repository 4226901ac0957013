"""Which text is an identity of this mesh, and whose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.model.names import check_label
from meshctl.pki.identity import mesh_names, service_of, spiffe_id, split_id

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
DOMAINS = st.lists(LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) <= 255)


@given(DOMAINS, LABELS)
def test_an_identity_names_its_service(domain: str, service: str) -> None:
    """What `spiffe_id` writes, `service_of` reads, and only in the same trust domain."""
    uri = spiffe_id(domain, service)
    assert service_of(uri, domain) == service
    assert split_id(uri) == (domain, f"/service/{service}")
    with pytest.raises(ValueError, match="trust domain"):
        service_of(uri, f"{domain}.other")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("", "scheme"),
        ("https://shop.mesh/service/orders", "scheme"),
        ("SPIFFE://shop.mesh/service/orders", "scheme"),
        ("spiffe:shop.mesh/service/orders", "scheme"),
        ("spiffe://", "form"),
        ("spiffe:///service/orders", "form"),
        ("spiffe://shop.mesh/service/orders?x=1", "form"),
        ("spiffe://shop.mesh/service/orders#x", "form"),
        ("spiffe://shop.mesh:443/service/orders", "form"),
        ("spiffe://me@shop.mesh/service/orders", "form"),
        ("spiffe://Shop.mesh/service/orders", "form"),
        ("spiffe://shop.mesh/service/%6Frders", "form"),
        ("spiffe://shop.mesh//service/orders", "form"),
        ("spiffe://shop.mesh/service/orders/", "form"),
        ("spiffe://shop.mesh/service/../orders", "form"),
        ("spiffe://shop.mesh/./orders", "form"),
        ("spiffe://shop.mesh/", "form"),
        ("spiffe://shop.mesh/service/orders\n", "form"),
        ("spiffe://shop.mesh/service/" + "o" * 2048, "form"),
        ("spiffe://other.mesh/service/orders", "trust domain"),
        ("spiffe://shop.mesh.evil/service/orders", "trust domain"),
        ("spiffe://shop.mesh", "no path"),
        ("spiffe://shop.mesh/orders", "names no service"),
        ("spiffe://shop.mesh/service", "names no service"),
        ("spiffe://shop.mesh/services/orders", "names no service"),
        ("spiffe://shop.mesh/service/orders/v2", "names no service"),
        ("spiffe://shop.mesh/service/Orders", "names no service"),
        ("spiffe://shop.mesh/service/-orders", "names no service"),
    ],
)
def test_what_is_no_identity(uri: str, reason: str) -> None:
    """Everything but one canonical form is refused, and says why."""
    with pytest.raises(ValueError, match=reason):
        service_of(uri, "shop.mesh")


@given(st.text(max_size=80) | st.text("spiffe:/shop.meorv%?#", max_size=60).map("spiffe://shop.mesh".__add__))
def test_any_text_is_refused_or_canonical(text: str) -> None:
    """Whatever is read as an identity is exactly what would be written for that service."""
    try:
        service = service_of(text, "shop.mesh")
    except ValueError:
        return
    assert spiffe_id("shop.mesh", check_label(service)) == text


@pytest.mark.parametrize(
    ("service", "domain", "expected"),
    [
        ("orders", "shop.mesh", ("orders", "orders.mesh", "orders.shop.mesh")),
        ("orders", "mesh", ("orders", "orders.mesh")),
        ("o" * 63, "d." * 100 + "mesh", ("o" * 63, "o" * 63 + ".mesh")),
    ],
)
def test_mesh_names(service: str, domain: str, expected: tuple[str, ...]) -> None:
    """A service has its label and its names under .mesh and the trust domain, each once, and none that DNS forbids."""
    assert mesh_names(service, domain) == expected
