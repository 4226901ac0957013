"""Normal forms of paths, and prefixes replaced."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.paths import is_normal, normalise, replace_prefix


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/", "/"),
        ("", "/"),
        ("*", "*"),
        ("/a/b/", "/a/b/"),
        ("/a//b", "/a//b"),
        ("/index.html", "/index.html"),
        ("/.well-known/x", "/.well-known/x"),
        ("/...", "/..."),
        ("/a..b/..c", "/a..b/..c"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a//../b", "/a/b"),
        ("/./.", "/"),
        ("/%2e%2E/a", "/a"),
        ("/a/%2e./b", "/b"),
        ("/a/.%2e", "/"),
        ("/a%2fb", "/a%2Fb"),
        ("/a/..%2fb", "/a/..%2Fb"),
        ("/%7euser", "/~user"),
        ("/%41%5a%2d%5F", "/AZ-_"),
        ("/%25%32%45", "/%252E"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/a b", "/a%20b"),
        ("/a\\..\\b", "/a%5C..%5Cb"),
        ('/<>"^`{|}[]#?', "/%3C%3E%22%5E%60%7B%7C%7D%5B%5D%23%3F"),
        ("/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
        ("/é", "/%C3%A9"),
        (b"/\xc3\xa9\xff".decode("ascii", "surrogateescape"), "/%C3%A9%FF"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%0a%7F", "/%0A%7F"),
        ("/a;v=1/../b", "/b"),
    ],
)
def test_normalise(raw: str, expected: str) -> None:
    """Each path has the one normal form RFC 3986 §6.2.2 gives it."""
    assert expected == normalise(raw)


@pytest.mark.parametrize(
    "raw", ["/%zz", "/%", "/%4", "/%4g", "/%00", "/a\0", "/a\n", "/a\r\nb", "/\x7f", "/\t", "a/b", "http:"]
)
def test_refused(raw: str) -> None:
    """What cannot be a path, or hides what it is, is refused."""
    with pytest.raises(ValueError, match=r"path|%"):
        normalise(raw)


def test_normal_paths_come_back_unchanged() -> None:
    """A path in normal form is given back as the very same object."""
    path = "".join(["/v1/orders/", "7.json"])
    assert path is normalise(path)


raw_paths = st.lists(
    st.sampled_from(
        ["/", ".", "..", "a", "%2e", "%2F", "%41", "%c3%a9", "%25", "é", " ", "\\", "//", "%7E", "~", "\udcff"]
    )
    | st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="%\x7f"), max_size=3),
).map(lambda parts: "/" + "".join(parts))


@given(raw_paths)
def test_normalise_is_idempotent(raw: str) -> None:
    """The normal form of a normal form is itself, and the fast check knows it."""
    path = normalise(raw)
    assert path == normalise(path)
    assert is_normal(path)


@given(raw_paths)
def test_normal_form(raw: str) -> None:
    """A normal form is ASCII, has no dot segment, only upper-case escapes and no escaped unreserved octet."""
    path = normalise(raw)
    assert path.startswith("/")
    assert re.fullmatch(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})+", path)
    assert not {".", ".."} & set(path.split("/"))
    escaped = {chr(int(code, 16)) for code in re.findall("%(..)", path)}
    assert not {char for char in escaped if char.isascii() and (char.isalnum() or char in "-._~")}


@given(st.text())
def test_any_text_has_a_form_or_is_refused(text: str) -> None:
    """No text makes normalise fail otherwise than by ValueError."""
    try:
        path = normalise(text)
    except ValueError:
        return
    assert path == "*" or path.startswith("/")


@pytest.mark.parametrize(
    ("path", "prefix", "new", "expected"),
    [
        ("/v1/orders", "/v1/orders", "/", "/"),
        ("/v1/orders/", "/v1/orders", "/", "/"),
        ("/v1/orders/7", "/v1/orders", "/", "/7"),
        ("/v1/orders/7", "/v1/orders/", "/", "/7"),
        ("/v1/orders/7", "/v1/orders", "", "/7"),
        ("/v1/orders", "/v1/orders", "", "/"),
        ("/v1/orders/7", "/v1/orders", "/orders", "/orders/7"),
        ("/v1/orders/7", "/v1/orders", "/orders/", "/orders/7"),
        ("/v1/orders/", "/v1/orders", "/orders", "/orders/"),
        ("/v1/orders", "/v1/orders", "/orders", "/orders"),
        ("/v1/orders", "/v1/orders", "/orders/", "/orders/"),
        ("/a/b", "/", "/api", "/api/a/b"),
        ("/", "/", "/api", "/api/"),
        ("/a/b", "/", "/", "/a/b"),
        ("/ab", "/a", "/x", "/ab"),
        ("/b", "/a", "/x", "/b"),
        ("/a//evil.example/x", "/a", "/", "/evil.example/x"),
        ("/a//b", "/a", "/x", "/x//b"),
    ],
)
def test_replace_prefix(path: str, prefix: str, new: str, expected: str) -> None:
    """The new prefix is joined to the rest by exactly one slash, and paths outside the prefix stay."""
    assert expected == replace_prefix(path, prefix, new)
