"""`meshctl metrics show|dashboard|alerts|scrape`: what Prometheus gets, and what Grafana and Prometheus need for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshctl.cli.command import examples
from meshctl.cli.session import Session

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_OPENMETRICS: Final = "application/openmetrics-text"


class Form(StrEnum):
    """How metrics are written."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"
    JSON = "json"


@examples("""
    meshctl metrics show
    meshctl metrics show -o json
    meshctl metrics show > mesh.prom
""")
def show(
    session: Session,
    output: Annotated[
        Form,
        typer.Option("--output", "-o", metavar="text|openmetrics|json", help="As Prometheus reads it, or as JSON."),
    ] = Form.TEXT,
) -> int | None:
    """Print the metrics of all running proxies, each series with its proxy's id, as Prometheus reads them.

    It is what `/metrics/mesh` at the admin address of any of the proxies answers. Who does not answer is in it with
    `meshctl_proxy_up` at 0, and is named; the command ends with 1 then."""
    from meshctl.control.metrics import ask_metrics
    from meshctl.errors import FAILED
    from meshctl.observe.mesh_exposition import expose_mesh, together

    with session.store() as store:
        members, silent = ask_metrics(store, session.home().path)
    if output is Form.JSON:
        session.terminal.document([_document(family) for family in together(members)])
    else:
        accept = _OPENMETRICS if output is Form.OPENMETRICS else ""
        session.terminal.data(expose_mesh(members, accept)[1].decode())
    for why in silent.values():
        session.terminal.warn(f"{why}: its metrics are missing")
    return FAILED if silent else None


@examples("""
    meshctl metrics dashboard > meshctl.json
""")
def dashboard(session: Session) -> None:
    """Print a Grafana dashboard: import it, and choose the Prometheus that has the metrics.

    It shows requests, failures and latencies by service, version and route, why proxies refused, retries, breakers,
    endpoints, splits, certificates and processes."""
    from meshctl import resources

    session.terminal.data(resources.text("templates/grafana", "meshctl.json"))


@examples("""
    meshctl metrics alerts > meshctl-alerts.yml
""")
def alerts(session: Session) -> None:
    """Print alert rules for Prometheus: name their file under `rule_files`.

    They tell of proxies that do not answer or lag behind, of services that fail, are slow, have no healthy endpoint or
    an open breaker, and of certificates that end soon."""
    from meshctl import resources

    session.terminal.data(resources.text("templates/prometheus", "alerts.yml"))


@examples("""
    meshctl metrics scrape > prometheus.yml
""")
def scrape(session: Session) -> None:
    """Print a configuration for Prometheus that scrapes the whole mesh at one target, the gateway's admin address.

    That address is a free port unless `gateway.admin` or `--admin` says which."""
    from meshctl import resources

    session.terminal.data(resources.text("templates/prometheus", "prometheus.yml"))


def _document(family: Metric) -> dict[str, Any]:
    """A family as JSON has it."""
    samples = [{"name": one.name, "labels": one.labels, "value": one.value} for one in family.samples]
    return {"name": family.name, "type": family.type, "help": family.documentation, "samples": samples}
