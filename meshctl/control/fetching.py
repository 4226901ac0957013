"""One fetch of a JWK Set over HTTP, where needed by way of the issuer's OpenID configuration (OpenID Connect Discovery
1.0 §4). Loads aiohttp. Keeps nothing.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from meshctl.core.jwk import LARGEST, read_keys
from meshctl.core.oidc import Provider, check_provider, provider_document

if TYPE_CHECKING:
    from aiohttp import ClientSession

TIMEOUT: Final = 5.0
"""Seconds for everything, from the name's address to the last byte."""
USUAL: Final = 600.0
SHORTEST: Final = 60.0
LONGEST: Final = 6 * 3600.0
"""Seconds for which a set is fresh: where the answer does not say, and the bounds of what it may say."""

_ASKED: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
_ISSUER: Final = "issuer "
_PROVIDER: Final = "provider "
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)
_DISCOVERY: Final = "/.well-known/openid-configuration"


class Unfetched(Exception):  # noqa: N818 - a claim about a fetch
    """There are no keys to be had there now; says why."""


class Answer(msgspec.Struct, frozen=True):
    """A JWK Set with keys in it, how many, and the seconds for which it is fresh."""

    document: bytes
    keys: int
    fresh: float


async def fetch(source: str) -> Answer:
    """The keys of a source (`model.auth.Jwt.source`). Raises Unfetched."""
    from aiohttp import ClientError, ClientSession, ClientTimeout

    try:
        timeout = ClientTimeout(total=TIMEOUT)
        # What is packed, though nobody asked for it, could be a small answer that becomes a large one.
        async with ClientSession(timeout=timeout, trust_env=True, auto_decompress=False, headers=_ASKED) as session:
            url, provider = source, None
            if source.startswith(_PROVIDER):
                url, provider = await _discover_provider(session, source.removeprefix(_PROVIDER))
            if source.startswith(_ISSUER):
                url = await _discover(session, source.removeprefix(_ISSUER))
            document, fresh = await _get(session, url)
    except TimeoutError as error:
        raise Unfetched(f"no answer within {TIMEOUT:g}s") from error
    except (ClientError, OSError, ValueError) as error:
        raise Unfetched(" ".join(str(error).split()) or type(error).__name__) from error
    try:
        keys = read_keys(document, with_secrets=False)
    except ValueError as error:
        raise Unfetched(f"what {url} answers {error}") from error
    return Answer(provider_document(provider, document) if provider else document, len(keys), fresh)


def freshness(cache_control: str) -> float:
    """The seconds for which an answer may be used, within bounds.

    >>> freshness("public, max-age=900"), freshness("no-store"), freshness("max-age=999999999")
    (900.0, 60.0, 21600.0)
    """
    if re.search(r"no-store|no-cache", cache_control, re.IGNORECASE):
        return SHORTEST
    found = _MAX_AGE.search(cache_control)
    return min(max(float(found[1]), SHORTEST), LONGEST) if found else USUAL


async def _discover_provider(session: ClientSession, issuer: str) -> tuple[str, Provider]:
    """Where an issuer says that its keys are, and all else that a login needs."""
    document, _ = await _get(session, issuer.rstrip("/") + _DISCOVERY)
    return _keys_of(document, issuer), check_provider(document, issuer)


async def _discover(session: ClientSession, issuer: str) -> str:
    """Where an issuer says that its keys are."""
    document, _ = await _get(session, issuer.rstrip("/") + _DISCOVERY)
    return _keys_of(document, issuer)


def _keys_of(document: bytes, issuer: str) -> str:
    try:
        found: Any = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise Unfetched("the issuer's OpenID configuration is no JSON") from error
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise Unfetched("the OpenID configuration there is of another issuer")
    url = found.get("jwks_uri")
    if not isinstance(url, str) or urlsplit(url).scheme not in ("https", urlsplit(issuer).scheme):
        raise Unfetched("the issuer's OpenID configuration does not say where keys are")
    return url


async def _get(session: ClientSession, url: str) -> tuple[bytes, float]:
    # Where a redirect leads to was not configured.
    async with session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise Unfetched(f"{url} answers {answer.status}")
        document = bytearray()
        async for piece in answer.content.iter_chunked(65_536):
            document += piece
            if len(document) > LARGEST:
                raise Unfetched(f"{url} answers with more than {LARGEST} bytes")
        return bytes(document), freshness(answer.headers.get("Cache-Control", ""))
