"""The peer: `yfinance.download` with its defaults, fetching from a sandbox."""

from __future__ import annotations

import logging
import warnings
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import stretch


def download(folder: str, host: str, names: list[str], start: str, end: str) -> dict[str, Any]:
    """Download daily bars with all defaults but the host; count the symbols that come back empty without an error."""
    import yfinance
    from curl_cffi import requests as curl

    class Elsewhere(curl.Session):  # type: ignore[type-arg]
        """yfinance has no setting for the host; a subclass of its session sees each request first."""

        def request(self, method: str, url: str, **options: Any) -> Any:
            parts = urlsplit(url)
            return super().request(method, f"{host}{parts.path}?{parts.query}", **options)

    for name in ("yfinance", "bs4"):  # they log each failure, and that a consent page can't be read
        logging.getLogger(name).setLevel(logging.CRITICAL)
    yfinance.set_tz_cache_location(f"{folder}/yfinance")
    session = Elsewhere(impersonate="chrome")
    raised = 0
    with stretch() as measured, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of yfinance's calls
        try:
            frame = yfinance.download(
                names, start=start, end=end, auto_adjust=False, actions=True, progress=False, session=session
            )
        except Exception:  # noqa: BLE001 — any error is a result of the peer
            raised = len(names)
    closes = frame["Close"] if not raised else None
    filled = 0 if closes is None else int(closes.notna().any().sum())
    rows = 0 if closes is None else int(closes.notna().sum().sum())
    return {**vars(measured), "silent": 0 if raised else len(names) - filled, "raised": raised, "rows": rows}
