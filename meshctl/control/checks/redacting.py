"""What may leave the machine of a configuration, a log or a document: everything but secrets. Pure.

It errs on the side of taking away: values of headers and cookies, bodies, command lines beyond their first word,
queries, whatever stands beside a word such as "token" or looks like a key. Names, addresses, numbers and times stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

GONE: Final = "[redacted]"

# Keys of documents whose whole value is taken away, and those of which the first word stays.
_VALUES: Final = re.compile(
    r"passw|secret|token|api_?key|credential|authorization|cookie|session|private|passphrase|digest|^keys$|^users$",
    re.IGNORECASE,
)
_HELD: Final = frozenset({"body", "request_headers", "response_headers", "headers", "query", "cookies", "match"})
_COMMANDS: Final = frozenset({"command", "line", "on_step", "on_promote", "on_rollback", "gate"})

# Every repetition is bounded: what is read here, others may have written.
_MIXED: Final = r"(?=[\w+/-]{0,200}[A-Z])(?=[\w+/-]{0,200}[a-z])(?=[\w+/-]{0,200}\d)"
_WORDS: Final = r"passw|secret|token|api[_-]?key|credential|authorization|cookie|passphrase"
_PATTERNS: Final = (
    # A private key, whole or cut.
    (re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}-----|\Z)", re.DOTALL), GONE),
    # JSON Web Tokens.
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]*\.?[\w-]*"), GONE),
    (re.compile(r"\b(bearer|basic|digest)(\s{1,9})[^\s\"',;]+", re.IGNORECASE), rf"\1\2{GONE}"),
    # Whoever logs in within a URL (RFC 3986 §3.2.1), and queries.
    (re.compile(r"(//)[^/\s\"'@]{1,500}@"), rf"\1{GONE}@"),
    (re.compile(r"(?<=[\w/%.~-])\?[^\s\"'<>…][^\s\"'<>]*"), f"?{GONE}"),
    # `password: x`, `"api_key": "x"`, `TOKEN=x`, `--secret x`.
    (
        re.compile(
            rf"""((?<![\w-])[\w-]{{0,200}}(?:{_WORDS})[\w-]{{0,40}}["']?(?:\s{{0,9}}[:=]\s{{0,9}}|\s{{1,9}}(?=[^\s:=])))"""
            r"""("[^"]*"|'[^']*'|[^\s,;"'}\]]+)""",
            re.IGNORECASE,
        ),
        rf"\1{GONE}",
    ),
    # Long random texts with capitals, small letters and digits: keys of all sorts. Fingerprints and serials are hex;
    # what begins with a slash is a path, whose segments are looked at one by one.
    (re.compile(rf"(?<![\w+/-])(?!/){_MIXED}[\w+/-]{{32,}}={{0,2}}"), GONE),
    (re.compile(rf"(?<![\w-]){_MIXED.replace('+/', '')}[\w-]{{32,}}"), GONE),
)


def redacted_text(text: str) -> str:
    """A text without what looks like a secret."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def redacted(value: Any, key: str = "") -> Any:
    """A document (dicts, lists, plain values) without secrets. `key` is the name that it stands under."""
    if isinstance(value, str) and key in _COMMANDS:
        return _first_word(value)
    if value and (key in _HELD or _VALUES.search(key)):
        return _names(value)
    if isinstance(value, Mapping):
        return {str(name): redacted(each, str(name)) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each, key) for each in value]
    return redacted_text(value) if isinstance(value, str) else value


def _names(value: Any) -> Any:
    """What is left of values that are secrets: the names they stand under."""
    if isinstance(value, Mapping):
        return {str(name): _names(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_names(each) for each in value]
    return value if isinstance(value, bool) else GONE


def _first_word(line: str) -> str:
    word, _, rest = line.strip().partition(" ")
    # `TOKEN=x python app.py`: the first word of a command line may be an assignment.
    return f"{redacted_text(word) if '=' not in word else GONE}{' ' + GONE if rest else ''}"
