"""Which answers of a route are kept, for whom and how long: a frozen value of what the user wants."""

from __future__ import annotations

from typing import Literal

import msgspec


class Caching(msgspec.Struct, frozen=True):
    """How a route's answers are kept (RFC 9111), beyond what they say of it themselves."""

    callers: Literal["anonymous", "each", "all"] = "anonymous"
    """Whose requests are answered from what is kept: of those who say nothing of who they are; of each caller what was
    kept for that one; or of all who may call what was kept for any of them."""
    default: float = 0.0
    """Seconds for which an answer is fresh that does not say; 0 keeps none of those."""
    largest: int = 1_048_576
    """The longest body that is kept, in bytes."""
    vary: tuple[str, ...] = ()
    """Request headers, in lower case, by which answers differ although they do not say so."""
    coalesce: float = 5.0
    """Seconds that requests wait for an answer that another one has asked for; 0 sends each on."""
    stale_while_revalidate: float = 0.0
    """Seconds past its time for which an answer that does not say is still given while a new one is fetched."""
    stale_if_error: float = 0.0
    """The same, where a new one cannot be had."""
    set_cookie: bool = False
    """Whether answers that set cookies are kept, without those."""
    reload: bool = True
    """Whether clients may ask for a new answer (Cache-Control in requests)."""
