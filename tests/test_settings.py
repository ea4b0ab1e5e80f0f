"""Settings: flags over environment over file over defaults, earlier names still valid, no secret ever shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from quantx.core.model import Quota
from quantx.errors import ConfigError
from quantx.settings import Settings, load_settings, parse_quota, setting_references, source_of
from quantx.settings.vendors import FLAT_NAMES
from quantx.storage import LocalStorage

CANARY = "c4n4ry-S3cret"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder and an environment without a setting."""
    names = (
        "QUANTX_",
        "APPLICATIONINSIGHTS_",
        "AZURE_",
        "IDENTITY_",
        "FETCHER_",
        "MAX_WORKERS",
        "LOOKBACK_DAYS",
        "UNIVERSE_PATH",
        "USE_MANAGED_IDENTITY",
        "S3_",
        "AWS_",
        "FMP_",
        "AV_",
    )
    for name in os.environ:
        if name.upper().startswith(names):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes config/settings.yaml below the working folder."""

    def write(text: str) -> Path:
        path = tmp_path / "config" / "settings.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


# One field that has an earlier name, one that has none, one whose own name is the earlier one.
FIELDS: list[tuple[str, str, Any, Any, Any]] = [
    ("max_workers", "MAX_WORKERS", 3, 5, 7),
    ("max_workers", "QUANTX_MAX_WORKERS", 3, 5, 7),
    ("lookback_days", "LOOKBACK_DAYS", 3, 5, 7),
    ("max_attempts", "QUANTX_MAX_ATTEMPTS", 3, 5, 7),
    ("universe_path", "UNIVERSE_PATH", Path("flag"), Path("variable"), Path("file")),
    ("log_level", "FETCHER_LOG_LEVEL", "DEBUG", "INFO", "ERROR"),
    ("azure_storage_account", "AZURE_STORAGE_ACCOUNT", "flag", "variable", "file"),
    ("azure_storage_account", "FETCHER_AZURE_STORAGE_ACCOUNT", "flag", "variable", "file"),
]


@pytest.mark.parametrize(("field", "variable", "flag", "env", "file"), FIELDS, ids=[f[1] for f in FIELDS])
def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    field: str, variable: str, flag: Any, env: Any, file: Any, monkeypatch: pytest.MonkeyPatch, settings_file: Any
) -> None:
    default = Settings.model_fields[field].default
    assert getattr(load_settings(), field) == default
    settings_file(f"{field}: {file}")
    assert getattr(load_settings(), field) == file
    monkeypatch.setenv(variable, str(env))
    assert getattr(load_settings(), field) == env
    assert getattr(load_settings(**{field: flag}), field) == flag
    assert getattr(load_settings(**{field: None}), field) == env  # None: the flag was not given


NAMES: list[tuple[str, str, str]] = [
    ("QUANTX_LAKE_URL", "lake_url", "az://quantx"),
    ("QUANTX_STATE_URL", "state_url", "postgresql://db/quantx"),
    ("QUANTX_QUEUE_URL", "queue_url", "postgresql"),
    ("QUANTX_UNIVERSE_PATH", "universe_path", "a.yaml"),
    ("QUANTX_LOG_LEVEL", "log_level", "ERROR"),
    ("QUANTX_YFINANCE_BASE_URL", "yfinance_base_url", "http://127.0.0.1:8000"),
    ("QUANTX_YFINANCE_QUOTA", "yfinance_quota", "200/min"),
    ("QUANTX_AZURE_STORAGE_ACCOUNT", "azure_storage_account", "acc"),
    ("AZURE_STORAGE_ACCOUNT", "azure_storage_account", "acc"),
    ("FETCHER_AZURE_STORAGE_ACCOUNT", "azure_storage_account", "acc"),
    ("QUANTX_AZURE_CONTAINER_NAME", "azure_container_name", "box"),
    ("AZURE_CONTAINER_NAME", "azure_container_name", "box"),
    ("FETCHER_AZURE_CONTAINER_NAME", "azure_container_name", "box"),
    ("FETCHER_LOG_LEVEL", "log_level", "INFO"),
    ("MAX_WORKERS", "max_workers", "17"),
    ("LOOKBACK_DAYS", "lookback_days", "11"),
    ("UNIVERSE_PATH", "universe_path", "b.yaml"),
    ("USE_MANAGED_IDENTITY", "use_managed_identity", "True"),
    ("AZURE_STORAGE_BLOB_ENDPOINT", "azure_storage_blob_endpoint", "https://acc.blob.core.chinacloudapi.cn"),
    ("AZURE_CLIENT_ID", "azure_client_id", "c0ffee00-0000-0000-0000-000000000001"),
    ("QUANTX_STATE_IDENTITY", "state_identity", "True"),
    ("S3_BUCKET", "s3_bucket", "bars"),
    ("S3_BUCKET_NAME", "s3_bucket", "bars"),
    ("S3_PREFIX", "s3_prefix", "lake"),
]


@pytest.mark.parametrize(("variable", "field", "value"), NAMES, ids=[n[0] for n in NAMES])
def test_a_variable_sets_its_field(variable: str, field: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert str(getattr(load_settings(), field)) == value


def test_the_connection_string_comes_by_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=a;AccountKey={CANARY}")
    secret = load_settings().azure_storage_connection_string
    assert secret is not None
    assert secret.get_secret_value() == f"AccountName=a;AccountKey={CANARY}"


def test_the_connection_string_of_traces_has_its_usual_name_and_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", f"InstrumentationKey={CANARY}")
    settings = load_settings()
    assert settings.applicationinsights_connection_string is not None
    assert settings.applicationinsights_connection_string.get_secret_value() == f"InstrumentationKey={CANARY}"
    assert CANARY not in repr(settings) + str(settings.redacted())


def test_our_own_name_beats_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_WORKERS", "10")
    monkeypatch.setenv("QUANTX_MAX_WORKERS", "9")
    assert load_settings().max_workers == 9


def test_a_variable_that_only_resembles_a_field_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "verbose")
    monkeypatch.setenv("LAKE_URL", "az://elsewhere")
    assert (load_settings().log_level, load_settings().lake_url) == ("WARNING", "./data/lake")


@pytest.mark.parametrize("variable", ["QUANTX_LAKE_URL", "MAX_WORKERS", "AZURE_STORAGE_CONNECTION_STRING"])
def test_an_empty_variable_is_not_given(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "")
    assert load_settings() == load_settings(lake_url="./data/lake")


KEYS = [
    ("FMP_API_KEY", "fmp_api_key"),
    ("AV_API_KEY", "alphavantage_api_key"),
    ("ALPHA_VANTAGE_API_KEY", "alphavantage_api_key"),
]


@pytest.mark.parametrize(("variable", "name"), KEYS)
def test_a_vendors_key_comes_by_its_usual_name(variable: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, CANARY)
    settings = load_settings()
    assert getattr(settings, name).get_secret_value() == CANARY
    assert CANARY not in repr(settings) + str(settings.redacted())
    monkeypatch.setenv(f"QUANTX_{name.upper()}", "ours")
    assert getattr(load_settings(), name).get_secret_value() == "ours"


@pytest.mark.parametrize("variable", ["AZURE_CONTAINER_NAME", "FETCHER_AZURE_CONTAINER_NAME"])
def test_a_container_stands_for_a_lake(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "quantx-data")
    assert load_settings().lake_url == "az://quantx-data"


BUCKETS = [("", "s3://bars"), ("daily", "s3://bars/daily"), ("/a/b/", "s3://bars/a/b")]


@pytest.mark.parametrize(("prefix", "url"), BUCKETS)
def test_a_bucket_stands_for_a_lake(prefix: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "bars")
    monkeypatch.setenv("S3_PREFIX", prefix)
    assert load_settings().lake_url == url
    assert load_settings(lake_url="./data/lake").lake_url == "./data/lake"


def test_a_bucket_and_a_container_are_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "bars")
    monkeypatch.setenv("AZURE_CONTAINER_NAME", "box")
    with pytest.raises(ConfigError, match=r"box in Azure and the bucket bars in S3 .*set lake_url"):
        load_settings()
    assert load_settings(lake_url="az://box").lake_url == "az://box"


def test_a_lake_that_is_named_beats_the_container(monkeypatch: pytest.MonkeyPatch, settings_file: Any) -> None:
    monkeypatch.setenv("AZURE_CONTAINER_NAME", "quantx-data")
    settings_file("lake_url: ./from-file")
    assert load_settings().lake_url == "./from-file"
    monkeypatch.setenv("QUANTX_LAKE_URL", "./from-environment")
    assert load_settings().lake_url == "./from-environment"
    assert load_settings(lake_url="./from-flag").lake_url == "./from-flag"


def test_a_settings_file_can_lie_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings_file: Any) -> None:
    settings_file("max_workers: 5")
    other = tmp_path / "other.yaml"
    other.write_text("max_workers: 6\n")
    monkeypatch.setenv("QUANTX_SETTINGS_FILE", str(other))
    assert load_settings().max_workers == 6


def test_a_named_settings_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_SETTINGS_FILE", "missing.yaml")
    with pytest.raises(ConfigError, match=r"missing\.yaml, which is no file"):
        load_settings()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"], ids=["empty", "a comment", "an empty document"])
def test_an_empty_file_sets_nothing(text: str, settings_file: Any) -> None:
    settings_file(text)
    assert load_settings().max_workers == 8


BAD_FILES = {
    "an unknown name": ("max_wokers: 5", r"line 1: there is no setting max_wokers; the settings are .*max_workers"),
    "an earlier name": ("MAX_WORKERS: 5", r"there is no setting MAX_WORKERS"),
    "a number as a name": ("1: 5", r"there is no setting 1"),
    "a list": ("- max_workers", r"must hold names and values"),
    "a text": ("max_workers", r"must hold names and values"),
    "no YAML": ("max_workers: [", r"not valid YAML"),
    "an object of Python": ("max_workers: !!python/object/apply:os.getpid []", r"not valid YAML"),
    "a wrong type": ("max_workers: many", r"max_workers.*is no whole number"),
    "a value beyond the limits": ("max_workers: 0", r"max_workers.*must be 1 or more"),
    "vendors of no market": ("sources: {1d: {mars: [yahoo]}}", r"sources.*write it as in"),
    "vendors of no timeframe": ("sources: {5m: {us: [yahoo]}}", r"sources.*timeframes 1d, 1m"),
    "a market without vendors": ("sources: {1d: {us: []}}", r"sources.*write it as in"),
    "a wrong quota": ("yfinance_quota: fast", r"yfinance_quota.*2/s, 200/min, 25/day or unlimited"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_wrong_file_is_refused_with_the_reason(text: str, message: str, settings_file: Any) -> None:
    settings_file(text)
    with pytest.raises(ConfigError, match=f"(?is){message}"):
        load_settings()


@pytest.mark.parametrize("contact", ["ü@example.org", "me", "me@example.org\nX-Other: 1"])
def test_a_contact_that_no_request_can_send_is_refused(contact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_CONTACT", contact)
    with pytest.raises(ConfigError, match="use an e-mail address or a URL"):
        load_settings()


def test_a_blank_contact_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_CONTACT", "  ")
    assert (load_settings().contact, load_settings().sec.contact) == (None, None)


# ------------------------------------------------------------------------------- the earlier form of the settings file

EARLIER = """
fetcher: {max_workers: 20, lookback_days: 7, chunk_size: 100, fetch_actions: true}
schedules: {daily_update: {cron: "0 6 * * 1-5"}}
contact: me@example.org
"""


def test_the_earlier_sections_are_settings_of_today(settings_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_file(EARLIER)
    read = load_settings()
    assert (read.max_workers, read.lookback_days, read.chunk_size, read.contact) == (20, 7, 100, "me@example.org")
    assert read.daily_schedule == "0 0 6 * * 1-5"
    monkeypatch.setenv("MAX_WORKERS", "3")
    assert load_settings().max_workers == 3


@pytest.mark.parametrize(("cron", "azure"), [("0 6 * * 7", "0 0 6 * * 0"), ("0 6 ? * 1-5", "0 0 6 * * 1-5")])
def test_sunday_and_any_day_of_cron_have_the_form_of_azure(cron: str, azure: str, settings_file: Any) -> None:
    settings_file(f'schedules: {{daily_update: {{cron: "{cron}"}}}}')
    assert load_settings().daily_schedule == azure


@pytest.mark.parametrize(("cron", "azure"), [("0 6 * * 1-5", "0 0 6 * * 1-5"), ("30 5 7 * * 1-5", "30 5 7 * * 1-5")])
def test_a_schedule_has_the_six_fields_of_azure(cron: str, azure: str, settings_file: Any) -> None:
    settings_file(f"daily_schedule: {cron}")
    assert load_settings().daily_schedule == azure
    settings_file(f"schedules: {{daily_update: {{cron: {cron}}}}}")
    assert load_settings().daily_schedule == azure


BAD_SECTIONS = {
    "an unknown key": ("fetcher:\n  max_workers: 3\n  retries: 5", r"line 3: fetcher has no setting retries; it has"),
    "an unknown timer": ("schedules:\n  weekly: {cron: x}", r"line 2: schedules has no setting weekly"),
    "an unknown key of a timer": ("schedules: {daily_update: {at: x}}", r"line 1: schedules.daily_update has no"),
    "a timer without a schedule": ("schedules: {daily_update: {}}", r"daily_update needs a `cron`"),
    "a schedule that is none": ('schedules: {daily_update: {cron: "soon"}}', r"daily_schedule.*'soon' is not a sched"),
    "both days": ('schedules: {daily_update: {cron: "0 6 1 * 1"}}', r"line 1: '0 6 1 \* 1' restricts the day and"),
    "no events": ("fetcher: {fetch_actions: false}", r"line 1: fetcher.fetch_actions must be true: without splits"),
    "one setting twice": ("max_workers: 3\nfetcher:\n  max_workers: 5", r"line 3: fetcher.max_workers and max_workers"),
    "a section that is a list": ("fetcher: [max_workers]", r"fetcher must hold names and values"),
    "a wrong value": ("fetcher: {max_workers: 0}", r"max_workers: must be 1 or more"),
}


@pytest.mark.parametrize(("text", "message"), BAD_SECTIONS.values(), ids=BAD_SECTIONS)
def test_a_wrong_section_is_refused_with_file_and_line(text: str, message: str, settings_file: Any) -> None:
    settings_file(text)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load_settings()


# ----------------------------------------------------------------------------------------------------------------- .env


def test_variables_may_stand_in_a_file(settings_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment beats `.env` beside the settings, that the one in the working folder, and that the settings."""
    settings_file("max_workers: 1\nlookback_days: 1\nchunk_size: 1\nmax_attempts: 1")
    (tmp_path / ".env").write_text("MAX_WORKERS=2\nQUANTX_LOOKBACK_DAYS=2\nQUANTX_CHUNK_SIZE=2\n")
    (tmp_path / "config" / ".env").write_text(
        f"# ours\nexport MAX_WORKERS='3'\nLOOKBACK_DAYS=3\nFMP_API_KEY={CANARY}\n"
    )
    monkeypatch.setenv("MAX_WORKERS", "4")
    read = load_settings()
    assert (read.max_workers, read.lookback_days, read.chunk_size, read.max_attempts) == (4, 2, 2, 1)
    assert read.fmp.api_key is not None
    assert read.fmp.api_key.get_secret_value() == CANARY
    assert CANARY not in repr(read) + str(read.redacted())


