"""The cost of a month: from past runs, or from the reference if there are none."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from quantx.cli import main
from quantx.core.cost import MeasuredRun, Price, StageUsage, bill, counted, total
from quantx.errors import ConfigError
from quantx.pipeline.reporting.cost import PriceTable, estimate, page, read_prices
from quantx.pipeline.reporting.usage import measured_runs
from quantx.state.runs.port import RunUsage

SHIPPED = Path(__file__).parents[3] / "config" / "prices.yaml"


@pytest.fixture
def table() -> PriceTable:
    return read_prices(SHIPPED.read_text(), "prices.yaml")


def by_name(lines: object) -> dict[str, float]:
    return {line.name: line.quantity for line in lines}  # type: ignore[attr-defined]


def test_what_is_free_is_free_and_the_rest_is_paid() -> None:
    prices = {
        "logs": Price("logs", "GB", 2.0, checked="quoted", free=5),
        "writes": Price("writes", "10,000", 0.05, checked="official"),
    }
    few, many = (bill({"logs": size, "writes": 20_000}, prices) for size in (4, 6))
    assert (total(few), total(few, free=False)) == (0.10, 8.10)
    assert (total(many), total(many, free=False)) == (2.10, 12.10)
    assert [line.quoted for line in few] == [True, False]


def test_past_runs_are_what_counts(table: PriceTable) -> None:
    used = RunUsage(runs=2, tasks=200, requests=220, seconds=400.0, batches=10, size=2_000_000)
    found = estimate(table, used, None, 20)
    assert (found.symbols, found.source) == (100, "measured: 2 daily runs with 220 requests")
    quantities = by_name(found.lines)
    starting, vcpu = table.installation["starting_seconds"], table.installation["worker_vcpu"]
    assert quantities["container_cpu"] == 20 * (200 + starting) * vcpu
    writes = counted(100, measured_runs()[1], "writes")
    assert quantities["storage_writes"] * 10_000 == pytest.approx(20 * writes)


def test_requests_follow_the_line_through_the_counted_runs() -> None:
    few = MeasuredRun(
        symbols=10, tasks=10, reply_bytes=1, stages={"send": StageUsage(queue=15), "report": StageUsage(writes=3)}
    )
    many = MeasuredRun(
        symbols=110, tasks=110, reply_bytes=1, stages={"send": StageUsage(queue=215), "report": StageUsage(writes=3)}
    )
    assert [counted(tasks, (few, many), "queue") for tasks in (0, 10, 110, 1000)] == [0, 15, 215, 1995]
    assert [counted(tasks, (few, many), "writes") for tasks in (1, 10_000)] == [3, 3]


def test_an_update_of_a_counted_size_has_the_counted_requests(table: PriceTable) -> None:
    _, runs = measured_runs()
    for run in runs:
        quantities = by_name(estimate(table, RunUsage(), run.symbols, 1).lines)
        assert quantities["queue_operations"] * 10_000 == pytest.approx(run.total("queue"))
        assert quantities["storage_reads"] * 10_000 == pytest.approx(run.total("reads"))


def test_a_job_has_the_size_that_is_reckoned_with(table: PriceTable) -> None:
    source = (SHIPPED.parents[1] / "infra/modules/jobs.bicep").read_text("utf-8")
    assert f"cpu: json('{table.installation['worker_vcpu']}')" in source
    assert f"memory: '{table.installation['worker_gib']}Gi'" in source
    alerts = SHIPPED.parents[1] / "infra/modules/alerts.bicep"
    assert alerts.read_text("utf-8").count("    every: 'PT") == table.installation["alert_rules"]
    jobs, metrics = (re.findall(rf"var {name} = .*", alerts.read_text("utf-8")) for name in ("jobs", "ofServer"))
    assert len(jobs) == len(metrics) == 1
    names = len(set(re.findall(r"'[\w-]+'", jobs[0])) - {"'backup'"})  # that job exists by a parameter only
    assert names + alerts.read_text("utf-8").count("    metric: '") == table.installation["alert_metrics"]


def test_past_runs_can_be_scaled_to_more_symbols(table: PriceTable) -> None:
    used = RunUsage(runs=2, tasks=200, requests=220, seconds=400.0, batches=10, size=2_000_000)
    found = estimate(table, used, 1000, 20)
    assert found.symbols == 1000
    assert by_name(found.lines)["container_cpu"] == 10 * (2000 + table.installation["starting_seconds"])


def test_without_past_runs_somebody_must_say_for_how_many(table: PriceTable) -> None:
    with pytest.raises(ConfigError, match=r"no daily run to estimate from yet.*--symbols 500"):
        estimate(table, RunUsage(), None, 21)


def test_a_stopped_server_costs_its_storage(table: PriceTable) -> None:
    always, stopped = (estimate(table, RunUsage(), 500, 21, hours) for hours in (None, 42))
    assert stopped.total == pytest.approx(always.stopped)
    assert always.shared < always.stopped < always.total
    storage = table.installation["postgres_storage_gib"] * table.prices["postgres_storage"].usd
    assert stopped.server - storage == pytest.approx(42 * table.prices["postgres_hour"].usd)
    assert always.server / always.total > 0.5


def test_more_symbols_never_cost_less(table: PriceTable) -> None:
    totals = [estimate(table, RunUsage(), count, 21).total for count in (1, 500, 5000, 50_000, 500_000)]
    assert totals == sorted(totals)
    assert totals[0] < totals[-1]


def test_each_price_has_its_source_and_its_day() -> None:
    import yaml

    for name, entry in yaml.safe_load(SHIPPED.read_text())["prices"].items():
        assert entry["source"].startswith(("https://azure.microsoft.com/", "https://learn.microsoft.com/")), name
        assert entry["checked"] in ("official", "quoted"), name
        assert entry["read"], name


def test_what_is_not_verified_is_marked(table: PriceTable) -> None:
    text = page(estimate(table, RunUsage(), 500, 21))
    assert "0.017*" in text
    assert "0.1666*" not in text
    official = {name: replace(price, checked="official") for name, price in table.prices.items()}
    assert "0.017*" not in page(estimate(replace(table, prices=official), RunUsage(), 500, 21))


BAD = {
    "no YAML": ("prices: [", "not a valid table of prices"),
    "no prices": ("reference: {}", "no entry 'prices'"),
    "an unknown fact": ("prices: {logs: {what: a, unit: b}}", "not a valid table of prices"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_table_that_is_none_is_the_users_to_mend(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_prices(text, "prices.yaml")


def test_a_price_that_is_missing_is_told(table: PriceTable) -> None:
    text = SHIPPED.read_text().replace("  logs:", "  lumber:")
    with pytest.raises(ConfigError, match="no entry 'lumber'"):
        read_prices(text, "prices.yaml")


def test_the_command_reads_the_state(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no config/prices.yaml here: the shipped table is taken
    monkeypatch.setenv("QUANTX_STATE_URL", migrated_database_url)
    assert main(["cost"]) == 2
    assert "--symbols 500" in capsys.readouterr().err
    assert main(["cost", "--symbols", "500", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["symbols"] == 500
    assert told["total"] == pytest.approx(sum(line["usd"] for line in told["lines"]))
    assert main(["cost", "--symbols", "500", "--prices", str(tmp_path / "none.yaml")]) == 2
