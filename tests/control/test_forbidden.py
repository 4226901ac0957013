"""Why an app cannot have a network of its own."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from meshctl.control.forbidden import forbidden


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user.max_user_namespaces", "0"),
        ("user.max_net_namespaces", "0"),
        ("kernel.unprivileged_userns_clone", "0"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1"),
    ],
)
def test_the_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    """The setting that forbids it is named, with what root does to allow it, and what goes without."""
    file = tmp_path / "proc/sys" / name.replace(".", "/")
    file.parent.mkdir(parents=True)
    file.write_text(f"{value}\n")
    error = forbidden(OSError(errno.EPERM, "Operation not permitted"), system=tmp_path)
    assert f"({name} = {value})" in error.message
    assert f"sysctl -w {name}=" in error.hint and "--intercept=auto" in error.hint


def test_where_no_setting_forbids_it_the_error_is_told(tmp_path: Path) -> None:
    """Without a setting that could be why, the system's word is told: a container's profile as the likely reason where
    it was not permitted, and the program that failed."""
    refused = forbidden(OSError(errno.EPERM, "Operation not permitted"), system=tmp_path)
    assert refused.message.endswith("operation not permitted") and "seccomp" in refused.hint
    file = tmp_path / "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
    file.parent.mkdir(parents=True)
    file.write_text("1\n")
    failed = forbidden(OSError(0, "Error: Could not process rule"), "nft", system=tmp_path)
    assert failed.message.endswith("nft: Error: Could not process rule") and "seccomp" not in failed.hint
