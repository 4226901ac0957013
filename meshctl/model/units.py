"""Human units ⇄ numbers: "250ms", "64KiB", "10%", "100/s". Pure; raises `ValueError` with what was expected."""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final[dict[str, float]] = {
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_SIZE: Final[dict[str, int]] = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d)", re.ASCII)
_SIZED = re.compile(r"(\d+(?:\.\d+)?)\s?([KMGT]i?B|B)", re.ASCII)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?%", re.ASCII)
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s?/\s?(s|m|h|d)", re.ASCII)
_COUNT_PER = re.compile(r"(\d{1,9})\s?/\s?(\d{0,9})(s|m|h|d)", re.ASCII)
_LONGEST = 100 * 365 * 86400.0
_LARGEST = 4096 * 1024**4


def parse_duration(text: str) -> float:
    """Seconds in a duration such as "250ms", "2s" or "1m30s"; "0" is zero. Raises ValueError."""
    if text == "0":
        return 0.0
    total, at = 0.0, 0
    while part := _PART.match(text, at):
        total += float(part[1]) * _DURATION[part[2]]
        at = part.end()
    if at != len(text) or not text:
        raise ValueError('expected a duration such as "250ms", "2s" or "1m30s"')
    if total > _LONGEST:
        raise ValueError("expected a duration of at most 100 years")
    return total


def in_a_row(count: int, word: str) -> str:
    """So many of one kind without another between: "3 failures in a row", "1 failure"."""
    return f"{count} {word}s in a row" if count > 1 else f"1 {word}"


def format_duration(seconds: float) -> str:
    """The shortest exact text `parse_duration` reads back: 0.25 → "250ms", 90 → "1m30s". Exact to the nanosecond."""
    if seconds < 5e-10:
        return "0s"
    if seconds < 1e-3:
        return f"{_decimal(seconds * 1e6)}us"
    if seconds < 1:
        return f"{_decimal(seconds * 1e3)}ms"
    out, left = "", round(seconds, 9)
    for unit in ("d", "h", "m"):
        whole = int(left // _DURATION[unit])
        if whole:
            out += f"{whole}{unit}"
            left = round(left - whole * _DURATION[unit], 9)
    return f"{out}{_decimal(left)}s" if left or not out else out


def _decimal(value: float) -> str:
    """Without exponent and needless zeros."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def parse_size(text: str) -> int:
    """Bytes in a size such as "64KiB", "10MB" or "0B". Raises ValueError."""
    found = _SIZED.fullmatch(text)
    if not found:
        raise ValueError('expected a size such as "64KiB", "10MB" or "512B"')
    count = float(found[1]) * _SIZE[found[2]]
    if count > _LARGEST:
        raise ValueError("expected a size of at most 4096TiB")
    return round(count)


def format_size(count: int) -> str:
    """`count` bytes in the largest binary unit that divides it: 65536 → "64KiB"."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if count and count % _SIZE[unit] == 0:
            return f"{count // _SIZE[unit]}{unit}"
    return f"{count}B"


def parse_percent(text: str) -> float:
    """The fraction in a percentage: "10%" → 0.1. Raises ValueError outside 0 % to 100 %."""
    found = _PERCENT.fullmatch(text)
    if not found or float(found[1]) > 100:
        raise ValueError('expected a percentage from "0%" to "100%"')
    return float(found[1]) / 100


def format_percent(fraction: float) -> str:
    """0.1 → "10%"."""
    return f"{fraction * 100:g}%"


def parse_rate(text: str) -> float:
    """Events per second in a rate such as "100/s" or "6000/m". Raises ValueError."""
    found = _RATE.fullmatch(text)
    if not found:
        raise ValueError('expected a rate such as "100/s" or "6000/m"')
    return float(found[1]) / _DURATION[found[2]]


def format_rate(rate: float) -> str:
    """The text `parse_rate` reads back: 10.0 → "10/s", 0.5 → "30/m"."""
    per = next((unit for unit in ("s", "m", "h", "d") if round(rate * _DURATION[unit], 9).is_integer()), "s")
    return f"{_decimal(rate * _DURATION[per])}/{per}"


def parse_count_per(text: str) -> tuple[int, float]:
    """So many events in so many seconds: "100/s" → (100, 1.0), "20/10s" → (20, 10.0). Raises ValueError."""
    found = _COUNT_PER.fullmatch(text)
    if not found or not int(found[1]) or found[2].strip("0") == "" != found[2]:
        raise ValueError('expected a rate such as "100/s", "1000/m" or "20/10s"')
    window = int(found[2] or 1) * _DURATION[found[3]]
    if window > 366 * _DURATION["d"]:
        raise ValueError("expected a rate over at most 366 days")
    return int(found[1]), window


def format_count_per(count: int, window: float) -> str:
    """The shortest text `parse_count_per` reads back: (100, 60.0) → "100/m", (20, 10.0) → "20/10s"."""
    unit = next(name for name in ("d", "h", "m", "s") if window % _DURATION[name] == 0)
    times = round(window / _DURATION[unit])
    return f"{count}/{'' if times == 1 else times}{unit}"
