"""The command: help, exit codes, what is printed where, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer

import quantx as package
from quantx.cli import main
from quantx.cli.app import app
from quantx.sandbox import Market, Sandbox, running

Run = Callable[..., Any]


def _commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands())


# ----------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(command: tuple[str, ...], quantx: Run) -> None:
    ran = quantx(*command, "--help")
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert f"Example: quantx {' '.join(command)}" in text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_option_has_help(command: tuple[str, ...]) -> None:
    for parameter in COMMANDS[command].params:
        assert getattr(parameter, "help", None), f"{command} {parameter.name}"


def test_the_first_line_of_help_is_a_sentence() -> None:
    for command in COMMANDS.values():
        first = inspect.cleandoc(command.help).splitlines()[0]
        assert first.endswith("."), first


def test_the_promised_commands_are_there(quantx: Run) -> None:
    promised = {
        "sandbox",
        "init",
        "config",
        "status",
        "show-manifest",
        "refresh-universe",
        "backfill",
        "update-daily",
        "work",
        "curate",
        "query",
    }
    assert promised <= {name for name, *_ in COMMANDS}
    ran = quantx("--help")
    assert all(name in ran.out for name in promised)


def test_no_command_shows_the_help(quantx: Run) -> None:
    ran = quantx()
    assert "backfill" in ran.out + ran.err
    assert ran.code in (0, 2)


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("backfill",), ("query",), ("backfill", "--nonsense"), ("tasks", "list", "--limit", "0")],
)
def test_wrong_usage_is_exit_code_2_with_a_hint(arguments: tuple[str, ...], quantx: Run) -> None:
    ran = quantx(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err


# ------------------------------------------------------------------------------------------------------ what is printed


def test_json_is_json(quantx: Run) -> None:
    status = json.loads(quantx("status", "--json").out)
    assert status["tasks"]["done"] >= 3
    manifest = json.loads(quantx("show-manifest", "--json").out)
    assert {s["symbol"]: s["rows"] for s in manifest["series"]}["AAA"] == 252
    assert json.loads(quantx("tasks", "list", "--json").out)[0]["state"] == "done"
    assert "yfinance_base_url" in json.loads(quantx("config", "--json").out)
    planned = json.loads(
        quantx("backfill", "--start", "2016-01-01", "--end", "2016-12-30", "--symbols", "AAA", "--json").out
    )
    assert (planned["skipped"], planned["requests"], planned["failures"]) == (1, 0, [])
    members = json.loads(quantx("refresh-universe", "--json").out)
    assert members[0]["members"] == 2


def test_a_symbol_that_the_vendor_does_not_know_is_reported_each_day(quantx: Run) -> None:
    first = quantx("update-daily", "--symbols", "NOSUCH")
    assert (first.code, "Yahoo does not know NOSUCH" in first.err) == (1, True)
    again = quantx("update-daily", "--symbols", "NOSUCH")
    assert again.code == 1
    assert "0 done, 0 failed, 0 up to date" in again.out
    assert "NOSUCH has no bars: yahoo refused it on " in again.err
    both = quantx("update-daily", "--symbols", "NOSUCH,AAA", "--json")
    assert (both.code, list(json.loads(both.out)["unserved"])) == (1, ["NOSUCH"])
    refused = json.loads(quantx("status", "--json").out)["refused"]
    assert [row["symbol"] for row in refused] == ["NOSUCH"]


def test_secrets_are_not_shown(quantx: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=canary1=="
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", secret)
    monkeypatch.setenv("QUANTX_STATE_URL", "postgresql://me:canary2@host/db")
    for arguments in (("config",), ("config", "--json")):
        assert "canary" not in quantx(*arguments).out


def test_tables_on_a_pipe_are_whole(quantx: Run) -> None:
    """Whatever the terminal's width was: no cell is cut with an ellipsis, numbers are complete."""
    shown = quantx("query", "--symbols", "AAA,BRK.B", "--start", "2016-12-29").out
    assert "12,345,678" in shown
    assert "…" not in shown
    for arguments in (("status",), ("show-manifest",), ("tasks", "list")):
        ran = quantx(*arguments)
        assert ran.code == 0
        assert "…" not in ran.out.replace("… ", "")
    assert "2016-12-30" in quantx("show-manifest").out


def test_a_shortened_table_states_the_total(quantx: Run) -> None:
    shown = quantx("query", "--symbols", "AAA").out
    assert "252 bars, the last 40" in shown


def test_an_empty_result_is_reported_on_stderr(quantx: Run) -> None:
    ran = quantx("query", "--symbols", "AAA", "--start", "2030-01-01", "--format", "csv")
    assert ran.code == 1
    assert ran.out.splitlines() == ["symbol,date,open,high,low,close,volume,adj_close,source,known_from"]
    assert ran.err.startswith("warning: no daily bars of AAA (bars of other days only, from 2016-01-04 to 2016-12-30)")


