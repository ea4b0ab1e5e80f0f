"""The scripts of deploy/ from end to end, against a fake `az` that records its calls and their effects."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from .fake_az import REPOSITORY, Checkout, make_checkout

pytestmark = pytest.mark.slow

CHANGES = {
    "provider register",
    "group create",
    "group delete",
    "lock delete",
    "deployment group create",
    "acr build",
    "keyvault recover",
    "postgres flexible-server start",
    "containerapp job start",
    "functionapp deploy",
    "tag update",
    "role definition delete",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path)


def commands(checkout: Checkout) -> list[str]:
    """Return the recorded commands without their options."""
    return [re.split(r" -", " ".join(call))[0] for call in checkout.calls()]


def changes(checkout: Checkout) -> list[str]:
    return [command for command in commands(checkout) if command in CHANGES]


def calls(checkout: Checkout, command: str) -> list[str]:
    return [line for line in (" ".join(call) for call in checkout.calls()) if line.startswith(command + " ")]


@pytest.mark.parametrize("group_exists", [True, False])
def test_without_apply_nothing_is_changed(checkout: Checkout, group_exists: bool) -> None:
    if group_exists:
        checkout.let("group")
    done = checkout.run("deploy_hybrid.sh")
    assert done.returncode == 0, done.stderr
    assert changes(checkout) == []
    assert ("deployment group what-if" in commands(checkout)) is group_exists
    assert "nothing was changed" in done.stderr


def test_the_first_time_everything_is_made_in_order(checkout: Checkout) -> None:
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert [c for c in changes(checkout) if c != "provider register"] == [
        "group create",
        "deployment group create",  # everything but the jobs
        "acr build",
        "deployment group create",
        "containerapp job start",  # migrate
        "containerapp job start",  # universes: without members nothing can be planned
        "functionapp deploy",
        "tag update",
        "containerapp job start",  # sweeper
    ]
    first, last = calls(checkout, "deployment group create")
    assert "image=" not in first
    assert "image=quantx:" in last
    assert "infra/dev.bicepparam" in last
    migrated, refreshed, swept = calls(checkout, "containerapp job start")
    assert "quantx-dev-migrate" in migrated
    assert "quantx-dev-universes" in refreshed
    assert "quantx-dev-sweeper" in swept
    for line in (
        "https://quantx-dev-app.azurewebsites.net/api/health",
        "https://quantx-dev-app.azurewebsites.net/api/trigger-update",
        "az://lake in the account quantxlake",
        "quantx-dev-pg",
        "quantxvault",
    ):
        assert line in done.stdout


def test_only_what_is_not_registered_is_registered(checkout: Checkout) -> None:
    checkout.run("deploy_hybrid.sh", "--apply")
    registered = [line.split()[3] for line in calls(checkout, "provider register")]
    assert "Microsoft.App" in registered
    assert not {"Microsoft.Storage", "Microsoft.Insights"} & set(registered)


def test_a_second_time_makes_nothing_again(checkout: Checkout) -> None:
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert [c for c in changes(checkout) if c != "provider register"] == [
        "deployment group create",  # changes nothing that is as the template says
        "containerapp job start",
        "containerapp job start",
        "containerapp job start",
    ]
    assert "budgetStart=2026-11-01" in calls(checkout, "deployment group create")[0]


def test_an_interrupted_deployment_goes_on(checkout: Checkout) -> None:
    checkout.let("failing job", "migrate")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert "ended with status Failed" in done.stderr
    assert "ContainerAppConsoleLogs" in done.stderr
    assert not checkout.has("package")
    (checkout.state / "failing job").unlink()
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    assert checkout.has("package")
    assert "acr build" not in changes(checkout)


def test_a_list_that_is_refused_does_not_stop_a_deployment(checkout: Checkout) -> None:
    checkout.let("failing job", "universes")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert "a universe's list was refused" in done.stderr
    assert checkout.has("package")


def test_a_stopped_database_is_started_before_it_is_changed(checkout: Checkout) -> None:
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    checkout.let("stopped database")
    assert checkout.run("deploy_hybrid.sh", "--apply").returncode == 0
    made = changes(checkout)
    assert made.index("postgres flexible-server start") < made.index("deployment group create")


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
        "MAKE_CUSTOM_ROLE": "false",
    }
    done = checkout.run("deploy_hybrid.sh", "--apply", **names)
    assert done.returncode == 0, done.stderr
    assert calls(checkout, "group create") == ["group create --name mine --location eastus --output none"]
    for line in calls(checkout, "deployment group create"):
        assert "--resource-group mine --parameters infra/prod.bicepparam --parameters location=eastus" in line
        assert "storageAccountName=mylake01 acrName=myregistry functionAppName=my-app database=external" in line
        assert "alertEmail=people@example.org" in line
        assert "makeCustomRole=false" in line
    assert "--registry myregistry" in calls(checkout, "acr build")[0]
    assert "quantx-prod-migrate" in calls(checkout, "containerapp job start")[0]


def test_what_was_built_elsewhere_is_taken_as_it_is(checkout: Checkout, tmp_path: Path) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/docker.log"\n')
    docker.chmod(0o755)
    (tmp_path / "functions.zip").write_text("attested")
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
    assert (checkout.state / "package").read_text() == "attested"
    load, tag, push = (tmp_path / "docker.log").read_text().splitlines()
    assert load == "load --input image.tar.gz"
    assert tag.startswith("tag quantx:abc quantxmadeup.azurecr.io/quantx:")
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
    checkout.let("stopped database")
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
    assert commands(checkout)[-1] == "containerapp job execution show"
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
    starts = calls(checkout, "containerapp job start")
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
    assert changes(checkout) == ["lock delete", "group delete", "role definition delete"]
    assert checkout.run("teardown.sh", "--name", "quantx-dev").returncode == 0
    assert changes(checkout) == []


def test_no_script_knows_a_key() -> None:
    words = re.compile(
        r"connection.string|AccountKey|account-key|--password|listKeys|keys list(?! --resource-group \$group)"
    )
    for script in (REPOSITORY / "deploy").glob("*.sh"):
        assert words.findall(script.read_text("utf-8")) == [], script.name
