"""Which certificates prove membership, and the reason of every refusal, over real certificates."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from meshctl.pki.peer import Reason, Verdict, judge, serial_text

from .certificates import BOTH, DOMAIN, NOW, ORDERS, USAGES, leaf

GOOD = leaf(ORDERS, dns=("orders", "orders.mesh"))


def verdict(der: bytes, *, now: float = NOW, revoked: frozenset[str] = frozenset()) -> Verdict:
    """What is said of `der` in the mesh of these tests."""
    return judge(der, trust_domain=DOMAIN, now=now, revoked=revoked)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dns": ("orders", "orders.mesh")},
        # X509-SVID §4.3, §4.4: these are allowed beside what is asked for, or may be left out.
        {"usage": ("digital_signature", "key_encipherment", "key_agreement")},
        {"extended": None},
        {"extended": (*BOTH, ExtendedKeyUsageOID.EMAIL_PROTECTION)},
        {"ca": None},
    ],
)
def test_members_are_accepted(options: dict[str, Any]) -> None:
    """A workload's certificate says which service it is."""
    assert verdict(leaf(ORDERS, **options)) == Verdict("orders", ORDERS, "abc")
    assert verdict(leaf(ORDERS, **options)).is_accepted


@pytest.mark.parametrize(
    ("uris", "options", "reason", "detail"),
    [
        ((), {}, "peer_no_identity", "no URI name"),
        ((), {"dns": ("orders.mesh",)}, "peer_no_identity", "no URI name"),
        ((ORDERS, f"spiffe://{DOMAIN}/service/web"), {}, "peer_no_identity", "2 URI names"),
        ((ORDERS, ORDERS), {}, "peer_no_identity", "2 URI names"),
        ((ORDERS, "https://shop.mesh"), {}, "peer_no_identity", "2 URI names"),
        ((f"https://{DOMAIN}/service/orders",), {}, "peer_no_identity", "scheme"),
        ((f"spiffe://{DOMAIN}",), {}, "peer_no_identity", "no path"),
        ((f"spiffe://{DOMAIN}/",), {}, "peer_no_identity", "form"),
        ((f"spiffe://{DOMAIN}/ns/a/sa/b",), {}, "peer_no_identity", "names no service"),
        (("spiffe://other.mesh/service/orders",), {}, "peer_foreign", '"other.mesh"'),
        (("spiffe://other.mesh",), {}, "peer_foreign", '"other.mesh"'),
        ((ORDERS,), {"ca": True}, "peer_unfit", "authority"),
        ((ORDERS,), {"usage": None}, "peer_unfit", "no key usage"),
        ((ORDERS,), {"usage": ("digital_signature", "key_cert_sign")}, "peer_unfit", "sign certificates"),
        ((ORDERS,), {"usage": ("digital_signature", "crl_sign")}, "peer_unfit", "sign certificates"),
        ((ORDERS,), {"usage": ("key_encipherment",)}, "peer_unfit", "digital signatures"),
        ((ORDERS,), {"extended": BOTH[:1]}, "peer_unfit", "extended key usage"),
        ((ORDERS,), {"extended": BOTH[1:]}, "peer_unfit", "extended key usage"),
        (
            (ORDERS,),
            {"extended": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)},
            "peer_unfit",
            "extended key usage",
        ),
        ((ORDERS,), {"start": -7200, "end": -3600}, "peer_expired", "expired at 2027-01-15T07:00:00Z"),
        ((ORDERS,), {"start": 90_000, "end": 180_000}, "peer_expired", "not valid before"),
    ],
)
def test_others_are_refused(uris: tuple[str, ...], options: dict[str, Any], reason: str, detail: str) -> None:
    """A certificate with one defect is refused for exactly that."""
    found = verdict(leaf(*uris, **options))
    assert (found.reason, found.is_accepted, found.serial) == (reason, False, "abc")
    assert detail in found.detail


def test_what_is_known_of_the_refused_is_told() -> None:
    """A refused peer's claimed identity is told for the log, but not as a service where it belongs to another mesh."""
    foreign = verdict(leaf("spiffe://other.mesh/service/orders"))
    assert (foreign.service, foreign.identity) == ("", "spiffe://other.mesh/service/orders")
    expired = verdict(leaf(ORDERS, start=-2, end=-1))
    assert (expired.service, expired.identity) == ("orders", ORDERS)


def test_revocation() -> None:
    """A certificate is refused from when its serial is among the revoked ones, others are not."""
    assert verdict(GOOD, revoked=frozenset({"abd", "0abc", "ABC"})).reason == ""
    assert verdict(GOOD, revoked=frozenset({"abc"})).reason == "peer_revoked"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - 61, "peer_expired"),
        (NOW - 60, ""),
        (NOW + 3600, ""),
        (NOW + 3601, "peer_expired"),
        (NOW + 25 * 3600, "peer_expired"),
    ],
)
def test_both_dates_belong_to_the_period(now: float, reason: str) -> None:
    """A certificate is valid from its first second to its last (RFC 5280 §4.1.2.5)."""
    assert verdict(GOOD, now=now).reason == reason


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"nonsense", GOOD[:-1], GOOD + b"\x00"])
def test_what_is_no_certificate(der: bytes) -> None:
    """Bytes that are no certificate are refused, not an error."""
    assert verdict(der).reason == "peer_unfit"


def test_serials_are_positive() -> None:
    """A serial below zero, which the library lets through with a warning, is refused in silence (RFC 5280 §4.1.2.2)."""
    at = GOOD.index(b"\x02\x02\x0a\xbc") + 2
    found = verdict(GOOD[:at] + b"\x8a\xbc" + GOOD[at + 2 :])
    assert (found.reason, "not positive" in found.detail) == ("peer_unfit", True)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_damaged_certificates_never_raise(at: int, flip: int) -> None:
    """A certificate with a damaged byte gets a verdict; if it is accepted, then as a service of this mesh."""
    damaged = bytearray(GOOD)
    damaged[at] ^= flip
    found = verdict(bytes(damaged))
    assert found.reason in get_args(Reason)
    assert not found.is_accepted or found.identity == f"spiffe://{DOMAIN}/service/{found.service}"


@given(
    st.sets(st.sampled_from(USAGES[:7])),
    st.none() | st.lists(st.sampled_from([*BOTH, ExtendedKeyUsageOID.CODE_SIGNING]), min_size=1, unique=True),
    st.sampled_from([None, False, True]),
    st.lists(st.sampled_from([ORDERS, f"spiffe://{DOMAIN}", "spiffe://other.mesh/x", "urn:x"]), max_size=2),
)
def test_only_what_is_right_in_everything_is_accepted(usage: set[str], extended: Any, ca: Any, uris: list[str]) -> None:
    """Whatever is combined, a peer is accepted exactly where each rule holds by itself."""
    found = verdict(leaf(*uris, usage=tuple(usage), extended=extended and tuple(extended), ca=ca))
    fits = "digital_signature" in usage and not usage & {"key_cert_sign", "crl_sign"} and not ca
    both = extended is None or set(BOTH) <= set(extended)
    assert found.is_accepted == (fits and both and uris == [ORDERS])


@given(st.integers(1, 2**159 - 1))
def test_serials_are_plain_hex(number: int) -> None:
    """A serial is written in lower-case hex without padding, and reads back."""
    text = serial_text(number)
    assert (int(text, 16), text, text.lstrip("0")) == (number, text.lower(), text)
