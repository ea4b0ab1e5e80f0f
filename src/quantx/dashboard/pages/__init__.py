"""The pages by name, in the order of the navigation: one module per page, or per page with its details."""

from __future__ import annotations

from quantx.dashboard.actions import Action
from quantx.dashboard.page import WebPage
from quantx.dashboard.pages import audit, overview, runs, tasks

PAGES: tuple[WebPage, ...] = (
    *overview.PAGES,
    *runs.PAGES,
    *tasks.PAGES,
    *audit.PAGES,
)
ACTIONS: tuple[Action, ...] = (*tasks.ACTIONS,)
