"""The bundle for Databricks: its fields, its references, and its gold table on Sail. It has never been deployed."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.protocol import CommitContext

from ..features.sail import HOME
from ..features.site import DAYS, FeatureSite, action, bars_of

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "infra" / "databricks"
FILE = BUNDLE / "databricks.yml"

# The fields of a bundle that ours uses, as Databricks documents them (dev-tools/bundles/reference and /resources).
# A dict has these fields, "*" stands for any name; a list has one form of element; None is any value.
_CLUSTER = dict.fromkeys(
    ("policy_id", "apply_policy_default_values", "spark_version", "data_security_mode", "spark_env_vars")
)
_TASK = {
    **dict.fromkeys(("task_key", "description", "job_cluster_key", "max_retries")),
    "depends_on": [{"task_key": None}],
    "python_wheel_task": dict.fromkeys(("package_name", "entry_point", "parameters")),
    "spark_python_task": dict.fromkeys(("python_file", "parameters")),
    "libraries": [dict.fromkeys(("whl", "requirements"))],
}
_JOB = {
    **dict.fromkeys(("name", "max_concurrent_runs", "timeout_seconds")),
    "schedule": dict.fromkeys(("quartz_cron_expression", "timezone_id", "pause_status")),
    "job_clusters": [
        {
            "job_cluster_key": None,
            "new_cluster": {**_CLUSTER, "autoscale": dict.fromkeys(("min_workers", "max_workers"))},
        }
    ],
    "tasks": [_TASK],
}
FIELDS: dict[str, Any] = {
    "bundle": {"name": None},
    "variables": {"*": {"description": None, "default": None, "lookup": {"cluster_policy": None}}},
    "artifacts": {"*": dict.fromkeys(("type", "path", "build"))},
    "resources": {"jobs": {"*": _JOB}},
    "targets": {"*": {"default": None, "mode": None, "workspace": {"root_path": None}}},
}


def unknown_fields(given: Any, known: Any, where: str = "") -> list[str]:
    """Return the fields of a document that a form does not have."""
    if isinstance(known, list):
        return [fault for each in given for fault in unknown_fields(each, known[0], f"{where}[]")]
    if not isinstance(known, dict):
        return []
    found = []
    for name, value in given.items():
        if name not in known and "*" not in known:
            found.append(f"{where}.{name}".lstrip("."))
        else:
            found += unknown_fields(value, known.get(name, known.get("*")), f"{where}.{name}")
    return found


def undeclared(text: str) -> set[str]:
    """Return the references of a bundle to variables that it does not declare, and to unknown places."""
    declared = {f"var.{name}" for name in yaml.safe_load(text)["variables"]}
    known = {"workspace.file_path", "bundle.name", "bundle.target"}
    return set(re.findall(r"\$\{([\w.]+)\}", text)) - declared - known


def test_the_bundle_has_fields_and_references_that_exist() -> None:
    text = FILE.read_text("utf-8")
    assert unknown_fields(yaml.safe_load(text), FIELDS) == []
    assert undeclared(text) == set()


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("timeout_seconds:", "timeout_minutes:", "resources.jobs.features.timeout_minutes"),
        ("max_workers: 8", "max_worker: 8", "resources.jobs.features.job_clusters[].new_cluster.autoscale.max_worker"),
        ("entry_point: quantx", "entrypoint: quantx", "resources.jobs.features.tasks[].python_wheel_task.entrypoint"),
        ("${var.gold}", "${var.golden}", "var.golden"),
    ],
)
def test_a_seeded_fault_is_found(right: str, wrong: str, found: str) -> None:
    text = FILE.read_text("utf-8")
    assert right in text
    text = text.replace(right, wrong)
    assert [*unknown_fields(yaml.safe_load(text), FIELDS), *undeclared(text)] == [found]


def test_its_tasks_run_what_there_is_in_an_order_that_ends() -> None:
    job = yaml.safe_load(FILE.read_text("utf-8"))["resources"]["jobs"]["features"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    keys = [task["task_key"] for task in job["tasks"]]
    clusters = {each["job_cluster_key"] for each in job["job_clusters"]}
    for at, task in enumerate(job["tasks"]):
        assert task["job_cluster_key"] in clusters
        assert {each["task_key"] for each in task.get("depends_on", [])} <= set(keys[:at])
        if wheel := task.get("python_wheel_task"):
            assert wheel["package_name"].replace("_", "-") == project["name"]
            assert wheel["entry_point"] in project["scripts"]
            source = "quantx"
        else:
            source = (BUNDLE / task["spark_python_task"]["python_file"]).read_text("utf-8")
        needed = "quantx" in source
        assert ({"requirements": "${workspace.file_path}/requirements.txt"} in task.get("libraries", [])) is needed


def test_the_policy_names_fields_of_clusters_and_holds_no_secret() -> None:
    policy = json.loads((BUNDLE / "cluster_policy.json").read_text("utf-8"))
    kinds = {each["type"] for each in policy.values()}
    assert kinds <= {"fixed", "allowlist", "range", "regex"}
    secret = policy["spark_env_vars.AZURE_CLIENT_SECRET"]["value"]
    assert re.fullmatch(r"\{\{secrets/\w+/[\w-]+\}\}", secret)
    cluster = yaml.safe_load(FILE.read_text("utf-8"))["resources"]["jobs"]["features"]["job_clusters"][0]["new_cluster"]
    assert re.fullmatch(policy["spark_version"]["pattern"], cluster["spark_version"])
    assert cluster["autoscale"]["max_workers"] <= policy["autoscale.max_workers"]["maxValue"]
    assert cluster["data_security_mode"] == policy["data_security_mode"]["value"]


def test_workers_keep_the_runtimes_arrow_and_pandas() -> None:
    given = dict(re.findall(r"^([\w-]+)==(\S+)", (BUNDLE / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    ours = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements/run.txt").read_text("utf-8"), re.MULTILINE))
    assert not {"pyarrow", "pandas", "numpy", "protobuf"} & given.keys()
    assert all(given[name] == ours[name] for name in ("polars", "polars-talib", "deltalake", "obstore"))


# ----------------------------------------------------------------------------------------------------- on Sail

SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession
import gold, unity_tables

server = SparkConnectServer(ip="127.0.0.1", port=0)
server.start(background=True)
spark = SparkSession.builder.remote("sc://127.0.0.1:{1}".format(*server.listening_address)).getOrCreate()
lake, path, action = sys.argv[2:]
tables = {"bars": "bars_1d", "actions": "actions", "bars_revisions": "bars_1d_revisions"}
names = {name: f"delta.`{lake}/curated/{table}`" for name, table in tables.items()} | {"gold": f"delta.`{path}`"}
if action == "create":
    columns = "cast(null as string) symbol, cast(null as date) month, 1d high, 1d low, 1d close, 1d volume"
    empty = spark.sql(f"select {columns}, cast(null as timestamp) known_from").where("1 = 0")
    empty.write.format("delta").save(path)
gold.update(spark, names, gold.newest(spark, names))
print([row["symbol"] for row in spark.sql("select symbol from changed order by 1").collect()])
print(next(each for each in unity_tables.statements("abfss://l@a", "c.s") if "minute_1m" in each))
"""


