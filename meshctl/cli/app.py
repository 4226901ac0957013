"""The tree of commands, and the edge where every failure becomes a message, a hint and an exit status."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import typer

from meshctl.cli import (
    api,
    certs,
    certs_list,
    certs_mtls,
    certs_rotate,
    certs_trust,
    certs_verify,
    changes,
    completions,
    config,
    demo,
    doctor,
    down,
    edges,
    gateway,
    keys,
    limits,
    logs,
    metrics,
    project,
    rollout,
    routes,
    services,
    sidecar,
    stat,
    status,
    tap,
    top,
    traffic,
    traffic_fault,
    traffic_mirror,
    up,
)
from meshctl.cli.command import Body, HomeOption, QuietOption, add_command, new_group
from meshctl.cli.render import Terminal, prepare_streams
from meshctl.errors import FAILED, USAGE, MeshError

# 128 + SIGINT, what a shell reports of a program that Ctrl-C ended.
INTERRUPTED: Final = 130


class Group(NamedTuple):
    """A word that commands stand under."""

    help: str
    commands: Mapping[str, Body | Group]
    example: str


HELP: Final = """\
An API gateway and a service mesh in one command, without Kubernetes.

Commands end with 0 when done, 1 when failed, 2 for a wrong command line, 3 for an invalid configuration, 4 when
something is not found or nothing runs; `sidecar wrap` with the status of its app."""
EXAMPLES: Final = """\
meshctl demo
meshctl gateway up --route /=http://127.0.0.1:8000
meshctl init --template mesh && meshctl up"""

TREE: Final[Mapping[str, Body | Group]] = {
    "demo": demo.demo,
    "init": project.init,
    "up": up.up,
    "down": down.down,
    "validate": project.validate,
    "diff": changes.diff,
    "apply": changes.apply,
    "gateway": Group(
        "Start the gateway, look at it, change it, stop it.",
        {
            "up": gateway.up,
            "status": gateway.status,
            "reload": gateway.reload,
            "down": gateway.down,
            "logs": gateway.logs,
        },
        "meshctl gateway up --route /=http://127.0.0.1:8000",
    ),
    "sidecar": Group(
        "Run an app as a member of the mesh, look at those that are, keep one from requests.",
        {"wrap": sidecar.wrap, "ls": sidecar.ls, "drain": sidecar.drain},
        "meshctl sidecar wrap --service orders -- python app.py",
    ),
    "routes": Group(
        "The live routes, and which of them takes a request.",
        {"ls": routes.ls, "explain": routes.explain},
        "meshctl routes explain GET /v1/orders -c mesh.toml",
    ),
    "services": Group(
        "The services behind the routes: versions, endpoints, health.",
        {"ls": services.ls, "show": services.show},
        "meshctl services show orders",
    ),
    "api": Group(
        "The versions of APIs: how long each has to live, and who still calls those that are to go.",
        {"ls": api.ls, "callers": api.callers},
        "meshctl api ls",
    ),
    "limits": Group(
        "What callers have used of the quotas of routes.",
        {"ls": limits.ls, "reset": limits.reset},
        "meshctl limits ls",
    ),
    "traffic": Group(
        "Which version of a service takes how much: shown, shifted, taken back; nothing restarts, no request fails.",
        {
            "split": traffic.split,
            "shift": traffic.shift,
            "promote": traffic.promote,
            "rollback": traffic.rollback,
            "reset": traffic.reset,
            "history": traffic.history,
            "rollout": rollout.rollout,
            "pause": rollout.pause,
            "resume": rollout.resume,
            "abort": rollout.abort,
            "mirror": traffic_mirror.mirror,
            "fault": traffic_fault.fault,
        },
        "meshctl traffic shift orders v2=10",
    ),
    "keys": Group(
        "API keys: made, listed, replaced, revoked; every proxy knows at once.",
        {"create": keys.create, "ls": keys.ls, "rotate": keys.rotate, "revoke": keys.revoke},
        "meshctl keys create --owner acme",
    ),
    "certs": Group(
        "The mesh's own certificates: who has which, how long, and new ones for all of them while everything runs.",
        {
            "init": certs.init,
            "issue": certs.issue,
            "ls": certs_list.ls,
            "show": certs_list.show,
            "verify": certs_verify.verify,
            "rotate": certs_rotate.rotate,
            "revoke": certs.revoke,
            "bundle": certs.bundle,
            "mtls": certs_mtls.mtls,
            "trust": Group(
                "Whether programs on this machine, such as browsers, trust the mesh's roots.",
                {"install": certs_trust.install, "uninstall": certs_trust.uninstall, "status": certs_trust.status},
                "meshctl certs trust install",
            ),
        },
        "meshctl certs rotate --all",
    ),
    "config": Group(
        "The configuration in force, its schema, and the way back to an earlier one.",
        {
            "show": config.show,
            "schema": config.schema,
            "history": config.history,
            "rollback": config.rollback,
            "export": config.export,
        },
        "meshctl config history",
    ),
    "status": status.status,
    "stat": stat.stat,
    "tap": tap.tap,
    "top": top.top,
    "edges": edges.edges,
    "logs": logs.logs,
    "metrics": Group(
        "What Prometheus reads of all proxies, and a dashboard, alert rules and a scrape configuration for it.",
        {"show": metrics.show, "dashboard": metrics.dashboard, "alerts": metrics.alerts, "scrape": metrics.scrape},
        "meshctl metrics show",
    ),
    "doctor": doctor.doctor,
    "completions": completions.completions,
}


def build(arguments: Collection[str] | None = None) -> Any:
    """The command line, as the library's command: the whole of it, or without what is in groups that none of
    `arguments` names, which takes most of the time."""
    root = new_group(HELP, EXAMPLES)
    root.callback()(_root)
    _grow(root, TREE, arguments)
    command: Any = typer.main.get_command(root)
    # The library puts groups last; people read the order of the tree.
    command.commands = {name: command.commands[name] for name in TREE}
    return command


def _grow(stem: typer.Typer, entries: Mapping[str, Body | Group], arguments: Collection[str] | None) -> None:
    """Add commands and groups of commands under a group."""
    for name, entry in entries.items():
        if not isinstance(entry, Group):
            add_command(stem, name, entry)
            continue
        branch = new_group(entry.help, entry.example)
        if arguments is None or name in arguments:
            _grow(branch, entry.commands, arguments)
        stem.add_typer(branch, name=name)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit status it ends with. Tells what failed on stderr."""
    prepare_streams()
    terminal = Terminal()
    try:
        status = build(arguments)(list(arguments), prog_name="meshctl", standalone_mode=False)
    except MeshError as error:
        terminal.error(error)
        return error.exit_status
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message"):
            return _tell_usage(terminal, error)
        if os.environ.get("MESHCTL_DEBUG"):
            raise
        terminal.error(MeshError("failed", _unexpected(error), hint="MESHCTL_DEBUG=1 shows where; please report it"))
        return FAILED
    return status if isinstance(status, int) else 0


