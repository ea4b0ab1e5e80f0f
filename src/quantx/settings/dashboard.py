"""The settings of the dashboard."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

_SHORTEST_TOKEN = 20


class DashboardSettings(BaseModel):
    """The part of `Settings` for `quantx dashboard`."""

    dashboard_sign_in: Literal["token", "easy_auth"] = Field(
        "token",
        description="how users of the dashboard sign in: by the token in the address that `quantx dashboard` prints, on"
        " this machine only; or by Easy Auth, in Azure behind its sign-in only",
    )
    dashboard_token: SecretStr | None = Field(
        None,
        description="the token of the local dashboard and of the data over HTTP, at least 20 characters; by default a"
        " random one for each start",
    )
    dashboard_hosts: tuple[str, ...] = Field(
        (), description="the host names under which the dashboard is reached in Azure; requests to others are refused"
    )
    dashboard_readers: tuple[str, ...] = Field(
        (), description="ids of groups, or app roles, of Microsoft Entra whose members may read the dashboard in Azure"
    )
    dashboard_operators: tuple[str, ...] = Field(
        (), description="ids of groups, or app roles, whose members may also retry, accept and acknowledge"
    )
    dashboard_operator_client_id: str | None = Field(
        None,
        description="the client id of the managed identity that acts for operators; without it the dashboard's own",
    )
    dashboard_operator_state_url: str | None = Field(
        None, description="the address of the state with the database role of that identity; by default `state_url`"
    )

    dashboard_answer_values: int = Field(
        5_000_000,
        ge=1,
        description="the most values, rows times columns, that an answer of the data over HTTP may have",
    )

    @field_validator("dashboard_token")
    @classmethod
    def _check_token(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        if text and not (len(text) >= _SHORTEST_TOKEN and text.isascii() and text.isalnum()):
            raise ValueError(f"use at least {_SHORTEST_TOKEN} letters and digits")
        return value
