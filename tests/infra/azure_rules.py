"""What Azure refuses in our templates, as tables with their sources, and where a template contains it.

Standard library only: the fake `az` of tests/deploy refuses a deployment by the same tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# Name → id of Microsoft's built-in roles, as in MicrosoftDocs/azure-docs,
# articles/role-based-access-control/built-in-roles.md of 2026-04-09
# (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles). The groups are the sections of the page,
# each with a page of its own below built-in-roles/. Add a role from there before a template names it.
ROLES = {
    "privileged": {
        "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Role Based Access Control Administrator": "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "User Access Administrator": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    },
    "general": {
        "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    },
    "storage": {
        "Storage Account Backup Contributor": "e5e2a7ff-d759-4cd2-bb51-3152d37e2eb1",
        "Storage Account Contributor": "17d1049b-9a84-46fb-8f53-869881c3d3ab",
        "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "Storage Blob Delegator": "db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
        "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        "Storage Queue Data Message Processor": "8a0f0c08-91a1-4084-bc3d-661d67233fed",
        "Storage Queue Data Message Sender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
        "Storage Queue Data Reader": "19e7f393-937e-4f77-808e-94535e297925",
        "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        "Storage Table Data Reader": "76199698-9eea-4c19-bc75-cec21354c6b6",
    },
    "containers": {
        "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
        "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
        "Container Apps Jobs Contributor": "4e3d2b60-56ae-4dc6-a233-09c8e5a82e68",
        "Container Apps Jobs Operator": "b9a307c4-5aa3-4b52-ba60-2b17c136cd7b",
        "Container Apps Jobs Reader": "edd66693-d32a-450b-997d-0158c03976b0",
    },
    "security": {
        "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Reader": "21090545-7ca7-4776-b22c-e363652d74d2",
        "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
        "Locks Contributor": "28bf596f-4eb7-45ce-b5bc-6cf482fec137",
    },
    "monitor": {
        "Log Analytics Data Reader": "3b03c2da-16b3-4a49-8834-0f8130efdd3b",
        "Log Analytics Reader": "73c42c96-874c-492b-b04d-ab87d138a893",
        "Monitoring Contributor": "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
        "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
        "Monitoring Reader": "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
        "Workbook Contributor": "e8ddcd69-c73f-4f9f-9844-4100522f16ad",
        "Workbook Reader": "b279062a-9be3-42a0-92ae-8b3cf002ec4d",
    },
}
ROLE_OF = {identifier: name for section in ROLES.values() for name, identifier in section.items()}
ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
NOT_A_ROLE = "00000000-0000-0000-0000-000000000000"  # an example in a comment

# Names of sites and siteConfig that Flex Consumption does not take → the source. Azure answers error 51021 to those of
# issue 360 and pull request 345 (older regional stamps ignored them); the others are of the same table of Microsoft's:
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
_PAGE = "functions-app-settings#flex-consumption-plan-deprecations"
_SEEN = "Azure/terraform-azurerm-avm-res-web-site#360, Azure/azure-cli#31414"
FLEX_REFUSES = {
    "ftpsState": _SEEN,
    "use32BitWorkerProcess": _SEEN,
    "preWarmedInstanceCount": _SEEN,
    "netFrameworkVersion": _SEEN,
    "functionsRuntimeScaleMonitoringEnabled": _SEEN,
    "linuxFxVersion": "Azure/terraform-azurerm-avm-res-web-site#283",
    "windowsFxVersion": "Azure/terraform-azurerm-avm-res-web-site#345",
    "functionAppScaleLimit": "Azure/terraform-azurerm-avm-res-web-site#345",
    "alwaysOn": _PAGE,
    "containerSize": _PAGE,
    "isReserved": _PAGE,
    "isXenon": _PAGE,
    "javaVersion": _PAGE,
    "powerShellVersion": _PAGE,
    "vnetBackupRestoreEnabled": _PAGE,
    "vnetContentShareEnabled": _PAGE,
    "vnetImagePullEnabled": _PAGE,
    "vnetRouteAllEnabled": _PAGE,
}
# App settings of the same table, and the two of time zones ("Time zones" in
# https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer). Some are refused by the deployment of a
# package: Azure/azure-functions-vs-build-sdk#656 shows the message.
FLEX_SETTINGS = {
    "ENABLE_ORYX_BUILD": _PAGE,
    "FUNCTIONS_EXTENSION_VERSION": _PAGE,
    "FUNCTIONS_MAX_HTTP_CONCURRENCY": _PAGE,
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED": _PAGE,
    "FUNCTIONS_WORKER_PROCESS_COUNT": _PAGE,
    "FUNCTIONS_WORKER_RUNTIME": _PAGE,
    "FUNCTIONS_WORKER_RUNTIME_VERSION": _PAGE,
    "SCM_DO_BUILD_DURING_DEPLOYMENT": _PAGE,
    "TZ": "functions-bindings-timer",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING": _PAGE,
    "WEBSITE_CONTENTOVERVNET": _PAGE,
    "WEBSITE_CONTENTSHARE": _PAGE,
    "WEBSITE_DNS_SERVER": _PAGE,
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT": _PAGE,
    "WEBSITE_NODE_DEFAULT_VERSION": _PAGE,
    "WEBSITE_RUN_FROM_PACKAGE": "azure-functions-vs-build-sdk#656",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION": _PAGE,
    "WEBSITE_TIME_ZONE": "functions-bindings-timer",
    "WEBSITE_USE_PLACEHOLDER_DOTNETISOLATED": _PAGE,
    "WEBSITE_VNET_ROUTE_ALL": _PAGE,
}


def role_ids(path: Path) -> Iterator[str]:
    """Return each id in a file that names a role, comments included. (Our templates contain no other ids.)"""
    for identifier in ID.findall(path.read_text("utf-8")):
        if identifier != NOT_A_ROLE:
            yield identifier


def flex_faults(path: Path) -> list[str]:
    """Return the properties and settings of a template with a Flex Consumption app that such an app refuses."""
    source = re.sub(r"//.*", "", path.read_text("utf-8"))
    if "'FlexConsumption'" not in source:
        return []
    refused = {name.lower(): name for name in FLEX_REFUSES}
    properties = [refused[p.lower()] for p in re.findall(r"^\s*(\w+):", source, re.MULTILINE) if p.lower() in refused]
    settings = [name for name in re.findall(r"name: '(\w+)'", source) if name in FLEX_SETTINGS]
    return properties + settings


def refusal(templates: list[Path]) -> str | None:
    """Return Azure's answer to a deployment of these templates: None where it accepts them."""
    for path in templates:
        for identifier in role_ids(path):
            if identifier not in ROLE_OF:
                # The wording: Azure/bicep#3366.
                name = identifier.replace("-", "")
                return f"(RoleDefinitionDoesNotExist) The specified role definition with ID '{name}' does not exist."
        if faults := flex_faults(path):
            # The wording: Azure/terraform-azurerm-avm-res-web-site#283.
            named = ", ".join(f"Site.SiteConfig.{fault[:1].upper()}{fault[1:]}" for fault in faults)
            return (
                f"(BadRequest, ExtendedCode 51021) The following site configuration property ({named}) for Flex "
                "Consumption sites is invalid.  Please remove or rename it before retrying."
            )
    return None
