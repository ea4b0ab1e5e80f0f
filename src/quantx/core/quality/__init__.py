"""What data must fulfil to be trusted, as declared data: a new rule is one entry in one of these modules.

`bars` and `minutes` judge single rows before they are curated. `causes` names what two vendors
differ in. All rules, with what they mean, are in `RULES`.
"""

from quantx.core.quality.bars import DAILY_RULES, PAYLOAD_RULES
from quantx.core.quality.causes import DROPPED_RULES, VENDOR_RULES
from quantx.core.quality.minutes import MINUTE_RULES
from quantx.core.quality.rule import POLICY_VERSION, Rule, by_id

__all__ = ["POLICY_VERSION", "RULES", "Rule"]

RULES: dict[str, Rule] = by_id(PAYLOAD_RULES, DAILY_RULES, MINUTE_RULES, VENDOR_RULES, DROPPED_RULES)
