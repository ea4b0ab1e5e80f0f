"""Alerts, their recipients, diagnostic settings and the workbook: they watch what exists and read what is logged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .bicep import Choice, Expression, read
from .evaluate import evaluated
from .log_events import logged_events

MODULES = Path(__file__).parents[2] / "infra" / "modules"
ALERTS = read(MODULES / "alerts.bicep")
EVENTS = logged_events()


def workbook_items() -> Iterator[dict[str, Any]]:
    for item in json.loads((MODULES / "workbook.json").read_text("utf-8"))["items"]:
        if item["type"] == 3:
            yield item["content"]


QUERIES = {item["title"]: item["query"] for item in workbook_items() if item["queryType"] == 0}
ON_EVENTS = {title: query for title, query in QUERIES.items() if "Event" in query}


# ------------------------------------------------------------------------------------------------------- the workbook


def test_the_workbook_shows_freshness_queue_runs_failures_and_cost() -> None:
    words = ("Freshness", "Queue", "Runs", "Failures by reason", "Vendors", "Cost")
    titles = [item["title"] for item in workbook_items()]
    assert [word for word in words if not any(title.startswith(word) for title in titles)] == []
    (place,) = {(*item["crossComponentResources"],) for item in workbook_items() if item["queryType"] == 0}
    assert place == ("__WORKSPACE__",)
    filled = (MODULES / "workbook.bicep").read_text("utf-8")
    names = set(re.findall(r"__[A-Z]+__", (MODULES / "workbook.json").read_text("utf-8")))
    assert names == set(re.findall(r"'(__[A-Z]+__)'", filled))


@pytest.mark.parametrize("title", ON_EVENTS)
def test_a_query_of_the_workbook_reads_events_and_fields_that_are_logged(title: str) -> None:
    query = ON_EVENTS[title]
    events = set(re.findall(r'"(\w+\.\w+)"', query))
    assert events
    assert events <= EVENTS.keys()
    fields = set(re.findall(r"\bE\.(\w+)", query))
    assert fields - {"event"} <= set().union(*(EVENTS[event] for event in events))


def test_a_field_that_is_not_logged_is_found() -> None:
    assert "oldest_seconds" in EVENTS["sweep.done"]
    assert "oldest_minutes" not in EVENTS["sweep.done"]
    assert "sweep.finished" not in EVENTS


def test_the_cost_of_this_month_is_asked_for_in_the_resource_group() -> None:
    (item,) = [item for item in workbook_items() if item["queryType"] == 12]
    request = json.loads(item["query"])
    assert request["path"] == "__GROUP__/providers/Microsoft.CostManagement/query"
    assert json.loads(request["data"])["timeframe"] == "MonthToDate"


# --------------------------------------------------------------------------------------------------------- the alerts


def rules() -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in ALERTS.variables["rules"]}


def test_alerts_on_logs_read_events_and_fields_that_are_logged() -> None:
    text = ALERTS.path.read_text("utf-8")
    assert (
        set(re.findall(r'has "(\w+\.\w+)"', text))
        == {"alert.dead", "deadline.missed", "message.poison", "sweep.done"}
        <= EVENTS.keys()
    )
    fields = set(re.findall(r'extract\(@"(\w+?)\\', text))
    assert fields == {"poisoned", "oldest_seconds"} <= EVENTS["sweep.done"]


def test_one_rule_has_an_alert_for_each_reason() -> None:
    """Split by its column, one query costs less than three rules: an alert still names one reason."""
    pipeline = rules()["pipeline"]
    assert pipeline["by"] == ["Reason"]
    reasons = re.findall(r'iff\(.+?, "([\w-]+)", ""\)', str(ALERTS.variables["reasons"]))
    assert reasons == ["no-run-by-deadline", "poison", "oldest-message", "alert-undelivered"]
    assert all(reason in pipeline["why"] for reason in reasons)


def test_the_daily_cap_of_the_log_is_watched_with_the_query_of_microsofts_page() -> None:
    # learn.microsoft.com/azure/azure-monitor/logs/daily-cap, "Alert when daily cap is reached"
    query = '_LogOperation | where Category =~ "Ingestion" | where Detail contains "OverQuota"'
    assert rules()["log-cap"]["query"] == query


def test_every_job_is_watched() -> None:
    jobs = re.findall(r"  name: '\$\{prefix\}-([\w-]+)'", (MODULES / "jobs.bicep").read_text("utf-8"))
    alerts = MODULES / "alerts.bicep"
    some = {"withHours": False, "withBackup": False}
    assert set(evaluated(alerts, "jobs", withJobs=True, **some)) == {*jobs} - {"backup"}
    every = {"withHours": True, "withBackup": True}
    assert set(evaluated(alerts, "jobs", withJobs=True, **every)) == {*jobs, "db-start", "db-stop"}
    assert evaluated(alerts, "jobs", withJobs=False, **every) == []


def test_the_databases_disk_credits_and_failed_connections_are_watched() -> None:
    # learn.microsoft.com/azure/postgresql/monitor/concepts-monitoring, "Default Metrics": all are on by default.
    watched = {rule["metric"]: (rule["aggregation"], rule["operator"]) for rule in ALERTS.variables["ofServer"]}
    assert watched == {
        "storage_percent": ("Average", "GreaterThan"),
        "cpu_credits_remaining": ("Average", "LessThan"),
        "connections_failed": ("Total", "GreaterThan"),
    }


# ----------------------------------------------------------------------------------------------------- the recipients


def test_owners_an_address_and_a_webhook_get_the_alerts() -> None:
    template = read(MODULES / "recipients.bicep")
    (group,) = (r.body["properties"] for r in template.resources if r.symbol == "people")
    # "Action Groups only support emailing the following roles: Owner, Contributor, Reader, Monitoring Contributor,
    # Monitoring Reader." (learn.microsoft.com/azure/azure-monitor/alerts/action-groups)
    assert template.variables["owner"] == "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    (webhook,) = group["webhookReceivers"].other
    assert webhook["serviceUri"] == Expression("alertWebhook")
    for receivers in (group["armRoleReceivers"], *(v.other for v in group.values() if isinstance(v, Choice))):
        assert [receiver["useCommonAlertSchema"] for receiver in receivers] == [True]


def test_slack_and_teams_get_messages_of_their_own_form() -> None:
    """Both refuse the common alert schema: their page: "use the Logic Apps action to transform the alert schema"."""
    template = read(MODULES / "recipients.bicep")
    messages = template.variables["messages"]
    assert messages["slack"].keys() == {"text"}
    (card,) = messages["teams"]["attachments"]
    assert messages["teams"]["type"] == "message"
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["type"] == "AdaptiveCard"
    (flow,) = (r.body["properties"] for r in template.resources if r.symbol == "chat")
    assert flow["definition"]["parameters"]["hook"]["type"] == "SecureString"
    assert flow["definition"]["actions"]["post"]["runtimeConfiguration"]["secureData"]["properties"] == ["inputs"]


# ----------------------------------------------------------------------------------------------------- the diagnostics


@pytest.mark.parametrize(
    ("scope", "categories"),
    [
        # learn.microsoft.com/azure/azure-monitor/reference/supported-logs/… of each type
        ("blobs", {"StorageWrite", "StorageDelete"}),  # microsoft-storage-storageaccounts-blobservices-logs
        ("queues", {"StorageDelete"}),  # microsoft-storage-storageaccounts-queueservices-logs
        ("vault", {"AuditEvent"}),  # microsoft-keyvault-vaults-logs
        ("server", {"PostgreSQLLogs"}),  # microsoft-dbforpostgresql-flexibleservers-logs
        ("app", {"FunctionAppLogs"}),  # microsoft-web-sites-logs
    ],
)
def test_changes_of_data_and_uses_of_secrets_are_recorded(scope: str, categories: set[str]) -> None:
    settings = {
        str(r.body["scope"]): {log["category"] for log in r.body["properties"]["logs"]}
        for r in read(MODULES / "diagnostics.bicep").resources
        if not r.existing
    }
    assert settings[scope] == categories
