"""The environment of the command itself: Python, libraries, which meshctl this is, and the variables of the shell."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import socket
import ssl
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from meshctl import __version__
from meshctl.control.checks.facts import Facts
from meshctl.control.checks.finding import Finding, Unknown, counted, failed, passed, warned
from meshctl.control.checks.requirements import Requirement, installed, requirements
from meshctl.control.forbidden import PACKAGES, missing, setting
from meshctl.model.names import LOOPBACK_HOSTS

OLDEST: Final = (3, 11)

_PROXIES: Final = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_INSTALL: Final = f"in a checkout of meshctl: {sys.executable} -m pip install --force-reinstall ."
_TRY: Final = 0.5


def python(_facts: Facts) -> Finding:
    """Python is one that meshctl runs on."""
    return judge_python(sys.version_info[:2], platform.python_implementation(), platform.python_version())


def judge_python(version: tuple[int, int], implementation: str, shown: str) -> Finding:
    """See `python`."""
    oldest = ".".join(map(str, OLDEST))
    if version < OLDEST:
        return failed(f"Python {shown} is too old", f"install Python {oldest} or newer, and meshctl with it")
    if implementation != "CPython":
        return warned(f"{implementation} {shown} is not what meshctl is tested with", "use CPython")
    return passed(f"Python {shown} at {sys.executable}")


def system(facts: Facts) -> Finding:
    """The operating system is one that meshctl is made for."""
    try:
        release = facts.text("proc/sys/kernel/osrelease")
    except Unknown:
        release = platform.release()
    return judge_system(platform.system(), release)


def judge_system(name: str, release: str) -> Finding:
    """See `system`."""
    if name == "Linux":
        return passed(f"Linux {release}" + (" (WSL)" if "microsoft" in release.lower() else ""))
    if name == "Darwin":
        return passed(f"macOS, Darwin {release}")
    return warned(f"{name} {release} is not what meshctl is tested on", "use Linux, macOS or WSL 2")


def libraries(_facts: Facts) -> Finding:
    """Every library that meshctl needs is installed, in a version that it knows."""
    needed = requirements()
    return judge_libraries(needed, installed(each.name for each in needed))


def judge_libraries(needed: Iterable[Requirement], found: Mapping[str, str]) -> Finding:
    """See `libraries`; `found` are the versions by name."""
    missing = [each.name for each in needed if each.name not in found]
    if missing:
        return failed(f"missing: {', '.join(missing)}", _INSTALL)
    unknown = [f"{each.name} {found[each.name]}" for each in needed if not each.admits(found[each.name])]
    if unknown:
        return warned(f"not tested with: {', '.join(unknown)}", _INSTALL)
    return passed(", ".join(f"{name} {version}" for name, version in found.items()))


def fast_path(_facts: Facts) -> Finding:
    """The compiled libraries that carry requests can be loaded on this machine."""
    try:
        import httptools  # noqa: F401 - whether it loads is the question
        import uvloop  # noqa: F401
    except ImportError as error:
        return failed(f"the data plane cannot be loaded: {error}", _INSTALL)
    return passed(f"uvloop {metadata.version('uvloop')} and httptools {metadata.version('httptools')} load")


def tls(_facts: Facts) -> Finding:
    """TLS 1.3, which the mesh speaks alone, is there."""
    if not ssl.HAS_TLSv1_3:
        return failed(f"{ssl.OPENSSL_VERSION} has no TLS 1.3", "use a Python that is built with OpenSSL 1.1.1 or newer")
    return passed(f"{ssl.OPENSSL_VERSION}, TLS 1.3")


def command(facts: Facts) -> Finding:
    """`meshctl` typed in this shell is this one."""
    found = shutil.which("meshctl", path=facts.environ.get("PATH", os.defpath))
    if found is None:
        hint = f"add {Path(sys.executable).parent} to PATH, or install it with pipx"
        return warned("meshctl is not on PATH", hint)
    return judge_command(found, _interpreter(Path(found)), sys.executable)


def judge_command(found: str, interpreter: str, own: str) -> Finding:
    """See `command`; `interpreter` is what the script on PATH starts, "" where that cannot be told."""
    here = Path(own).parent
    if interpreter and Path(interpreter).parent != here and Path(found).parent != here:
        hint = f"put {here} first on PATH, or remove the other one"
        return warned(f"{found} is another meshctl, of {interpreter}", hint)
    return passed(f"meshctl {__version__} at {found}")


def _interpreter(script: Path) -> str:
    try:
        with script.open("rb") as file:
            line = file.readline(512)
    except OSError:
        return ""
    return line[2:].decode(errors="replace").strip().split(" ")[0] if line.startswith(b"#!/") else ""


def text(facts: Facts) -> Finding:
    """The terminal's locale can show names of all scripts."""
    environ = facts.environ
    name = next((environ[each] for each in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(each)), "")
    return judge_text(name, locale.getpreferredencoding(False))