def _root(
    home: HomeOption = None,
    quiet: QuietOption = False,
    version: Annotated[bool, typer.Option("--version", "-V", help="Show the version and end.")] = False,
) -> None:
    """An API gateway and a service mesh in one command, without Kubernetes."""


def _tell_usage(terminal: Terminal, error: Any) -> int:
    """The library's usage errors, in our voice. Its classes are private to it; their shape is documented."""
    context = getattr(error, "ctx", None)
    text = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        terminal.fail(text.rstrip("\n"))
        return USAGE
    path = context.command_path if context is not None else "meshctl"
    message = (text[:1].lower() + text[1:]).rstrip(".")
    terminal.error(MeshError("usage", message, hint=_named(context, message) or f"{path} --help"))
    return USAGE


def _named(context: Any, message: str) -> str:
    """How to name a file that stands alone where a command takes it after -c; "" where that is not what is wrong."""
    word = re.fullmatch(r"got unexpected extra argument.*\((\S+)\)", message)
    if word is None or not any("-c" in each.opts for each in context.command.params):
        return ""
    return f"{context.command_path} -c {word[1]}" if word[1].endswith(".toml") or os.path.isfile(word[1]) else ""


def _unexpected(error: Exception) -> str:
    detail = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}{': ' + detail if detail else ''}"
