"""Why a certificate holds, or does not: each thing that it must prove, by name and with the detail. For people.

Judges a chain in a file against the mesh's roots, as a client would at a given time. Proxies leave this to OpenSSL.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshctl.pki.peer import judge, serial_text
from meshctl.pki.pem import fingerprint, is_issued_by

_LONGEST_CHAIN: Final = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a certificate must prove: "chain", "time", "revocation", "identity" or "host"."""

    name: str
    holds: bool
    detail: str


def examine(
    certificates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    *,
    trust_domain: str,
    now: float,
    revoked: Container[str],
    host: str = "",
) -> list[Check]:
    """The checks of the first of `certificates`, the others being what its chain may need. Those that ask for something
    it does not claim are left out."""
    leaf = certificates[0]
    chain, broken = _chain(certificates, roots)
    found = [Check("chain", not broken, broken or " ← ".join(name_of(each) for each in chain))]
    found.append(_time(chain, now))
    serial = serial_text(leaf.serial_number)
    is_revoked = serial in revoked
    found.append(Check("revocation", not is_revoked, f"{serial} is {'' if is_revoked else 'not '}revoked"))
    if identities_of(leaf):
        verdict = judge(leaf.public_bytes(Encoding.DER), trust_domain=trust_domain, now=now, revoked=())
        # Its dates are a check of their own.
        holds = verdict.reason in ("", "peer_expired")
        found.append(Check("identity", holds, verdict.identity if holds else verdict.detail))
    if host:
        found.append(_host(leaf, host))
    return found


def name_of(certificate: x509.Certificate) -> str:
    """What people call a certificate: its common name, else its first host, else its serial."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else next(iter(hosts_of(certificate)), serial_text(certificate.serial_number))


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The host names and addresses a certificate is for."""
    names = _names(certificate)
    if names is None:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *(str(each) for each in addresses)]


def identities_of(certificate: x509.Certificate) -> list[str]:
    """The URI names of a certificate: in a workload's, exactly one."""
    names = _names(certificate)
    return names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _chain(
    certificates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> tuple[list[x509.Certificate], str]:
    """The way from the first certificate to a root, and why it does not get there."""
    chain = [certificates[0]]
    trusted = {fingerprint(root) for root in roots}
    while fingerprint(chain[-1]) not in trusted:
        last = chain[-1]
        issuer = next((each for each in (*roots, *certificates[1:]) if is_issued_by(last, [each])), None)
        if issuer is None or issuer in chain or len(chain) > _LONGEST_CHAIN:
            wanted = last.issuer.rfc4514_string()
            return chain, f'"{name_of(last)}" is signed by "{wanted}", which is neither in the file nor a trusted root'
        if reason := _may_not_sign(issuer, below=len(chain) - 1):
            return chain, f'"{name_of(issuer)}" has signed "{name_of(last)}", but {reason}'
        chain.append(issuer)
    return chain, ""


def _may_not_sign(issuer: x509.Certificate, *, below: int) -> str:
    """Why `issuer` may not sign a certificate that has `below` authorities under it (RFC 5280 §4.2.1.3, §4.2.1.9)."""
    for extension in issuer.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            if value.path_length is not None and value.path_length < below:
                return f"may have {value.path_length} authorities below it and has {below}"
            break
    else:
        return "is no authority"
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if usage.key_cert_sign else "its key may not sign certificates"


def _time(chain: Sequence[x509.Certificate], now: float) -> Check:
    for each in chain:
        start, end = each.not_valid_before_utc, each.not_valid_after_utc
        if now < start.timestamp():
            return Check("time", False, f'"{name_of(each)}" is not valid before {start:%Y-%m-%d %H:%M} UTC')
        if now > end.timestamp():
            return Check("time", False, f'"{name_of(each)}" expired at {end:%Y-%m-%d %H:%M} UTC')
    first = min(chain, key=lambda each: each.not_valid_after_utc)
    return Check("time", True, f"until {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def _host(leaf: x509.Certificate, host: str) -> Check:
    hosts = hosts_of(leaf)
    if not any(_is_for(pattern, host) for pattern in hosts):
        return Check("host", False, f"it is for {', '.join(hosts) or 'no host'}, not for {host}")
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return Check("host", True, host)
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        return Check("host", False, "it is not for servers")
    return Check("host", True, host)


def _is_for(pattern: str, host: str) -> bool:
    """Whether a name of a certificate means `host` (RFC 9525 §6.3: "*" stands for one whole label at the beginning)."""
    try:
        return ip_address(pattern) == ip_address(host.strip("[]"))
    except ValueError:
        pass
    pattern, host = pattern.lower(), host.lower().rstrip(".")
    if pattern.startswith("*."):
        label, _, rest = host.partition(".")
        return bool(label) and rest == pattern[2:]
    return pattern == host
