"""What only Azure knows of the templates' values: the ids of its roles, and what Flex Consumption refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .azure_rules import FLEX_REFUSES, FLEX_SETTINGS, ID, ROLE_OF, flex_faults, refusal, role_ids
from .bicep import read

INFRA = Path(__file__).parents[2] / "infra"
TEMPLATES = sorted(INFRA.rglob("*.bicep"))
APP = INFRA / "modules" / "functions.bicep"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_every_role_is_one_of_microsofts_and_has_its_name_beside_it(path: Path) -> None:
    assert [identifier for identifier in role_ids(path) if identifier not in ROLE_OF] == []
    named = re.findall(rf"'({ID.pattern})' // ([\w ]+?)(?::.*)?$", path.read_text("utf-8"), re.MULTILINE)
    assert [(identifier, name) for identifier, name in named if ROLE_OF[identifier] != name] == []
    assert len(named) == len(list(role_ids(path)))


# The Azure CLI, an application and no role
# (learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in).
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def test_the_pages_name_no_other_roles() -> None:
    pages = [INFRA / "README.md", *INFRA.parent.glob("docs/**/*.md"), *INFRA.parent.glob("deploy/*.sh")]
    written = {identifier for page in pages for identifier in role_ids(page)}
    assert written <= {*ROLE_OF, AZURE_CLI}


def test_the_app_has_nothing_that_flex_consumption_refuses() -> None:
    assert flex_faults(APP) == []
    (site,) = (r for r in read(APP).resources if r.of.startswith("Microsoft.Web/sites@"))
    names = {*site.body["properties"], *site.body["properties"]["siteConfig"]}
    assert not {name.lower() for name in names} & {name.lower() for name in FLEX_REFUSES}
    assert site.body["properties"]["functionAppConfig"]["runtime"]["name"] == "python"


def test_no_setting_reaches_the_app_that_flex_consumption_refuses() -> None:
    settings = str(read(INFRA / "main.bicep").variables["settings"]) + str(read(APP).variables["own"])
    assert [name for name in FLEX_SETTINGS if f"'{name}'" in settings] == []


@pytest.mark.parametrize(
    ("file", "right", "wrong", "answer"),
    [
        ("roles.bicep", "43fe172d538d", "43cc172d538d", "RoleDefinitionDoesNotExist"),
        ("functions.bicep", "http20Enabled: true", "ftpsState: 'Disabled'", "51021"),
        ("functions.bicep", "http20Enabled: true", "linuxFxVersion: 'Python|3.13'", "Site.SiteConfig.LinuxFxVersion"),
        ("functions.bicep", "'AZURE_CLIENT_ID'", "'WEBSITE_TIME_ZONE'", "51021"),
    ],
)
def test_azures_answer_to_a_seeded_fault(tmp_path: Path, file: str, right: str, wrong: str, answer: str) -> None:
    before = (INFRA / "modules" / file).read_text("utf-8")
    assert right in before
    (tmp_path / file).write_text(before.replace(right, wrong), "utf-8")
    assert refusal(TEMPLATES) is None
    assert answer in str(refusal([tmp_path / file]))
