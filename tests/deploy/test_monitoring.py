"""Alert rules, dashboard, scraping and docs/operations.md name the metrics that the code has, and all of them."""

import json
import re
from collections.abc import Iterator

import promql_parser
import pytest

from tests.deploy.code_facts import SERVICES, code_facts
from tests.deploy.manifests import DEPLOY, ROOT, Manifest, Overlay, documents

(RULES,) = documents(DEPLOY / "prometheus" / "rules.yaml")
(SCRAPING,) = documents(DEPLOY / "prometheus" / "prometheus.yaml")
DASHBOARD = json.loads((DEPLOY / "grafana" / "chat-agent.json").read_text(encoding="utf-8"))
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OF_THE_CLIENT_LIBRARY = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to all series."""

services = pytest.mark.parametrize("service", SERVICES)


def alerts() -> list[Manifest]:
    """All rules."""
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def panels() -> list[Manifest]:
    """The panels that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every expression of the rules and the dashboard, by where it is."""
    shown = {f"{panel['title']} {it['refId']}": it["expr"] for panel in panels() for it in panel["targets"]}
    return {**{rule["alert"]: rule["expr"] for rule in alerts()}, **shown}


def known_series() -> dict[str, set[str]]:
    """The labels of every series that the services have."""
    found: dict[str, set[str]] = {name: set() for name in OF_THE_CLIENT_LIBRARY}
    for service in SERVICES:
        for name, (kind, *labels) in code_facts(service).metrics.items():
            if kind == "histogram":
                found[f"{name}_bucket"] = {*labels, "le"}
                found[f"{name}_sum"] = found[f"{name}_count"] = set(labels)
            else:
                found[name] = set(labels)
    return found


def selectors(expression: promql_parser.Expr) -> Iterator[promql_parser.VectorSelector]:
    """What an expression reads."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for field in ("expr", "lhs", "rhs", "vector_selector", "param"):
        part = getattr(expression, field, None)
        if isinstance(part, promql_parser.Expr):
            yield from selectors(part)
    for argument in getattr(expression, "args", ()):
        yield from selectors(argument)


def parsed(query: str) -> promql_parser.Expr:
    """The expression, with Grafana's interval in it."""
    return promql_parser.parse(query.replace("$__rate_interval", "1m"))


@pytest.mark.parametrize("where", queries())
def test_a_query_reads_series_and_labels_that_exist(where: str) -> None:
    """It is valid PromQL; a name or a label that is misspelled would never match and never alert."""
    known, query = known_series(), queries()[where]
    read = list(selectors(parsed(query)))
    assert {selector.name for selector in read} <= set(known)
    assert read
    labels = set().union(*(known[str(selector.name)] for selector in read)) | OF_PROMETHEUS
    for selector in read:
        assert {matcher.name for matcher in selector.matchers.matchers} <= known[str(selector.name)]
    for grouped in re.findall(r"(?:by|on) \(([^)]*)\)", query):
        assert set(grouped.split(", ")) <= labels


def test_every_metric_is_on_the_dashboard() -> None:
    """Each of them is worth looking at, or it would not be measured."""
    shown = {
        str(selector.name)
        for panel in panels()
        for it in panel["targets"]
        for selector in selectors(parsed(it["expr"]))
    }
    for service in SERVICES:
        for name in code_facts(service).metrics:
            assert any(read.startswith(name) for read in shown), name


def test_the_dashboard_has_its_form() -> None:
    """Panels have ids of their own, do not overlap, and ask the data source that the reader chooses."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) < 24
    (variable,) = DASHBOARD["templating"]["list"]
    assert variable["type"] == "datasource"
    for panel in panels():
        assert panel["datasource"]["uid"] == f"${{{variable['name']}}}"


def test_a_rule_has_what_its_reader_needs() -> None:
    """A severity, a summary whose labels the expression keeps, and a place in docs/operations.md with what to do."""
    for rule in alerts():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert f"by ({label})" in rule["expr"]
        assert re.fullmatch(r"\d+m", rule.get("for", "0m"))
    named = re.findall(r"^\| `([A-Z][a-z]\w+)` \|", OPERATIONS, re.MULTILINE)
    assert named == [rule["alert"] for rule in alerts()]


def test_every_metric_is_documented() -> None:
    """With its labels; and every metric that the page describes exists."""
    rows = re.findall(r"^\| `((?:chat|memory)_\w+)` \| (\w+) \|([^|]*)\|", OPERATIONS, re.MULTILINE)
    documented = {name: (kind, *re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}
    assert documented == {
        name: described for service in SERVICES for name, described in code_facts(service).metrics.items()
    }


@services
def test_prometheus_finds_each_service(overlay: Overlay, service: str) -> None:
    """On its own port, by the pods' annotations and by the file for a machine; the path is the default."""
    facts = code_facts(service)
    stated = overlay.one("Deployment", service)["spec"]["template"]["metadata"]["annotations"]
    assert stated["prometheus.io/scrape"] == "true"
    assert stated["prometheus.io/port"] == str(facts.port)
    assert stated["prometheus.io/path"] == "/metrics"
    (job,) = [job for job in SCRAPING["scrape_configs"] if job["job_name"] == service]
    assert job == {"job_name": service, "static_configs": [{"targets": [f"127.0.0.1:{facts.port}"]}]}


def test_the_rules_are_loaded() -> None:
    """By the name that the file has, beside the configuration, and evaluated as often as it scrapes."""
    assert SCRAPING["rule_files"] == ["rules.yaml"]
    assert SCRAPING["global"] == {"scrape_interval": "15s", "evaluation_interval": "15s"}
