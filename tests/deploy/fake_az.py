"""A fake `az` for the scripts: it records its calls and their effects, and refuses what Azure refuses.

Each refusal has its source beside it; those of templates are in tests/infra/azure_rules.py. It runs once per call,
hence with few imports. Its state is a folder with a file per fact.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-000000000002"
OUTPUTS = {
    "aCR_NAME": "quantxmadeup",  # Azure changes the case now and then
    "STORAGE_ACCOUNT": "quantxlake",
    "FUNCTION_APP_NAME": "quantx-dev-app",
    "FUNCTION_APP_HOST": "",  # of the fake sites
    "LAKE_URL": "az://lake",
    "QUEUE_URL": "az://tasks",
    "KEY_VAULT_NAME": "quantxvault",
    "DATABASE_SERVER": "quantx-dev-pg",
    "BUDGET_START": "2026-11-01",
}
ML_OUTPUTS = {
    "ML_WORKSPACE": "quantx-dev-ml",
    "ML_TRAINER_CLIENT_ID": "trainer-id",
    "WORKER_CLIENT_ID": "worker-id",
    "WORKER_NAME": "quantx-dev-worker",
}
TEMPLATE = {
    "containers": [
        {
            "name": "backfill",
            "image": "r/quantx:1",
            "args": ["backfill", "--help"],
            "env": [{"name": "A", "value": "b"}],
        }
    ],
    "initContainers": None,
}
RECEIVERS = {
    "armRoleReceivers": [{"name": "owners", "roleId": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"}],
    "emailReceivers": [{"name": "email", "emailAddress": "a@example.org"}],
    "logicAppReceivers": [
        {"name": "chat", "resourceId": "/subscriptions/s/w", "callbackUrl": "https://logic.example.org"}
    ],
    "webhookReceivers": [{"name": "webhook", "serviceUri": "https://hook.example.org"}],
}


class Azure:
    """What a script can see of Azure: files in a folder."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def has(self, name: str) -> bool:
        return (self.state / name).exists()

    def get(self, name: str, default: str = "") -> str:
        return (self.state / name).read_text() if self.has(name) else default

    def put(self, name: str, text: str = "") -> None:
        (self.state / name).write_text(text)

    def host(self, role: str) -> str:
        return str(json.loads(self.get("hosts"))[role])


def refuse(text: str, status: int = 1) -> int:
    print(f"ERROR: {text}", file=sys.stderr)
    return status


def unknown(command: str) -> int:
    return refuse(f"the fake does not know: az {command}", 2)


