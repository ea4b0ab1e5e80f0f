"""Rendering of HTML pages with Jinja2."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache
def _environment(package: str) -> Environment:
    # Imported late: of all commands only those that write a page need it.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("quantx.pages")]),
        autoescape=True,  # names, messages and rows come from vendors and may hold markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render_page(package: str, template: str, **values: Any) -> str:
    """Return the HTML of a template in the `templates` folder of a package; all values are escaped."""
    return _environment(package).get_template(template).render(values)