def test_an_unknown_symbol_is_an_error_with_the_next_step(quantx: Run) -> None:
    ran = quantx("query", "--symbols", "AAA,AAB", "--format", "csv")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: the lake knows no symbol AAB (did you mean AAA?)")
    assert "`quantx backfill --symbols AAB --start 2000-01-01` fetches it" in ran.err


def test_the_ending_of_a_file_chooses_the_format(quantx: Run, tmp_path: Path) -> None:
    for name in ("bars.csv", "bars.parquet"):
        ran = quantx("query", "--symbols", "AAA", "-o", str(tmp_path / name))
        assert (ran.code, ran.out) == (0, f"252 bars of 1 symbol written to {tmp_path / name}\n")
    read = pl.read_csv(tmp_path / "bars.csv", try_parse_dates=True)
    assert read["close"].equals(pl.read_parquet(tmp_path / "bars.parquet")["close"])
    assert "use .csv or .parquet" in quantx("query", "--symbols", "AAA", "-o", str(tmp_path / "bars.txt")).err


def test_results_go_to_stdout_and_nothing_else_does(quantx: Run) -> None:
    ran = quantx("query", "--symbols", "AAA", "--format", "csv")
    assert ran.err == ""
    assert len(ran.out.splitlines()) == 253


# ---------------------------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("adjust", ["none", "split", "total"])
def test_csv_and_parquet_hold_what_the_reader_gives(
    adjust: Any, quantx: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    lake = package.open_lake(environment["QUANTX_LAKE_URL"])
    bars = lake.bars(["AAA", "BRK.B"], adjust=adjust)
    common = ("query", "--symbols", "AAA,BRK.B", "--adjust", adjust)
    assert quantx(*common, "--format", "parquet", "-o", tmp_path / "bars.parquet").code == 0
    assert pl.read_parquet(tmp_path / "bars.parquet").equals(bars)
    provenance = json.loads(pl.read_parquet_metadata(tmp_path / "bars.parquet")["quantx.provenance"])
    assert (provenance["query"], provenance["sources"]) == ("bars", bars["source"].unique().sort().to_list())
    assert "bars_1d" in provenance["tables"]
    assert quantx(*common, "--format", "csv", "-o", tmp_path / "bars.csv").code == 0
    read = pl.read_csv(tmp_path / "bars.csv", try_parse_dates=True)
    assert read.drop("known_from").equals(bars.drop("known_from"))
    assert (
        read["known_from"].cast(pl.String).str.slice(0, 19).to_list()
        == bars["known_from"].cast(pl.String).str.slice(0, 19).to_list()
    )
    assert quantx(*common, "--format", "csv").out == (tmp_path / "bars.csv").read_text()


def test_adjusted_prices(quantx: Run) -> None:
    def first_close(adjust: str) -> float:
        line = quantx(
            "query", "--symbols", "AAA", "--end", "2016-01-04", "--format", "csv", "--adjust", adjust
        ).out.splitlines()[1]
        return float(line.split(",")[5])

    traded = first_close("none")
    assert first_close("split") == pytest.approx(traded / 2)
    assert first_close("total") < first_close("split")


# ------------------------------------------------------------------------------------------------------------ universes


def test_a_universe_can_be_refreshed_and_filled(quantx: Run) -> None:
    assert quantx("refresh-universe", "--phase", "phase_1").code == 0
    ran = quantx("backfill", "--start", "2016-01-01", "--end", "2016-12-30", "--universe", "mine", "--json")
    assert (ran.code, json.loads(ran.out)["skipped"]) == (0, 2)
    assert quantx("refresh-universe", "--phase", "phase_7").code == 2
    assert quantx("refresh-universe", "--name", "yours").code == 2


def test_init_writes_what_is_missing_and_keeps_what_is_there(quantx: Run, tmp_path: Path) -> None:
    assert quantx("init").code == 0
    assert sorted(p.name for p in (tmp_path / "config").iterdir()) == ["settings.yaml", "universes.yaml"]
    (tmp_path / "config" / "universes.yaml").write_text("# mine")
    ran = quantx("init")
    assert "kept" in ran.out
    assert (tmp_path / "config" / "universes.yaml").read_text() == "# mine"


# -------------------------------------------------------------------------------------------------------- enqueue, work


def test_enqueue_only_leaves_the_work_to_workers(quantx: Run) -> None:
    ran = quantx(
        "backfill", "--start", "2015-11-02", "--end", "2015-11-30", "--symbols", "BBB", "--enqueue-only", "--json"
    )
    assert (ran.code, json.loads(ran.out)["enqueued"]) == (0, 1)
    assert json.loads(quantx("status", "--json").out)["queue"]["total"] == 1
    worked = quantx("work", "--until-empty", "--time-budget", "60")
    assert (worked.code, "fetched 1 reply, " in worked.out) == (0, True)
    assert json.loads(quantx("status", "--json").out)["queue"]["total"] == 0
    assert quantx("curate").code == 0


def test_a_failure_counts_for_each_run_that_wanted_it(
    quantx: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """While a run works, another one that wants the same takes its tasks over; both end with exit code 1."""
    wanted = ("backfill", "--start", "2015-12-01", "--end", "2015-12-31", "--symbols", "YYY")
    from quantx.pipeline.fetching import worker

    def run(self: Any, **named: Any) -> Any:
        monkeypatch.undo()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        second.append(main([*wanted]))
        return self.run(**named)

    second: list[int] = []
    monkeypatch.setattr(worker.Worker, "run", run)
    assert main([*wanted]) == 1
    assert second == [1]


def test_a_failure_is_exit_code_1_with_the_reason(quantx: Run) -> None:
    ran = quantx("backfill", "--start", "2015-12-01", "--end", "2015-12-31", "--symbols", "BBB,ZZZ")
    assert ran.code == 1
    assert "1 done, 1 failed" in ran.out
    assert "ZZZ: UnknownSymbol" in ran.err
    assert json.loads(quantx("tasks", "list", "--state", "failed", "--json").out)[0]["symbol"] == "ZZZ"


class _Rude(http.server.BaseHTTPRequestHandler):
    """A vendor whose words look like the markup of the terminal library."""

    def do_GET(self) -> None:
        body = b'{"chart":{"result":null,"error":{"code":"Not Found","description":"[/red] [bold]gone[link=x]"}}}'
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_vendors_text_is_printed_without_markup(quantx: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Rude) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("QUANTX_YFINANCE_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        ran = quantx("backfill", "--start", "2015-12-01", "--end", "2015-12-31", "--symbols", "RUDE")
        server.shutdown()
    assert ran.code == 1
    assert "[/red] [bold]gone[link=x]" in ran.err
    listed = quantx("tasks", "list", "--state", "failed")  # where a narrow cell folds it
    assert (listed.code, "[/red]" in listed.out) == (0, True)


def test_messages_are_not_broken_into_lines(quantx: Run, tmp_path: Path) -> None:
    far = tmp_path / ("x" * 120) / ("y" * 120)
    ran = quantx("query", "--symbols", "AAA", "--format", "csv", "-o", far / "bars.csv")
    assert ran.code == 2
    assert str(far) in ran.err


# ------------------------------------------------------------------------------------------------------- real processes


def _start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "quantx", *arguments],
        env={**os.environ, **environment, "PYTHONPATH": str(Path(package.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_reader_that_leaves_early_is_no_error(environment: dict[str, str]) -> None:
    process = _start(environment, "query", "--symbols", "AAA,BBB,BRK.B", "--format", "csv")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("symbol,")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) in (0, 141)


def test_the_last_day_of_a_backfill_is_the_states_wherever_the_machine_is(
    quantx: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "AWAY+167")  # a week behind
        time.tzset()
        ran = quantx("backfill", "--start", datetime.now(UTC).date(), "--symbols", "AAA")
    time.tzset()
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_backfill_in_good_order(
    number: int, environment: dict[str, str], market: Market, quantx: Run
) -> None:
    """It ends within seconds with exit code 1; the same command then goes on where it was stopped."""
    month = "07" if number == signal.SIGTERM else "08"
    command = ("backfill", "--start", f"2015-{month}-01", "--end", f"2015-{month}-28", "--symbols", "AAA,BBB,BRK.B")
    with running(Sandbox(market, now="2016-12-30", latency=0.8)) as slow:
        process = _start({**environment, "QUANTX_YFINANCE_BASE_URL": slow, "QUANTX_MAX_WORKERS": "1"}, *command)
        try:
            deadline = time.monotonic() + 40
            while _requests(slow) < 1 and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            began = time.monotonic()
            process.send_signal(number)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert time.monotonic() - began < 10
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "stopped before the end" in err
    ran = quantx(*command)
    assert ran.code == 0
    bars = package.open_lake(environment["QUANTX_LAKE_URL"]).bars(
        ["AAA", "BBB", "BRK.B"], f"2015-{month}-01", f"2015-{month}-28"
    )
    assert bars.group_by("symbol").len()["len"].unique().to_list() == [bars["date"].n_unique()]
    assert bars["symbol"].n_unique() == 3
    assert bars["date"].max() == date(2015, int(month), 28)


def _requests(url: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/_sandbox/stats")
        return int(json.load(connection.getresponse())["total"])
