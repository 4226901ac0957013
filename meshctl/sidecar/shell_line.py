"""A command line as a shell runs it, without a shell that stays: the last command takes the shell's place.

So the process that is wrapped is the program itself: it gets the signals, and its exit code is the one that is seen. A
line for which that might mean anything else is left as it is. Pure.
"""

from __future__ import annotations

import re
from typing import Final

# What ends a simple command. A redirection may hold a "&", which ends nothing.
_TOKEN: Final = re.compile(
    r"""'[^']*' | "(?:[^"\\]|\\.)*" | \\. | \#.* | [0-9]*[<>]&[0-9-]+ | && | \|\| | ;; | << | [;&|()\n]""",
    re.VERBOSE | re.DOTALL,
)
_SEPARATORS: Final = frozenset({"&&", "||", ";", "\n"})
# Groups, pipes, background jobs, here-documents, comments: what the last command belongs to is not for us to say.
_TOO_MUCH: Final = frozenset({"|", "&", "(", ")", ";;", "<<"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*=")
# These are the shell's own, or part of something larger.
_OF_SHELLS: Final = re.compile(
    r"[!.:\[{}]|alias|bg|break|builtin|case|cd|command|continue|declare|do|done|echo|elif|else|esac|eval|exec|exit|export"
    r"|false|fg|fi|for|function|getopts|hash|if|in|jobs|kill|let|local|printf|pwd|read|readonly|return|select|set|shift"
    r"|source|test|then|times?|trap|true|type|typeset|ulimit|umask|unalias|unset|until|wait|while"
)
# Without the shell they would have no effect, or another.
_KEPT: Final = re.compile(r"\b(trap|alias|function|case|if|for|while|until)\b|[{}]")


def exec_last(line: str) -> str:
    """`line`, with its last command replacing the shell.

    >>> exec_last("python app.py --port $PORT")
    'exec python app.py --port $PORT'
    >>> exec_last("cd shop && DEBUG=1 flask run")
    'cd shop && exec env DEBUG=1 flask run'
    >>> exec_last("generate | serve")
    'generate | serve'
    """
    line = line.strip()
    if "$(" in line or "`" in line:
        return line  # a command in a command may have quotes of its own
    start = 0
    for found in _TOKEN.finditer(line):
        word = found[0]
        if word in _TOO_MUCH or word.startswith("#"):
            return line
        if word in _SEPARATORS:
            start = found.end()
    head, last = line[:start], line[start:].lstrip()
    first = last.split(maxsplit=1)[0] if last else ""
    if not first or _OF_SHELLS.fullmatch(first) or _KEPT.search(head) or first[0] in "<>0123456789":
        return line
    word = "exec env" if _ASSIGNMENT.match(first) else "exec"
    return f"{head}{' ' if head and not head[-1].isspace() else ''}{word} {last}"