def judge_text(name: str, encoding: str) -> Finding:
    """See `text`. Python itself takes UTF-8 where the locale is "C" or none (PEP 538)."""
    plain = encoding.lower().replace("-", "").replace("_", "")
    if plain == "utf8" or name in ("", "C", "POSIX"):
        return passed(f"{name or 'no locale'}, {encoding}")
    return warned(f"the locale {name} shows no UTF-8 ({encoding})", "export LC_ALL=C.UTF-8")


def http_proxy(facts: Facts) -> Finding:
    """No variable sends the shell's requests to a sidecar that has ended."""
    for name in _PROXIES:
        value = facts.environ.get(name, "")
        host, port = _place(value)
        if host in LOOPBACK_HOSTS and port and not _listens(host, port):
            detail = f"{name} is {host}:{port}, where nobody listens: every request of this shell fails"
            return failed(detail, f"unset {' '.join(each for each in _PROXIES if facts.environ.get(each))}")
    found = [name for name in _PROXIES if facts.environ.get(name)]
    return passed(f"{', '.join(found)} lead somewhere" if found else "no proxy is set")


def no_proxy(facts: Facts) -> Finding:
    """Requests to this machine do not go to a proxy elsewhere."""
    return judge_no_proxy(facts.environ)


def judge_no_proxy(environ: Mapping[str, str]) -> Finding:
    """See `no_proxy`."""
    away = [name for name in _PROXIES if environ.get(name) and _place(environ[name])[0] not in LOOPBACK_HOSTS]
    if not away:
        return passed("no proxy elsewhere is set")
    excepted = (environ.get("no_proxy") or environ.get("NO_PROXY") or "").replace(" ", "").split(",")
    missing = [each for each in ("localhost", "127.0.0.1") if each not in excepted and "*" not in excepted]
    if missing:
        detail = f"{away[0]} sends requests to {' and '.join(missing)} to a proxy, too"
        return warned(detail, "export NO_PROXY=localhost,127.0.0.1,::1 no_proxy=localhost,127.0.0.1,::1")
    return passed(f"NO_PROXY excepts {counted(len(excepted), 'name')}")


def interception(facts: Facts) -> Finding:
    """Whether apps can be wrapped with --intercept; nothing is wrong where they cannot."""
    absent = missing(facts.environ.get("PATH", ""))
    return judge_interception(platform.system(), absent, setting(facts.system), is_root=not os.geteuid())


def judge_interception(system: str, absent: str, forbids: tuple[str, str] | None, *, is_root: bool) -> Finding:
    """See `interception`; `absent` is a program that is not there, `forbids` what a setting means to all but root."""
    if system != "Linux":
        return passed("apps are wrapped without --intercept, which is for Linux alone")
    if absent:
        return passed(f"apps are wrapped without --intercept, which needs {absent} (package {PACKAGES[absent]})")
    if forbids is not None and not is_root:
        return passed(f"apps are wrapped without --intercept: {forbids[0]}")
    return passed("no setting keeps apps from being wrapped with --intercept")


def completions(facts: Facts) -> Finding:
    """Whether TAB completes meshctl's words; nothing is wrong where it does not."""
    home = Path(facts.environ.get("HOME", "/"))
    data = Path(facts.environ.get("XDG_DATA_HOME") or home / ".local/share")
    config = Path(facts.environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = (
        data / "bash-completion/completions/meshctl",
        facts.system / "usr/share/bash-completion/completions/meshctl",
        facts.system / "etc/bash_completion.d/meshctl",
        home / ".zfunc/_meshctl",
        facts.system / "usr/share/zsh/site-functions/_meshctl",
        config / "fish/completions/meshctl.fish",
    )
    found = next((place for place in places if place.is_file()), None)
    startups = (home / ".bashrc", home / ".zshrc", home / ".bash_profile")
    found = found or next((each for each in startups if b"meshctl completions" in _content(each)), None)
    if found is not None:
        return passed(f"installed: {found}")
    shell = Path(facts.environ.get("SHELL", "bash")).name
    shell = shell if shell in ("zsh", "fish") else "bash"
    how = "meshctl completions fish | source" if shell == "fish" else f"source <(meshctl completions {shell})"
    return passed(f"not installed for {shell}", how)


def _place(value: str) -> tuple[str, int]:
    """Host and port of a proxy's URL, "" and 0 where there are none."""
    parts = urlsplit(value if "://" in value else f"//{value}")
    try:
        return parts.hostname or "", parts.port or (80 if parts.hostname else 0)
    except ValueError:
        return parts.hostname or "", 0


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), _TRY):
            return True
    except OSError:
        return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
