"""The templates, checked offline: every type is right, and the checker itself finds faults."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .bicep import Choice, Declared, Expression, Schemas, Template, check, read
from .evaluate import evaluated

INFRA = Path(__file__).parents[2] / "infra"
TEMPLATES = sorted(INFRA.rglob("*.bicep"))
SCHEMAS = Schemas(Path(__file__).parent / "schemas")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.name)
def test_a_template_has_no_faults(path: Path) -> None:
    assert check(path, SCHEMAS) == []


def test_every_module_is_used() -> None:
    called = {module.of for path in TEMPLATES for module in read(path).modules}
    assert called == {f"modules/{path.name}" for path in (INFRA / "modules").glob("*.bicep")}


@pytest.mark.parametrize(
    ("file", "right", "wrong", "found"),
    [
        ("modules/lake.bicep", "isHnsEnabled: true", "isHnsEnable: true", "isHnsEnable: unknown property"),
        ("modules/lake.bicep", "isHnsEnabled", "isHNSEnabled", "did you mean isHnsEnabled?"),
        ("modules/lake.bicep", "'TLS1_2'", "'TLS1.2'", "'TLS1.2' is not one of"),
        ("modules/lake.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: 'no'", "where boolean expected"),
        (
            "modules/lake.bicep",
            "daysAfterModificationGreaterThan: 30",
            "daysAfterModificationGreaterThan: '30'",
            "where integer",
        ),
        ("modules/lake.bicep", "  kind: 'StorageV2'\n", "", "account: kind is missing"),
        ("modules/lake.bicep", "queueServices/queues@2026-04-01", "queueServices/queue@2026-04-01", "no schema for"),
        ("modules/lake.bicep", "parent: blobs", "parent: blob", "undeclared symbol 'blob'"),
        ("modules/lake.bicep", "sku: {\n", "sku: \n", "syntax error"),
        ("modules/jobs.bicep", "replicaTimeout: 900", "replicaTimeout: [900]", "array where integer expected"),
        ("modules/jobs.bicep", "triggerType: 'Manual'", "triggerType: 'ByHand'", "'ByHand' is not one of"),
        ("modules/jobs.bicep", "pollingInterval", "poolingInterval", "poolingInterval: unknown property"),
        (
            "modules/vault.bicep",
            "vaults@2026-02-01",
            "vaults@2019-02-01",
            "no schema for Microsoft.KeyVault/vaults@2019",
        ),
        ("modules/monitoring.bicep", "kind: 'web'", "id: 'web'", "id: read-only property"),
        ("modules/functions.bicep", "instanceMemoryMB: 512", "instanceMemoryMB: '512'", "where integer expected"),
        ("modules/alerts.bicep", "SingleResourceMultipleMetricCriteria", "SingleMetricCriteria", "odata.type"),
        ("modules/ml.bicep", "minNodeCount: 0", "minNodeCount: '0'", "where integer expected"),
        (
            "modules/ml.bicep",
            "systemDatastoresAuthMode: 'Identity'",
            "systemDatastoresAuthMode: 'Key'",
            "is not one of",
        ),
        ("main.bicep", "    powerId: identities.outputs.power.principalId\n", "", "the parameter powerId is missing"),
        ("main.bicep", "makeRole: makeCustomRole", "mayRole: makeCustomRole", "has no parameter mayRole"),
        ("main.bicep", "vault.outputs.uri", "vault.outputs.url", "vault has no output url"),
        ("main.bicep", "modules/vault.bicep", "modules/safe.bicep", "there is no modules/safe.bicep"),
    ],
)
def test_a_seeded_fault_is_found(tmp_path: Path, file: str, right: str, wrong: str, found: str) -> None:
    copy = tmp_path / "infra"
    shutil.copytree(INFRA, copy)
    before = (copy / file).read_text("utf-8")
    assert right in before
    (copy / file).write_text(before.replace(right, wrong), "utf-8")
    assert [fault for fault in check(copy / file, SCHEMAS) if found in fault]


# --------------------------------------------------------------------------------------------------------- parameters


def given_in(path: Path) -> dict[str, str]:
    """Return the assignments of a .bicepparam file: a line per parameter, since the grammar has no such form."""
    source = path.read_text("utf-8")
    given = dict(re.findall(r"^param (\w+) = (.+)$", source, re.MULTILINE))
    rest = [line for line in source.splitlines() if line and not line.startswith(("//", "param "))]
    assert rest == ["using './main.bicep'"]
    return given


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_parameters_are_those_of_the_template(name: str) -> None:
    source = (INFRA / "main.bicep").read_text("utf-8")
    given = given_in(INFRA / f"{name}.bicepparam")
    assert given["environmentName"] == f"'{name}'"
    for parameter, text in given.items():
        declared = re.search(rf"((?:^@.*\n(?:^  .*\n|^\]\)\n)*)*)^param {parameter} (\w+) =", source, re.MULTILINE)
        assert declared is not None, parameter
        decorators, kind = declared.groups()
        form = {"string": r"'[^']*'", "bool": "true|false", "int": r"\d+", "array": r"\[.*\]"}[kind]
        assert re.fullmatch(form, text), f"{parameter} is a {kind}"
        if "@allowed" in decorators:
            assert text in re.findall(r"^  ('\w+')$", decorators, re.MULTILINE), parameter


def test_everything_has_a_default_so_that_nothing_is_asked() -> None:
    assert [name for name, has_default in read(INFRA / "main.bicep").params.items() if not has_default] == []


def test_azd_hands_over_known_parameters_and_no_secret() -> None:
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert given.keys() <= read(INFRA / "main.bicep").params.keys()
    assert all(re.fullmatch(r"\$\{[A-Z_]+(=\w*)?\}", entry["value"]) for entry in given.values())


# ------------------------------------------------------------------------------------- no keys, passwords, open doors


def resources() -> Iterator[tuple[Template, Declared]]:
    for path in TEMPLATES:
        template = read(path)
        for resource in template.resources:
            if not resource.existing:
                yield template, resource


def of_type(name: str) -> list[dict[str, Any]]:
    return [r.body["properties"] for _, r in resources() if r.of.split("@")[0] == name]


def test_every_storage_account_takes_identities_only() -> None:
    accounts = of_type("Microsoft.Storage/storageAccounts")
    assert len(accounts) == 4
    for account in accounts:
        assert account["allowSharedKeyAccess"] is False
        assert account["allowBlobPublicAccess"] is False
        assert account["isLocalUserEnabled"] is False
        assert account["supportsHttpsTrafficOnly"] is True
        assert account["minimumTlsVersion"] == "TLS1_2"
        assert account["networkAcls"]["defaultAction"] in (Choice("Deny", "Allow"), "Allow")
    # Machine learning is for deployments without a private network (deploy_hybrid.sh refuses the two together).
    assert [account["networkAcls"]["defaultAction"] for account in accounts].count("Allow") == 1
    assert all(
        c["publicAccess"] == "None" for c in of_type("Microsoft.Storage/storageAccounts/blobServices/containers")
    )
    for service in of_type("Microsoft.Storage/storageAccounts/blobServices"):
        assert service["deleteRetentionPolicy"]["enabled"] is True
        assert service["containerDeleteRetentionPolicy"]["enabled"] is True


def test_the_database_knows_no_passwords() -> None:
    (server,) = of_type("Microsoft.DBforPostgreSQL/flexibleServers")
    assert server["authConfig"]["passwordAuth"] == "Disabled"
    assert server["authConfig"]["activeDirectoryAuth"] == "Enabled"
    assert not {"administratorLogin", "administratorLoginPassword"} & server.keys()


def test_before_the_app_only_migrate_has_the_new_image() -> None:
    """deploy_hybrid.sh deploys image=new, runningImage=old; it migrates, publishes, then leaves runningImage out."""
    given = {m.symbol: m.body.get("params", {}) for m in read(INFRA / "main.bicep").modules}
    assert {str(p["image"]) for p in given.values() if "image" in p} == {"jobsImage"}
    assert {symbol for symbol, p in given.items() if "/${image}" in str(p)} == {"jobs"}


def test_no_other_resource_knows_a_key_or_a_password() -> None:
    (registry,) = of_type("Microsoft.ContainerRegistry/registries")
    assert registry["adminUserEnabled"] is False
    assert registry["anonymousPullEnabled"] is False
    for vault in of_type("Microsoft.KeyVault/vaults"):
        assert vault["enableRbacAuthorization"] is True
        assert vault["enablePurgeProtection"] is True
        assert "accessPolicies" not in vault
    (insights,) = of_type("Microsoft.Insights/components")
    assert insights["DisableLocalAuth"] is True
    (workspace,) = of_type("Microsoft.OperationalInsights/workspaces")
    assert workspace["features"]["disableLocalAuth"] is True
    (app,) = of_type("Microsoft.Web/sites")
    assert app["httpsOnly"] is True
    assert app["functionAppConfig"]["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"
    (publishing,) = of_type("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert publishing["allow"] is False
    (environment,) = of_type("Microsoft.App/managedEnvironments")
    assert environment["appLogsConfiguration"] == {"destination": "azure-monitor"}  # the other way needs a key
    assert environment["publicNetworkAccess"] == Choice("Enabled", "Disabled")  # enabled for the dashboard alone


# Names of what gives a key, and of properties that hold one. `keyVaultUrl` and `secretRef` only name a secret.
KEYS = re.compile(
    r"listKeys|listCredentials|listAccountSas|sharedKey\b|AccountKey|passwordSecretRef|administratorLoginPassword|@secure\(\)"
    r"|InstrumentationKey|connectionString\w*:|DefaultEndpointsProtocol",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", sorted(INFRA.rglob("*.*")), ids=lambda p: p.name)
def test_no_file_asks_for_a_key(path: Path) -> None:
    if path.suffix in {".bicep", ".bicepparam", ".json", ".sql", ".py"}:
        text = path.read_text("utf-8").replace(
            "@secure()\nparam alertWebhook string", ""
        )  # the one secret, if it is given
        assert KEYS.findall(text) == []


def test_a_token_is_sent_to_nobody_but_the_database_server() -> None:
    """`sslmode=require` encrypts, and believes whoever answers; without it the program checks the certificate."""
    for path in TEMPLATES:
        assert "sslmode" not in path.read_text("utf-8").replace("`sslmode`", ""), path.name
        assert re.findall(r"'PGSSLMODE', value: '([\w-]+)'", path.read_text("utf-8")) in ([], ["verify-full"])


def test_the_apps_spans_are_sent() -> None:
    """The host sends its own; those of the program leave the worker only with this."""
    own = read(INFRA / "modules/functions.bicep").variables["own"]
    assert {"name": "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "value": "true"} in own


def test_every_job_pulls_and_signs_in_by_identity() -> None:
    jobs = [r for _, r in resources() if r.of.startswith("Microsoft.App/jobs@")]
    assert len(jobs) == 7
    for job in jobs:
        configuration = job.body["properties"]["configuration"]
        assert "registries" in configuration
        (container,) = job.body["properties"]["template"]["containers"]
        # An upgrade migrates before the other jobs get the new image.
        assert container["image"] == Expression("migrateImage" if job.symbol == "migrate" else "image")
    (worker,) = (j.body["properties"]["configuration"] for j in jobs if j.symbol == "work")
    (rule,) = worker["eventTriggerConfig"].other["scale"]["rules"]
    assert worker["triggerType"] == Choice("Event", "Schedule")  # by schedule where KEDA does not read the queue
    assert worker["scheduleTriggerConfig"].other["cronExpression"] == Expression("workerSchedule")
    assert rule["identity"] == Expression("worker.id")
    assert rule["metadata"]["queueLengthStrategy"] == "visibleonly"
    assert "auth" not in rule


# ------------------------------------------------------------------------------------------------ the table of roles


ASSIGNING = ("roles", "operators")  # the modules of the table


def named_roles() -> dict[str, str]:
    """Return the roles by their symbols, as the comments beside their ids name them."""
    source = "".join((INFRA / f"modules/{name}.bicep").read_text("utf-8") for name in ASSIGNING)
    return dict(re.findall(r"^  (\w+): (?:'[0-9a-f-]{36}'|guid\(.+\)) // (.+)$", source, re.MULTILINE))


def assignments() -> Iterator[tuple[str, str, str, str]]:
    """Return who gets which role where, and why, as the modules declare it."""
    named = named_roles()
    for resource in (r for name in ASSIGNING for r in read(INFRA / f"modules/{name}.bicep").resources):
        if resource.of.startswith("Microsoft.Authorization/roleAssignments@"):
            properties, scope = resource.body["properties"], str(resource.body["scope"])
            role = str(properties["roleDefinitionId"]).split("definitions}/${")[1].rstrip("}'")
            who = re.sub(r"(PrincipalId|GroupId|Id)$", "", str(properties["principalId"]))
            assert str(resource.body["name"]) == f"guid({scope}.id, {properties['principalId']}, {role})"
            text = properties["description"].replace("\\'", "'")
            yield who, named[role.split(".")[1]], scope.removesuffix("[i]"), text


def test_the_table_in_the_readme_tells_every_role() -> None:
    page = (INFRA / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| ([\w ]+?)\*? \| `(\w+)` \| (.+?) \|$", page, re.MULTILINE)
    assert rows == list(assignments())


def test_no_identity_may_do_more_than_its_part() -> None:
    rights = {(who, role, scope) for who, role, scope, _ in assignments()}
    assert "Storage Blob Data Contributor" not in {role for _, role, _ in rights}  # it may delete the container
    assert {(who, scope) for who, role, scope in rights if role.endswith(" writer")} == {
        ("worker", "lake"),
        ("worker", "raw"),
        ("operator", "lake"),
    }
    assert {role for who, role, _ in rights if who == "dashboard"} == {
        "Storage Blob Data Reader",
        "Storage Queue Data Reader",
        "AcrPull",
    }
    assert {scope for who, _, scope in rights if who == "readers"} == {"lake"}
    assert {scope for _, role, scope in rights if role == "Storage Blob Data Owner"} == {"host"}
    assert {(role, scope) for who, role, scope in rights if who == "power"} == {
        ("AcrPull", "registry"),
        ("Storage Queue Data Reader", "tasks"),
    }
    assert not {role for _, role, _ in rights} & {"Owner", "Contributor", "User Access Administrator", "AcrPush"}


def test_the_dashboard_is_stopped_without_users_and_answers_members_of_its_groups_only() -> None:
    template = read(INFRA / "modules/dashboard.bicep")
    app, sign_in = (resource.body["properties"] for resource in template.resources)
    assert (app["template"]["scale"]["minReplicas"], app["template"]["scale"]["maxReplicas"]) == (0, 1)
    ingress = app["configuration"]["ingress"]
    assert (ingress["allowInsecure"], ingress["targetPort"]) == (False, Expression("port"))
    assert sign_in["platform"] == {"enabled": True}
    assert sign_in["globalValidation"]["unauthenticatedClientAction"] == "RedirectToLoginPage"
    assert "excludedPaths" not in sign_in["globalValidation"]
    policy = sign_in["identityProviders"]["azureActiveDirectory"]["validation"]["defaultAuthorizationPolicy"]
    assert policy["allowedPrincipals"]["groups"] == Expression("concat(readers, operators)")
    # The program checks the sign-in by itself, too, and acts by another identity than the pages'.
    source = (INFRA / "modules/dashboard.bicep").read_text("utf-8")
    given = dict(re.findall(r"\{ name: '(\w+)', value: (.+) \}", source))
    assert given["QUANTX_DASHBOARD_SIGN_IN"] == "'easy_auth'"
    assert given["QUANTX_DASHBOARD_HOSTS"] == "string([hostName])"
    assert "output url string = 'https://${hostName}/'" in source
    assert given["AZURE_CLIENT_ID"] == "reader.clientId"
    assert given["QUANTX_DASHBOARD_OPERATOR_CLIENT_ID"] == "operator.clientId"
    assert "'postgresql://${operator.name}@" in given["QUANTX_DASHBOARD_OPERATOR_STATE_URL"]


def test_the_worker_creates_backups_and_deletes_only_where_old_ones_go() -> None:
    roles = {
        str(r.body["name"]).split(", ")[-1].rstrip(")"): r.body
        for r in read(INFRA / "modules/backup.bicep").resources
        if r.of.startswith("Microsoft.Authorization/roleAssignments@")
    }
    assert roles.keys() == {"writer", "eraser"}
    source = (INFRA / "modules/backup.bicep").read_text("utf-8")
    assert "resource mayErase 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (keepDays > 0)" in source


def test_models_are_trained_by_an_identity_that_only_reads_the_lake_on_machines_that_exist_for_a_job() -> None:
    template = read(INFRA / "modules/ml.bicep")
    given = {
        (str(r.body["properties"]["principalId"]).split(".")[0], str(r.body["scope"])): str(r.body["name"]).split(", ")[
            -1
        ]
        for r in template.resources
        if r.of.startswith("Microsoft.Authorization/roleAssignments@")
    }
    assert given == {
        ("trainer", "lake"): "role.blobReader)",
        ("trainer", "registry"): "role.pull)",
        ("trainer", "account"): "role.blobContributor)",
        ("worker", "account"): "role.blobContributor)",
    }
    (workspace,) = of_type("Microsoft.MachineLearningServices/workspaces")
    assert workspace["systemDatastoresAuthMode"] == "Identity"
    clusters = of_type("Microsoft.MachineLearningServices/workspaces/computes")
    assert len(clusters) == 2
    for cluster in clusters:
        assert cluster["disableLocalAuth"] is True
        assert cluster["properties"]["scaleSettings"]["minNodeCount"] == 0
        assert cluster["properties"]["remoteLoginPortPublicAccess"] == "Disabled"
    source = (INFRA / "main.bicep").read_text("utf-8")
    assert "module ml 'modules/ml.bicep' = if (machineLearning)" in source
    assert "param machineLearning bool = false" in source


def test_what_holds_data_is_locked() -> None:
    locks = {
        str(r.body["scope"]): r.body["properties"]["level"]
        for file in ("locks", "backup")
        for r in read(INFRA / f"modules/{file}.bicep").resources
        if r.of.startswith("Microsoft.Authorization/locks@")
    }
    assert locks == {"account": "CanNotDelete", "server": "CanNotDelete"}
    assert "param lockData bool = true" in (INFRA / "main.bicep").read_text("utf-8")


def test_the_role_of_power_is_the_same_in_both_templates_and_as_small() -> None:
    """The workflow may not make roles, so that github.bicep makes this one for it."""
    (made, for_workflow) = (
        [r.body["properties"] for r in read(INFRA / path).resources if r.symbol == "starter"]
        for path in ("modules/power.bicep", "github.bicep")
    )
    assert [p["permissions"] for p in made] == [p["permissions"] for p in for_workflow]
    assert [p["description"] for p in made] == [p["description"] for p in for_workflow]
    assert made[0]["permissions"][0]["actions"] == [
        "Microsoft.DBforPostgreSQL/flexibleServers/read",
        "Microsoft.DBforPostgreSQL/flexibleServers/start/action",
        "Microsoft.DBforPostgreSQL/flexibleServers/stop/action",
        "Microsoft.App/jobs/read",
        "Microsoft.App/jobs/executions/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
    ]


def test_the_workflow_hands_out_these_roles_and_no_others() -> None:
    source = "".join((INFRA / f"modules/{name}.bicep").read_text("utf-8") for name in ASSIGNING)
    ids = set(re.findall(r"^  \w+: '([0-9a-f-]{36})' //", source, re.MULTILINE))
    custom = set(re.findall(r"^  (\w+): guid\(resourceGroup\(\)\.id, '[\w-]+'\) //", source, re.MULTILINE))
    workflow = read(INFRA / "github.bicep")
    assert set(workflow.variables["assignable"]) == ids | custom | {"powerRole"}
    for name in custom:  # the same name makes the same id
        assert f"{name}: {workflow.variables[name]} //" in source
        assert f"name: {workflow.variables[name]}" in (INFRA / "modules/custom_roles.bicep").read_text("utf-8")


def test_the_sign_in_leaves_out_the_functions_that_need_no_key() -> None:
    app = (INFRA.parent / "azure_functions/function_app.py").read_text("utf-8")
    routes = re.findall(r'@app\.route\("([\w/{}-]+)"(.*)\)', app)
    anonymous = {f"/api/{route}" for route, more in routes if "ANONYMOUS" in more}
    source = (INFRA / "modules/sign-in.bicep").read_text("utf-8")
    excluded = re.search(r"excludedPaths: \[(.*?)\]", source, re.DOTALL)
    assert excluded is not None
    assert set(re.findall(r"'(/[^']+)'", excluded[1])) == anonymous == {"/api/health"}


# ------------------------------------------------------------------------------------------------------ network rules


@pytest.mark.parametrize(
    ("given", "of_storage", "of_app_service"),
    [
        # Storage: "Small address ranges that use /31 or /32 prefix sizes aren't supported. Configure these ranges using
        # individual IP address rules." (learn.microsoft.com/azure/storage/common/storage-network-security-limitations)
        # App Service takes ranges only: 1.2.3.4/32 for one address (hashicorp/terraform-provider-azurerm#6900).
        ("203.0.113.7", ["203.0.113.7"], ["203.0.113.7/32"]),
        ("203.0.113.7/32", ["203.0.113.7"], ["203.0.113.7/32"]),
        ("203.0.113.6/31", ["203.0.113.6", "203.0.113.7"], ["203.0.113.6/31"]),
        ("203.0.113.4/30", ["203.0.113.4/30"], ["203.0.113.4/30"]),
        ("198.51.100.0/24", ["198.51.100.0/24"], ["198.51.100.0/24"]),
    ],
)
def test_one_address_works_in_storage_vault_and_app(
    given: str, of_storage: list[str], of_app_service: list[str]
) -> None:
    main = INFRA / "main.bicep"
    assert evaluated(main, "storageAddresses", allowedAddresses=[given]) == of_storage
    assert evaluated(main, "addressRanges", allowedAddresses=[given]) == of_app_service
    handed = {module.symbol: module.body.get("params", {}).get("allowedAddresses") for module in read(main).modules}
    assert {name for name, value in handed.items() if value == Expression("storageAddresses")} >= {
        "lake",
        "host",
        "vault",
    }
    assert {name for name, value in handed.items() if value == Expression("addressRanges")} == {
        "functions",
        "dashboard",
    }
    assert Expression("allowedAddresses") not in handed.values()  # each module gets the form that it takes
