"""A lake in Amazon S3: create-only puts, concurrent commits, the ways to sign in, and clear errors."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from quantx.core.tables import BARS_1D
from quantx.errors import ConfigError, DamagedObject, LakeError
from quantx.lake.protocol import CommitContext
from quantx.lake.s3 import AwsProcess
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.settings.aws import AwsKeys, aws_access

from ..moto import running_moto


def bar(day: int) -> pl.DataFrame:
    row = {"source": "yahoo", "year": 2024, "symbol": "AAPL", "date": date(2024, 1, day), "volume": 1}
    row |= dict.fromkeys(("open", "high", "low", "close"), 100.0)
    row |= {"currency": "USD", "raw": "01HKZ", "known_from": datetime(2024, 2, 1, tzinfo=UTC)}
    return pl.DataFrame([row], schema=dict(BARS_1D.schema))


# -------------------------------------------------------------------------------------------------- objects and commits


def test_an_object_is_created_once(s3_lake: str) -> None:
    lake = open_location(s3_lake)
    lake.put_new("raw/a", b"first")
    lake.put_new("raw/a", b"first")  # the reply to an earlier try was lost
    with pytest.raises(LakeError, match="exists with other bytes"):
        lake.put_new("raw/a", b"second")
    assert lake.get("raw/a") == b"first"
    assert lake.get_range("raw/a", 1, 3) == b"ir"
    assert lake.paths("raw") == ["raw/a"]
    assert lake.folders() == ["raw"]
    assert (lake.has("raw/a"), lake.has("raw/b")) == (True, False)
    with pytest.raises(DamagedObject, match="is missing"):
        lake.get("raw/b")
    assert lake.get_or_put("meta/x", b"mine") == lake.get_or_put("meta/x", b"yours") == b"mine"


def test_of_many_creators_one_wins(s3_lake: str) -> None:
    lake = open_location(s3_lake)
    at_once = threading.Barrier(20)

    def create(number: int) -> bool:
        at_once.wait()
        try:
            lake.put_new("raw/race", str(number).encode())
        except LakeError:
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(create, range(20))).count(True) == 1


@pytest.mark.slow
def test_of_twenty_concurrent_commits_none_is_lost(s3_lake: str) -> None:
    location = open_location(s3_lake)
    LakeTable(location, BARS_1D).commit(CommitContext(1), bar(31))
    at_once = threading.Barrier(20)

    def commit(day: int) -> None:
        table = LakeTable(location, BARS_1D)
        at_once.wait()
        for _ in range(200):
            try:
                if table.commit(CommitContext(table.committed_round() + 1), bar(day)):
                    return
            except LakeError:  # another one was first
                pass
        raise AssertionError("200 commits in vain")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(commit, range(1, 21)))
    table = LakeTable(location, BARS_1D)
    assert sorted(table.read()["date"].dt.day()) == [*range(1, 21), 31]
    facts = table.facts()
    assert facts is not None
    assert facts["rows"] == 21
    corrected = bar(5).with_columns(pl.lit(99.0).alias("close"))
    assert table.commit(CommitContext(table.committed_round() + 1), BARS_1D.empty(), corrected)
    assert table.read(pl.col("date") == date(2024, 1, 5))["close"].to_list() == [99.0]
    assert table.fold(CommitContext(100), most_files=2) == 1
    assert table.read().height == 21


# ------------------------------------------------------------------------------------------------------------- sign-in


def test_the_environment_comes_before_a_web_identity_a_profile_and_roles(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile work]\nregion = eu-north-1\nendpoint_url = http://127.0.0.1:9000/\n"
        "[profile tool]\ncredential_process = /bin/keys --json\n[profile single]\nsso_session = mine\n"
    )
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIA1\naws_secret_access_key = secret1\n")
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    work = aws_access({**files, "AWS_PROFILE": "work"})
    assert work.keys == AwsKeys("AKIA1", "secret1")
    assert (work.sign_in, work.region, work.endpoint) == ("profile", "eu-north-1", "http://127.0.0.1:9000")
    assert "secret1" not in repr(work)
    assert aws_access({**files, "AWS_PROFILE": "tool"}).process == "/bin/keys --json"
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x", "AWS_PROFILE": "work"}
    assert aws_access({**files, **web}).sign_in == "web identity"
    keys = {"AWS_ACCESS_KEY_ID": "AKIA2", "AWS_SECRET_ACCESS_KEY": "s"}
    assert aws_access({**files, **web, **keys}).sign_in == "keys"
    assert aws_access({**files, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}).sign_in == "container"
    plain = aws_access(files)
    assert (plain.sign_in, plain.region) == ("instance", "eu-west-1")
    assert aws_access({**files, "AWS_REGION": "ap-east-1"}).region == "ap-east-1"
    with pytest.raises(ConfigError, match=r"profile single signs in with sso_session.*export-credentials"):
        aws_access({**files, "AWS_PROFILE": "single"})
    with pytest.raises(ConfigError, match="there is no AWS profile none"):
        aws_access({**files, "AWS_PROFILE": "none"})
    with pytest.raises(ConfigError, match="without AWS_SECRET_ACCESS_KEY"):
        aws_access({**files, "AWS_ACCESS_KEY_ID": "AKIA2"})


def test_the_keys_of_a_process_are_renewed_before_they_end(tmp_path: Path) -> None:
    script, ends = tmp_path / "keys.py", datetime.now(UTC) + timedelta(hours=1)
    runs = tmp_path / "runs"
    script.write_text(
        f"import json, sys\nopen({str(runs)!r}, 'a').write('x')\nprint(json.dumps({{'Version': 1, 'AccessKeyId': 'A',"
        f" 'SecretAccessKey': 'S', 'SessionToken': 'T', 'Expiration': open({str(tmp_path / 'ends')!r}).read()}}))\n"
    )
    (tmp_path / "ends").write_text((datetime.now(UTC) + timedelta(minutes=1)).isoformat())
    process = AwsProcess(f"{sys.executable} {script}")
    expected = {"aws_access_key_id": "A", "aws_secret_access_key": "S", "aws_session_token": "T"}
    assert process.options() == expected
    (tmp_path / "ends").write_text(ends.isoformat().replace("+00:00", "Z"))
    assert process.options() == expected
    assert process() == {"access_key_id": "A", "secret_access_key": "S", "token": "T", "expires_at": ends}
    assert runs.read_text() == "xx"
    with pytest.raises(ConfigError, match="credential_process 'false' fails"):
        AwsProcess("false").options()
    with pytest.raises(ConfigError, match="prints no keys"):
        AwsProcess("echo {}").options()


def test_a_profile_opens_a_lake(s3_lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKIA1\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    table = LakeTable(open_location(s3_lake), BARS_1D)
    assert table.commit(CommitContext(1), bar(2))
    assert table.read().height == 1
    reply = json.dumps({"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": "T"})
    (tmp_path / "reply.json").write_text(reply)
    (tmp_path / "credentials").write_text(f"[work]\ncredential_process = cat {tmp_path / 'reply.json'}\n")
    assert LakeTable(open_location(s3_lake), BARS_1D).read().height == 1


def test_the_role_of_a_container_opens_a_lake(s3_lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    reply = json.dumps({"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": ends})
    (tmp_path / "token").write_text("secret")
    with replying(lambda: (200, reply)) as url:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/keys")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        table = LakeTable(open_location(s3_lake), BARS_1D)
        assert table.commit(CommitContext(1), bar(2))
        assert table.read().height == 1


def test_a_web_identity_that_is_refused_is_named(s3_lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("a token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/updater")
    monkeypatch.setenv("AWS_STS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(LakeError, match=r"cannot sign in to AWS with the web identity.*check AWS_ROLE_ARN") as raised:
        open_location(s3_lake)
    assert "a token" not in str(raised.value)


# -------------------------------------------------------------------------------------------------------------- errors


def test_a_missing_bucket_and_wrong_names_are_named(s3_lake: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no bucket nolake at http://127.0.0.1.*create it"):
        open_location("s3://nolake/x")
    for url in ("s3://", "s3://A/x", "s3://a_b/x"):
        with pytest.raises(ConfigError, match="must have the form s3://bucket/prefix"):
            open_location(url)


def test_keys_that_are_unknown_or_may_not_read_are_named(
    server_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_moto(server_folder(), checks_rights=True) as strict:
        bucket = strict.new_bucket()  # the only request that is not checked
        for name, value in strict.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(LakeError, match=r"InvalidAccessKeyId\); check AWS_ACCESS_KEY_ID"):
            open_location(f"s3://{bucket}/x")


REPLIES = {
    "denied": (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"),
    "expired": (400, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
    "region": (
        400,
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region"
        " 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
    ),
    "redirect": (301, "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint></Error>"),
    "clock": (403, "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>"),
}


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server with one of Amazon's documented replies to everything; the test appends its name."""
    chosen: list[str] = []
    with replying(lambda: REPLIES[chosen[-1]]) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.delenv("AWS_REGION", raising=False)
        yield chosen


@contextmanager
def replying(reply: Callable[[], tuple[int, str]]) -> Iterator[str]:
    """Run a server that gives this status and text to every GET; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = reply()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("denied", r"AccessDenied\); give the role s3:ListBucket on the bucket, and s3:GetObject"),
        ("expired", r"ExpiredToken\); sign in again"),
        ("region", "is not in the region us-east-1 but in eu-west-1; set AWS_REGION=eu-west-1"),
        ("redirect", "is not in the region us-east-1.*; set AWS_REGION"),
        ("clock", r"RequestTimeTooSkewed\); set this machine's clock"),
    ],
)
def test_refusals_are_named_with_the_next_step(reply: str, message: str, amazon: list[str]) -> None:
    amazon.append(reply)
    with pytest.raises((LakeError, ConfigError), match=message):
        open_location("s3://lake/x")
