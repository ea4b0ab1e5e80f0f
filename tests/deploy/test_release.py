"""An upgrade migrates, publishes and switches the jobs, in this order; a failed smoke test brings the last one back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .checkout import REPOSITORY, Checkout
from .fake_az import OTHER_SUBSCRIPTION
from .fake_sites import Sites

pytestmark = pytest.mark.slow


def steps(checkout: Checkout) -> list[str]:
    """Return what an upgrade did: deployments with their images, jobs, packages."""
    found = []
    for call in checkout.calls():
        line = " ".join(call)
        if line.startswith("deployment group create"):
            found.append(" ".join(word for word in call if word.startswith(("image=", "runningImage="))))
        elif line.startswith("containerapp job start"):
            found.append(call[call.index("--name") + 1].removeprefix("quantx-dev-"))
        elif "POST /api/publish" in line:
            found.append("publish")
        elif "GET /api/ready" in line:
            found.append("ready")
    return found


@pytest.fixture
def deployed(checkout: Checkout) -> Checkout:
    checkout.be_deployed()
    return checkout


def test_an_upgrade_migrates_publishes_and_then_switches_the_jobs(deployed: Checkout) -> None:
    old, new = deployed.tag, deployed.commit()
    done = deployed.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert steps(deployed) == [
        f"image=quantx:{new} runningImage=quantx:{old}",  # only migrate has the new image
        "migrate",
        "publish",
        "ready",
        f"image=quantx:{new}",
        "universes",
        "sweeper",
    ]
    assert deployed.sites.running == deployed.package(new)
    assert deployed.get("tags") == f"quantx-dev-app {new}"


def test_an_app_that_is_not_ready_gets_its_last_package_back(deployed: Checkout) -> None:
    old, new = deployed.tag, deployed.commit()
    deployed.sites.broken = {deployed.package(new)}
    done = deployed.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert "answers 503" in done.stderr
    assert "the queue can not be reached" in done.stderr
    assert f"the release {old} is back" in done.stderr
    assert deployed.sites.running == deployed.package(old)
    assert deployed.get("jobs") == f"quantx:{old}"
    assert deployed.get("tags") == f"quantx-dev-app {old}"
    assert "sweeper" not in steps(deployed)
    deployed.sites.broken = set()
    assert deployed.run("deploy_hybrid.sh", "--apply").returncode == 0
    assert deployed.sites.running == deployed.package(new)
    assert deployed.get("jobs") == f"quantx:{new}"


def test_an_app_that_was_stopped_for_a_restore_is_started_with_its_new_settings(deployed: Checkout) -> None:
    deployed.let("stopped")
    assert deployed.run("deploy_hybrid.sh", "--apply").returncode == 0
    done = deployed.commands()
    assert done.index("deployment group create") < done.index("functionapp start") < done.index("functionapp keys list")


def test_a_host_that_starts_slowly_is_asked_again(deployed: Checkout) -> None:
    new = deployed.commit()
    deployed.let("starting", "xx")
    assert deployed.run("deploy_hybrid.sh", "--apply").returncode == 0
    assert deployed.commands().count("functionapp keys list") == 3
    assert deployed.sites.running == deployed.package(new)


def test_a_failed_sweeper_brings_image_and_package_back(deployed: Checkout) -> None:
    old = deployed.tag
    deployed.commit()
    deployed.let("failing job", "sweeper")
    done = deployed.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert f"the release {old} is back" in done.stderr
    assert deployed.get("jobs") == f"quantx:{old}"
    assert deployed.sites.running == deployed.package(old)


def test_an_upgrade_that_stopped_before_the_jobs_can_still_return(deployed: Checkout) -> None:
    old, new = deployed.tag, deployed.commit()
    deployed.let("tags", f"quantx-dev-app {new}")  # the app was published, then the script was interrupted
    deployed.sites.running = deployed.package(new)
    deployed.let("failing job", "sweeper")
    done = deployed.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert "publish" not in steps(deployed)[: steps(deployed).index("sweeper")]
    assert deployed.get("jobs") == f"quantx:{old}"
    assert deployed.sites.running == deployed.package(old)


def test_a_first_release_that_is_not_ready_is_reported(checkout: Checkout) -> None:
    checkout.sites.broken = {checkout.package()}
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert "there is no earlier release" in done.stderr
    assert not checkout.has("tags")


@pytest.mark.parametrize(
    ("file", "right", "wrong", "answer"),
    [
        ("infra/modules/roles.bicep", "43fe172d538d", "43cc172d538d", "RoleDefinitionDoesNotExist"),
        ("infra/modules/functions.bicep", "http20Enabled: true", "ftpsState: 'Disabled'", "51021"),
    ],
)
def test_templates_that_azure_refuses_end_the_deployment(
    checkout: Checkout, file: str, right: str, wrong: str, answer: str
) -> None:
    checkout.edit(file, right, wrong)
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 1
    assert answer in done.stderr
    assert "Azure refused the templates" in done.stderr
    assert "acr build" not in checkout.commands()


def test_a_new_role_that_is_not_known_everywhere_is_waited_for(checkout: Checkout) -> None:
    checkout.let("new role", "xx")
    done = checkout.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 0, done.stderr
    assert checkout.commands().count("deployment group create") == 4
    assert done.stderr.count("trying again") == 2


def test_a_package_that_the_site_refuses_changes_nothing(deployed: Checkout) -> None:
    old = deployed.tag
    deployed.commit()
    deployed.sites.refusals = [(415, "Unsupported Media Type")]
    done = deployed.run("deploy_hybrid.sh", "--apply")
    assert done.returncode == 2
    assert "the app and the jobs are as before" in done.stderr
    assert deployed.get("jobs") == f"quantx:{old}"
    assert deployed.sites.running == deployed.package(old)


def test_the_fake_refuses_as_azure_does(checkout: Checkout) -> None:
    """Were a script to publish with the command of before, or to change a stopped server, its run would fail here."""
    az = str(checkout.folder.parent / "bin" / "az")
    done = checkout.shell([az, "functionapp", "deploy", "--src-path", "functions.zip", "--type", "zip"])
    assert done.returncode == 1
    assert "Status Code: 415" in done.stderr
    checkout.let("database", "Stopped")
    done = checkout.shell([az, "deployment", "group", "create", "--name", "quantx"])
    assert done.returncode == 1
    assert "ServerIsNotReady" in done.stderr


def test_the_subscription_of_the_environment_is_used(checkout: Checkout) -> None:
    done = checkout.run("deploy_hybrid.sh", AZURE_SUBSCRIPTION_ID=OTHER_SUBSCRIPTION)
    assert done.returncode == 0, done.stderr
    assert checkout.subscriptions() == {OTHER_SUBSCRIPTION}
    done = checkout.run("deploy_hybrid.sh", AZURE_SUBSCRIPTION_ID="elsewhere")
    assert done.returncode == 2
    assert "az knows no subscription elsewhere" in done.stderr


# --------------------------------------------------------------------------------- the parts, without the whole script


def call(sites: Sites, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", REPOSITORY / "deploy" / script, *arguments],
        env={**os.environ, "SSL_CERT_FILE": str(sites.authority), "QUANTX_POLL_SECONDS": "0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("refusals", "token", "status", "said"),
    [
        ([], "arm-token", 0, "the deployment d-1 succeeded"),
        (
            [(503, "Site Unavailable")] * 4,
            "arm-token",
            0,
            "succeeded",
        ),  # Azure/functions-action#390: a site that starts
        ([(503, "Site Unavailable")] * 5, "arm-token", 2, "answers 503: the site did not take the package"),
        ([], "stale", 2, "answers 401: the token was refused; run az login again"),
        ([(403, "")], "arm-token", 2, "Microsoft.Web/sites/publish/Action"),
        ([(404, "")], "arm-token", 2, "only an app on Flex Consumption has it"),
        ([(409, "")], "arm-token", 2, "another deployment is in progress"),
    ],
)
def test_each_answer_of_the_site_has_its_message(
    sites: Sites, tmp_path: Path, refusals: list[tuple[int, str]], token: str, status: int, said: str
) -> None:
    sites.refusals = list(refusals)
    (tmp_path / "functions.zip").write_text("package")
    done = call(sites, "publish.py", "package", sites.hosts["scm"], f"{tmp_path}/functions.zip", TOKEN=token)
    assert done.returncode == status
    assert said in done.stderr
    assert (sites.running == b"package") is (status == 0)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ((3, "App setting TZ is not supported"), "failed: App setting TZ is not supported"),
        ((5, ""), "another deployment is in progress: no reason given"),
    ],
)
def test_a_deployment_that_fails_gives_azures_reason(
    sites: Sites, tmp_path: Path, outcome: tuple[int, str], said: str
) -> None:
    sites.outcome = outcome
    (tmp_path / "functions.zip").write_text("package")
    done = call(sites, "publish.py", "package", sites.hosts["scm"], f"{tmp_path}/functions.zip", TOKEN="arm-token")
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("package", "key", "said"),
    [
        (b"old", "function-key", "this package has no /api/ready; /api/health answers"),
        (b"new", "another", "refuses this user; /api/health answers"),  # as with Entra sign-in, without its token
    ],
)
def test_an_app_that_gives_no_readiness_is_asked_for_its_health(
    sites: Sites, package: bytes, key: str, said: str
) -> None:
    sites.running = package
    sites.without_ready = {b"old"}
    done = call(sites, "publish.py", "ready", sites.hosts["app"], KEY=key)
    assert done.returncode == 0
    assert said in done.stderr


def test_an_app_without_functions_is_not_ready(sites: Sites) -> None:
    done = call(sites, "publish.py", "ready", sites.hosts["app"], KEY="function-key")
    assert done.returncode == 1
    assert "answers 404" in done.stderr


def test_a_kept_package_comes_back_as_it_was(sites: Sites, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"content")
    server, reference = sites.hosts["registry"], "quantx-functions:abc"
    fetch = ("packages.py", "fetch", server, reference, f"{tmp_path}/two")
    assert call(sites, *fetch, TOKEN="refresh-token").returncode == 3
    for _ in range(2):  # keeping twice changes nothing
        assert (
            call(sites, "packages.py", "keep", server, reference, f"{tmp_path}/one", TOKEN="refresh-token").stderr == ""
        )
    assert call(sites, *fetch, TOKEN="refresh-token").returncode == 0
    assert (tmp_path / "two").read_bytes() == b"content"
    (digest,) = (layer["digest"] for layer in json.loads(sites.manifests[reference])["layers"])
    sites.blobs[digest] = b"other"
    done = call(sites, *fetch, TOKEN="refresh-token")
    assert done.returncode == 1
    assert "does not match its digest" in done.stderr
    assert "answers 401" in call(sites, *fetch, TOKEN="stale").stderr
