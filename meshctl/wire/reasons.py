"""Every refusal the proxy makes itself: its code, status and title, and the RFC 9457 body that tells the client. Pure.

The same code stands in `x-meshctl-reason`, the access log and the metrics. Codes come from this table or, with a name
after a colon (`denied:<rule>`, `rate_limited:<limit>`), from configuration; never from what a client sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from meshctl.wire.fields import Fields

REASONS: Final[dict[str, tuple[int, str]]] = {
    # the client's request
    "bad_request": (400, "The request is not valid HTTP"),
    "bad_path": (400, "The request's path is not valid"),
    "bad_host": (400, "The request needs exactly one valid Host"),
    "head_timeout": (408, "The request's head did not arrive in time"),
    "body_timeout": (408, "The request's body did not arrive in time"),
    "body_too_large": (413, "The request's body is larger than allowed"),
    "uri_too_long": (414, "The request's target is longer than allowed"),
    "expectation_unknown": (417, "The request expects what is not known"),
    "head_too_large": (431, "The request's head is larger than allowed"),
    "method_unknown": (501, "The request's method is not known"),
    "method_unsupported": (501, "The gateway does not tunnel CONNECT"),
    "coding_unsupported": (501, "The request's transfer coding is not supported"),
    "version_unsupported": (505, "The request's HTTP version is not supported"),
    "mtls_required": (400, "The port takes mutual TLS from members of the mesh alone"),
    "https_required": (400, "The port takes HTTPS alone"),
    "http_required": (400, "The port takes plain HTTP alone"),
    "https_in_clear": (400, "An https URL cannot be asked for in the clear"),
    # the client's certificate
    "peer_no_identity": (403, "The caller's certificate does not say which service it is"),
    "peer_foreign": (403, "The caller belongs to another mesh"),
    "peer_expired": (403, "The caller's certificate is not valid now"),
    "peer_revoked": (403, "The caller's certificate is revoked"),
    "peer_unfit": (403, "The caller's certificate is not for this use"),
    # who calls, and may they
    "unauthenticated": (401, "The request does not say who calls"),
    "token_invalid": (401, "The token is not accepted"),
    "token_expired": (401, "The token has expired"),
    "key_invalid": (401, "The API key is not accepted"),
    "key_expired": (401, "The API key has expired"),
    "password_invalid": (401, "The name and the password are not accepted"),
    "keys_unavailable": (503, "The keys that tokens are verified with are not known yet"),
    "introspection_unavailable": (503, "The server that knows tokens cannot be asked"),
    "auth_refused": (403, "The server that is asked about requests does not let this one go on"),
    "auth_unavailable": (503, "The server that is asked about requests cannot be asked"),
    "session_invalid": (401, "The session is not accepted"),
    "session_expired": (401, "The session is over"),
    "login_failed": (400, "The login led to no session"),
    "login_unavailable": (503, "The login provider cannot be asked at the moment"),
    "logout_refused": (403, "The session is not ended from elsewhere"),
    # what passes
    "cors_refused": (403, "The page may not ask for this from another origin"),
    "unknown_operation": (404, "The API has no such path"),
    "method_not_allowed": (405, "The API's path is not for this method"),
    "invalid_request": (400, "The request is not as the API has it"),
    "unsupported_media_type": (415, "The request's body is of a kind that is not taken"),
    "body_unreadable": (400, "The request's body is not JSON that can be edited"),
    "response_unreadable": (502, "The service's answer is not JSON that can be edited"),
    # parts of an answer
    "part_failed": (502, "A part that the answer needs has failed"),
    "part_timeout": (504, "A part of the answer did not come in its time"),
    "part_value_missing": (502, "A part of the answer needs a value that is not there"),
    # how much
    "rate_limited": (429, "The request is one too many for now"),
    "quota_exceeded": (429, "The requests of this day or month are used up"),
    # what is kept
    "not_cached": (504, "Nothing is kept that may be given"),
    # routing
    "no_route": (404, "No route takes this request"),
    "unknown_api_version": (404, "The API has no such version"),
    "api_version_missing": (400, "The request does not say which version of the API it means"),
    "api_version_gone": (410, "The version of the API has been switched off"),
    "unknown_service": (404, "The mesh has no service of this name"),
    "egress_denied": (403, "The host is outside the mesh, and requests may not leave it"),
    "loop": (508, "The request would come back to this proxy"),
    "not_http": (400, "The service speaks no HTTP"),
    "not_tcp": (400, "The service speaks HTTP, which its sidecar must read"),
    # choosing where to send it
    "no_endpoint": (503, "The service has no endpoint that can take the request"),
    "overloaded": (503, "The proxy has as much to do as it can"),
    "too_many_connections": (503, "The client has as many connections as it may have"),
    "breaker_open": (503, "The service fails, and is left alone for a while"),
    "limit_reached": (503, "The service has as many requests under way as it may have"),
    "upstream_busy": (503, "The service's connections are all in use"),
    # the upstream
    "egress_resolve": (502, "The host outside the mesh has no address"),
    "upstream_connect": (502, "The service could not be reached"),
    "upstream_identity": (502, "The service's sidecar did not prove to be the service"),
    "upstream_tls": (502, "The service's certificate was not accepted"),
    "upstream_reset": (502, "The service closed the connection before it answered"),
    "upstream_protocol": (502, "The service's answer is not valid HTTP"),
    "response_too_large": (502, "The service's answer is larger than allowed"),
    "upstream_timeout": (504, "The service did not answer in time"),
    "connect_timeout": (504, "The service could not be reached in time"),
    "route_timeout": (504, "The route's time for the whole exchange ran out"),
    "deadline_exceeded": (504, "The time that the caller allows ran out"),
    "fault": (503, "The mesh injects a fault on purpose"),
    "internal": (500, "The gateway failed; this is a defect in it"),
}

CUT: Final[dict[str, str]] = {
    "client_gone": "the client closed the connection before the answer was complete",
    "upstream_cut": "the service closed the connection in the middle of its answer",
    "part_called_off": "it was for a part of an answer that had failed already for want of another part",
    "response_cut": "the service's answer became larger than allowed",
    "stream_timeout": "no byte moved in either direction for the stream timeout",
    "write_timeout": "the client took nothing of the answer for the write timeout",
    "alias_forgotten": "the app connected to an address that it was told for a name too long ago, 16,384 names before",
    "tls_inside_mesh": "the client began TLS with a service of the mesh, which encrypts by itself and is called by http://",
}
"""How an exchange can end after its answer began: seen in the access log and metrics, no longer in a header."""

CUT_OFF: Final = "upstream_cut"
"""How an answer ends before its end by its endpoint's fault. Whatever its status was, the request has failed."""

