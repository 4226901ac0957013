"""The human shape of `[auth.NAME]`'s `oidc`: a login at an OpenID provider and the session that it makes."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from meshctl.config.problems import Wrong, quoted
from meshctl.config.scalars import Duration, PlainText, checked, string
from meshctl.config.scalars_auth import Algorithm, Scopes, Url
from meshctl.config.scalars_http import UrlPath, header_name
from meshctl.config.table import Table

_LONGEST_COOKIE: Final = 64


def _cookie(value: object) -> str:
    """A cookie's name (RFC 6265 §4.1.1), with room for what is added to it."""

    def check(given: str) -> str:
        try:
            header_name(given)
        except Wrong as error:
            raise Wrong(f"{quoted(given)} is no cookie's name", expected='a name such as "session"') from error
        if len(given) > _LONGEST_COOKIE:
            raise ValueError(f"expected at most {_LONGEST_COOKIE} characters")
        return given

    return str(checked(value, check))


Cookie = Annotated[str, BeforeValidator(_cookie, json_schema_input_type=string("session", "__Host-session"))]


class OidcTable(Table):
    """A login at an OpenID provider: the authorization code flow with PKCE, and a session in an encrypted cookie."""

    issuer: Url = Field(
        description="The provider's issuer URL; its OpenID configuration says the rest.",
        examples=["https://id.example.com"],
    )
    client_id: PlainText = Field(description="The name under which the provider knows the gateway.")
    client_secret_file: PlainText | None = Field(
        None,
        description="A file with the client's secret, mode 0600; relative to this file's folder. Left out: none.",
    )
    scopes: Scopes | None = Field(None, description="What the provider is asked for; openid must be among them.")
    callback: UrlPath | None = Field(None, description="The path that the provider sends browsers back to.")
    logout: UrlPath | None = Field(None, description="The path that ends a session.")
    after_logout: UrlPath | None = Field(None, description="The path that a browser is sent to then.")
    session: Duration | None = Field(None, description="How long a session lasts, from the login on; at most 30 days.")
    cookie: Cookie | None = Field(None, description="The session cookie's name; left out, meshctl_ and the way's name.")
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] | None = Field(
        None, description="The algorithms by which ID tokens may be signed.", examples=[["ES256"]]
    )
    leeway: Duration | None = Field(None, description="By how much clocks may differ.", examples=["30s"])
    roles: PlainText | None = Field(None, description="The claim that roles stand in.", examples=["roles", "groups"])
    userinfo: bool | None = Field(None, description="Whether claims are also taken from the provider's userinfo.")
