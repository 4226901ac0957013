"""One identity as contexts and verdicts: what loads and what does not, what is left behind, and when a peer is judged
anew."""

from __future__ import annotations

import os
import ssl
import stat
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from meshctl.pki import peer
from meshctl.pki.peer import Verdict
from meshctl.proxy import mesh_tls
from meshctl.proxy.mesh_tls import HTTP, JUDGED_AGAIN, MOST_VERDICTS, RAW, MeshTls

from .members import Authority, Leaf, spiffe

NOW = 1_800_000_000.0


def der(leaf: Leaf) -> bytes:
    """The leaf itself."""
    return ssl.PEM_cert_to_DER_cert(
        leaf.chain.decode().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )


def now() -> float:
    """The time by the wall clock, at which certificates of the tests are valid."""
    from meshctl import clock

    return clock.wall()


def test_contexts_are_strict(authority: Authority) -> None:
    """Every mutual context speaks TLS 1.3 alone, asks for a certificate, keeps to RFC 5280 and gives no ticket."""
    made = MeshTls(authority.identify("orders"))
    for context in (made.server, made.client(HTTP), made.client(RAW)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert made.server.num_tickets == 0
    assert made.client(RAW) is made.client(RAW)
    assert made.client(RAW) is not made.client(HTTP)
    assert made.edge is None
    assert made.service == "orders"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("key", b"", "certificate and its key"),
        ("key", b"nonsense", "certificate and its key"),
        ("certificate", b"nonsense", "certificate and its key"),
        ("bundle", b"", "trust bundle"),
        ("bundle", b"nonsense", "trust bundle"),
        ("bundle", b"\xff", "trust bundle"),
        ("identity", "spiffe://other.mesh/service/orders", "trust domain"),
        ("identity", "", "scheme"),
        ("edge", ((b"", b""),), "certificate and its key"),
    ],
)
def test_what_does_not_load(authority: Authority, field: str, value: Any, said: str) -> None:
    """An identity that cannot be used is refused whole, with the part that is wrong."""
    good = authority.identify("orders")
    with pytest.raises(ValueError, match=said):
        MeshTls(msgspec.structs.replace(good, **{field: value}))


def test_key_of_another_certificate(authority: Authority) -> None:
    """A key that is not the certificate's does not load, and does not stand in what is said."""
    good, other = authority.identify("orders"), authority.service("orders")
    with pytest.raises(ValueError, match="certificate and its key") as raised:
        MeshTls(msgspec.structs.replace(good, key=other.key))
    assert "PRIVATE" not in str(raised.value)


