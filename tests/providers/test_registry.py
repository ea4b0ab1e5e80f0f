"""Whoever is in the table of vendors has all that belongs to a provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantx.providers.registry import VENDORS
from quantx.sandbox.app import WIRES
from quantx.settings import Settings

from .test_keys import OVER_HTTP

HERE = Path(__file__).parent
OWN_CLIENT = {"yahoo", "alpaca"}  # asked through packages of theirs; they look for their keys themselves


@pytest.mark.parametrize("source", VENDORS)
def test_it_has_its_settings(source: str) -> None:
    vendor, fields = VENDORS[source], Settings.model_fields
    assert vendor.capabilities.source == source
    assert vendor.quota_setting in fields
    assert re.sub(r"_quota$", "_base_url", vendor.quota_setting) in fields
    assert vendor.capabilities.needs_key == bool(vendor.keys)
    for name in vendor.keys:
        assert str(SecretStr.__name__) in str(fields[name].annotation)


@pytest.mark.parametrize("source", VENDORS)
def test_it_keeps_the_contract(source: str) -> None:
    files = [path for path in HERE.glob("test_*.py") if "(ProviderContract)" in path.read_text("utf-8")]
    assert [path for path in files if re.search(rf"quantx\.providers\.{source}\b", path.read_text("utf-8"))]


@pytest.mark.parametrize("source", VENDORS)
def test_the_sandbox_plays_it(source: str) -> None:
    assert source in {wire.source for wire in WIRES}


@pytest.mark.parametrize("source", VENDORS)
def test_its_key_is_looked_for(source: str) -> None:
    assert source in OVER_HTTP or source in OWN_CLIENT
