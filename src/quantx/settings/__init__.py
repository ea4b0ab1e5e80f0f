"""Every setting of the system, in one frozen object: the only place that reads the environment.

Order of precedence: arguments (flags), environment (`QUANTX_…`), `.env`, the settings file, defaults. The settings file
is `config/settings.yaml` under the working folder, or the file that `QUANTX_SETTINGS_FILE` names. `.env` lies beside it
or in the working folder.
"""

from __future__ import annotations

from quantx.core.quotas import parse_quota
from quantx.settings.azure_storage import StorageKey
from quantx.settings.model import (
    DECLARATION,
    MARKETS,
    TIMEFRAMES,
    Settings,
    is_symbol_list,
    load_settings,
    preferred_vendors,
)
from quantx.settings.redaction import without_secrets
from quantx.settings.reference import SettingReference, setting_references
from quantx.settings.vendors import source_of

__all__ = [
    "DECLARATION",
    "MARKETS",
    "TIMEFRAMES",
    "SettingReference",
    "Settings",
    "StorageKey",
    "is_symbol_list",
    "load_settings",
    "parse_quota",
    "preferred_vendors",
    "setting_references",
    "source_of",
    "without_secrets",
]