def test_encrypted_key_is_refused(authority: Authority) -> None:
    """A key with a passphrase is refused, and nobody is asked for it."""
    leaf = authority.service("orders")
    key = serialization.load_pem_private_key(leaf.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(ValueError, match="encrypted"):
        MeshTls(msgspec.structs.replace(authority.identify("orders", leaf), key=locked))


def test_nothing_is_left_open(authority: Authority) -> None:
    """Loading leaves no descriptor open, whether or not it succeeds: through it the key could be read."""
    before = os.listdir("/proc/self/fd")
    MeshTls(authority.identify("orders"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        MeshTls(msgspec.structs.replace(authority.identify("orders"), key=b"nonsense"))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files in memory")
def test_keys_touch_no_disk(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory can be a file, no temporary file is made."""
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: pytest.fail("a file was made"))
    MeshTls(authority.identify("orders"))


def test_without_files_in_memory(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory cannot be a file, the key is in one that only its owner may read, and that is gone at once."""
    seen: list[int] = []
    original = tempfile.mkstemp

    def watched(**options: Any) -> tuple[int, str]:
        number, path = original(**options)
        seen.append(stat.S_IMODE(os.stat(path).st_mode))
        return number, path

    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkstemp", watched)
    MeshTls(authority.identify("orders"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        MeshTls(msgspec.structs.replace(authority.identify("orders"), key=b"nonsense"))
    assert set(seen) == {0o600}
    assert list(tmp_path.iterdir()) == []


def admits(made: MeshTls, client: ssl.SSLContext) -> bool:
    """Whether a handshake with its server side succeeds."""
    return not mesh_tls._doubt(made.server, client)


def test_own_issuer_is_believed(authority: Authority, stranger: Authority) -> None:
    """A chain may end at the intermediate that issued our own certificate, once that is seen to come from a trusted
    root; others of the same root and nobody of another are let in as ever."""
    made = MeshTls(authority.identify("orders"))
    assert made.doubt == ""
    assert made.server.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert admits(made, authority.client(authority.service("web")))
    other = authority.other_intermediate()
    assert admits(made, authority.client(other.service("web")))
    assert not admits(made, stranger.client(stranger.service("web")))
    assert admits(
        MeshTls(authority.identify("orders", other.service("orders"))), authority.client(authority.service("web"))
    )


def test_own_issuer_is_not_believed_blindly(authority: Authority, stranger: Authority) -> None:
    """An intermediate whose root is not trusted is not believed because it issued our own certificate; that we are not
    believable ourselves is said."""
    made = MeshTls(authority.identify("orders", stranger.service("orders")))
    assert "self-signed" in made.doubt or "issuer" in made.doubt
    believing = stranger.client(stranger.service("web"))
    believing.load_verify_locations(cadata=authority.bundle.decode())
    assert not admits(made, believing)
    believed = authority.client(authority.service("web"))
    believed.load_verify_locations(cadata=stranger.bundle.decode())
    assert admits(made, believed)


@pytest.mark.parametrize(("days", "said"), [((-2, -1), "expired"), ((1, 2), "not yet valid")])
def test_a_doubtful_identity_serves(authority: Authority, days: tuple[float, float], said: str) -> None:
    """A certificate of our own that is not valid now, as after a clock was set, is said and used all the same."""
    made = MeshTls(authority.identify("orders", authority.issue(spiffe("orders"), days=days)))
    assert said in made.doubt


# verdicts


class Judgements:
    """Counts how often a certificate was really read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(mesh_tls, "judge", self._judge)

    def _judge(self, der: bytes, **options: Any) -> Verdict:
        self.count += 1
        return peer.judge(der, **options)


def test_verdicts_are_remembered(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is read once a minute however often it is met, and again when the clock was set back."""
    made, web, judged = MeshTls(authority.identify("orders")), der(authority.service("web")), Judgements(monkeypatch)
    begin = now()
    verdicts = {made.judge(web, begin + each) for each in (0.0, 1.0, JUDGED_AGAIN - 1)}
    assert [(each.service, each.identity, each.reason) for each in verdicts] == [("web", spiffe("web"), "")]
    assert judged.count == 1
    made.judge(web, begin + JUDGED_AGAIN)
    assert judged.count == 2
    made.judge(web, begin)
    assert judged.count == 3


def test_remembered_verdicts_expire(authority: Authority) -> None:
    """A certificate that was accepted is refused once its time is over, and before its time has come."""
    made, web = MeshTls(authority.identify("orders")), der(authority.service("web"))
    begin = now()
    assert made.judge(web, begin).reason == ""
    assert made.judge(web, begin + 2 * 86_400).reason == "peer_expired"
    assert made.judge(web, begin - 2 * 86_400).reason == "peer_expired"
    assert made.judge(web, begin).reason == ""


def test_a_new_identity_judges_anew(authority: Authority) -> None:
    """What was said under one identity does not hold under the next: there it may be revoked."""
    web = authority.service("web")
    assert MeshTls(authority.identify("orders")).judge(der(web), now()).is_accepted
    assert MeshTls(authority.identify("orders", revoked=(web.serial,))).judge(der(web), now()).reason == "peer_revoked"


def test_verdicts_are_bounded(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many certificates come, a bounded number of verdicts is kept; those met last are."""
    monkeypatch.setattr(mesh_tls, "MOST_VERDICTS", 3)
    assert MOST_VERDICTS > 3
    made, judged = MeshTls(authority.identify("orders")), Judgements(monkeypatch)
    every = [f"certificate {number}".encode() for number in range(5)]
    for each in every:
        assert made.judge(each, NOW).reason == "peer_unfit"
    assert judged.count == 5
    for each in every[2:]:
        made.judge(each, NOW)
    assert judged.count == 5
    made.judge(every[0], NOW)
    assert judged.count == 6


@pytest.mark.parametrize("shown", [None, b""])
def test_no_certificate_is_no_identity(authority: Authority, shown: bytes | None) -> None:
    """Whoever shows nothing is nobody."""
    assert MeshTls(authority.identify("orders")).judge(shown, NOW).reason == "peer_no_identity"


def test_cryptography_comes_with_the_first_peer(authority: Authority, child: Any) -> None:
    """A worker with an identity has not loaded cryptography before it met anybody: an idle sidecar's memory is a
    budget."""
    told = authority.identify("orders")
    process = child(
        """
        import sys
        from meshctl.proxy import worker
        from meshctl.proxy.mesh_tls import MeshTls
        from meshctl.proxy.messages import Identify
        identity, domain, certificate, key, bundle = eval(sys.stdin.readline())
        made = MeshTls(Identify(identity, domain, certificate, key, bundle, 1))
        print(any(name.split(".")[0] == "cryptography" for name in sys.modules))
        made.judge(b"x", 0.0)
        print(any(name.split(".")[0] == "cryptography" for name in sys.modules))
        """
    )
    said, _ = process.communicate(
        repr((told.identity, told.trust_domain, told.certificate, told.key, told.bundle)) + "\n", timeout=60
    )
    assert said.split() == ["False", "True"]
