"""Random routes that compete for random requests: few words, so that most rules match many requests.

Drawn from one seed instead of by a strategy for each part: that is a hundred times as many cases in the same time, and
cases in which several rules match are the ones that count.
"""

from __future__ import annotations

import re
from random import Random

from meshctl.model.route import Match, PathMatch, ValueMatch

from .request import Request

SEGMENTS = ["a", "a", "b", "ab", ""]
HOSTS = ["a", "b", "a.b", "b.b", "a.b.b"]
TAILS = ["", ".*", "/.*", "[^/]*", "/?", "(/b)?", "(a|b)", "|/b"]
NOISE = ["/", "a", "b", ".", "*", "?", "+", "|", "(a|b)", "(?:/b)?", "[^/]", "[]|]", r"\.", r"[\](]", "{1}"]


def routes(random: Random, most: int = 12) -> list[Match]:
    """Up to `most` rules."""
    return [_match(random) for _ in range(random.randint(0, most))]


def request(random: Random) -> Request:
    """A request."""
    values = [{name: random.choice("123") for name in "xy" if random.random() < 0.7} for _ in range(3)]
    path = "*" if random.random() < 0.02 else _path(random)
    return Request(random.choice(["GET", "POST", "PUT"]), random.choice(HOSTS), path, *values)


def _path(random: Random) -> str:
    return "/" + "/".join(random.choices(SEGMENTS, k=random.randint(0, 4)))


def _match(random: Random) -> Match:
    return Match(
        hosts=tuple(random.choice(["", "*."]) + random.choice(HOSTS) for _ in range(random.choice([0, 0, 0, 1, 2]))),
        path=_path_match(random),
        methods=tuple(random.choices(["GET", "POST"], k=random.choice([0, 0, 0, 1, 2]))),
        headers=_values(random),
        query=_values(random),
        cookies=_values(random) if random.random() < 0.2 else (),
    )


def _path_match(random: Random) -> PathMatch:
    kind = random.choice(["prefix", "prefix", "prefix", "exact", "regex"])
    if kind == "prefix" or kind == "exact":
        return PathMatch(kind, _path(random))
    while True:
        pattern = _path(random) + random.choice(TAILS)
        if random.random() < 0.3:
            pattern = "/" + "".join(random.choices(NOISE, k=random.randint(0, 6)))
        try:
            re.compile(pattern)
        except re.error:
            continue
        return PathMatch("regex", pattern)


def _values(random: Random) -> tuple[ValueMatch, ...]:
    names = random.sample("xy", random.choice([0, 0, 0, 1, 2]))
    return tuple(ValueMatch(name, random.choice(["exact", "present", "regex"]), random.choice("12")) for name in names)
