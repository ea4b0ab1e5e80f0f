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
    runs,
    series,
    tasks,
    universes,
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
    *audit.PAGES,
    *data.PAGES,
    *data_api.PAGES,
)
ACTIONS: tuple[Action, ...] = (*overview.ACTIONS, *findings.ACTIONS, *quarantine.ACTIONS, *tasks.ACTIONS)
