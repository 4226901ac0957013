"""Documents that others wrote: configuration, JSON, tokens and their keys, what processes say to each other. A reader
takes one or says what is wrong with it in the one way that its callers expect."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress
from functools import cache

import msgspec

from meshctl.config.problems import ConfigInvalid
from meshctl.core import introspection, oidc, session
from meshctl.core.htpasswd import read_users
from meshctl.core.json_edits import DEEPEST, Edits, decode, encode, is_deeper
from meshctl.core.json_path import means, parse, written
from meshctl.core.jwk import choose, read_keys
from meshctl.core.principal import Principal, Refused
from meshctl.core.sealing import KEY_BYTES, Sealer
from meshctl.core.tokens import BadToken, judge, read_json
from meshctl.core.tokens import read as read_token
from meshctl.model.auth import Introspection, Jwt
from meshctl.model.passing import JsonEdits
from meshctl.pki.peer import judge as judge_certificate
from meshctl.proxy.messages import Answer, Ask, Channel, Commit, Notice, Prepare, Prepared
from tests.config.reading import read

NOW = 1_800_000_000.0
CUT = b"\xff|"


def attack_config(data: bytes) -> None:
    """Any text is a configuration, or has problems at places that it has."""
    text = data.decode("utf-8", "replace")
    try:
        found = read(text).warnings
    except ConfigInvalid as error:
        found = error.problems  # type: ignore[assignment]
        assert found
    lines = text.removeprefix("\ufeff").split("\n")
    for problem in found:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        assert "\n" not in str(problem)


EDITS = Edits(
    JsonEdits(
        remove=("$..secret", "$.a[0]", "$['b c'].*"),
        rename=(("$.old", "new"), ("$..x", "y")),
        move=(("$.from", "$.to.there"), ("$.a", "$.b")),
        set=(("$.set.deep", "1"),),
    )
)
KEEPING = Edits(JsonEdits(keep=("$.a[*].b", "$..id")))


def attack_json(data: bytes) -> None:
    """A document is one that every parser reads alike, or it is refused; what is edited is one, too."""
    try:
        document = decode(data)
    except ValueError as error:
        assert str(error)
        return
    assert json.loads(data) == document or document != document or b"NaN" not in data
    assert not is_deeper(document, DEEPEST)
    assert decode(encode(document)) == document
    for edits in (EDITS, KEEPING):
        made = edits.edited(data)
        decode(made)
    assert b'"secret":' not in EDITS.edited(data)


def attack_json_path(data: bytes) -> None:
    """A path is one that means a place, and a place's own path means it."""
    text = data.decode("utf-8", "replace")
    with suppress(ValueError):
        path = parse(text)
        means((path,), ("a", 0, "b"))
    place = (text, 0, text[:3], 7)
    assert means((parse(written(place)),), place)


JWT = Jwt(issuer="me", audience=("you",))


def attack_tokens(data: bytes) -> None:
    """A token is well formed or refused, and its claims hold or do not."""
    with suppress(BadToken):
        token = read_token(data)
        assert isinstance(token.header["alg"], str)
        with suppress(BadToken):
            assert isinstance(judge(read_json(token.payload), JWT, "jwt", NOW), Principal | Refused)
    with suppress(BadToken):
        assert isinstance(judge(read_json(data), JWT, "jwt", NOW), Principal | Refused)
    with suppress(introspection.BadAnswer):
        config = Introspection("https://a/", "me", "/secret")
        assert isinstance(introspection.judge(data, config, "way", NOW), Principal | Refused)
    if not introspection.flaw(data):
        introspection.form(data, Introspection("https://a/", "me", "/secret"))
    with suppress(ValueError):
        read_users(data.decode("utf-8", "replace"))


def attack_keys(data: bytes) -> None:
    """A set of keys has some that verify with an algorithm of their own, or it is refused."""
    for with_secrets in (False, True):
        with suppress(ValueError):
            keys = read_keys(data, with_secrets=with_secrets)
            assert keys
            for key in keys:
                assert key.algorithms
                assert with_secrets or not any(each.startswith("HS") for each in key.algorithms)
                choose(keys, key.kid, next(iter(key.algorithms)))
    verdict = judge_certificate(data, trust_domain="shop.mesh", now=NOW, revoked=())
    assert verdict.reason or verdict.identity.startswith("spiffe://shop.mesh/")


def attack_login(data: bytes) -> None:
    """What a provider and a browser bring to a login is taken or refused, and a session is one that was sealed."""
    text = data.decode("latin-1")
    for read_answer in (
        lambda: oidc.check_provider(data, "https://a.test"),
        lambda: oidc.read_callback(text),
        lambda: oidc.read_tokens(200, data),
        lambda: oidc.read_tokens(400, data),
        lambda: oidc.with_userinfo({"sub": "me"}, 200, data),
    ):
        with suppress(oidc.Failed, ValueError):
            read_answer()
    oidc.read_provider(data)
    path = oidc.own_path(*(text.split("?", 1) if "?" in text else (text, None)))
    assert path.startswith("/") and not path.startswith(("//", "/\\"))
    assert not {*oidc.shown(text)} & {*"<>&\"'\r\n"}
    session.decode_session(data)
    session.decode_pending(data)
    assert _sealer().open(text, b"session") is None
    with suppress(ValueError):
        parts = dict(zip(session.part_names("s"), session.split(text), strict=False))
        assert session.joined(parts, "s") == text or not text


@cache
def _sealer() -> Sealer:
    return Sealer([bytes(KEY_BYTES)])


def message_seeds() -> list[bytes]:
    """Messages of several kinds, as they are sent."""
    kinds = [
        Commit(1),
        Prepared(2, "no"),
        Notice("event", {"a": "b"}),
        Ask(3, "sample"),
        Answer(3, b"x"),
        Prepare(1, 1, b"{}", ()),
    ]
    return [msgspec.msgpack.encode(each) for each in kinds]


def attack_messages(data: bytes) -> None:
    """What one process of ours says to another is read whole, however it is cut, or is no message."""
    whole = data.replace(CUT, b"")
    framed = struct.pack("!I", len(whole)) + whole
    assert _messages([framed]) == _messages([framed[:3], framed[3:7], framed[7:]])
    _messages([piece for piece in data.split(CUT) if piece])


def _messages(pieces: list[bytes]) -> list[object]:
    ours, theirs = socket.socketpair()
    channel, found = Channel(theirs), list[object]()
    try:
        for piece in pieces:
            if not piece:
                continue
            ours.sendall(piece[:65_536])
            try:
                found += channel.receive()
            except (msgspec.DecodeError, UnicodeDecodeError):
                return [*found, "none"]
    finally:
        ours.close()
        channel.close()
    return found