@pytest.mark.slow
@pytest.mark.skipif(not (HOME / "bin" / "sail").exists(), reason="no Sail; `sh requirements/spark.sh` installs it")
def test_gold_follows_new_rows_events_and_corrections(tmp_path: Path) -> None:
    site = FeatureSite(tmp_path / "lake")
    days = DAYS[-60:]
    site.commit(BARS_1D, pl.concat([bars_of(f"S{n}", n, days) for n in range(3)]))
    site.commit(ACTIONS, action("S2", days[30], "split", 1.0))  # the tables exist, an event without an effect
    site.commit(BARS_1D, BARS_1D.empty(), site.bars("S0")[:1])
    revised = site.bars("S0")[:1].with_columns(known_to=pl.col("known_from"))
    site.platform.tables["bars_1d_revisions"].commit(CommitContext(), revised.select(list(BARS_1D.revisions.schema)))
    (tmp_path / "run.py").write_text(SCRIPT)

    def run(what: str) -> list[str]:
        done = subprocess.run(
            [HOME / "bin" / "python", "run.py", str(BUNDLE), str(site.folder), str(tmp_path / "gold"), what],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        changed, statement = done.stdout.splitlines()
        assert (
            statement
            == "create table if not exists c.s.minute_1m using delta location 'abfss://l@a/features/minute_1m'"
        )
        return list(yaml.safe_load(changed))

    def matches() -> bool:
        lake, gold = site.lake(), pl.read_delta(str(tmp_path / "gold")).sort("symbol", "month")
        ours = lake.resample(lake.bars(["S0", "S1", "S2"], adjust="split"), "1mo").sort("symbol", "date")
        assert gold.height == ours.height
        return bool(((gold["close"] / ours["close"] - 1).abs().max() or 0) < 1e-9)

    assert run("create") == ["S0", "S1", "S2"]
    assert matches()
    site.clock.at += timedelta(hours=1)
    site.commit(ACTIONS, action("S1", days[40], "split", 4.0))
    site.commit(BARS_1D, BARS_1D.empty(), site.bars("S2")[-1:].with_columns(pl.col("close") * 2))
    assert run("update") == ["S1", "S2"]
    assert matches()
