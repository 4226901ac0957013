"""Why a TLS handshake failed, in the proxy's words: a reason that is counted, and what OpenSSL said of it."""

from __future__ import annotations

import ssl
from typing import Final

HANDSHAKE_REASONS: Final[dict[str, str]] = {
    "peer_no_certificate": "the client showed no certificate",
    "peer_unknown_authority": "the peer's certificate is not from an authority of this mesh",
    "peer_expired": "the peer's certificate is not valid now",
    "peer_unfit": "the peer's certificate is not for this use",
    "tls_version": "the client speaks no version of TLS that is taken there",
    "tls_refused": "the peer did not accept this proxy's certificate",
    "tls_timeout": "the handshake took too long",
    "tls_gone": "the client went away in the middle of the handshake",
    "tls_broken": "what came is not a TLS handshake",
}
"""Every reason there is; it only labels counters, log lines and notices, since there is no request to answer."""

# X509_V_ERR_*: unable to get the issuer, self-signed, unable to verify the first one.
_UNKNOWN: Final = frozenset((2, 18, 19, 20, 21, 24, 27))
# Not yet valid, expired.
_UNTIMELY: Final = frozenset((9, 10))
_VERSIONS: Final = frozenset(("UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION", "VERSION_TOO_LOW"))


def reason_of(error: OSError) -> tuple[str, str]:
    """The reason of a failed handshake and its detail."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_verification(error.verify_code), error.verify_message
    if isinstance(error, ssl.SSLError):
        said = getattr(error, "reason", None) or ""
        return _of_protocol(said), said.replace("_", " ").lower()
    if isinstance(error, ConnectionAbortedError) and error.errno is None:
        # The event loop's own word for a handshake that is late.
        return "tls_timeout", ""
    return "tls_gone", error.strerror or ""


def _of_verification(code: int) -> str:
    if code in _UNTIMELY:
        return "peer_expired"
    return "peer_unknown_authority" if code in _UNKNOWN else "peer_unfit"


def _of_protocol(said: str) -> str:
    if said == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "peer_no_certificate"
    if said in _VERSIONS:
        return "tls_version"
    return "tls_refused" if "_ALERT_" in said else "tls_broken"
