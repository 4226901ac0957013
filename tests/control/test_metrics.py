"""What is gathered for a scrape: when certificates in files end, and what a proxy of another version tells."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from meshctl.control.metrics import decoded, served
from meshctl.model.mesh import Certificate, Listener
from meshctl.observe.exposition import Facts
from meshctl.observe.mesh_exposition import Told
from meshctl.observe.sample import Sample
from tests.e2e.certificates import issue


def test_when_certificates_of_listeners_end(tmp_path: Path) -> None:
    """Each file is told of once with its end, one that was mended from then on; what cannot be read is left out."""
    certificate, key = map(str, issue(tmp_path, serial=1))
    (tmp_path / "broken.pem").write_text("not a certificate")
    pairs = tuple(Certificate(each, key) for each in (certificate, str(tmp_path / "broken.pem"), "/nowhere.pem"))
    listeners = (Listener("", 1, pairs), Listener("", 2, pairs), Listener("", 3))
    ((file, end),) = served(listeners)
    assert file == certificate
    assert end == pytest.approx(time.time() + 30 * 86400, abs=3600)
    (tmp_path / "broken.pem").write_bytes(Path(certificate).read_bytes())
    assert [name for name, _ in served(listeners)] == [certificate, str(tmp_path / "broken.pem")]


def test_another_version_tells_otherwise() -> None:
    """What a proxy tells is read; with more in it too; where it is something else, the proxy counts as silent."""
    told = Told(Sample(), Facts("1.2.3", revision=4))
    sent = msgspec.json.encode(told)
    assert decoded(sent) == told
    newer = msgspec.json.decode(sent)
    newer["facts"]["more"] = newer["more"] = 1
    assert decoded(msgspec.json.encode(newer)) == told
    assert decoded(b'{"sample": {}, "facts": []}') is None
    assert decoded(b"") is None
    assert decoded(None) is None
