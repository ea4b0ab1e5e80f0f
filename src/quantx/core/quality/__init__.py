"""What data must fulfil to be trusted, as declared data: a new rule is one entry in one of these modules.

`bars` and `minutes` judge single rows before they are curated; `series` judges a bar by its neighbours afterwards;
`dividends` and `adjustments` judge corporate actions; `causes` judges two vendors by each other. All rules, with what they
mean, are in `RULES`.
"""

from quantx.core.quality.adjustments import ADJUSTMENT_RULES
from quantx.core.quality.daily_rules import DAILY_RULES, PAYLOAD_RULES
from quantx.core.quality.dividend_rules import DIVIDEND_RULES
from quantx.core.quality.gaps import MARKET_RULES
from quantx.core.quality.minute_rules import MINUTE_RULES
from quantx.core.quality.minute_session_rules import SESSION_RULES
from quantx.core.quality.rule import POLICY_VERSION, Rule, by_id
from quantx.core.quality.series_rules import SERIES_RULES
from quantx.core.quality.vendor_causes import DROPPED_RULES, VENDOR_RULES

__all__ = ["POLICY_VERSION", "RULES", "Rule"]

RULES: dict[str, Rule] = by_id(
    PAYLOAD_RULES,
    DAILY_RULES,
    MINUTE_RULES,
    SERIES_RULES,
    DIVIDEND_RULES,
    ADJUSTMENT_RULES,
    VENDOR_RULES,
    DROPPED_RULES,
    SESSION_RULES,
    MARKET_RULES,
)
