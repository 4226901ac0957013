"""Envoy as the two proxies of a hop, with the mutual TLS of a mesh: 1.3, both ends known by their certificate's URI, no
session resumed."""

from __future__ import annotations

from typing import Any

from .case import Case, Member, Mesh, free_port
from .envoy import TYPE, cluster, command, manager, routes


def configure(case: Case, mesh: Mesh) -> list[list[str]]:
    """Write the configurations of the callee's proxy and of the caller's; return the commands."""
    inner = free_port()
    return [callee(case, mesh, inner), caller(case, mesh, inner)]


def callee(case: Case, mesh: Mesh, port: int) -> list[str]:
    """The proxy before the app, listening on `port`: takes mutual TLS from members of the mesh alone."""
    chain = manager(case.folder / "callee.log", routes([""])) | {"transport_socket": _server(mesh)}
    return command(case.folder / "callee.json", port, chain, cluster(case.upstream_port), case.workers)


def caller(case: Case, mesh: Mesh, inner: int) -> list[str]:
    """The proxy of the client: takes plain HTTP and speaks mutual TLS to the callee's on port `inner`."""
    chain = manager(case.folder / "caller.log", routes([""]))
    upstream = cluster(inner) | {"transport_socket": _client(mesh)}
    return command(case.folder / "caller.json", case.port, chain, upstream, case.workers)


def _server(mesh: Mesh) -> dict[str, Any]:
    # What a member may call is the rules' affair: any service of the trust domain passes.
    everybody = {"prefix": mesh.caller.identity.rpartition("/")[0] + "/"}
    context = {
        "@type": f"{TYPE}transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": _common(mesh.callee, everybody),
        "require_client_certificate": True,
        # A resumed session would outlive the trust that admitted it.
        "disable_stateless_session_resumption": True,
        "disable_stateful_session_resumption": True,
    }
    return {"name": "tls", "typed_config": context}


def _client(mesh: Mesh) -> dict[str, Any]:
    context = {
        "@type": f"{TYPE}transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": _common(mesh.caller, {"exact": mesh.callee.identity}),
        "sni": "orders.mesh",
        "max_session_keys": 0,
    }
    return {"name": "tls", "typed_config": context}


def _common(own: Member, peer: dict[str, str]) -> dict[str, Any]:
    """Who we are and whom we take: a chain to the bundle, and a URI that `peer` describes."""
    pair = {"certificate_chain": {"filename": str(own.certificate)}, "private_key": {"filename": str(own.key)}}
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [pair],
        "validation_context": {
            "trusted_ca": {"filename": str(own.bundle)},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": peer}],
        },
        "alpn_protocols": ["http/1.1"],
    }
