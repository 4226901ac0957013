"""`[tracing]` as the model has it, and back; and the file of header fields that it may name."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from meshctl.config.endpoints import resolve
from meshctl.model.tracing import Tracing
from meshctl.model.units import format_percent

if TYPE_CHECKING:
    from meshctl.config.document_tracing import TracingTable

_FIELD: Final = re.compile(
    r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*:[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)[ \t]*"
)


def tracing(table: TracingTable, folder: str) -> Tracing:
    """What a file asks for; a relative path stands in `folder`."""
    given = table.given()
    if table.headers_file:
        given["headers_file"] = resolve(table.headers_file, folder)
    return Tracing(**given)


def shown_tracing(value: Tracing) -> dict[str, Any]:
    """The table that says the same, with what it leaves out."""
    shown: dict[str, Any] = {"endpoint": value.endpoint, "sample": format_percent(value.sample)}
    optional = {"headers_file": value.headers_file, "service_name": value.service_name}
    return shown | {name: each for name, each in optional.items() if each}


def has_library() -> bool:
    """Whether what spans are told with is installed."""
    try:
        return find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False


def read_fields(text: str) -> list[tuple[str, str]]:
    r"""The header fields in a text that has one on each line. Empty lines and those that begin with "#" say nothing.
    Raises ValueError, which quotes no value: it may be a secret.

    >>> read_fields("# for the receiver\nAuthorization: Bearer x\n")
    [('Authorization', 'Bearer x')]
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        field = _FIELD.fullmatch(line)
        if field is None:
            raise ValueError(f'line {number} is no header field such as "authorization: Bearer …"')
        found.append((field[1], field[2]))
    return found
