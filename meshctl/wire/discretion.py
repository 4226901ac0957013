"""What of a message's head may be shown to people who only look on: all but what lets one in somewhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from meshctl.wire.fields import Fields, pairs

GONE: Final = "[redacted]"
NO_QUERY: Final = "?…"
"""What is written in the place of a query, as in the access log."""

_LONGEST: Final = 1_024
_LONGEST_TARGET: Final = 2_048
_MOST: Final = 64
# By what a name says: it is better to hide what is none than to show one.
_SECRET: Final = re.compile(
    r"auth|cookie|token|secret|passw|api-?key|access-?key|credential|session|csrf|xsrf|signature|jwt|assertion|"
    r"private|client-cert",
    re.IGNORECASE,
)
# Their values are URLs, or may hold some.
_URLS: Final = frozenset(
    ("referer", "location", "content-location", "link", "refresh", "x-original-url", "x-rewrite-url", "x-forwarded-uri")
)


def shown_target(target: str, *, redact: bool) -> str:
    """A request's target, without its query where that is not to be shown."""
    if redact:
        path, mark, _ = target.partition("?")
        target = path + NO_QUERY if mark else path
    return target if len(target) <= _LONGEST_TARGET else target[:_LONGEST_TARGET] + "…"


def shown_fields(
    fields: Fields, *, secret: Collection[str] = (), redact: bool = True, more: Mapping[bytes, bytes] | None = None
) -> dict[str, str]:
    """Fields by their name in lower case, several of one name as one; values of those that may be secret, and of
    `secret`, are not shown. `more` are fields that stand apart from the list; with `redact` URLs lose their queries."""
    found: dict[str, str] = {}
    lines: Iterable[tuple[bytes, bytes]] = [*(more or {}).items(), *pairs(fields)]
    for raw, value in lines:
        name = raw.decode("latin-1").lower()
        if name in secret or _SECRET.search(name):
            text = GONE
        else:
            text = value.decode("latin-1")
            if redact and name in _URLS:
                text = text.partition("?")[0] + NO_QUERY if "?" in text else text
        if name in found and text != GONE:
            text = f"{found[name]}, {text}"
        if name in found or len(found) < _MOST:
            found[name] = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return found
