"""Which rules judge rows, and under which number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantx.core.quality.daily_rules import DAILY_RULES
from quantx.core.quality.minute_rules import MINUTE_RULES
from quantx.core.quality.rule import POLICY_VERSION, Rule


@dataclass(frozen=True)
class Policy:
    """The row rules of daily bars and of minutes; those of this program, where nothing else is said."""

    version: int = POLICY_VERSION
    daily: Sequence[Rule] = DAILY_RULES
    minutes: Sequence[Rule] = MINUTE_RULES
