"""The part of the demo about features: a build of the technical set."""

from __future__ import annotations

from quantx.cli.output import counted, out
from quantx.core.features.sets import SETS
from quantx.features.build import build
from quantx.features.engines.local import LocalEngine
from quantx.pipeline.runtime.platform import Platform

_SET = "technical"


def show_features(platform: Platform) -> None:
    """Build the technical features of all series, and print how many rows there are."""
    built = build(platform, SETS[_SET], LocalEngine())
    if built is not None:
        out.print(f"features: {_SET} built, {counted(built.rows, 'row')} of {counted(built.symbols, 'symbol')}")
