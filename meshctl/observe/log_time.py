"""When a line of a log was written, by what it says itself: JSON lines, events as text, and the combined log format.

A line of several programs' logs can be put in order by that. Knows no file.
"""

from __future__ import annotations

import re
from typing import Final

from meshctl import clock

_RFC3339: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
# In JSON the time may stand anywhere; it is looked for where logs have it.
_JSON: Final = re.compile(rf'\{{.{{0,200}}?"(?:time|timestamp|ts|at)": ?"({_RFC3339})"')
# What `up` shows of a program has its name before it, and in a file the moment at which it was shown.
_SHOWN: Final = re.compile(r"[^|!*{]{1,100} [|!] (?=\{)")
_TEXT: Final = re.compile(rf"({_RFC3339})\b")
_COMBINED: Final = re.compile(r"^\S{1,100} \S{1,100} \S{1,400} \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")


def written_at(line: str) -> float | None:
    """Seconds since the epoch; None for a line that does not say."""
    try:
        shown = _SHOWN.match(line)
        found = _JSON.match(line, shown.end() if shown else 0) or _TEXT.match(line)
        if found is not None:
            return clock.read_time(found[1].replace(",", "."))
        combined = _COMBINED.match(line)
        if combined is not None:
            return clock.read_time(combined[1], "%d/%b/%Y:%H:%M:%S %z")
    except ValueError:
        pass  # It looks like a time and is none.
    return None


def status_of_line(line: str) -> int | None:
    """The status that an access log's line tells of; None where it is another kind of line."""
    found = _STATUS.search(line)
    return int(found[1]) if found is not None else None


_STATUS: Final = re.compile(r'(?:"status": ?|HTTP/[\d.]{1,3}" |TCP" )(\d{1,3})\b')
