"""The words of a login: what a provider may say of itself, what a browser may come back with, what is asked how."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.oidc import (
    Failed,
    Provider,
    authorization_url,
    check_claims,
    check_provider,
    code_of,
    is_loopback,
    logout_url,
    own_path,
    provider_document,
    read_callback,
    read_provider,
    read_tokens,
    shown,
    token_request,
    with_userinfo,
)
from meshctl.model.auth import Oidc

ISSUER = "https://id.example.com/realm"
GOOD = {"issuer": ISSUER, "authorization_endpoint": ISSUER + "/auth", "token_endpoint": ISSUER + "/token"}
DEEP = b'{"a": ' * 100_000
PROVIDER = Provider(ISSUER, ISSUER + "/auth", ISSUER + "/token")


def test_a_provider_is_read_and_kept_beside_its_keys() -> None:
    """What a provider says of itself survives the way to the workers; members that are not known mean nothing."""
    found = check_provider(json.dumps(GOOD | {"more": [1], "userinfo_endpoint": None}).encode(), ISSUER)
    assert found == PROVIDER
    document = provider_document(found, b'{"keys": [{"kty": "EC"}], "x": 1}')
    assert read_provider(document) == found
    assert json.loads(document)["keys"] == [{"kty": "EC"}]
    assert read_provider(b'{"keys": []}') is None


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ISSUER + "/"},
        {"authorization_endpoint": "http://id.example.com/auth"},
        {"token_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "https:///token"},
        {"end_session_endpoint": "https://id.example.com/a b"},
        {"authorization_endpoint": "https://id.example.com/a#b"},
        {"userinfo_endpoint": "https://id.example.com/\r\nx: y"},
        {"token_endpoint": 7},
        {"token_endpoint": None},
    ],
)
def test_a_provider_that_is_not_safe_is_none(changes: dict[str, Any]) -> None:
    """Another issuer's configuration, and one whose URLs could be read on their way or end a header, is refused."""
    with pytest.raises(ValueError, match="issuer"):
        check_provider(json.dumps(GOOD | changes).encode(), ISSUER)


def test_what_is_no_configuration() -> None:
    """HTML and other JSON are refused."""
    for document in (b"<html>", b"[]", b"", b"\xff", DEEP):
        with pytest.raises(ValueError, match="does not say"):
            check_provider(document, ISSUER)


def test_urls_keep_what_the_provider_has_in_them() -> None:
    """An endpoint with a query of its own keeps it; what is asked is encoded."""
    provider = Provider(ISSUER, ISSUER + "/auth?p=a", ISSUER + "/token", end_session_endpoint=ISSUER + "/end")
    oidc = Oidc(ISSUER, "a&b", scopes=("openid", "offline_access"), after_logout="/bye")
    url = authorization_url(provider, oidc, origin="https://h", state="s", nonce="n", verifier="v")
    assert url.startswith(ISSUER + "/auth?p=a&response_type=code&client_id=a%26b&redirect_uri=https%3A%2F%2Fh%2F")
    assert "scope=openid+offline_access" in url
    assert url.endswith("&prompt=consent")
    out = logout_url(provider, oidc, origin="https://h", id_token="")
    assert out == ISSUER + "/end?client_id=a%26b&post_logout_redirect_uri=https%3A%2F%2Fh%2Fbye"
    assert logout_url(PROVIDER, oidc, origin="https://h", id_token="x") == ""


@pytest.mark.parametrize(
    ("methods", "secret", "expected"),
    [
        (None, "s", ("Basic YSUyNmI6cw==", b"x=1")),
        (("client_secret_post", "client_secret_basic"), "s", ("Basic YSUyNmI6cw==", b"x=1")),
        (("client_secret_post",), "s", ("", b"x=1&client_id=a%26b&client_secret=s")),
        (("none",), "", ("", b"x=1&client_id=a%26b")),
        (("client_secret_basic",), "", ("", b"x=1&client_id=a%26b")),
    ],
)
def test_how_the_client_says_who_it_is(
    methods: tuple[str, ...] | None, secret: str, expected: tuple[str, bytes]
) -> None:
    """A client with a secret proves it in the way that the provider knows; one without says its name."""
    provider = Provider(ISSUER, "", "", token_endpoint_auth_methods_supported=methods)
    headers, body = token_request(provider, Oidc(ISSUER, "a&b"), secret, {"x": "1"})
    assert (dict(headers).get("Authorization", ""), body) == expected


