"""The scripts of deploy/ from end to end, against a fake Azure that records calls, and refuses what Azure refuses."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .checkout import REPOSITORY, Checkout, stub
from .fake_az import SUBSCRIPTION

pytestmark = pytest.mark.slow

CHANGES = {
    "provider register",
    "group create",
    "group delete",
    "lock delete",
    "deployment group create",
    "acr import",
    "acr build",
    "keyvault recover",
    "postgres flexible-server start",
    "containerapp job start",
    "https scm POST /api/publish",
    "https registry PUT /v2/quantx-functions/manifests/",
    "tag update",
    "monitor action-group test-notifications create",
    "role assignment delete",
    "role definition delete",
}


def changes(checkout: Checkout) -> list[str]:
    """Return the recorded commands that change something, without options, and without the tag of the deployment."""
    lines = (line for line in map(" ".join, checkout.calls()) if "quantx-deploying" not in line)
    commands = (re.sub(r"(/manifests/).*", r"\1", re.split(r" -", line)[0]) for line in lines)
    return [command for command in commands if command in CHANGES]


@pytest.mark.parametrize("group_exists", [True, False])
def test_without_apply_nothing_is_changed(checkout: Checkout, group_exists: bool) -> None:
    if group_exists:
        checkout.let("group")
    done = checkout.run("deploy_hybrid.sh")
    assert done.returncode == 0, done.stderr
    assert changes(checkout) == []
    assert ("deployment group what-if" in checkout.commands()) is group_exists
    assert "nothing was changed" in done.stderr


def test_the_first_time_everything_is_made_in_order(checkout: Checkout) -> None:
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert [c for c in changes(checkout) if c != "provider register"] == [
        "group create",
        "deployment group create",  # everything but the jobs
        "acr import",  # the base image
        "acr build",
        "https registry PUT /v2/quantx-functions/manifests/",
        "deployment group create",
        "containerapp job start",  # migrate
        "https scm POST /api/publish",
        "tag update",
        "containerapp job start",  # universes: without members nothing can be planned
        "containerapp job start",  # sweeper
        "monitor action-group test-notifications create",
    ]
    assert checkout.sites.running == checkout.package()
    assert checkout.get("jobs") == f"quantx:{checkout.tag}"
    assert checkout.get("tags") == f"quantx-dev-app {checkout.tag}"
    assert checkout.subscriptions() == {"", SUBSCRIPTION}  # the first one asks for it
    first, last = checkout.lines("deployment group create")
    assert "image=" not in first
    assert "image=quantx:" in last
    assert "infra/dev.bicepparam" in last
    digest = (REPOSITORY / "container/base.Dockerfile").read_text().strip().rpartition("@")[2]
    assert checkout.get("mirrored") == f"docker.io/library/python@{digest}"
    base = f"{checkout.sites.hosts['registry']}/base/python@{digest}"
    assert f"--build-arg PYTHON_IMAGE={base}" in checkout.lines("acr build")[0]
    migrated, refreshed, swept = checkout.lines("containerapp job start")
    assert "quantx-dev-migrate" in migrated
    assert "quantx-dev-universes" in refreshed
    assert "quantx-dev-sweeper" in swept
    for line in (
        f"https://{checkout.sites.hosts['app']}/api/health",
        f"https://{checkout.sites.hosts['app']}/api/trigger-update",
        "az://lake in the account quantxlake",
        "quantx-dev-pg",
        "quantxvault",
    ):
        assert line in done.stdout
    began, ended = (line for line in checkout.lines("tag update") if "quantx-deploying" in line)
    value = re.search(r"quantx-deploying=(\S+)", began)
    assert value is not None
    assert datetime.now(UTC) - datetime.fromisoformat(value[1]) < timedelta(minutes=10)  # as power.py reads it
    assert "--operation Merge" in began
    assert "--operation Delete" in ended
    assert "the owners of the subscription: owner@example.org, group of owners" in done.stderr
    (test,) = checkout.lines("monitor action-group test-notifications create")
    assert test.count("--add-action") == 4
    for action in (
        "armrole owners 8e3af657-a8ff-443c-a75c-2fe8c4bcb635 usecommonalertschema",
        "email email a@example.org usecommonalertschema",
        "logicapp chat /subscriptions/s/w https://logic.example.org usecommonalertschema",
        "webhook webhook https://hook.example.org usecommonalertschema",
    ):
        assert f"--add-action {action}" in test


def test_only_what_is_not_registered_is_registered(checkout: Checkout) -> None:
    checkout.run("deploy_hybrid.sh", "--apply")
    registered = [line.split()[3] for line in checkout.lines("provider register")]
    assert "Microsoft.App" in registered
    assert not {"Microsoft.Storage", "Microsoft.Insights"} & set(registered)


def test_a_second_time_makes_nothing_again(checkout: Checkout) -> None:
    checkout.be_deployed()
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert [c for c in changes(checkout) if c != "provider register"] == [
        "deployment group create",  # changes nothing that is as the template says
        "containerapp job start",
        "containerapp job start",
        "containerapp job start",
    ]
    assert "budgetStart=2026-11-01" in checkout.lines("deployment group create")[0]


def test_an_interrupted_deployment_goes_on(checkout: Checkout) -> None:
    checkout.let("failing job", "migrate")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert "ended with status Failed" in done.stderr
    assert "ContainerAppConsoleLogs" in done.stderr
    assert "the database was not migrated; app and jobs are as before" in done.stderr
    assert checkout.sites.published == []
    assert not checkout.has("deploying")  # the stop of the database is not suspended any more
    (checkout.state / "failing job").unlink()
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    assert checkout.sites.running == checkout.package()
    assert "acr build" not in changes(checkout)
    assert not any("/manifests/" in change for change in changes(checkout))  # the kept package is taken


def test_a_list_that_is_refused_does_not_stop_a_deployment(checkout: Checkout) -> None:
    checkout.let("failing job", "universes")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert "a universe's list was refused" in done.stderr
    assert checkout.sites.running == checkout.package()


def test_a_stopped_database_is_started_before_it_is_changed(checkout: Checkout) -> None:
    checkout.be_deployed()
    checkout.let("database", "Stopping")  # it refuses to start until it is stopped
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    made = changes(checkout)
    assert made.index("postgres flexible-server start") < made.index("deployment group create")


def test_a_receiver_that_did_not_take_the_test_alert_is_a_failure(checkout: Checkout) -> None:
    assert checkout.run("test_alert.sh").returncode == 0
    checkout.let("no owner")
    assert "there is none; an owner of the group gets no mail" in checkout.run("test_alert.sh").stderr
    checkout.let("no rights in the subscription")
    assert "which this user may not list" in checkout.run("test_alert.sh").stderr
    checkout.let("unconfirmed")
    done = checkout.run("test_alert.sh")
    assert done.returncode == 1
    assert "not every receiver has taken the test alert" in done.stderr


def test_a_database_that_can_not_be_used_ends_the_deployment(checkout: Checkout) -> None:
    checkout.be_deployed()
    checkout.let("database", "Inaccessible")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 2
    assert "the database quantx-dev-pg is Inaccessible; see its page in the portal" in done.stderr
    assert changes(checkout) == ["provider register"] * len(changes(checkout))


def test_a_region_that_is_closed_to_the_subscription_ends_the_first_deployment(checkout: Checkout) -> None:
    checkout.let("restricted region")
    for arguments in ((), ("--apply",)):
        done = checkout.run("deploy_hybrid.sh", *arguments)
        assert (done.returncode, "may create no PostgreSQL server in westeurope" in done.stderr) == (2, True)
        assert "deployment group create" not in changes(checkout)


def test_a_registry_that_may_not_build_names_the_way_out(checkout: Checkout) -> None:
    checkout.let("free credits")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert (done.returncode, "IMAGE_ARCHIVE=build/image.tar IMAGE_NAME=quantx" in done.stderr) == (1, True)
    assert not checkout.has("jobs")


def test_a_deleted_vault_is_brought_back(checkout: Checkout) -> None:
    checkout.let("deleted vault")
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    made = changes(checkout)
    assert made.index("keyvault recover") < made.index("deployment group create")


def test_the_names_of_the_environment_are_honoured(checkout: Checkout) -> None:
    names = {
        "RESOURCE_GROUP": "mine",
        "LOCATION": "eastus",
        "STORAGE_ACCOUNT": "mylake01",
        "ACR_NAME": "myregistry",
        "FUNCTION_APP_NAME": "my-app",
        "QUANTX_ENVIRONMENT": "prod",
        "QUANTX_DATABASE": "external",
        "ALERT_EMAIL": "people@example.org",
        "ALERT_WEBHOOK": "https://hook.example.org",
        "ALERT_WEBHOOK_KIND": "slack",
        "MAKE_CUSTOM_ROLE": "false",
    }
    done = checkout.run("deploy_hybrid.sh", "--apply", **names)
    assert done.returncode == 0, done.stderr
    assert checkout.lines("group create") == ["group create --name mine --location eastus --output none"]
    for line in checkout.lines("deployment group create"):
        assert "--resource-group mine --parameters infra/prod.bicepparam --parameters location=eastus" in line
        assert "storageAccountName=mylake01 acrName=myregistry functionAppName=my-app database=external" in line
        assert "alertEmail=people@example.org" in line
        assert "alertWebhook=https://hook.example.org alertWebhookKind=slack" in line
        assert "makeCustomRole=false" in line
    assert "to people@example.org, once it is confirmed" in done.stderr
    assert "within 30 minutes" in done.stderr
    assert "--registry myregistry" in checkout.lines("acr build")[0]
    assert "quantx-prod-migrate" in checkout.lines("containerapp job start")[0]


def test_what_was_built_elsewhere_is_taken_as_it_is(checkout: Checkout, tmp_path: Path) -> None:
    stub(tmp_path, "docker", f'echo "$*" >> "{tmp_path}/docker.log"')
    (tmp_path / "functions.zip").write_text("attested")
    checkout.let("workflow")  # whose sign-in gets no new tokens at the end of a deployment
    built = {
        "IMAGE_ARCHIVE": "image.tar.gz",
        "IMAGE_NAME": "quantx:abc",
        "FUNCTIONS_PACKAGE": f"{tmp_path}/functions.zip",
    }
    done = checkout.run("deploy_hybrid.sh", "--apply", IMAGE_ARCHIVE="image.tar.gz")
    assert done.returncode == 2
    assert "IMAGE_ARCHIVE needs IMAGE_NAME" in done.stderr
    done = checkout.run("deploy_hybrid.sh", "--apply", **built)
    assert done.returncode == 0, done.stderr
    assert "acr build" not in changes(checkout)
    assert checkout.sites.running == b"attested"
    load, tag, push = (tmp_path / "docker.log").read_text().splitlines()
    assert load == "load --input image.tar.gz"
    assert tag == f"tag quantx:abc {checkout.sites.hosts['registry']}/quantx:{checkout.tag}"
    assert push == "push " + tag.split()[2]


def test_who_may_not_register_goes_on(checkout: Checkout) -> None:
    checkout.let("no rights in the subscription")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert "Microsoft.App can't be registered" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (["--aply"], {}, "unknown argument --aply"),
        ([], {"STORAGE_ACCOUNT": "My_Lake"}, "STORAGE_ACCOUNT must be"),
        ([], {"ACR_NAME": "a-b"}, "ACR_NAME must be"),
        ([], {"FUNCTION_APP_NAME": "my_app"}, "FUNCTION_APP_NAME must be"),
        ([], {"QUANTX_ENVIRONMENT": "test"}, "QUANTX_ENVIRONMENT must be dev or prod"),
        ([], {"QUANTX_DATABASE": "sqlite"}, "QUANTX_DATABASE must be"),
        ([], {"RESOURCE_GROUP": "a' or '1"}, "RESOURCE_GROUP is not a valid name"),
    ],
)
def test_wrong_input_is_reported_and_changes_nothing(
    checkout: Checkout, arguments: list[str], environment: dict[str, str], reason: str
) -> None:
    done = checkout.run("deploy_hybrid.sh", "--apply", *arguments, **environment)
    assert done.returncode == 2
    assert reason in done.stderr
    assert changes(checkout) == []


def test_a_missing_sign_in_is_reported(checkout: Checkout) -> None:
    checkout.let("signed out")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 2
    assert "az login" in done.stderr


@pytest.mark.parametrize("missing", ["az", "git", "python3"])
def test_a_tool_that_is_missing_is_named(checkout: Checkout, tmp_path: Path, missing: str) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in {"az", "git", "python3", "bash", "dirname", "basename"} - {missing}:
        (tools / tool).symlink_to(tmp_path / "bin" / "az" if tool == "az" else str(shutil.which(tool)))
    done = checkout.run("deploy_hybrid.sh", PATH=str(tools))
    assert done.returncode == 2
    assert f"{missing} is not installed" in done.stderr


def test_what_is_deployed_is_committed(checkout: Checkout) -> None:
    (checkout.folder / "src").mkdir()
    (checkout.folder / "src/new.py").write_text("")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 2
    assert "uncommitted changes" in done.stderr
    assert changes(checkout) == []


def test_a_backfill_keeps_the_container_and_changes_its_arguments(checkout: Checkout) -> None:
    checkout.let("jobs")
    checkout.let("database", "Stopped")
    done = checkout.run("backfill.sh", "--start", "2010-01-01", "--symbols", "AAPL,BRK.B", "--source", "it's")
    assert done.returncode == 0, done.stderr
    (container,) = json.loads((checkout.state / "execution").read_text())["containers"]
    assert container["args"] == ["backfill", "--start", "2010-01-01", "--symbols", "AAPL,BRK.B", "--source", "it's"]
    assert container["image"] == "r/quantx:1"
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert changes(checkout) == ["postgres flexible-server start", "containerapp job start"]
    assert "quantx-dev-backfill-abc" in done.stderr


def test_any_command_can_be_run_there_and_is_waited_for(checkout: Checkout) -> None:
    checkout.let("jobs")
    done = checkout.run("run.sh", "tasks", "retry", "--id", "17")
    assert done.returncode == 0, done.stderr
    (container,) = json.loads((checkout.state / "execution").read_text())["containers"]
    assert container["args"] == ["tasks", "retry", "--id", "17"]
    assert container["image"] == "r/quantx:1"
    assert checkout.commands()[-1] == "containerapp job execution show"
    assert 'ContainerGroupName startswith "quantx-dev-backfill-abc"' in done.stderr
    checkout.let("failing job", "backfill")
    assert checkout.run("run.sh", "status").returncode == 1
    assert checkout.run("run.sh").returncode == 2


def test_a_backfill_of_nothing_starts_nothing(checkout: Checkout) -> None:
    done = checkout.run("backfill.sh")
    assert done.returncode == 2
    assert checkout.calls() == []


def test_a_restore_runs_as_the_migrator_and_grants_afterwards(checkout: Checkout) -> None:
    checkout.let("jobs", "quantx:1")
    done = checkout.run("restore.sh", "https://a.blob.core.windows.net/backups", "--backup", "20261130T020000.000Z")
    assert done.returncode == 0, done.stderr
    starts = [line for line in map(" ".join, checkout.calls()) if line.startswith("containerapp job start ")]
    assert len(starts) == 2
    assert all("--name quantx-dev-migrate" in line for line in starts)
    assert ["--yaml" in line for line in starts] == [True, False]
    (container,) = json.loads((checkout.state / "execution").read_text())["containers"]
    assert container["args"] == [
        "backup",
        "restore",
        "https://a.blob.core.windows.net/backups",
        "--backup",
        "20261130T020000.000Z",
    ]
    assert container["image"] == "r/quantx:1"
    assert checkout.run("restore.sh").returncode == 2


LOCK = "/subscriptions/x/resourceGroups/quantx-dev/providers/Microsoft.Authorization/locks/keep-lake"


def test_a_teardown_says_what_is_lost_and_wants_the_name(checkout: Checkout) -> None:
    checkout.let("group")
    checkout.let("locks", LOCK)
    for arguments in ((), ("--name", "quantx-prod"), ("--yes",)):
        done = checkout.run("teardown.sh", *arguments)
        assert done.returncode == 2
        assert changes(checkout) == []
    done = checkout.run("teardown.sh")
    for part in ("vault              7 days", LOCK, "quantxlake/raw", "all raw objects, the state, and the"):
        assert part in done.stderr
    done = checkout.run("teardown.sh", "--name", "quantx-dev")
    assert done.returncode == 0, done.stderr
    assert changes(checkout) == ["lock delete", "role assignment delete", "role definition delete", "group delete"]
    assert checkout.has("deleted role")
    assert checkout.run("teardown.sh", "--name", "quantx-dev").returncode == 0
    assert changes(checkout) == []


def test_no_script_knows_a_key() -> None:
    words = re.compile(
        r"connection.string|AccountKey|account-key|--password|listKeys|keys list(?! --resource-group \"?\$group)"
    )
    for script in (REPOSITORY / "deploy").glob("*.sh"):
        assert words.findall(script.read_text("utf-8")) == [], script.name


def test_machine_learning_gets_an_image_and_an_environment_of_the_commit_and_a_schedule_of_a_study(
    checkout: Checkout,
) -> None:
    (checkout.folder / "study.yaml").write_text("name: momentum")
    done = checkout.run("deploy_hybrid.sh", "--apply", "--ml", ML_STUDY="study.yaml")
    assert done.returncode == 0, done.stderr
    assert "machineLearning=true" in checkout.lines("deployment group create")[0]
    (built,) = (line for line in checkout.lines("acr build") if "quantx-ml" in line)
    assert f"--image quantx-ml:{checkout.tag} --file infra/ml/environment/Dockerfile" in built
    (environment,) = checkout.lines("ml environment create")
    image = f"{checkout.sites.hosts['registry']}/quantx-ml:{checkout.tag}"
    assert f"--set version={checkout.tag} image={image}" in environment
    (schedule,) = checkout.lines("ml schedule create")
    assert "--workspace-name quantx-dev-ml" in schedule
    for given in (
        f"study.path={checkout.folder}/study.yaml",
        "storage_account=quantxlake",
        "client_id=worker-id",
        "state=postgresql://quantx-dev-worker@quantx-dev-pg.postgres.database.azure.com:5432/quantx",
    ):
        assert f"create_job.inputs.{given}" in schedule
    assert "inputs.client_id=trainer-id" in done.stdout
    again = checkout.run("deploy_hybrid.sh", "--apply", "--ml")
    assert again.returncode == 0, again.stderr
    assert not {"acr build", "ml environment create", "ml schedule create"} & set(checkout.commands())
    assert "set ML_STUDY" in again.stderr


@pytest.mark.parametrize(
    ("state", "environment", "message"),
    [
        ("no extension", {}, "az extension add --name ml"),
        (None, {"PRIVATE_NETWORK": "true"}, "--ml needs PRIVATE_NETWORK=false"),
        (None, {"ML_STUDY": "none.yaml"}, "there is no study none.yaml"),
    ],
)
def test_machine_learning_is_refused_before_anything_is_changed(
    checkout: Checkout, state: str | None, environment: dict[str, str], message: str
) -> None:
    if state is not None:
        checkout.let(state)
    done = checkout.run("deploy_hybrid.sh", "--apply", "--ml", **environment)
    assert done.returncode == 2
    assert message in done.stderr
    assert changes(checkout) == []
