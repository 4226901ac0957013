"""Making a network for one app alone, in which every connection and every question for a name arrives at sockets that
its sidecar has. Nothing outside of it changes, and it is gone with the last who uses it.

    every address is this machine's own   →  what listens at an address of loopback takes its connections, as ever
                                          →  all other connections end in our listeners (TPROXY), which know where to
                                             they were meant to go: it is their own address
    port 53 of every address, over UDP    →  one socket

Runs in a short-lived process, which goes into the new network and hands out descriptors of it.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from meshctl.control.forbidden import PACKAGES, forbidden, program
from meshctl.core.aliases import OWN_V4, OWN_V6
from meshctl.errors import MeshError
from meshctl.sidecar import linux

LOOPBACKS: Final = ("127.0.0.1", "::1")
_DNS: Final = 53
_BACKLOG: Final = 1024
# Of <linux/in.h> and <linux/in6.h>; Python has no names for them.
_IP_PKTINFO: Final = 8
_IP_TRANSPARENT: Final = 19
_IPV6_TRANSPARENT: Final = 75

_LINKS: Final = f"""\
link set lo up
addr add {OWN_V4}/32 dev lo
route add local 0.0.0.0/0 dev lo src {LOOPBACKS[0]}
"""
_LINKS_V6: Final = f"""\
addr add {OWN_V6}/128 dev lo
route add local ::/0 dev lo src {LOOPBACKS[1]}
"""


class Made(msgspec.Struct, frozen=True):
    """The word of the process: what the descriptors beside it are, or why there are none."""

    names: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


def make(tell: socket.socket, port: int) -> NoReturn:
    """In a process of its own: make a network for an app that listens on `port`, tell of it and end."""
    try:
        try:
            handles = _make(port)
        except MeshError as error:
            tell.send(msgspec.json.encode(Made((), error.message, error.hint)))
        except OSError as error:
            tell.send(msgspec.json.encode(Made((), f"{error.strerror or error}".lower())))
        except Exception as error:
            tell.send(msgspec.json.encode(Made((), f"unexpected {type(error).__name__}: {error}")))
        else:
            socket.send_fds(tell, [msgspec.json.encode(Made(tuple(handles)))], list(handles.values()))
    finally:
        os._exit(0)


def _make(port: int) -> dict[str, int]:
    ip, nft = _program("ip"), _program("nft")
    handles = _separate()
    # Also without root: the programs are told by what they may, not by who runs them.
    linux.hand_down(linux.NET_ADMIN)
    _run([ip, "-batch", "-"], _LINKS)
    has_v6 = _has_v6()
    if has_v6:
        _run([ip, "-batch", "-"], _LINKS_V6)
    listeners = [_listener(socket.AF_INET), *([_listener(socket.AF_INET6)] if has_v6 else [])]
    _run([nft, "-f", "-"], _rules(port, [each.getsockname()[1] for each in listeners]))
    questions = [_questions(socket.AF_INET), *([_questions(socket.AF_INET6)] if has_v6 else [])]
    for name, made in zip(("tcp4", "tcp6"), listeners, strict=False):
        handles[name] = made.detach()
    for name, made in zip(("dns4", "dns6"), questions, strict=False):
        handles[name] = made.detach()
    return handles


def _separate() -> dict[str, int]:
    """Go into a new network: as root where that may, else as the owner of new namespaces, in which the user's number
    stands for nobody but the user. Raises MeshError where the kernel forbids it."""
    names = ["net"]
    try:
        try:
            linux.unshare(linux.NEW_NETWORK)
        except PermissionError:
            names = ["user", "net"]
            _be_owner()
    except OSError as error:
        raise forbidden(error) from error
    return {name: os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in names}


def _be_owner() -> None:
    user, group = os.geteuid(), os.getegid()
    linux.unshare(linux.NEW_USER | linux.NEW_NETWORK)
    # user_namespaces(7): who has no rights outside must give up this one before its group may be named.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")


def _listener(family: socket.AddressFamily) -> socket.socket:
    """Accepts connections to every address that the rules lead to it."""
    made = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET:
        made.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        made.bind((LOOPBACKS[0], 0))
    else:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        made.bind((LOOPBACKS[1], 0))
    # Connections wait here while a worker is started again.
    made.listen(_BACKLOG)
    return made


def _questions(family: socket.AddressFamily) -> socket.socket:
    """Takes questions for names to any server, and knows which one was asked: that has to be the one that answers."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET:
        made.setsockopt(socket.SOL_IP, _IP_PKTINFO, 1)
        made.bind(("0.0.0.0", _DNS))  # every address of a network that nobody else is in
    else:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        made.bind(("::", _DNS))
    return made


def _rules(port: int, listeners: Sequence[int]) -> str:
    """The only ones there are in the new network. Only what opens a connection is looked at. At addresses of loopback
    the app's own sockets come first; on the port it is to listen on nobody else may seem to."""
    lines: list[str] = []
    families = (
        ("ip", f"{{ 127.0.0.0/8, {OWN_V4} }}", LOOPBACKS[0]),
        ("ip6", f"{{ ::1, {OWN_V6} }}", f"[{LOOPBACKS[1]}]"),
    )
    for (family, own, ours), listener in zip(families, listeners, strict=False):
        lines += (
            f"{family} daddr {own} tcp dport {port} accept",
            f"{family} daddr {own} socket wildcard 0 accept",
            f"{family} daddr {own} socket wildcard 1 accept",
            f"meta l4proto tcp tproxy {family} to {ours}:{listener} accept",
        )
    body = "\n".join(lines)
    return f"""\
table inet meshctl {{
  chain openings {{
{body}
  }}
  chain arrivals {{
    type filter hook prerouting priority mangle; policy accept;
    tcp flags & (fin|syn|rst|ack) == syn jump openings
  }}
}}
"""


def _has_v6() -> bool:
    try:
        return bool(Path("/proc/self/net/if_inet6").read_bytes().strip())
    except OSError:
        return False


def _program(name: str) -> str:
    found = program(name, os.environ.get("PATH", ""))
    if found is None:
        package = PACKAGES[name]
        hint = f"install the package {package}: apt-get install {package}, or dnf install {package}"
        raise MeshError("failed", f"--intercept needs the program {name}, which is not there", hint=hint)
    return found


def _run(command: list[str], text: str) -> None:
    """Have a program do what `text` says. Raises MeshError where it cannot."""
    ended = subprocess.run(command, input=text.encode(), capture_output=True, check=False)  # noqa: S603 - found above
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines() or ["without a word"]
        raise forbidden(OSError(0, said[0]), Path(command[0]).name)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
