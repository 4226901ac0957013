"""The human shape of `[tracing]`: where traces go, and how many of them are made."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from meshctl.config.problems import Wrong
from meshctl.config.scalars import Percent, PlainText, RouteName, checked, string
from meshctl.config.table import Table

_PATH: Final = "/v1/traces"


def _receiver(value: object) -> str:
    def check(given: str) -> str:
        parts = urlsplit(given)
        is_plain = given.isprintable() and given.isascii() and " " not in given
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or not is_plain:
            raise ValueError('expected the URL of a receiver for OTLP over HTTP, such as "http://127.0.0.1:4318"')
        if parts.username is not None or parts.password is not None:
            raise Wrong("a URL with a password in it ends up in logs", expected="a URL without, and headers_file")
        _ = parts.port  # raises ValueError where it is none
        return given.rstrip("/").removesuffix(_PATH)

    return str(checked(value, check))


class TracingTable(Table):
    """Traces: which requests are followed from hop to hop, and who is told."""

    endpoint: Annotated[
        str, BeforeValidator(_receiver, json_schema_input_type=string("http://127.0.0.1:4318", pattern="^https?://"))
    ] = Field(description="A receiver of OTLP over HTTP; /v1/traces is added. Needs pip install '.[otlp]'.")
    sample: Percent | None = Field(
        None, description="The share of the traces that begin here; of others whoever began them has decided."
    )
    headers_file: PlainText | None = Field(
        None,
        description='A file of header fields for the receiver, a line each, such as "authorization: Bearer …"; '
        "relative to this file's folder.",
        examples=["otlp.headers"],
    )
    service_name: RouteName | None = Field(
        None, description='What proxies are called in traces; left out, each by its service and a gateway "gateway".'
    )
