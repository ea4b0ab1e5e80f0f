"""`azd up` for prod: all parameters reach the templates, the subscription is azd's, a second time changes nothing.

azd itself can't be installed here. `handed_over` stands in for what its provider does with the file of parameters
(Azure/azure-dev, cli/azd/pkg/infra/provisioning/bicep/bicep_provider.go, loadParameters and armParameterFileValue).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from .checkout import REPOSITORY, Checkout, stub
from .fake_az import OTHER_SUBSCRIPTION, OUTPUTS

pytestmark = pytest.mark.slow

MAIN = (REPOSITORY / "infra" / "main.bicep").read_text("utf-8")
TYPES = dict(re.findall(r"^param (\w+) (\w+)", MAIN, re.MULTILINE))
FILE = REPOSITORY / "infra" / "main.parameters.json"
# thisMonth is a default only (utcNow), runningImage exists during an upgrade only.
OWN = {"thisMonth", "runningImage"}


def typed(name: str, text: str) -> Any:
    """Return a parameter's value as Azure gets it from a string, by azd as by `az`."""
    return json.loads(text) if TYPES[name] in ("array", "bool", "int") else text


def handed_over(environment: dict[str, str]) -> dict[str, Any]:
    """Return the parameters that azd gives to Azure: `${VAR}` and `${VAR=default}`; an unset variable's is left out."""
    given = {}
    for name, entry in json.loads(FILE.read_text())["parameters"].items():
        text = re.sub(
            r"\$\{(\w+)(?:=([^}]*))?\}", lambda found: environment.get(found[1]) or found[2] or "", entry["value"]
        )
        if text or re.findall(r"\w+", entry["value"])[0] in environment:
            given[name] = typed(name, text)
    return given


def hook(name: str) -> list[str]:
    return ["sh", "-c", yaml.safe_load((REPOSITORY / "azure.yaml").read_text())["hooks"][name]["run"]]


@pytest.fixture
def prod(checkout: Checkout, tmp_path: Path) -> dict[str, str]:
    """The environment that azd hands to hooks, for prod; `azd env set` writes a file."""
    stub(tmp_path, "azd", f'[ "$1 $2" = "env set" ] && echo "$3=$4" >> "{tmp_path}/azd.env"')
    return {
        "AZURE_ENV_NAME": "prod",
        "AZURE_SUBSCRIPTION_ID": OTHER_SUBSCRIPTION,
        "AZURE_LOCATION": "northeurope",
        "AZURE_RESOURCE_GROUP": "quantx-prod",
        "QUANTX_ENVIRONMENT": "prod",
        "ALERT_EMAIL": "people@example.org",
        "MAX_WORKERS": "3",
        "VENDOR_SECRETS": '[{"setting": "QUANTX_ALPACA_API_KEY", "secret": "alpaca-api-key"}]',
    }


def test_the_file_has_every_parameter_of_the_template() -> None:
    assert json.loads(FILE.read_text())["parameters"].keys() == TYPES.keys() - OWN


def test_what_prod_differs_in_is_a_default_of_the_template(prod: dict[str, str]) -> None:
    assert handed_over(prod) == {
        "environmentName": "prod",
        "location": "northeurope",
        "alertEmail": "people@example.org",
        "maxWorkers": 3,
        "vendorSecrets": [{"setting": "QUANTX_ALPACA_API_KEY", "secret": "alpaca-api-key"}],
    }
    for name, of_prod in (("database", "'always' : 'window'"), ("monthlyBudget", "60 : 15"), ("privateNetwork", "")):
        (default,) = re.findall(rf"^param {name} \w+ = (.+)$", MAIN, re.MULTILINE)
        assert default.startswith("environmentName == 'prod'")
        assert default.endswith(of_prod)


def test_a_second_provisioning_changes_nothing(checkout: Checkout, prod: dict[str, str], tmp_path: Path) -> None:
    done = checkout.shell(hook("preprovision"), **prod)
    assert done.returncode == 0, done.stderr  # there is nothing to start yet
    checkout.let("group")
    checkout.let("deployed", "{}")  # azd provisions, and keeps the outputs
    environment = {**prod, **{name.upper(): value for name, value in OUTPUTS.items() if value}}
    done = checkout.shell(hook("postprovision"), **environment)
    assert done.returncode == 0, done.stderr
    assert checkout.subscriptions() == {OTHER_SUBSCRIPTION}
    (deployed,) = (json.loads(checkout.get("deployed")),)

    checkout.let("database", "Stopped")
    done = checkout.shell(hook("preprovision"), **environment)
    assert done.returncode == 0, done.stderr
    assert checkout.get("database") == "Ready"
    assert checkout.subscriptions() == {OTHER_SUBSCRIPTION}
    environment |= dict(line.split("=", 1) for line in (tmp_path / "azd.env").read_text().splitlines())
    second = handed_over(environment)
    assert second["image"] == f"quantx:{checkout.tag}"
    assert second == {"environmentName": "prod", **{name: typed(name, text) for name, text in deployed.items()}}


def test_parameters_that_azd_would_not_see_are_refused(checkout: Checkout, prod: dict[str, str]) -> None:
    checkout.edit("infra/prod.bicepparam", "param environmentName", "param maxWorkers = 4\nparam environmentName")
    done = checkout.shell(hook("preprovision"), **prod)
    assert done.returncode == 2
    assert "azd does not read infra/prod.bicepparam, which sets maxWorkers; use azd env set" in done.stderr