def deploy(azure: Azure, parameters: dict[str, str]) -> int:
    """Deploy infra/main.bicep of the working directory, unless Azure would refuse it."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))
    from azure_rules import refusal

    if answer := refusal(sorted(Path("infra").rglob("*.bicep"))):
        return refuse(answer)
    if azure.get("new role"):
        azure.put("new role", azure.get("new role")[1:])
        # hashicorp/terraform-provider-azurerm#5038: roles are eventually consistent.
        return refuse("(RoleDefinitionDoesNotExist) The specified role definition with ID 'e' does not exist.")
    if azure.get("database", "Ready") != "Ready":
        # "When the server is in a stopped state, no management operations can be performed for the server"
        # (learn.microsoft.com/azure/postgresql, Stop a server); the code: hashicorp/terraform-provider-azurerm#29219.
        return refuse(f"(ServerIsNotReady) Sever Name = quantx-dev-pg, Current Server State = {azure.get('database')}")
    azure.put("deployed", json.dumps(parameters))
    azure.put("database", "Ready")
    if image := parameters.get("image"):
        azure.put("migrate image", image)
        azure.put("jobs", parameters.get("runningImage") or image)
    return 0


def database(azure: Azure, command: str) -> int:
    state = azure.get("database", "Ready")
    match command:
        case "list":
            print("quantx-dev-pg" if azure.has("database") else "")
        case "list-skus":
            print("Enabled" if azure.has("restricted region") else "Disabled")
        case "show":
            print(state)
            azure.put("database", {"Stopping": "Stopped", "Starting": "Ready"}.get(state, state))
        case "start" if state != "Stopped":
            return refuse(f"(ServerIsNotReady) Current Server State = {state}")
        case "start":
            azure.put("database", "Ready")
    return 0


def job(azure: Azure, command: str, option: dict[str, str]) -> int:
    match command:
        case "list":
            print(f"{azure.host('registry')}/{azure.get('jobs')}" if azure.has("jobs") else "")
        case "show":
            print(json.dumps(TEMPLATE))
        case "start" if not azure.has("jobs"):
            return refuse("(ResourceNotFound) The Resource was not found.", 3)
        case "start":
            if "--yaml" in option:
                azure.put("execution", Path(option["--yaml"]).read_text())
            print(f"{option['--name']}-abc")
        case "execution show":
            asked = f"asked {option['--name']}"
            azure.put(asked, "x" + azure.get(asked))
            fails = azure.has("failing job") and azure.get("failing job") in option["--name"]
            print("Running" if len(azure.get(asked)) % 2 else "Failed" if fails else "Succeeded")
    return 0


def sites(azure: Azure, command: str, option: dict[str, str]) -> int:
    match command:
        case "resource show":
            print(azure.host("scm" if "'Repository'" in option["--query"] else "app"))
        case "functionapp start":
            (azure.state / "stopped").unlink(missing_ok=True)
        case "functionapp keys list" if azure.has("stopped"):
            return refuse("Operation returned an invalid status 'Bad Request'")
        case "functionapp keys list" if azure.get("starting"):
            azure.put("starting", azure.get("starting")[1:])
            return refuse("Operation returned an invalid status 'Bad Request'")  # Azure/azure-cli#20892, #25205
        case "functionapp keys list":
            print("function-key")
        case "functionapp deploy":
            # Azure/azure-cli#33688: the command sends application/octet-stream.
            return refuse(
                "An error occurred during deployment. Status Code: 415,  Please visit "
                f"https://{azure.host('scm')}/api/deployments/latest to get more information about your deployment"
            )
        case "functionapp deployment source config-zip":
            azure.put("built in azure", option["--src"])
    return 0


def registry(azure: Azure, command: str, option: dict[str, str], arguments: list[str]) -> int:
    """Answer about the container registry."""
    match command:
        case "acr show":
            print(azure.host("registry"))
        case "acr login" if azure.has("workflow") and not azure.has("token of containerregistry.azure.net"):
            # Azure/azure-cli#28708: no new token ten minutes after the sign-in; `acr login` needs one of this resource.
            return refuse("AADSTS700024: Client assertion is not within its valid time range.")
        case "acr login":
            print("refresh-token" if "--expose-token" in arguments else "Login Succeeded")
        case "acr list":
            print("quantxmadeup" if azure.has("deployed") else "")
        case "acr repository show" if option["--image"].startswith("quantx-ml:"):
            return int(azure.get("ml image") != option["--image"])
        case "acr repository show":
            return int(azure.get("image") != option["--image"])
        case "acr build" if azure.has("free credits"):
            # MicrosoftDocs/azure-aks-docs#112
            return refuse("(TasksOperationsNotAllowed) ACR Tasks requests for the registry are not permitted.")
        case "acr build":
            azure.put("ml image" if option["--image"].startswith("quantx-ml:") else "image", option["--image"])
        case "acr import":
            azure.put("mirrored", option["--source"])
        case _:
            return unknown(command)
    return 0


def roles(azure: Azure, command: str, option: dict[str, str], arguments: list[str]) -> int:
    """Answer about roles and their assignments."""
    match command:
        case "role assignment list" if "--all" in arguments:
            print("" if azure.has("unassigned") else "/subscriptions/s/resourceGroups/g/assignment")
        case "role assignment delete" if azure.has("locks"):
            # lock-resources: "… prevents the deletion of Azure RBAC assignments"
            return refuse("(ScopeLocked) The scope cannot perform delete operation because these scopes are locked")
        case "role assignment create":
            pass
        case "role assignment delete":
            azure.put("unassigned")
        case "role definition delete" if not azure.has("unassigned"):
            # learn.microsoft.com/azure/role-based-access-control/troubleshooting, "Custom roles"
            return refuse("(RoleDefinitionHasAssignments) There are existing role assignments referencing role")
        case "role definition delete" if "--resource-group" not in option or not azure.has("group"):
            pass  # the role is not found, and az says nothing (azure-cli, role/custom.py, delete_role_definition)
        case "role definition delete":
            azure.put("deleted role", option["--name"])
        case "role assignment list" if azure.has("no rights in the subscription"):
            return 1
        case "role assignment list" if azure.has("no owner"):
            pass
        case "role assignment list":
            print("owner@example.org\ngroup of owners")
        case "role definition list":
            print("11111111-1111-1111-1111-111111111111")
        case _:
            return unknown(command)
    return 0


def machine_learning(azure: Azure, command: str, option: dict[str, str]) -> int:
    """Answer about the workspace, as the extension `ml` does."""
    match command:
        case "extension show":
            return int(azure.has("no extension"))
        case "ml environment show":
            return int(azure.get("environment") != option["--version"])
        case "ml environment create":
            azure.put("environment", option["--set"].partition("=")[2])
        case "ml schedule create" if not azure.has("environment"):
            return refuse("(UserError) Environment quantx-ml is not found.")
        case "ml schedule create":
            azure.put("schedule")
        case _:
            return unknown(command)
    return 0


def groups(azure: Azure, command: str, option: dict[str, str], arguments: list[str]) -> int:
    """Answer about the resource group, its locks, tags and deployments."""
    match command:
        case "group exists":
            print("true" if azure.has("group") else "false")
        case "group create":
            azure.put("group")
        case "group show":
            print(azure.get("tags"))
        case "group delete" if azure.has("locks"):
            # learn.microsoft.com/azure/azure-resource-manager/management/lock-resources
            return refuse("(ScopeLocked) The scope cannot perform delete operation because these scopes are locked")
        case "group delete":
            (azure.state / "group").unlink()
        case "lock list":
            print(azure.get("locks"))
        case "lock delete":
            (azure.state / "locks").unlink()
        case "storage account list":
            print("quantxlake\nqxbackup")
        case "storage container-rm list":
            print("raw")
        case "tag update" if option["--tags"].startswith("quantx-deploying="):
            if option["--operation"] == "Merge":
                azure.put("deploying", option["--tags"].partition("=")[2])
            elif azure.get("deploying") == option["--tags"].partition("=")[2]:  # a tag is deleted with its value
                (azure.state / "deploying").unlink()
        case "tag update":
            azure.put("tags", option["--tags"].partition("=")[2])
        case "deployment group create":
            given = dict(a.split("=", 1) for a in arguments if "=" in a and not a.startswith("-"))
            return deploy(azure, given)
        case "deployment group show":
            if not azure.has("deployed"):
                return refuse("DeploymentNotFound", 3)
            given = json.loads(azure.get("deployed"))
            more = ML_OUTPUTS if given.get("machineLearning") == "true" else {}
            outputs = {**OUTPUTS, **more, "FUNCTION_APP_HOST": azure.host("app")}
            print(json.dumps({name: {"type": "String", "value": value} for name, value in outputs.items()}))
        case _:
            return unknown(command)
    return 0


def answer(arguments: list[str], azure: Azure) -> int:
    """Do what `az` would do, as far as a script can see it."""
    command = " ".join(arguments[: next((n for n, a in enumerate(arguments) if a.startswith("-")), len(arguments))])
    option = dict(itertools.pairwise(arguments))
    if command.startswith("containerapp job "):
        return job(azure, command.removeprefix("containerapp job "), option)
    if command.startswith("postgres flexible-server "):
        return database(azure, command.removeprefix("postgres flexible-server "))
    if command.startswith(("ml ", "extension ")):
        return machine_learning(azure, command, option)
    if command.startswith("functionapp ") or command == "resource show":
        return sites(azure, command, option)
    for words, about in (
        ("acr ", registry),
        ("role ", roles),
        ("group ", groups),
        ("lock ", groups),
        ("storage ", groups),
    ):
        if command.startswith(words):
            return about(azure, command, option, arguments)
    if command.startswith("tag ") or command in ("deployment group create", "deployment group show"):
        return groups(azure, command, option, arguments)
    match command:
        case "account show":
            known = option.get("--subscription", SUBSCRIPTION) in (SUBSCRIPTION, OTHER_SUBSCRIPTION)
            if azure.has("signed out") or not known:
                return refuse("Please run 'az login' to setup account.")
            print(option.get("--subscription", SUBSCRIPTION))
        case "account get-access-token" if "--resource" in option:
            azure.put(f"token of {option['--resource'].rpartition('/')[2]}")
        case "account get-access-token":
            print("arm-token")
        case "provider list" | "provider register" if azure.has("no rights in the subscription"):
            return 1
        case "provider list":
            print("Microsoft.Storage\nmicrosoft.insights")
        case "keyvault list-deleted":
            print("quantxvault" if azure.has("deleted vault") else "")
        case "keyvault recover":
            (azure.state / "deleted vault").unlink()
        case "monitor action-group show":
            print(json.dumps(RECEIVERS))
        case "monitor action-group test-notifications create":
            print("Email\towners\tSucceeded\nEmail\temail\t" + ("Failed" if azure.has("unconfirmed") else "Succeeded"))
        case "bicep build" | "deployment group what-if" | "provider register" | "resource list":
            pass
        case _:
            return unknown(command)
    return 0


if __name__ == "__main__":
    with Path(os.environ["AZ_LOG"]).open("a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    sys.exit(answer(sys.argv[1:], Azure(Path(os.environ["AZ_STATE"]))))