def test_a_variable_of_the_process_wins_under_each_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("QUANTX_MAX_WORKERS=2\nQUANTX_FMP_API_KEY=file\nS3_BUCKET=file\n")
    for name, value in (("MAX_WORKERS", "4"), ("FMP_API_KEY", "process"), ("S3_BUCKET_NAME", "process")):
        monkeypatch.setenv(name, value)
    read = load_settings()
    assert read.fmp.api_key is not None
    assert (read.max_workers, read.fmp.api_key.get_secret_value(), read.s3_bucket) == (4, "process", "process")


def test_variables_of_aws_reach_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    (tmp_path / ".env").write_text(f"{keys[0]}=file\n{keys[1]}={CANARY}\nAWS_REGION=file\nHOME=/nowhere\n")
    monkeypatch.setenv("AWS_REGION", "process")
    for name in keys:
        monkeypatch.setenv(name, "")  # so that it is removed afterwards
        monkeypatch.delenv(name)
    load_settings()
    assert [os.environ[name] for name in (*keys, "AWS_REGION")] == ["file", CANARY, "process"]
    assert os.environ["HOME"] != "/nowhere"


def test_keys_of_aws_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("AWS_ACCESS_KEY_ID=file\nAWS_SECRET_ACCESS_KEY=file\nAWS_SESSION_TOKEN=file\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "process")
    load_settings()
    assert os.environ["AWS_ACCESS_KEY_ID"] == "process"
    assert "AWS_SESSION_TOKEN" not in os.environ


@pytest.mark.parametrize(
    ("text", "message"), [(f"OK=1\n{CANARY}: x\n", r"\.env, line 2: write it as NAME"), ("\xff", "is not UTF-8")]
)
def test_a_wrong_file_of_variables_is_refused_without_its_text(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message) as refusal:
        load_settings()
    assert CANARY not in str(refusal.value)


SOURCES = {"yf": "yahoo", "yfinance": "yahoo", "Yahoo": "yahoo", "av": "alphavantage", "alphavantage": "alphavantage"}


@pytest.mark.parametrize(("name", "source"), SOURCES.items(), ids=SOURCES)
def test_vendors_have_other_names(name: str, source: str, settings_file: Any) -> None:
    assert source_of(name) == source
    settings_file(f"sources: {{1d: {{us: [{name}, stooq]}}}}")
    assert load_settings().sources_of("1d", "us") == (source, "stooq")
    settings_file(f"sources: {{1d: {{us: [{name}, {source}]}}}}")
    assert load_settings().sources_of("1d", "us") == (source,)


BAD_VALUES = {
    "MAX_WORKERS": "0",
    "LOOKBACK_DAYS": "-1",
    "QUANTX_LEASE_SECONDS": "1",
    "QUANTX_MAX_ATTEMPTS": "0",
    "FETCHER_LOG_LEVEL": "loud",
    "QUANTX_YFINANCE_QUOTA": "2 per second",
    "USE_MANAGED_IDENTITY": "perhaps",
}


@pytest.mark.parametrize(("variable", "value"), BAD_VALUES.items(), ids=BAD_VALUES)
def test_a_wrong_variable_is_refused_by_its_name(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    field = variable.removeprefix("QUANTX_").removeprefix("FETCHER_")
    with pytest.raises(ConfigError, match=f"(?i){field}"):
        load_settings()


def test_an_unknown_flag_is_refused() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        load_settings(nonsense=1)


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.max_workers = 3  # type: ignore[misc]


SECRETS = {
    "a password in the state's URL": {"state_url": f"postgresql://quantx:{CANARY}@db.example:5432/quantx"},
    "a password with an @": {"state_url": f"postgresql://quantx:p@{CANARY}@db.example/quantx"},
    "a password in the query": {
        "state_url": f"postgresql://db.example/quantx?user=q&password={CANARY}&sslmode=require"
    },
    "a connection string": {"azure_storage_connection_string": f"AccountName=a;AccountKey={CANARY}"},
    "a signature in the lake's URL": {"lake_url": f"az://quantx?sv=2024&sig={CANARY}"},
    "a key in the lake's URL": {"lake_url": f"s3://id:{CANARY}@bucket/prefix"},
    "a password of the vendor's proxy": {"yfinance_base_url": f"http://me:{CANARY}@127.0.0.1:8000"},
}


@pytest.mark.parametrize("flags", SECRETS.values(), ids=SECRETS)
def test_no_secret_is_shown(flags: dict[str, str]) -> None:
    shown = str(load_settings(**flags).redacted())
    assert CANARY not in shown
    assert "*****" in shown


def test_no_secret_is_in_the_error_about_another_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", CANARY)
    monkeypatch.setenv("QUANTX_STATE_URL", f"postgresql://q:{CANARY}@db/quantx")
    with pytest.raises(ConfigError) as refusal:
        load_settings(max_workers=0)
    assert CANARY not in str(refusal.value)


def test_what_is_no_secret_is_shown() -> None:
    shown = load_settings(state_url="postgresql://quantx@db.example/quantx", lake_url="az://quantx/prod").redacted()
    assert shown["state_url"] == "postgresql://quantx@db.example/quantx"
    assert shown["lake_url"] == "az://quantx/prod"
    assert shown["max_workers"] == "8"
    assert shown["azure_storage_account"] is None
    assert set(shown) == set(setting_references())


def test_vendors_are_declared_by_timeframe_and_market(settings_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().sources_of("1d", "hk") == ("yahoo",)
    settings_file("sources: {1d: {us: [alpaca, yahoo], any: [yahoo]}}")
    assert load_settings().sources_of("1d", "us") == ("alpaca", "yahoo")
    assert load_settings().sources_of("1d", "jp") == ("yahoo",)
    assert load_settings().sources_of("1m", "us") == ()
    monkeypatch.setenv("QUANTX_SOURCES", '{"1d": {"any": ["stooq"]}}')
    assert load_settings().sources_of("1d", "us") == ("stooq",)


def test_vendors_that_are_no_json_are_refused_with_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_SOURCES", "yahoo")
    with pytest.raises(ConfigError, match=r"sources is not valid JSON; write it as in"):
        load_settings()


QUOTAS = {
    "2/s": Quota(2, 1),
    "200/min": Quota(200, 60),
    "0.5/s": Quota(1, 2),
    "2.5/s": Quota(5, 2),
    "1 / min": Quota(1, 60),
    "25/day": Quota(25, 86400),
    "unlimited": None,
}


@pytest.mark.parametrize(("text", "quota"), QUOTAS.items(), ids=QUOTAS)
def test_a_quota_is_a_number_of_requests_in_a_time(text: str, quota: Quota | None) -> None:
    assert parse_quota(text) == quota


@pytest.mark.parametrize(
    "text", ["", "2", "0/s", "-1/s", "2/h", "2/sec", "1e9/s", "nan/s", "/s", "2/s2/s", "Unlimited!"]
)
def test_other_texts_are_no_quota(text: str) -> None:
    with pytest.raises(ValueError, match="is no quota; write it as in 2/s"):
        parse_quota(text)


def test_every_setting_is_described() -> None:
    for name, setting in setting_references().items():
        assert setting.description, name
        assert "{" not in setting.description, name


CONNECTIONS = {
    "a standard account": (
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={CANARY}==;EndpointSuffix=core.windows.net",
        ("a", f"{CANARY}==", "https://a.blob.core.windows.net", "https://a.queue.core.windows.net"),
    ),
    "only a name and a key": (f"AccountName=a;AccountKey={CANARY}", ("a", CANARY, None, None)),
    "endpoints of its own": (
        f"BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:2/a;AccountName=a;AccountKey={CANARY};",
        ("a", CANARY, "http://127.0.0.1:1/a", "http://127.0.0.1:2/a"),
    ),
}


@pytest.mark.parametrize(("text", "parts"), CONNECTIONS.values(), ids=CONNECTIONS)
def test_a_connection_string_names_an_account_its_key_and_its_services(
    text: str, parts: tuple[str | None, ...]
) -> None:
    key = load_settings(azure_storage_connection_string=text).storage_key()
    assert key is not None
    assert (key.account, key.key, key.blob_endpoint, key.queue_endpoint) == parts
    assert CANARY not in repr(key)


def test_the_emulator_has_a_short_connection_string() -> None:
    key = load_settings(azure_storage_connection_string="UseDevelopmentStorage=true;").storage_key()
    assert key is not None
    assert (key.account, key.queue_endpoint) == ("devstoreaccount1", "http://127.0.0.1:10001/devstoreaccount1")


def test_with_the_identity_the_key_is_not_used() -> None:
    text = f"AccountName=a;AccountKey={CANARY}"
    assert load_settings().storage_key() is None
    assert load_settings(azure_storage_connection_string=text, use_managed_identity=True).storage_key() is None


@pytest.mark.parametrize("text", [CANARY, f"AccountName=a;SharedAccessSignature={CANARY}", f"AccountKey={CANARY}"])
def test_a_connection_string_without_account_or_key_is_refused_unseen(text: str) -> None:
    with pytest.raises(ConfigError, match="must have the form AccountName=…;AccountKey=…") as refusal:
        load_settings(azure_storage_connection_string=text).storage_key()
    assert CANARY not in str(refusal.value)


def test_a_vendors_settings_are_a_section_and_have_flat_names(
    settings_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_file("alpaca: {feed: sip, quota: 10/s}\nyfinance_quota: 1/s")
    monkeypatch.setenv("QUANTX_ALPACA_QUOTA", "20/s")
    settings = load_settings(alpaca_api_key=CANARY)
    assert (settings.alpaca.feed, settings.alpaca.quota, settings.yahoo.quota) == ("sip", "20/s", "1/s")
    assert (getattr(settings, "alpaca_feed"), getattr(settings, "yfinance_quota")) == ("sip", "1/s")  # noqa: B009
    assert settings.alpaca.api_key is not None
    assert settings.alpaca.api_key.get_secret_value() == CANARY
    assert CANARY not in repr(settings) + str(settings.redacted())
    assert settings.redacted()["alpaca_quota"] == "20/s"


def test_a_section_takes_the_place_of_the_file_in_whole_or_in_part(settings_file: Any) -> None:
    settings_file("fmp_quota: 1/s\nfmp_base_url: http://127.0.0.1:1")
    assert load_settings(fmp={"quota": "2/s"}).fmp.base_url == "http://127.0.0.1:1"
    settings_file("fmp: {quota: 1/s}\nfmp_quota: 3/s")
    assert load_settings().fmp.quota == "3/s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fmp: many", "fmp.*is no object of names and values"),
        ("fmp: {speed: 1}", "fmp_speed"),
        ("fmp: {quota: fast}", "fmp_quota.*2/s"),
    ],
)
def test_a_wrong_section_is_refused(text: str, message: str, settings_file: Any) -> None:
    settings_file(text)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load_settings()


def test_every_flat_name_leads_to_a_vendors_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (source, field) in FLAT_NAMES.items():
        value = "me@example.org" if field == "contact" else "5/s"
        monkeypatch.setenv(f"QUANTX_{name.upper()}", value)
        assert getattr(getattr(load_settings(), source), field) == getattr(load_settings(), name)
        assert load_settings().redacted()[name] in (value, "**********")


def test_an_attribute_that_is_no_setting_is_an_error() -> None:
    with pytest.raises(AttributeError):
        getattr(load_settings(), "alpaca_color")  # noqa: B009


def test_the_configured_raw_zone_belongs_to_the_configured_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--use-local`, the demo and `open_lake(url)` name another lake, which has its raw objects inside."""
    monkeypatch.setenv("QUANTX_LAKE_URL", "az://lake")
    monkeypatch.setenv("QUANTX_RAW_URL", "az://raw")
    assert load_settings().raw_url == "az://raw"
    assert load_settings(lake_url="az://lake").raw_url == "az://raw"
    assert not load_settings(lake_url="./data/lake").raw_url
    assert load_settings(lake_url="./data/lake", raw_url="./data/raw").raw_url == "./data/raw"
    assert not LocalStorage().settings().raw_url
