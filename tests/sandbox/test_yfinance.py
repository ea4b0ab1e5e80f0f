"""The real yfinance package talks to the sandbox and reads from it what was put in."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlsplit

import pytest
import yfinance
from curl_cffi import requests as curl
from yfinance.data import SingletonMeta

from quantx.sandbox import Sandbox, running

# yfinance 1.7 uses names that pandas 3 deprecates; that is its business.
pytestmark = pytest.mark.filterwarnings("ignore")


class Redirected(curl.Session):
    """Sends every host to one."""

    def __init__(self, base):
        super().__init__(impersonate="chrome")
        self.base = base

    def request(self, method, url, *args, **options):
        parts = urlsplit(url)
        return super().request(method, f"{self.base}{parts.path}?{parts.query}", *args, **options)


@pytest.fixture
def ticker(small, tmp_path, monkeypatch):
    """A ticker of the sandbox's company, and the sandbox."""
    monkeypatch.setattr(SingletonMeta, "_instances", {})  # one session per process, unless it is made to forget
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(str(tmp_path))
    sandbox = Sandbox(small, now="2014-06-20")
    with running(sandbox) as url:
        yield lambda symbol: yfinance.Ticker(symbol, session=Redirected(url)), sandbox
    yfinance.config.debug.hide_exceptions = True


def test_history_is_read_with_its_actions(ticker):
    make, sandbox = ticker
    frame = make("ACME-B").history(start="2014-06-02", end="2014-06-21", auto_adjust=False, actions=True)
    frame.index = [stamp.date() for stamp in frame.index]
    assert len(frame) == 15
    assert (frame["Close"][date(2014, 6, 6)], frame["Volume"][date(2014, 6, 6)]) == (52, 2080)
    assert frame["Stock Splits"][frame["Stock Splits"] != 0].to_dict() == {date(2014, 6, 9): 2.0}
    assert frame["Dividends"][frame["Dividends"] != 0].to_dict() == {date(2014, 6, 5): 0.30, date(2014, 6, 12): 0.25}
    assert frame["Adj Close"][date(2014, 6, 11)] == pytest.approx(53.5 * (1 - 0.25 / 53.5), rel=1e-6)
    stats = sandbox.stats()
    assert stats["by_symbol"] == {"ACME-B": stats["total"]}
    assert stats["handshake"] >= 1


def test_an_unknown_symbol_is_an_error(ticker):
    make, sandbox = ticker
    with pytest.raises(curl.exceptions.HTTPError, match="404"):
        make("NOPE").history(start="2014-06-02", end="2014-06-21")
    assert set(sandbox.stats()["by_status"]) == {"404"}


def test_a_shut_door_is_a_rate_limit(ticker):
    make, sandbox = ticker
    sandbox.faults.set("429", 1)
    with pytest.raises(yfinance.exceptions.YFRateLimitError):
        make("ACME-B").history(start="2014-06-02", end="2014-06-21")


def test_the_outage_page_is_recognised(ticker):
    make, sandbox = ticker
    known = make("ACME-B")
    known.history(period="5d")
    sandbox.faults.set("502", 1)
    with pytest.raises(yfinance.exceptions.YFDataException, match="DOWN"):
        known.history(start="2014-06-02", end="2014-06-21")
