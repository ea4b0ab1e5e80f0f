"""The base of each vendor's settings, which is also its entry in the registry: for vendors here and in other packages.

A package of another author imports it from here, and nothing of quantx.settings: those read the packages' entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from quantx.core.quotas import parse_quota


class VendorSettings(BaseModel):
    """The settings that every vendor has. Descriptions may use `{title}` and `{default_quota}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]  # the vendor's own spelling of its name
    adapter: ClassVar[str]  # module:class, imported when it is used
    wire: ClassVar[str | None] = None  # module:class of the vendor's wire in the sandbox; None: it has none there
    client: ClassVar[str] = "httpx"  # the module that the first fetch imports
    default_quota: ClassVar[str]  # the vendor's limit for an account that the setting `quota` does not name
    prefix: ClassVar[str | None] = None  # of the flat names; None: the source's name
    keys: ClassVar[tuple[str, ...]] = ()  # fields without which no request can be sent
    needs: ClassVar[str | None] = None  # what those fields are, and the next step; None: keys
    names: ClassVar[tuple[str, ...]] = ()  # other names of the source that people use
    variables: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # by field: variables that set it besides its own

    base_url: str | None = Field(default=None, description="another host that speaks {title}'s wire (the sandbox)")
    quota: str | None = Field(
        default=None,
        description="requests to {title}, of all workers together: 2/s, 200/min, 25/day, unlimited;"
        " by default {default_quota}",
    )

    @field_validator("quota")
    @classmethod
    def _quota_is_a_rate(cls, value: str | None) -> str | None:
        if value is not None:
            parse_quota(value)
        return value

    @property
    def missing_keys(self) -> tuple[str, ...]:
        """The required fields that have no value."""
        return tuple(name for name in self.keys if getattr(self, name) is None)


class KeyedVendorSettings(VendorSettings):
    """The settings of a vendor that wants one key."""

    keys: ClassVar[tuple[str, ...]] = ("api_key",)

    api_key: SecretStr | None = Field(default=None, description="{title}'s key")
