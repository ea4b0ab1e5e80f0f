"""Errors of other programs become facts in our words."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from quantx.core.foreign_errors import file_fact, network_fact, value_fact, yaml_fact


@pytest.mark.parametrize(
    ("error", "fact"),
    [
        (httpx.ConnectTimeout("_ssl.c:989: The handshake operation timed out"), "it does not answer in time"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "no connection"),
        (httpx.ReadError(""), "the connection was lost while it replied"),
        (httpx.RemoteProtocolError("peer closed connection"), "its reply breaks the HTTP protocol or ends early"),
        (httpx.InvalidURL("no host"), "it is not a valid address"),
        (OSError(5, "Input/output error"), "no connection"),
    ],
)
def test_a_network_error_is_a_fact(error: Exception, fact: str) -> None:
    assert network_fact(error) == fact


def test_a_file_error_is_the_systems_reason(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as missing:
        (tmp_path / "x").read_text()
    assert file_fact(missing.value) == "No such file or directory"
    (tmp_path / "y").write_bytes(b"ab\xff")
    with pytest.raises(UnicodeDecodeError) as wrong:
        (tmp_path / "y").read_text("utf-8")
    assert file_fact(wrong.value) == "byte 2 is not UTF-8 text"


def test_a_yaml_error_is_its_place() -> None:
    with pytest.raises(yaml.YAMLError) as wrong:
        yaml.safe_load("a: 1\nb: [")
    assert yaml_fact(wrong.value) == (
        "is not valid YAML at line 2, column 5: check the quotes, colons and indentation there"
    )


class Model(BaseModel):
    whole: int = Field(1, ge=1)
    number: float = 1.0
    flag: bool = True
    text: str = ""
    names: list[str] = Field(default=[], min_length=0, max_length=1)
    ours: str = "a"

    @field_validator("ours")
    @classmethod
    def check(cls, value: str) -> str:
        if value != "a":
            raise ValueError("use a")
        return value


@pytest.mark.parametrize(
    ("values", "fact"),
    [
        ({"whole": "many"}, "is no whole number"),
        ({"whole": 0}, "must be 1 or more"),
        ({"number": "x"}, "is no number"),
        ({"flag": "perhaps"}, "is neither true nor false"),
        ({"text": 1}, "is no text"),
        ({"names": 3}, "is no list"),
        ({"names": ["a", "b"]}, "has more than 1 entries"),
        ({"ours": "b"}, "use a"),
    ],
)
def test_a_wrong_value_is_named_in_our_words(values: dict[str, object], fact: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Model(**values)  # type: ignore[arg-type]
    assert value_fact(wrong.value.errors()[0]) == fact
