"""The single values of mesh.toml that belong to knowing callers: algorithms, URLs of those who vouch, scopes, as
pydantic types. It knows nothing of the tables the values stand in.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from meshctl.config.problems import Wrong, did_you_mean, quoted
from meshctl.config.scalars import PlainText, checked, string
from meshctl.config.table import several

ALGORITHMS: Final = (
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
    "PS256", "PS384", "PS512", "RS256", "RS384", "RS512",
)  # fmt: skip

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def _algorithm(value: object) -> str:
    def check(given: str) -> str:
        if given not in ALGORITHMS:
            hint = "a token without signature proves nothing" if given == "none" else did_you_mean(given, ALGORITHMS)
            raise Wrong(f"{quoted(given)} is no algorithm that is known", expected='such as "ES256"', hint=hint)
        return given

    return str(checked(value, check))


def url(value: object) -> str:
    """An absolute http or https URL without credentials and fragment."""

    def check(given: str) -> str:
        parts = urlsplit(given)
        is_plain = given.isprintable() and given.isascii() and " " not in given
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or not is_plain:
            raise ValueError('expected a URL such as "https://id.example.com/jwks.json"')
        if parts.username is not None or parts.password is not None:
            raise Wrong("a URL with a password in it ends up in logs", expected="a URL without user and password")
        _ = parts.port  # raises ValueError where it is none
        return given

    return str(checked(value, check))


def _scope(value: object) -> str:
    def check(given: str) -> str:
        if not _SCOPE.fullmatch(given):
            raise ValueError('expected a scope such as "orders:write", without spaces and quotes')
        return given

    return str(checked(value, check))


Url = Annotated[str, BeforeValidator(url, json_schema_input_type=string("https://id.example.com/jwks.json"))]
Algorithm = Annotated[str, BeforeValidator(_algorithm, json_schema_input_type=Literal[ALGORITHMS])]
Scope = Annotated[str, BeforeValidator(_scope, json_schema_input_type=string("orders:write"))]
Some = Annotated[list[PlainText], Field(min_length=1)]
Audience = Annotated[Some, BeforeValidator(several, json_schema_input_type=str | list[str])]
Scopes = Annotated[
    Annotated[list[Scope], Field(min_length=1)], BeforeValidator(several, json_schema_input_type=str | list[str])
]