def test_a_provider_that_takes_no_secret() -> None:
    """A way that is not known here is refused, rather than tried without."""
    provider = Provider(ISSUER, "", "", token_endpoint_auth_methods_supported=("private_key_jwt",))
    with pytest.raises(Failed, match="secret"):
        token_request(provider, Oidc(ISSUER, "a"), "s", {})


def test_what_a_browser_comes_back_with() -> None:
    """A code, once; an error is told by its name; whoever else's answer it is, it is not this one's."""
    assert code_of(read_callback("code=a%2Bb&state=s"), PROVIDER) == "a+b"
    for query, why in (
        ("code=a&code=b", "twice"),
        ("error=access_denied&code=a", "access_denied"),
        ("state=s", "no code"),
        ("code=", "no code"),
        ("code=" + "a" * 5_000, "no code"),
        ("code=a&iss=https%3A%2F%2Fevil.example", "another"),
    ):
        with pytest.raises(Failed, match=why):
            code_of(read_callback(query), PROVIDER)
    assert code_of({"code": "a", "iss": ISSUER}, PROVIDER) == "a"


def test_tokens_are_read() -> None:
    """What is not there is None; numbers may be written as texts, as some providers do."""
    body = b'{"access_token": "a", "token_type": "bearer", "expires_in": "3600", "refresh_token": null}'
    assert read_tokens(200, body).expires_in == 3600
    for told in (b'{"access_token": "", "token_type": "Bearer"}', b'{"access_token": "a", "token_type": "DPoP"}'):
        with pytest.raises(Failed, match="bearer"):
            read_tokens(200, told)
    for seconds in (b"-1", b"1e300"):
        with pytest.raises(Failed, match="long"):
            read_tokens(200, b'{"access_token": "a", "token_type": "Bearer", "expires_in": %b}' % seconds)


@pytest.mark.parametrize("body", [b"<html>", b'{"error": "\xff"}', DEEP])
def test_what_a_provider_cannot_have_meant(body: bytes) -> None:
    """Neither HTML, nor what is no text, nor JSON of any depth is an answer to a login; nor does any do more harm."""
    for status in (200, 400):
        with pytest.raises(Failed, match="answer"):
            read_tokens(status, body)
    with pytest.raises(Failed, match="userinfo"):
        with_userinfo({"sub": "a"}, 200, body)
    assert read_provider(body) is None


def test_whose_an_id_token_is() -> None:
    """The party it was made for is this client: by `azp` where it says, or by being the only audience."""
    good = {"sub": "a", "iat": 1, "aud": "me", "nonce": "n"}
    for claims in (good, good | {"aud": ["me"]}, good | {"aud": ["me", "you"], "azp": "me"}):
        check_claims(claims, "me", "n")
    check_claims({"sub": "a", "iat": 1, "aud": "me"}, "me", "")
    for claims in (good | {"azp": "you"}, good | {"aud": ["me", "you"]}, good | {"nonce": ""}, good | {"sub": None}):
        with pytest.raises(Failed):
            check_claims(claims, "me", "n")


def test_userinfo_adds_and_changes_nothing() -> None:
    """Userinfo adds claims; what the ID token said stays, and who it is about is not its business."""
    body = b'{"sub": "a", "email": "e", "iss": "x", "aud": "y", "name": "userinfo"}'
    found = with_userinfo({"sub": "a", "name": "token"}, 200, body)
    assert found == {"sub": "a", "email": "e", "name": "token"}


@given(st.text(max_size=30), st.none() | st.text(max_size=30))
def test_a_path_to_return_to_is_one_of_this_host(path: str, query: str | None) -> None:
    """Whatever was asked for, a browser takes the path for one of the same host, and for one line."""
    found = own_path(path, query)
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert all("!" <= each <= "~" for each in found)


@given(st.text())
def test_what_others_say_is_no_markup(text: str) -> None:
    """A word of another party's is short and cannot end the text that it stands in."""
    assert 0 < len(shown(text)) <= 64
    assert not set(shown(text)) & set("<>&\"'\\\r\n")


def test_this_machine() -> None:
    """Loopback is what no packet leaves for."""
    ours = ("http://localhost:1", "http://a.localhost", "http://127.0.0.9", "http://[::1]:1")
    assert [is_loopback(each) for each in ours] == [True] * 4
    others = ("http://localhost.example", "http://10.0.0.1", "http://127.example.com", "http://")
    assert [is_loopback(each) for each in others] == [False] * 4
