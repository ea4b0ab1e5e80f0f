"""The row rules in force, and their version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quantx.core.quality.daily_rules import DAILY_RULES
from quantx.core.quality.minute_rules import MINUTE_RULES
from quantx.core.quality.rule import POLICY_VERSION, Rule


@dataclass(frozen=True)
class Policy:
    """The row rules of daily and of minute bars, and of facts. The defaults are the rules of this program."""

    version: int = POLICY_VERSION
    daily: Sequence[Rule] = DAILY_RULES
    minutes: Sequence[Rule] = MINUTE_RULES
    facts: Mapping[str, Sequence[Rule]] = field(default_factory=dict)  # by dataset, in place of the declared ones
