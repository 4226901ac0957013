"""Files: found, read or refused with a reason; certificates missing, unreadable, expired or not their key's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from meshctl.config.files import LARGEST, load
from meshctl.config.problems import ConfigInvalid
from meshctl.errors import MeshError

NOW = datetime.now(UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate_pem(
    key: ec.EllipticCurvePrivateKey, *, days: int = 30, start: datetime = NOW - timedelta(days=1)
) -> bytes:
    """A self-signed certificate for the key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    return (
        builder.not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def key_pem(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """The key as PEM."""
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with c.pem, k.pem that fit each other, and a mesh.toml that names them."""
    key = new_key()
    (tmp_path / "c.pem").write_bytes(certificate_pem(key))
    (tmp_path / "k.pem").write_bytes(key_pem(key))
    (tmp_path / "mesh.toml").write_text('[gateway]\ntls = { certificate = "c.pem", key = "k.pem" }\n')
    return tmp_path


def problems(folder: Path) -> list[str]:
    """What is said of the folder's mesh.toml, without the file's name."""
    file = folder / "mesh.toml"
    try:
        found = load(file).warnings
    except ConfigInvalid as error:
        found = error.problems
    return [str(problem).removeprefix(f"{file}:") for problem in found]


def test_load_keeps_text_name_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded remembers its text, the name it was given and its absolute path."""
    monkeypatch.chdir(tmp_path)
    Path("mesh.toml").write_text('[mesh]\nname = "shop"\n')
    loaded = load(Path("mesh.toml"))
    assert (loaded.mesh.name, loaded.text) == ("shop", '[mesh]\nname = "shop"\n')
    assert ("mesh.toml", tmp_path / "mesh.toml") == (loaded.name, loaded.path)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    """Files of Windows editors are configurations too, with right columns."""
    (tmp_path / "mesh.toml").write_bytes('\ufeff[mesh]\r\nname = "shop"\r\nnaem = 1\r\n'.encode())
    assert problems(tmp_path)[0].startswith("3:1: mesh.naem: unknown key")
    (tmp_path / "mesh.toml").write_bytes("\ufeffx".encode())
    assert problems(tmp_path)[0].startswith("1:2: ")


def missing(_: Path) -> None:
    """Leaves the file missing."""


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (missing, "no such file"),
        (Path.mkdir, "is a folder"),
        (lambda path: path.write_bytes(b"a = 1\nb = \xff\n"), "2:5: byte 0xff is not UTF-8"),
        (lambda path: path.write_bytes(b"#" * (LARGEST + 1)), "larger than 16 MiB"),
        (lambda path: path.symlink_to(path), "symbolic link"),
    ],
)
def test_unreadable(tmp_path: Path, make: Callable[[Path], object], reason: str) -> None:
    """A file that gives no text is refused with the reason and its name."""
    file = tmp_path / "mesh.toml"
    make(file)
    with pytest.raises(MeshError) as caught:
        load(file)
    assert (caught.value.code, caught.value.exit_status) == ("config_unreadable", 3)
    assert reason in caught.value.message
    assert str(file) in caught.value.message


@contextmanager
def unprivileged() -> Iterator[None]:
    """Without root's right to read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_permission(pair: Path) -> None:
    """A file that may not be read says so, a key as well as the configuration."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("c.pem", "mesh.toml"):
            shutil.copy(pair / file, folder)
            os.chmod(folder / file, 0o644)
        os.chmod(folder, 0o755)
        os.close(os.open(folder / "k.pem", os.O_CREAT, 0o000))
        with unprivileged():
            assert problems(folder) == ['2:32: gateway.tls.key: "k.pem" may not be read: permission denied']
        os.chmod(folder / "mesh.toml", 0o000)
        with unprivileged(), pytest.raises(MeshError, match="permission denied"):
            load(folder / "mesh.toml")


def test_a_good_pair_is_silent(pair: Path) -> None:
    """A certificate and its key give no problem."""
    assert problems(pair) == []


def test_files_are_only_looked_at_on_demand(pair: Path) -> None:
    """Without with_files the certificates need not be there."""
    (pair / "c.pem").unlink()
    assert len(load(pair / "mesh.toml", with_files=False).mesh.gateway.listeners[0].tls) == 1


def test_the_mesh_certificate_is_no_file(tmp_path: Path) -> None:
    """The certificate "mesh" is looked for nowhere; a file of that name is written "./mesh"."""
    (tmp_path / "mesh.toml").write_text('[gateway]\ntls = { certificate = "mesh" }\n')
    assert problems(tmp_path) == []
    (tmp_path / "mesh.toml").write_text('[gateway]\ntls = { certificate = "./mesh", key = "k.pem" }\n')
    assert '2:9: gateway.tls.certificate: "./mesh" does not exist' in problems(tmp_path)[0]


