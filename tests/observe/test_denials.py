"""What rules between services denied: counted by rule and caller, added up over workers, told in the metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as read_text

from meshctl.observe.counters import MOST_DENIALS, Counters
from meshctl.observe.exposition import Facts, expose
from meshctl.observe.sample import DenialSample, Sample, decode, encode, merge


def counted(*calls: tuple[str, str, bool]) -> Sample:
    """What a worker sends that saw these denials."""
    counters = Counters()
    for rule, caller, is_shadow in calls:
        counters.deny(rule, caller, is_shadow=is_shadow)
    return decode(encode(counters.export()))


def test_counted_by_rule_and_caller() -> None:
    """Each rule and caller has its own count, and what was only in shadow another."""
    found = counted(("pay", "web", False), ("pay", "web", False), ("pay", "", False), ("pay", "web", True))
    assert set(found.denials) == {
        DenialSample("pay", "web", False, 2),
        DenialSample("pay", "", False, 1),
        DenialSample("pay", "web", True, 1),
    }


def test_workers_add_up() -> None:
    """The denials of several workers are one list."""
    found = merge([counted(("pay", "web", False)), counted(("pay", "web", False), ("read", "web", False))])
    assert set(found.denials) == {DenialSample("pay", "web", False, 2), DenialSample("read", "web", False, 1)}


def test_bounded() -> None:
    """However many services call, a bounded number of counts is kept, and none is lost."""
    found = counted(*(("pay", f"s{number}", False) for number in range(MOST_DENIALS + 50)))
    assert len(found.denials) == MOST_DENIALS + 1
    assert sum(each.count for each in found.denials) == MOST_DENIALS + 50
    assert DenialSample("other", "other", False, 50) in found.denials


def test_metrics() -> None:
    """Prometheus reads them by rule, caller and whether anything was refused."""
    _, body = expose(counted(("pay", "web", False), ("pay", "web", True), ("pay", "web", True)), Facts("1.2.3"), "")
    found = {
        (sample.labels["rule"], sample.labels["caller"], sample.labels["shadow"]): sample.value
        for family in read_text(body.decode())
        for sample in family.samples
        if sample.name == "meshctl_denied_calls_total"
    }
    assert found == {
        ("pay", "web", "false"): 1.0,
        ("pay", "web", "true"): 2.0,
    }
