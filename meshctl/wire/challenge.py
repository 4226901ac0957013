"""WWW-Authenticate: what a client is told that may prove who it is (RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617). Pure."""

from __future__ import annotations

import re
from typing import Final

_NOT_QUOTABLE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def challenge(scheme: str, **parameters: str) -> str:
    """One challenge; parameters without a value are left out.

    >>> challenge("Bearer", realm="shop", error="invalid_token", scope="")
    'Bearer realm="shop", error="invalid_token"'
    """
    said = ", ".join(f'{name}="{_NOT_QUOTABLE.sub("", value)}"' for name, value in parameters.items() if value)
    return f"{scheme} {said}" if said else scheme
