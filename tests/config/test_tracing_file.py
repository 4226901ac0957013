"""What a file of header fields may say, and that mistakes in it are told without its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.config.build_tracing import read_fields
from meshctl.config.files import decode_text
from meshctl.config.problems import ConfigInvalid

TEXT = '[tracing]\nendpoint = "http://127.0.0.1:4318"\nheaders_file = "otlp.headers"\n'


def test_fields() -> None:
    """Each line is a field, but for comments and empty ones."""
    text = "# two\n\nAuthorization: Bearer a:b c\r\n  # not this one\nx-team:\tshop \n"
    assert read_fields(text) == [("Authorization", "Bearer a:b c"), ("x-team", "shop")]


@pytest.mark.parametrize("line", ["secret", ": secret", "a b: secret", "x:", "x: sec\x00ret", "x: sécret"])
def test_what_is_no_field(line: str, tmp_path: Path) -> None:
    """What is no field is told with its line, and without what stands there."""
    (tmp_path / "otlp.headers").write_text(f"a: b\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        decode_text(TEXT, folder=tmp_path)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("tracing.headers_file", 3)
    assert "line 2 is no header field" in problem.message
    assert "cret" not in str(problem)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that is not there is told, with where it was looked for."""
    with pytest.raises(ConfigInvalid, match="does not exist"):
        decode_text(TEXT, folder=tmp_path)
    assert decode_text(TEXT, folder=tmp_path, with_files=False).mesh.tracing is not None
