"""The settings of the data over HTTP."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class DataApiSettings(BaseModel):
    """The token of programs, and the bound of an answer."""

    data_api_token: SecretStr | None = Field(
        None,
        min_length=20,
        description="the token with which programs read the data over HTTP (`Authorization: Bearer`), of 20 characters"
        " or more; without it only signed-in browsers can",
    )
    data_api_values: int = Field(
        5_000_000,
        ge=1,
        description="the most values, rows times columns, that an answer of the data over HTTP may have",
    )
