"""The pages by name, in the order of the navigation: one module per page, or per page with its details."""

from __future__ import annotations

from quantx.dashboard.actions import Action
from quantx.dashboard.api import handler as data_api
from quantx.dashboard.page import WebPage
from quantx.dashboard.pages import (
    audit,
    coverage,
    data,
    findings,
    overview,
    quarantine,
    research,
    runs,
    series,
    storage,
    tasks,
    universes,
    vendors,
)

PAGES: tuple[WebPage, ...] = (
    *overview.PAGES,
    *findings.PAGES,
    *quarantine.PAGES,
    *runs.PAGES,
    *tasks.PAGES,
    *series.PAGES,
    *universes.PAGES,
    *coverage.PAGES,
    *vendors.PAGES,
    *storage.PAGES,
    *research.PAGES,
    *audit.PAGES,
    *data.PAGES,
    *data_api.PAGES,
)
ACTIONS: tuple[Action, ...] = (*overview.ACTIONS, *findings.ACTIONS, *quarantine.ACTIONS, *tasks.ACTIONS)