def test_missing_files(pair: Path) -> None:
    """Both files are reported, with where they were looked for."""
    (pair / "c.pem").unlink()
    (pair / "k.pem").unlink()
    found = problems(pair)
    assert [f'2:9: gateway.tls.certificate: "c.pem" does not exist; looked for "{pair}/c.pem"'[:60]] == [found[0][:60]]
    assert found[1].startswith('2:32: gateway.tls.key: "k.pem" does not exist')


@pytest.mark.parametrize(
    ("file", "make", "expected"),
    [
        ("c.pem", lambda: b"hello", '2:9: gateway.tls.certificate: "c.pem" is no PEM certificate'),
        ("c.pem", lambda: b"", '2:9: gateway.tls.certificate: "c.pem" is no PEM certificate'),
        ("k.pem", lambda: b"hello", '2:32: gateway.tls.key: "k.pem" is no PEM private key'),
        (
            "k.pem",
            lambda: key_pem(new_key(), b"secret"),
            '2:32: gateway.tls.key: "k.pem" is encrypted; expected a key without',
        ),
        ("k.pem", lambda: key_pem(new_key()), '2:32: gateway.tls.key: "k.pem" does not fit the certificate "c.pem"'),
    ],
)
def test_bad_files(pair: Path, file: str, make: Callable[[], bytes], expected: str) -> None:
    """A file that is no certificate, no key, or the key of another certificate is an error at its key."""
    (pair / file).write_bytes(make())
    (only,) = problems(pair)
    assert expected == only[: len(expected)]


@pytest.mark.parametrize(
    ("start", "days", "expected"),
    [
        (NOW - timedelta(days=40), 30, "expired on"),
        (NOW + timedelta(days=2), 30, "is not valid before"),
        (NOW - timedelta(days=29, hours=12), 30, "expires within a day"),
    ],
)
def test_dates_are_warnings(pair: Path, start: datetime, days: int, expected: str) -> None:
    """An expired certificate is told of but does not stop anybody: it may be what a test wants."""
    key = new_key()
    (pair / "c.pem").write_bytes(certificate_pem(key, days=days, start=start))
    (pair / "k.pem").write_bytes(key_pem(key))
    (only,) = problems(pair)
    assert only.startswith(f'2:9: warning: gateway.tls.certificate: "c.pem" {expected}')
    assert load(pair / "mesh.toml").warnings


def test_certificates_of_listeners_and_authorities(pair: Path) -> None:
    """Every file that is named anywhere is looked at."""
    (pair / "ca.pem").write_text("hello")
    (pair / "mesh.toml").write_text(
        '[gateway]\nlisten = [{ address = ":0", tls = [{ certificate = "x.pem", key = "k.pem" }] }]\n'
        '[[routes]]\nservice = "a"\n[services.a]\nendpoints = ["https://h"]\ntls = { ca = "ca.pem" }\n'
    )
    first, second = problems(pair)
    assert first.startswith('2:38: gateway.listen[0].tls[0].certificate: "x.pem" does not exist')
    assert second.startswith('7:9: services.a.tls.ca: "ca.pem" is no PEM certificate')


def test_secrets_of_the_gateway(pair: Path) -> None:
    """A secret that is missing, empty, or for others to read is an error at its key; what it is is never told."""
    (pair / "mesh.toml").write_text(
        '[auth.a.introspection]\nurl = "https://id/x"\nclient_id = "g"\nclient_secret_file = "secret"\nca = "ca.pem"\n'
        '[[routes]]\nservice = "a"\nauth = "a"\n[services.a]\nendpoints = ["127.0.0.1:1"]\n'
    )
    (pair / "ca.pem").write_text("hello")
    first, second = problems(pair)
    assert first.startswith('4:1: auth.a.introspection.client_secret_file: "secret" does not exist')
    assert second.startswith('5:1: auth.a.introspection.ca: "ca.pem" is no PEM certificate')
    secret = pair / "secret"
    secret.touch(0o600)
    assert "is empty; expected a line with the secret" in problems(pair)[0]
    secret.write_text("s3cret")
    assert len(problems(pair)) == 1
    secret.chmod(0o640)
    (told, _) = problems(pair)
    assert "holds a secret, and others may read it (mode 0640); chmod 600" in told
    assert "s3cret" not in told
