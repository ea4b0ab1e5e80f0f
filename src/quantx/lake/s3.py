"""Open a bucket of Amazon S3, or of a store with its protocol: store, storage options, and clear errors.

Objects are created by PUT with `If-None-Match: *`, and so are Delta commits: no lock is needed. A store must honour
that header: Amazon S3 does, and so do Cloudflare R2, Ceph and MinIO in recent versions.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from quantx.errors import ConfigError, LakeError, RawNotReadable
from quantx.lake.replies import reply_code, reply_reason
from quantx.lake.zones import LAKE, RAW_ZONE, Zone
from quantx.settings.aws import AwsAccess, AwsKeys, aws_access

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config, S3Credential

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PROBE_RETRIES: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=15)}
_TIMEOUTS: ClientConfig = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=15)}
_EARLY = timedelta(minutes=5)  # before their end, a process's keys are renewed
_RIGHTS = "s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"
_KEYS_STEP = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN or the profile"
_STEPS = {
    "AccessDenied": f"give the role {_RIGHTS}",
    "AllAccessDisabled": f"give the role {_RIGHTS}",
    "InvalidAccessKeyId": _KEYS_STEP,
    "SignatureDoesNotMatch": _KEYS_STEP,
    "InvalidToken": _KEYS_STEP,
    "ExpiredToken": "sign in again: the temporary keys have expired",
    "RequestTimeTooSkewed": "set this machine's clock",
}
_INSTANCE = "169.254.169.254"


class AwsProcess:
    """Keys that a profile's command prints (`credential_process`); they are renewed before they end."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._keys: AwsKeys | None = None
        self._ends: datetime | None = None

    def __call__(self) -> S3Credential:
        """Return the keys for obstore, which calls this whenever the last ones are about to end."""
        keys, ends = self._current()
        return {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "token": keys.session_token,
            "expires_at": ends,
        }

    def options(self) -> dict[str, str]:
        """Return the keys as storage options."""
        return _key_options(self._current()[0])

    def _current(self) -> tuple[AwsKeys, datetime | None]:
        with self._lock:
            if self._keys is None or (self._ends is not None and self._ends - datetime.now(UTC) < _EARLY):
                self._keys, self._ends = self._run()
            return self._keys, self._ends

    def _run(self) -> tuple[AwsKeys, datetime | None]:
        what = f"the AWS profile's credential_process {shlex.split(self._command)[0]!r}"
        try:
            done = subprocess.run(shlex.split(self._command), capture_output=True, timeout=60, check=True)
            reply = json.loads(done.stdout)
            keys = AwsKeys(reply["AccessKeyId"], reply["SecretAccessKey"], reply.get("SessionToken"))
            ends = reply.get("Expiration")
            return keys, None if ends is None else datetime.fromisoformat(ends).astimezone(UTC)
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(f"{what} fails; run it in a shell to see why") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{what} prints no keys in Amazon's form; run it in a shell to see why") from error


@dataclass(frozen=True)
class Bucket:
    """An opened bucket below a prefix."""

    url: str
    _: KW_ONLY
    store: S3Store
    options: dict[str, str] = field(repr=False)  # storage options of deltalake and Polars
    process: AwsProcess | None = None


def open_bucket(url: str, zone: Zone = LAKE) -> Bucket:
    """Open s3://bucket/prefix, which must exist; ConfigError or LakeError with the reason of a failure."""
    parts = urlsplit(url)
    name, prefix, access = parts.netloc, parts.path.strip("/"), aws_access()
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"the {zone.name}'s URL {url!r} must have the form s3://bucket/prefix, with a bucket's name of 3 to 63"
            " lower-case letters, digits, dots and hyphens"
        )
    process = AwsProcess(access.process) if access.process else None
    _probe(_store(name, prefix, access, process, _TIMEOUTS, _PROBE_RETRIES), name, access, zone)
    return Bucket(
        f"s3://{name}/{prefix}".rstrip("/"),
        store=_store(name, prefix, access, process),
        options=_options(access),
        process=process,
    )


def _store(
    name: str,
    prefix: str,
    access: AwsAccess,
    process: AwsProcess | None,
    client: ClientConfig | None = None,
    retries: RetryConfig | None = None,
) -> S3Store:
    config = {k.removeprefix("aws_"): v for k, v in _options(access).items() if k != "aws_allow_http"}
    config["endpoint"] = config.pop("endpoint_url", "")
    plain = access.endpoint is not None and access.endpoint.startswith("http://")
    return S3Store(
        name,
        prefix=prefix or None,
        config=cast("S3Config", {k: v for k, v in config.items() if v}),
        client_options={**(client or {}), "allow_http": plain},
        retry_config=retries,
        credential_provider=process,
    )


def _options(access: AwsAccess) -> dict[str, str]:
    """Return the storage options of Delta and Polars, without keys that expire."""
    options = {"aws_region": access.region, "aws_conditional_put": "etag"}
    if access.endpoint is not None:
        options["aws_endpoint_url"] = access.endpoint
        if access.endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
    return options if access.keys is None else {**options, **_key_options(access.keys)}


def _key_options(keys: AwsKeys) -> dict[str, str]:
    options = {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key}
    return options if keys.session_token is None else {**options, "aws_session_token": keys.session_token}


def _probe(store: S3Store, name: str, access: AwsAccess, zone: Zone) -> None:
    """Raise the reason why the bucket can't be read; one request for an object needs only the right to read."""
    try:
        obstore.get(store, "meta/lake_id")
    except FileNotFoundError as error:
        if reply_code(error) == "NoSuchBucket":
            raise ConfigError(
                f"there is no bucket {name} at {access.endpoint or 'Amazon S3'}; create it (infra/aws/lake.yaml does),"
                f" or set {zone.setting} to another"
            ) from error
    except (obstore.exceptions.BaseError, OSError) as error:
        raise _refusal(error, name, access, zone) from error


def _refusal(error: Exception, name: str, access: AwsAccess, zone: Zone) -> LakeError | ConfigError:
    code, text = reply_code(error), str(error)
    if _INSTANCE in text and access.sign_in == "instance":
        return ConfigError(
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or use a"
            " role (web identity, container or instance)"
        )
    if access.sign_in == "web identity" and "performing POST" in text:  # only the sign-in is a POST; its URL is hidden
        return LakeError(
            f"cannot sign in to AWS with the web identity: {reply_reason(error)}; check AWS_ROLE_ARN, the role's trust"
            " policy, and that the token is fresh"
        )
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException") or (
        "Received redirect without LOCATION" in text
    ):
        found = re.search(r"<Region>([a-z0-9-]+)</Region>|expecting '([a-z0-9-]+)'", text)
        region = (found[1] or found[2]) if found else None
        return ConfigError(
            f"the bucket {name} is not in the region {access.region}"
            + (f" but in {region}; set AWS_REGION={region}" if region else "; set AWS_REGION to the bucket's region")
        )
    refusal = RawNotReadable if zone is RAW_ZONE and code == "AccessDenied" else LakeError
    return refusal(f"the {zone.name}'s bucket {name}: {reply_reason(error)}; {_STEPS.get(code, _network(access))}")


def _network(access: AwsAccess) -> str:
    return f"check the network{' and AWS_ENDPOINT_URL' if access.endpoint else ''}"
