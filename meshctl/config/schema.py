"""mesh.toml as a JSON schema (draft 2020-12), for editors: keys, types, descriptions, defaults, examples.

Derived from the document's tables and the model's defaults, so that it cannot say anything else than the decoder does.
What needs more than one value (names that must exist, files that must fit) is beyond it: `meshctl validate` says that.
"""

from __future__ import annotations

from typing import Any, Final

from meshctl.config import render
from meshctl.config.build_tracing import shown_tracing
from meshctl.config.render_auth import auth, forward_auth, introspection
from meshctl.config.render_parts import part
from meshctl.model.api import Api
from meshctl.model.auth import Auth, ForwardAuth, Introspection, Oidc
from meshctl.model.limits import Quota
from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.part import Part
from meshctl.model.policy import Breaker, HealthCheck, Limit
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.tracing import Tracing

_SERVICE_KEYS: Final = (
    "balance", "slow_start", "timeout", "protocol", "mtls", "after", "restart", "intercept", "trace_hook",
)  # fmt: skip
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of mesh.toml."""
    from meshctl.config.document import Document

    schema = Document.model_json_schema()
    tables = schema.pop("$defs")
    for name, table in [("Document", schema), *tables.items()]:
        defaults = _defaults().get(name, {})
        table["properties"] = {key: _property(each, defaults.get(key)) for key, each in table["properties"].items()}
        table.pop("title", None)
    return {"$schema": _DIALECT, "title": "mesh.toml", **schema, "$defs": tables}


def _property(schema: dict[str, Any], default: Any) -> dict[str, Any]:
    """pydantic's schema of a key without what TOML does not have: null."""
    found = {key: value for key, value in schema.items() if key not in ("title", "default")}
    branches = [each for each in found.get("anyOf", ()) if each != {"type": "null"}]
    if len(branches) == 1:
        del found["anyOf"]
        # The key's own description and examples are nearer than those of its type.
        found = branches[0] | found
    elif branches:
        found["anyOf"] = branches
    if "patternProperties" in found:
        # The name's description is not the table's, and names that fit no pattern are none.
        found["additionalProperties"] = False
        found.pop("propertyNames", None)
    return found if default is None or isinstance(default, dict) else found | {"default": default}


def _defaults() -> dict[str, Any]:
    """The model's defaults in the file's words, by the name of the table's class."""
    gateway = render.gateway(Gateway())
    route = render.route(render.FULL_ROUTE)
    version = Version("", (Endpoint("h", 1, tls=True, weight=0),))
    service = render.service(Service("", versions=(version,), health=HealthCheck(), breaker=Breaker(), limit=Limit()))
    basics = render.basics(Mesh())
    asked = forward_auth(ForwardAuth(service="-"))
    weight = {"weight": render.number(Version("").weight)}
    return {
        "OidcTable": auth(Auth("", oidc=Oidc()))["oidc"],
        "MeshTable": {key: each for key, each in basics.items() if key != "trust_domain"},
        "GatewayTable": gateway,
        "AccessLogTable": gateway["access_log"],
        "DownstreamTimeoutsTable": gateway["timeouts"],
        "LimitsTable": gateway["limits"],
        "OverloadTable": gateway["overload"],
        "RateLimitingTable": gateway["rate_limit"],
        "QuotaTable": {"per": Quota("", 1).per},
        "RouteTable": {key: route[key] for key in ("path", "timeout", "priority", "body_bytes")},
        "PartTable": {key: each for key, each in part(Part("", "", "")).items() if key in ("need", "headers")},
        "RetryTable": route["retry"],
        "IntrospectionTable": introspection(Introspection("", "", "")),
        "ForwardAuthTable": {key: asked[key] for key in ("path", "timeout")},
        "RedirectTable": route["redirect"],
        "RespondTable": route["respond"],
        "CorsTable": {"credentials": route["cors"]["credentials"]},
        "SecurityHeadersTable": route["security_headers"],
        "CompressionTable": route["compression"],
        "CacheTable": route["cache"],
        "JsonEditsTable": route["request_body"],
        "OpenApiTable": {"limit": route["openapi"]["limit"]},
        "BodySchemaTable": {"limit": route["request_schema"]["limit"]},
        "ApiTable": {"by": "path", "strip": Api("").strip, "enforce_sunset": Api("").enforce_sunset},
        "ServiceTable": {key: service[key] for key in _SERVICE_KEYS},
        "HealthTable": service["health"],
        "RetryBudgetTable": service["retry_budget"],
        "EjectionTable": service["ejection"],
        "BreakerTable": service["breaker"],
        "LimitTable": service["limit"],
        "UpstreamTlsTable": service["tls"],
        "UpstreamTimeoutsTable": service["timeouts"],
        "VersionTable": weight,
        "EndpointTable": weight,
        "TracingTable": {"sample": shown_tracing(Tracing(""))["sample"]},
    }
