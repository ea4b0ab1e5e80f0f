"""What the pages read: the lake, its reports, and the state where the database answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from quantx.errors import QuantxError
from quantx.lake.store import LakeLocation
from quantx.reader.lake import Lake, lake_of, location_of
from quantx.settings import Settings

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform


@dataclass(frozen=True)
class Dashboard:
    """The parts of an installation that the pages need. Pages that only read use the lake and its reports."""

    settings: Settings

    @cached_property
    def lake(self) -> Lake:
        """The lake; each read sees its newest version. Raises ConfigError where there is none."""
        return lake_of(self.settings)

    @cached_property
    def location(self) -> LakeLocation:
        """The place of the lake, with its reports; raises as `lake`."""
        return location_of(self.settings)

    @contextmanager
    def platform(self) -> Iterator[Platform | None]:
        """Open the lake, the state and the queue for one request; None where the database does not answer."""
        from quantx.pipeline.runtime.platform import open_platform

        with ExitStack() as opened:
            try:
                platform = opened.enter_context(open_platform(self.settings))
            except QuantxError:
                platform = None
            yield platform
