"""How long things still live, in words and pictures that people read at a glance. Knows no certificate."""

from __future__ import annotations

from typing import Final

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_BAR: Final = 10


def span(seconds: float) -> str:
    """A time in its two largest units: "363d 4h", "23h 12m", "59s"."""
    rest = max(int(seconds), 0)
    words: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count}{unit}")
        elif words:
            break
        if len(words) == 2:
            break
    return " ".join(words) or "0s"


def left(end: float, now: float) -> str:
    """What is left until `end`: "23h 12m", "expired 2h ago"."""
    return span(end - now) if now <= end else f"expired {span(now - end)} ago"


def bar(start: float, end: float, now: float) -> str:
    """The part of a life that is left as a bar of ten: "███████░░░". What is left never looks like nothing."""
    part = (end - now) / (end - start) if end > start else 0.0
    full = next((step for step in range(_BAR) if part * _BAR <= step), _BAR)
    return "█" * full + "░" * (_BAR - full)
