"""The settings of archives of options."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class OptionArchiveSettings(BaseModel):
    """The part of `Settings` about archives of options."""

    options_keep: Literal["archive", "hashes"] = Field(
        "archive",
        description="what the raw zone has of an imported archive of options: the bytes of each member, or its SHA-256"
        " only, where the archive itself is kept elsewhere",
    )
