"""The words of a login at an OpenID provider (OpenID Connect Core 1.0, RFC 6749, RFC 7636, RFC 9207): what the provider
says of itself, where a browser is sent, what it comes back with, and what the provider then answers. Pure: who says it
to whom is not known here, and what is random is an argument.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from meshctl.core.introspection import basic
from meshctl.model.auth import Oidc

LONGEST_BACK: Final = 1_024
"""Characters of a path to return to; who comes by a longer one returns to the front page."""

_LONGEST_CODE: Final = 4_096
_PRINTABLE: Final = frozenset(map(chr, range(0x20, 0x7F))) - frozenset("\"\\<>&'")
_OWN: Final = frozenset(("iss", "sub", "aud", "exp", "nbf", "iat", "azp", "nonce"))
"""Claims that the ID token alone may make."""


# What the library says of bytes that are no JSON, of no text, and of what is nested too deep.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Failed(Exception):  # noqa: N818 - a claim about a login
    """A login that leads to nothing; says why without a word that anybody could have planted."""


class Provider(msgspec.Struct, frozen=True):
    """What an OpenID provider says of itself (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool | None = None


class Tokens(msgspec.Struct, frozen=True):
    """What the token endpoint gives (RFC 6749 §5.1)."""

    access_token: str
    token_type: str
    id_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None
    scope: str | None = None


class _Document(msgspec.Struct):
    provider: Provider


def check_provider(document: bytes, issuer: str) -> Provider:
    """The provider that an OpenID configuration describes. Raises ValueError where it is another's or of no use."""
    try:
        found = msgspec.json.decode(document, type=Provider)
    except _UNREADABLE as error:
        raise ValueError("the issuer's OpenID configuration does not say what a login needs") from error
    if found.issuer != issuer:
        raise ValueError("the OpenID configuration there is of another issuer")
    schemes = ("https", urlsplit(issuer).scheme)
    for url in (
        found.authorization_endpoint,
        found.token_endpoint,
        found.userinfo_endpoint,
        found.end_session_endpoint,
    ):
        if url and (urlsplit(url).scheme not in schemes or not urlsplit(url).hostname or not _is_plain(url)):
            raise ValueError("the issuer's OpenID configuration has a URL that is not safe to use")
    return found


def provider_document(provider: Provider, keys: bytes) -> bytes:
    """A JWK Set that also says who the provider is: other members than "keys" mean nothing to others (RFC 7517 §5)."""
    return json.dumps({"keys": json.loads(keys)["keys"], "provider": msgspec.to_builtins(provider)}).encode()


def read_provider(document: bytes) -> Provider | None:
    """The provider in such a document."""
    try:
        return msgspec.json.decode(document, type=_Document).provider
    except _UNREADABLE:
        return None


# to the provider


def pkce_challenge(verifier: str) -> str:
    """RFC 7636 §4.2, S256.

    >>> pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(provider: Provider, oidc: Oidc, *, origin: str, state: str, nonce: str, verifier: str) -> str:
    """Where a browser is sent to sign in."""
    asked = {
        "response_type": "code",
        "client_id": oidc.client_id,
        "redirect_uri": origin + oidc.callback,
        "scope": " ".join(oidc.scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": pkce_challenge(verifier),
        "code_challenge_method": "S256",
    }
    if "offline_access" in oidc.scopes:
        # Without being asked again, a provider gives no refresh token (OpenID Connect Core 1.0 §11).
        asked["prompt"] = "consent"
    return _extended(provider.authorization_endpoint, asked)


def logout_url(provider: Provider, oidc: Oidc, *, origin: str, id_token: str) -> str:
    """Where a browser is sent to sign out there, too (OpenID Connect RP-Initiated Logout 1.0 §2); "" where the provider
    has no such place."""
    if not provider.end_session_endpoint:
        return ""
    asked = {"client_id": oidc.client_id, "post_logout_redirect_uri": origin + oidc.after_logout}
    return _extended(provider.end_session_endpoint, asked | ({"id_token_hint": id_token} if id_token else {}))


def token_request(
    provider: Provider, oidc: Oidc, secret: str, asked: Mapping[str, str]
) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a question to the token endpoint, by whatever the provider knows its clients. Raises
    Failed."""
    headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
    # The one that is meant where a provider does not say (OpenID Connect Discovery 1.0 §3).
    methods = provider.token_endpoint_auth_methods_supported or ("client_secret_basic",)
    form = dict(asked)
    if not secret:
        form["client_id"] = oidc.client_id
    elif "client_secret_basic" in methods:
        headers.append(("Authorization", basic(oidc.client_id, secret).decode()))
    elif "client_secret_post" in methods:
        form |= {"client_id": oidc.client_id, "client_secret": secret}
    else:
        raise Failed("the provider does not take a client secret")
    return headers, urlencode(form).encode()


# back from the provider


def read_callback(query: str | None) -> dict[str, str]:
    """The parameters that a browser came back with. Raises Failed where one stands there twice (RFC 6749 §3.1)."""
    pairs = parse_qsl(query or "", keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Failed("a parameter stands in the address twice")
    return found


def code_of(found: Mapping[str, str], provider: Provider) -> str:
    """The code that the provider gave, once the state is known to be right. Raises Failed."""
    told = found.get("iss")
    if told != provider.issuer and (told is not None or provider.authorization_response_iss_parameter_supported):
        raise Failed("the answer is another provider's")
    if "error" in found:
        raise Failed(f"the provider says {shown(found['error'])}")
    code = found.get("code", "")
    if not 0 < len(code) <= _LONGEST_CODE:
        raise Failed("the provider gave no code")
    return code


def read_tokens(status: int, body: bytes) -> Tokens:
    """What the token endpoint answered. Raises Failed."""
    try:
        if status != 200:
            error = msgspec.json.decode(body, type=dict[str, Any]).get("error")
            raise Failed(f"the provider says {shown(error)}" if isinstance(error, str) else f"the provider: {status}")
        found = msgspec.json.decode(body, type=Tokens, strict=False)
    except _UNREADABLE as error:
        raise Failed(f"the provider answers {status} with what is no answer to a login") from error
    if found.token_type.lower() != "bearer" or not found.access_token:
        raise Failed("the provider gives no bearer token")
    if found.expires_in is not None and not 0 <= found.expires_in < 1e9:
        raise Failed("the provider does not say how long its token holds")
    return found


def check_claims(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    """What an ID token must claim beyond what every token must (OpenID Connect Core 1.0 §3.1.3.7). Raises Failed."""
    if not claims.get("sub") or "iat" not in claims:
        raise Failed("the ID token does not say about whom it is and since when")
    audience = claims.get("aud")
    party = claims.get("azp", client_id if not isinstance(audience, list) or len(audience) == 1 else None)
    if party != client_id:
        raise Failed("the ID token was made for somebody else")
    if nonce and claims.get("nonce") != nonce:
        raise Failed("the ID token is of another login")


def with_userinfo(claims: Mapping[str, Any], status: int, body: bytes) -> dict[str, Any]:
    """The claims with those of the userinfo endpoint (OpenID Connect Core 1.0 §5.3.2). Raises Failed."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any]) if status == 200 else {}
    except _UNREADABLE as error:
        raise Failed("the provider's userinfo is no JSON") from error
    if status != 200:
        raise Failed(f"the provider's userinfo answers {status}")
    if found.get("sub") != claims["sub"]:
        raise Failed("the provider's userinfo is about somebody else")
    return {**{name: value for name, value in found.items() if name not in _OWN}, **claims}


# what is shown


def own_path(path: str, query: str | None) -> str:
    """A path of this host to return to, whatever was asked for; "/" where it could lead elsewhere.

    >>> own_path("/a", "b=1"), own_path("//evil.example/", None), own_path("/\\\\evil.example", None)
    ('/a?b=1', '/', '/')
    """
    found = path if query is None else f"{path}?{query}"
    is_own = found.startswith("/") and not found.startswith(("//", "/\\"))
    is_plain = all("!" <= each <= "~" for each in found)
    return found if is_own and is_plain and len(found) <= LONGEST_BACK else "/"


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine, where nobody stands in between."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return f".{host}".endswith(".localhost")


def shown(text: str) -> str:
    """A word of another party's, as it may stand in a page or a log: short, printable, no markup."""
    return "".join(each for each in text[:64] if each in _PRINTABLE) or "nothing"


def _extended(url: str, asked: Mapping[str, str]) -> str:
    # An endpoint may have a query of its own, which stays (RFC 6749 §3.1).
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url and "#" not in url
