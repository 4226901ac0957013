"""Completion scripts for bash, zsh and fish, written from the tree of commands.

They are static: pressing TAB starts no Python. A test holds the files under `completions/` to what this writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from meshctl.cli.help import first_sentence

_FILES: Final = ("FILE", "PATH")
_FOLDER: Final = "DIR"


class Flag(NamedTuple):
    """An option: its spellings, what it says of itself, and what follows it: "" for nothing, FILE, DIR, "a|b" …"""

    names: tuple[str, ...]
    help: str
    value: str


class Node(NamedTuple):
    """A place in the tree: the words that lead to it, and what may be typed there."""

    at: str
    commands: Mapping[str, str]
    flags: Sequence[Flag]
    arguments: Sequence[str]


def script(shell: str, command: Any) -> str:
    """The completion script of the tree under `command` for `shell`: bash, zsh or fish."""
    tree = list(nodes(command))
    return "\n".join([*_WRITERS[shell](tree), ""])


def nodes(command: Any, at: str = "") -> Iterator[Node]:
    """Every place in the tree under `command`, the root first."""
    commands = getattr(command, "commands", {})
    flags = [
        Flag(tuple(sorted(param.opts, key=len)), first_sentence(param.help or ""), param.metavar or "")
        for param in command.params
        if param.param_type_name == "option"
    ]
    yield Node(
        at=at,
        commands={name: first_sentence(sub.help or "") for name, sub in commands.items()},
        flags=[*flags, Flag(("-h", "--help"), "Show this text", "")],
        arguments=[param.metavar or "" for param in command.params if param.param_type_name == "argument"],
    )
    for name, sub in commands.items():
        yield from nodes(sub, f"{at} {name}".strip())


def _bash(tree: Sequence[Node]) -> Iterator[str]:
    yield "# bash completion for meshctl, written by `meshctl completions bash`."
    yield "_meshctl() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}"
    yield '    local at="" words="" flags="" word'
    yield "    COMPREPLY=()"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '        case "${at:+$at }$word" in'
    yield f"            {_places(tree)}) at=${{at:+$at }}$word ;;"
    yield "        esac"
    yield "    done"
    yield '    case "$previous" in'
    for action, names in _by_value(tree, _bash_value).items():
        yield f"        {'|'.join(names)}) {action}; return ;;"
    yield "    esac"
    yield '    case "$at" in'
    for node in tree:
        choices = [*node.commands, *(word for value in node.arguments for word in _choices(value))]
        flags = " ".join(name for flag in node.flags for name in flag.names)
        yield f'        "{node.at}") words="{" ".join(choices)}" flags="{flags}" ;;'
    yield "    esac"
    yield '    case "$current" in'
    yield '        -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;'
    yield '        *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;'
    yield "    esac"
    files = "|".join(f'"{node.at}"' for node in tree if set(_FILES) & set(node.arguments))
    yield '    case "$at" in'
    yield f'        {files}) [[ $current == -* ]] || COMPREPLY=($(compgen -f -- "$current")) ;;'
    yield "    esac"
    yield "}"
    yield "complete -o filenames -F _meshctl meshctl"


def _bash_value(value: str) -> str:
    if value in _FILES:
        return 'COMPREPLY=($(compgen -f -- "$current"))'
    if value == _FOLDER:
        return 'COMPREPLY=($(compgen -d -- "$current"))'
    words = " ".join(_choices(value))
    return f'COMPREPLY=($(compgen -W "{words}" -- "$current"))' if words else "COMPREPLY=()"


def _zsh(tree: Sequence[Node]) -> Iterator[str]:
    yield "#compdef meshctl"
    yield "# zsh completion for meshctl, written by `meshctl completions zsh`."
    yield "_meshctl() {"
    yield '    local at="" last=1 index'
    yield "    local -a commands"
    yield "    for (( index = 2; index < CURRENT; index++ )); do"
    yield '        case "${at:+$at }${words[index]}" in'
    yield f'            {_places(tree)}) at="${{at:+$at }}${{words[index]}}"; last=$index ;;'
    yield "        esac"
    yield "    done"
    yield '    words=(meshctl "${(@)words[last+1,-1]}")'
    yield "    (( CURRENT -= last - 1 ))"
    yield '    case "$at" in'
    for node in tree:
        yield f'        "{node.at}")'
        for name, text in node.commands.items():
            yield f"            commands+=({_quote(f'{name}:{text}')})"
        yield "            _arguments \\"
        yield from (f"                {_zsh_flag(flag)} \\" for flag in node.flags)
        rest = [f"{_quote(f'*:{value}:{_zsh_value(value)}')}" for value in node.arguments]
        yield f"                {' '.join(_zsh_rest(node, rest))} ;;"
    yield "    esac"
    yield "}"
    yield '_meshctl "$@"'


def _zsh_rest(node: Node, rest: list[str]) -> list[str]:
    return ["'1:command:{ _describe command commands }'"] if node.commands else rest[:1] or ["'*:: :'"]


def _zsh_flag(flag: Flag) -> str:
    text = flag.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    value = f":{flag.value.replace('|', ' ')}:{_zsh_value(flag.value)}" if flag.value else ""
    return " ".join(_quote(f"*{name}[{text}]{value}") for name in flag.names)


def _zsh_value(value: str) -> str:
    if value in _FILES:
        return "_files"
    if value == _FOLDER:
        return "_files -/"
    return f"({' '.join(_choices(value))})" if _choices(value) else " "


def _fish(tree: Sequence[Node]) -> Iterator[str]:
    yield "# fish completion for meshctl, written by `meshctl completions fish`."
    yield "function __meshctl_at"
    yield '    set -l at ""'
    yield "    for word in (commandline -opc)[2..-1]"
    yield '        set -l next (string trim -- "$at $word")'
    yield f"        if contains -- $next {' '.join(_quote(node.at) for node in tree if node.at)}"
    yield "            set at $next"
    yield "        end"
    yield "    end"
    yield '    test "$at" = "$argv"'
    yield "end"
    yield "complete -c meshctl -f"
    for node in tree:
        here = f"complete -c meshctl -n {_quote(f'__meshctl_at {node.at}'.strip())}"
        for name, text in node.commands.items():
            yield f"{here} -a {name} -d {_quote(text)}"
        for argument in node.arguments:
            if argument in _FILES:
                yield f"{here} -F"
            elif _choices(argument):
                yield f"{here} -a {_quote(' '.join(_choices(argument)))}"
        yield from (f"{here} {_fish_flag(flag)}" for flag in node.flags)


def _fish_flag(flag: Flag) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    value = ["-r"] if flag.value else []
    if flag.value in (*_FILES, _FOLDER):
        value = ["-r", "-F"]
    elif _choices(flag.value):
        value = ["-x", "-a", _quote(" ".join(_choices(flag.value)))]
    return " ".join([*names, *value, "-d", _quote(flag.help)])


def _choices(value: str) -> list[str]:
    """The words a value may be: those in lower case of "a|b"; "N" in "N|auto" only stands for a number."""
    return [word for word in value.split("|") if word.islower()] if "|" in value else []


def _places(tree: Sequence[Node]) -> str:
    return "|".join(f'"{node.at}"' for node in tree if node.at)


def _by_value(tree: Sequence[Node], action: Callable[[str], str]) -> dict[str, list[str]]:
    """The options that take a value, under what completes the value."""
    found: dict[str, list[str]] = {}
    for flag in (flag for node in tree for flag in node.flags if flag.value):
        names = found.setdefault(action(flag.value), [])
        names += [name for name in flag.names if name not in names]
    return found


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_WRITERS: Final[Mapping[str, Callable[[Sequence[Node]], Iterator[str]]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