GIVEN_UP: Final = "client_gone"
"""How an exchange ends that its client leaves: with `CLIENT_GONE_STATUS`, where no answer had begun."""

_CAUSES: Final = (
    dict.fromkeys(("upstream_connect", "connect_timeout"), ("connect", False))
    | dict.fromkeys(("no_endpoint", "overloaded", "upstream_busy", "limit_reached"), ("refused", False))
    | {"upstream_reset": ("reset", True)}
)
"""By which refusals of another proxy it is known how far a request got: what they mean for a retry."""

NOBODY_THERE: Final = frozenset(
    {"upstream_connect", "upstream_identity", "upstream_tls", "connect_timeout", "no_endpoint"}
)
"""Why an attempt failed where the application had no part in it: there was nobody to take it, here or behind another
proxy of the mesh."""

HELD_BACK: Final = frozenset(("breaker_open", "limit_reached", "overloaded"))
"""Why another proxy of the mesh kept a request from an application that is well: no failure of that."""

OWN_FAULT: Final = "overloaded"
"""Why there is no connection where no endpoint is to blame for that, and to ask another one would not help."""

CLIENT_GONE_STATUS: Final = 499
"""What the log and metrics show for an exchange whose client left before any answer, as nginx does."""

_LINE: Final = {code.value: b"HTTP/1.1 %d %b" % (code.value, code.phrase.encode()) for code in HTTPStatus}


def status_line(status: int) -> bytes:
    """The status line, without its end, with the standard reason phrase, which carries no meaning (RFC 9112 §4)."""
    return _LINE.get(status) or b"HTTP/1.1 %d " % status


def status_of(reason: str) -> int:
    """The status a refusal is answered with."""
    found = REASONS.get(reason.partition(":")[0])
    return found[0] if found else 403


def has_failed(status: int, reason: str) -> bool:
    """Whether a request that ended so counts as failed, wherever that is shown or judged."""
    return status >= 500 or reason == CUT_OFF


def is_given_up(status: int, reason: str) -> bool:
    """Whether the client left before any answer began: the request has neither succeeded nor failed."""
    return status == CLIENT_GONE_STATUS and reason == GIVEN_UP


def told(fields: Fields) -> tuple[str, bool]:
    """What the answer of another proxy of the mesh says of a request it had to refuse: the cause as `core.retry` names
    it, "" where another attempt would be refused too, and whether the application may have seen the request."""
    for line in fields:
        name, _, value = line.partition(b":")
        if name.lower() == b"x-meshctl-reason":
            return _CAUSES.get(value.strip().decode("latin-1"), ("", True))
    return "", True


def reason_told(fields: Fields) -> str:
    """Why another proxy of the mesh answered itself, by its own word; "" where it did not, or gives no reason known
    here: an answer could say anything."""
    for line in fields:
        name, _, value = line.partition(b":")
        if name.lower() == b"x-meshctl-reason":
            reason = value.strip().decode("latin-1")
            return reason if reason in REASONS else ""
    return ""


def problem(
    reason: str,
    *,
    detail: str,
    request_id: str,
    instance: str = "",
    status: int = 0,
    more: Mapping[str, object] | None = None,
) -> bytes:
    """The body of a refusal as application/problem+json (RFC 9457 §3), ended by a newline for people with curl. With
    `status` in the place of the reason's own, and `more` members (§3.2)."""
    usual, title = REASONS.get(reason.partition(":")[0], (403, "The request is not allowed"))
    body: dict[str, object] = {
        "type": f"urn:meshctl:reason:{reason}",
        "title": title,
        "status": status or usual,
        "detail": detail,
        "reason": reason,
        "request_id": request_id,
    }
    if more:
        body |= more
    if instance:
        body["instance"] = instance
    return msgspec.json.encode(body) + b"\n"
