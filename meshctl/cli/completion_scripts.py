"""Completion scripts for bash, zsh and fish, written from the tree of commands.

What the tree knows is in them; for names that only the mesh knows they call `live_values`, and nothing else is started
by pressing TAB. A test holds the files under `completions/` to what this writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from meshctl.cli.help import first_sentence, may_be_bare, told

_FILES: Final = ("FILE", "PATH")
_FOLDER: Final = "DIR"
# Which names of the mesh a value is one of, by what it is called; of `live_values.KINDS`.
_LIVE: Final = {
    "SERVICE": "services",
    "SERVICE…": "services",
    "SIDECAR|SERVICE": "sidecars",
    "VERSION": "versions",
    "VERSION=WEIGHT…": "shares",
    "baseline|VERSION": "rivals",
    "ROUTE": "routes",
    "REVISION": "revisions",
    "WHOSE…": "sources",
    "WHO": "callers",
    "WHOM": "targets",
}
# The same where the word alone does not say it: by the place, and the option's name or the argument's.
_LIVE_AT: Final = {
    ("services show", "NAME"): "services",
    ("sidecar wrap", "--service"): "services",
    ("certs show", "NAME"): "identities",
    ("certs revoke", "NAME…"): "identities",
    ("api callers", "API"): "apis",
    ("api callers", "VERSION"): "api_versions",
    ("keys rotate", "KEY"): "keys",
    ("keys revoke", "KEY"): "keys",
}


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
        Flag(tuple(sorted(param.opts, key=len)), first_sentence(told(param)), _value(param))
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


def _kinds(node: Node) -> str:
    """The names that the arguments at a place are of, in order."""
    found = (_LIVE_AT.get((node.at, value)) or _LIVE.get(value, "") for value in node.arguments)
    return ",".join(filter(None, found))


def _kind(node: Node, flag: Flag) -> str:
    """The names that an option's value is one of; "" where it is none of the mesh's."""
    return _LIVE_AT.get((node.at, flag.names[-1])) or (_LIVE.get(flag.value, "") if flag.value else "")


_BASH_LIVE: Final = """\
_meshctl_live() {
    local word
    [[ $previous != "=" && $current != "=" ]] || return
    compopt +o filenames 2>/dev/null
    while IFS= read -r word; do
        [[ $word != "$current"* ]] || COMPREPLY+=("$word")
    done < <("${COMP_WORDS[0]}" __complete "$1" "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null </dev/null)
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
}"""
_ZSH_LIVE: Final = """\
_meshctl_live() {
    local -a found
    found=(${(f)"$("${typed[1]}" __complete "$1" "${(@)typed[2,-1]}" 2>/dev/null </dev/null)"})
    if [[ ${found[1]} == *= ]]; then compadd -S '' -a found; else compadd -a found; fi
}"""
_FISH_LIVE: Final = """\
function __meshctl_live
    set -l typed (commandline -opc)
    command $typed[1] __complete $argv[1] $typed[2..-1] 2>/dev/null </dev/null
end"""


def _bash(tree: Sequence[Node]) -> Iterator[str]:
    yield "# bash completion for meshctl, written by `meshctl completions bash`."
    yield _BASH_LIVE
    yield "_meshctl() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}"
    yield '    local at="" words="" flags="" word'
    yield "    COMPREPLY=()"
    yield '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '        case "${at:+$at }$word" in'
    yield f"            {_places(tree)}) at=${{at:+$at }}$word ;;"
    yield "        esac"
    yield "    done"
    yield '    case "$at $previous" in'
    for kind, places in _live_flags(tree).items():
        yield f"        {'|'.join(places)}) _meshctl_live {kind}; return ;;"
    yield "    esac"
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
    for node in tree:
        if kinds := _kinds(node):
            yield f'        "{node.at}") [[ $current == -* ]] || _meshctl_live {kinds} ;;'
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
    yield _ZSH_LIVE
    yield "_meshctl() {"
    yield '    local at="" last=1 index'
    yield "    local -a commands typed"
    yield '    typed=("${(@)words[1,CURRENT-1]}")'
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
        yield from (f"                {_zsh_flag(node, flag)} \\" for flag in node.flags)
        kinds = _kinds(node)
        live = f" _meshctl_live {kinds}" if kinds else ""
        rest = [f"{_quote(f'*:{value}:{live or _zsh_value(value)}')}" for value in node.arguments]
        yield f"                {' '.join(_zsh_rest(node, rest))} ;;"
    yield "    esac"
    yield "}"
    yield '_meshctl "$@"'


def _zsh_rest(node: Node, rest: list[str]) -> list[str]:
    return ["'1:command:{ _describe command commands }'"] if node.commands else rest[:1] or ["'*:: :'"]


def _zsh_flag(node: Node, flag: Flag) -> str:
    text = flag.help.replace("[", "(").replace("]", ")").replace(":", "\\:")
    kind = _kind(node, flag)
    action = f" _meshctl_live {kind}" if kind else _zsh_value(flag.value)
    value = f":{flag.value.replace('|', ' ')}:{action}" if flag.value else ""
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
    yield _FISH_LIVE
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
        if kinds := _kinds(node):
            yield f"{here} -a '(__meshctl_live {kinds})'"
        yield from (f"{here} {_fish_flag(node, flag)}" for flag in node.flags)


def _fish_flag(node: Node, flag: Flag) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names]
    value = ["-r"] if flag.value else []
    if flag.value in (*_FILES, _FOLDER):
        value = ["-r", "-F"]
    elif _choices(flag.value):
        value = ["-x", "-a", _quote(" ".join(_choices(flag.value)))]
    if kind := _kind(node, flag):
        value = ["-x", "-a", _quote(f"(__meshctl_live {kind})")]
    return " ".join([*names, *value, "-d", _quote(flag.help)])


def _value(param: Any) -> str:
    """What follows an option; what may stand without a value is completed without."""
    return "" if may_be_bare(param) else param.metavar or ""


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


def _live_flags(tree: Sequence[Node]) -> dict[str, list[str]]:
    """The options whose values are names of the mesh, with their places, under what names these are."""
    found: dict[str, list[str]] = {}
    for node in tree:
        for flag in node.flags:
            if kind := _kind(node, flag):
                found.setdefault(kind, []).extend(f'"{node.at} {name}"' for name in flag.names)
    return found


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


_WRITERS: Final[Mapping[str, Callable[[Sequence[Node]], Iterator[str]]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
