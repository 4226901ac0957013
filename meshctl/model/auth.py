"""Who calls: named ways to know a caller, and which of them a route asks for. What callers may is a matter of routes.

Exactly one of a way's kinds is given. What is secret stands nowhere here: API keys live in the store as digests,
passwords in a file of hashes.
"""

from __future__ import annotations

import msgspec


class Jwt(msgspec.Struct, frozen=True):
    """A signed token in `Authorization: Bearer`. Keys come from a file, from `jwks`, or, where neither is given, from
    where the issuer's OpenID configuration says."""

    issuer: str = ""
    """What `iss` must be; "" asks nothing."""
    audience: tuple[str, ...] = ()
    """One of these must be in `aud`; none asks nothing."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    keys: str = ""
    """A JWK Set or a PEM public key, as an absolute path."""
    jwks: str = ""
    """The URL of a JWK Set."""
    leeway: float = 30.0
    """Seconds by which clocks may differ."""
    scopes: str = "scope"
    """The claim that scopes stand in: words with spaces between them, or a list."""
    roles: str = "roles"

    @property
    def source(self) -> str:
        """Where keys are fetched from: a URL, "issuer " and the issuer's where that is to be asked first, or ""."""
        if self.keys:
            return ""
        return self.jwks or f"issuer {self.issuer}"


class ApiKey(msgspec.Struct, frozen=True):
    """A key that `meshctl keys create` made: in a header, in a query parameter, or as a bearer token."""

    header: str = "x-api-key"
    """In lower case; "" is none."""
    query: str = ""
    bearer: bool = False


class Basic(msgspec.Struct, frozen=True):
    """A name and a password (RFC 7617), against a file of `name:hash` lines; hashes are argon2 or bcrypt."""

    users: str
    """An absolute path."""
    realm: str = ""
    """"" is the mesh's name."""


class ClientCertificate(msgspec.Struct, frozen=True):
    """Whom the client's certificate names, which it proved to have when it connected."""

    ca: str = ""
    """Whose certificates are believed, as an absolute path; "" is the mesh's own authority."""


class Oidc(msgspec.Struct, frozen=True):
    """A login at an OpenID provider, and the session in a cookie that it makes (OpenID Connect Core 1.0 §3.1)."""

    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    """An absolute path; "" is a public client, which proves itself by PKCE alone."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    callback: str = "/oauth2/callback"
    """Where the provider sends browsers back to, on each host whose routes ask for the login."""
    logout: str = "/oauth2/logout"
    after_logout: str = "/"
    session: float = 28_800.0
    """Seconds from the login to the end of its session, whatever happens meanwhile."""
    cookie: str = ""
    """The cookie's name; "" is made of the way's name."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    """By which ID tokens may be signed."""
    leeway: float = 30.0
    roles: str = "roles"
    userinfo: bool = True
    """Whether the provider is asked for the claims that the ID token does not have, where it says where."""

    @property
    def source(self) -> str:
        """Under which name what is known of the provider is fetched."""
        return f"provider {self.issuer}"


class Introspection(msgspec.Struct, frozen=True):
    """A token in `Authorization: Bearer` that a server is asked about (RFC 7662)."""

    url: str
    client_id: str
    client_secret_file: str
    """An absolute path. The file has the secret by which the server knows this gateway."""
    token_type_hint: str = ""
    issuer: str = ""
    """What `iss` must be; "" asks nothing."""
    audience: tuple[str, ...] = ()
    """One of these must be in `aud`; none asks nothing."""
    cache: float = 60.0
    """Seconds for which an answer holds, at most; 0 asks for each request."""
    timeout: float = 5.0
    ca: str = ""
    """Whose certificates the server's may be from, as an absolute path; "" is the system's."""
    scopes: str = "scope"
    roles: str = "roles"


class ForwardAuth(msgspec.Struct, frozen=True):
    """Another HTTP server says whether a request may go on: 2xx lets it, anything else is the client's answer. It is
    asked at `url`, or it is a service of the mesh, which is asked for `path`."""

    url: str = ""
    service: str = ""
    path: str = "/"
    send_headers: tuple[str, ...] = ()
    """The request's headers that the server is shown, in lower case; none are all of them."""
    copy_headers: tuple[str, ...] = ()
    """The headers of its answer that the service gets, in lower case. The first of them names the caller."""
    timeout: float = 5.0
    ca: str = ""


class Auth(msgspec.Struct, frozen=True):
    """A way to know who calls. `headers` tell the service of it: each gets a claim's value, and what the client sent
    under that name never passes. With `forward` the service gets the credential, too."""

    name: str
    jwt: Jwt | None = None
    api_key: ApiKey | None = None
    basic: Basic | None = None
    certificate: ClientCertificate | None = None
    oidc: Oidc | None = None
    introspection: Introspection | None = None
    forward_auth: ForwardAuth | None = None
    headers: tuple[tuple[str, str], ...] = ()
    forward: bool = False

    @property
    def cookie(self) -> str:
        """The name of the cookie that its sessions are in; "" where it has none."""
        return "" if self.oidc is None else self.oidc.cookie or f"meshctl_{self.name}"

    @property
    def secret_file(self) -> str:
        """The file with the secret by which another server knows the gateway; "" where there is none."""
        kind = self.introspection or self.oidc
        return kind.client_secret_file if kind is not None else ""

    @property
    def told(self) -> tuple[str, ...]:
        """The headers by which a service is told who calls, on whatever route. An Authorization that is copied is a
        matter of the routes that copy it."""
        copied = self.forward_auth.copy_headers if self.forward_auth is not None else ()
        copied = tuple(name for name in copied if name != "authorization")
        return (*(name for name, _ in self.headers), *copied)

    @property
    def kind(self) -> str:
        """Which kind it is."""
        return next((name for name in KINDS if getattr(self, name) is not None), "")


KINDS = ("jwt", "api_key", "basic", "certificate", "oidc", "introspection", "forward_auth")
FORWARDED = frozenset(("jwt", "introspection", "forward_auth"))
"""The kinds whose credential the service gets, too, where the configuration does not say."""


class Need(msgspec.Struct, frozen=True):
    """Which ways a route asks for: one of them is enough, or with `every` all of them."""

    names: tuple[str, ...]
    every: bool = False
