"""A request as the pure decisions see it, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Request:
    """A `core.match.Matchable` made of plain values; `asked` counts the calls that cost something."""

    method: str = "GET"
    host: str = "api.localhost"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    def header(self, name: str) -> str | None:
        self.asked += 1
        return self.headers.get(name)

    def query(self, name: str) -> str | None:
        self.asked += 1
        return self.parameters.get(name)

    def cookie(self, name: str) -> str | None:
        self.asked += 1
        return self.cookies.get(name)

    def said(self, name: str) -> str | None:
        self.asked += 1
        kind, _, what = name.partition(" ")
        if kind != "media_type":
            return {"path": self.path, "header": self.headers.get(what), "query": self.parameters.get(what)}[kind]
        taken, sent = self.headers.get("accept"), self.headers.get("content-type")
        return None if taken is None and sent is None else f"{taken or ''}\n{sent or ''}"
