"""Every setting of the system, in one frozen object: the only place that reads the environment.

Order of precedence: arguments (flags), environment (`QUANTX_…`), the settings file, defaults. The settings file is
`config/settings.yaml` under the working folder, or the file that `QUANTX_SETTINGS_FILE` names.
"""

from __future__ import annotations

from quantx.settings.azure_storage import StorageKey
from quantx.settings.model import MARKETS, TIMEFRAMES, Settings, load_settings
from quantx.settings.quotas import parse_quota
from quantx.settings.redaction import without_secrets
from quantx.settings.reference import SettingReference, setting_references

__all__ = [
    "MARKETS",
    "TIMEFRAMES",
    "SettingReference",
    "Settings",
    "StorageKey",
    "load_settings",
    "parse_quota",
    "setting_references",
    "without_secrets",
]
