"""Read how to reach Amazon S3, as Amazon's own tools do: from the environment and the files of profiles.

Keys in the environment come first, then a web identity, a profile, a container's role, an instance's role. The
libraries that read the lake know all of these but profiles; a profile's keys are passed to them.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Literal

from quantx.errors import ConfigError

SignIn = Literal["keys", "web identity", "profile", "container", "instance"]
_SIGN_IN_OF_OTHERS = ("sso_session", "sso_start_url", "source_profile", "credential_source", "web_identity_token_file")


@dataclass(frozen=True)
class AwsKeys:
    """An access key with its secret, and the token of temporary ones."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class AwsAccess:
    """How to sign in to S3, and where it is."""

    sign_in: SignIn
    _: KW_ONLY
    region: str = "us-east-1"
    endpoint: str | None = None  # None: Amazon's
    keys: AwsKeys | None = None  # of a profile
    process: str | None = None  # a profile's command that prints keys


def aws_access(environment: Mapping[str, str] | None = None) -> AwsAccess:
    """Return how to sign in to S3 by the environment; ConfigError for a profile that is missing or not supported."""
    given = os.environ if environment is None else environment
    name = given.get("AWS_PROFILE") or given.get("AWS_DEFAULT_PROFILE")
    profile = _profile(given, name)
    region = given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or profile.get("region") or AwsAccess.region
    endpoint = given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")
    where = {"region": region, "endpoint": endpoint.rstrip("/") if endpoint else None}
    if given.get("AWS_ACCESS_KEY_ID"):
        if not given.get("AWS_SECRET_ACCESS_KEY"):
            raise ConfigError("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY; set both, or none")
        return AwsAccess("keys", **where)  # type: ignore[arg-type]
    if given.get("AWS_WEB_IDENTITY_TOKEN_FILE") and given.get("AWS_ROLE_ARN"):
        return AwsAccess("web identity", **where)  # type: ignore[arg-type]
    if "aws_access_key_id" in profile:
        keys = AwsKeys(
            profile["aws_access_key_id"], profile.get("aws_secret_access_key", ""), profile.get("aws_session_token")
        )
        return AwsAccess("profile", keys=keys, **where)  # type: ignore[arg-type]
    if "credential_process" in profile:
        return AwsAccess("profile", process=profile["credential_process"], **where)  # type: ignore[arg-type]
    if other := next((key for key in _SIGN_IN_OF_OTHERS if key in profile), None):
        chosen = name or "default"
        raise ConfigError(
            f"the AWS profile {chosen} signs in with {other}, which needs Amazon's command line; run"
            f' `eval "$(aws configure export-credentials --profile {chosen} --format env)"`, or add a profile with'
            f" credential_process = aws configure export-credentials --profile {chosen}"
        )
    container = given.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") or given.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    return AwsAccess("container" if container else "instance", **where)  # type: ignore[arg-type]


def _profile(given: Mapping[str, str], name: str | None) -> dict[str, str]:
    """Return the entries of a profile in both files; those of the credentials come first."""
    home = Path(given.get("HOME") or given.get("USERPROFILE") or "~").expanduser() / ".aws"
    config = _sections(Path(given.get("AWS_CONFIG_FILE") or home / "config"))
    credentials = _sections(Path(given.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"))
    section = name or "default"
    named = config.get(section if section == "default" else f"profile {section}")
    if name is not None and named is None and name not in credentials:
        raise ConfigError(f"there is no AWS profile {name} in {home}; AWS_PROFILE names it")
    return {**(named or {}), **credentials.get(section, {})}


def _sections(file: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.expanduser().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, configparser.Error):
        raise ConfigError(f"the AWS file {file} can't be read; correct it, or set AWS_ACCESS_KEY_ID") from None
    return {name: dict(parser[name]) for name in parser.sections()}
