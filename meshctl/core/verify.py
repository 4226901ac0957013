"""Whether a token was signed with a key that is known. The one place where a signature is believed: the library is
given the algorithm that the configuration allows and the key is for, and nothing that the token could choose.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshctl.core.jwk import VerifyingKey, choose
from meshctl.core.tokens import BadToken, Token


def verify(token: Token, keys: Sequence[VerifyingKey], algorithms: Sequence[str]) -> None:
    """Return where the token's signature is that of one of `keys`. Raises BadToken."""
    from jwt import get_algorithm_by_name

    name = token.header["alg"]
    if name not in algorithms:
        raise BadToken("the token is signed in a way that is not accepted here")
    key = choose(keys, token.header.get("kid"), name)
    if key is None:
        raise BadToken("the token is signed with a key that is not known")
    if not get_algorithm_by_name(name).verify(token.signed, key.key, token.signature):
        raise BadToken("the token's signature is not right")
