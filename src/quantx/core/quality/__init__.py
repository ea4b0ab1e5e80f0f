"""The quality rules, as declared data: a new rule is one entry in one of these modules.

`daily_rules` and `minute_rules` check single rows before they are curated, `event_rules` single splits and dividends.
`series_rules`, `minute_session_rules` and `minute_shift` check curated bars against their neighbours.
`dividend_rules` and `adjustments` check corporate actions, `evidence_rules` whole replies and their events against the
prices. `rate_rules` check published rates, `option_rules` archives of options. `vendor_causes` and `action_comparison`
compare two vendors. `operational_rules` are about the system's own work. `RULES` has the rules with a row expression,
`FINDING_RULES` every rule that a finding can name.
"""

from quantx.core.quality.action_comparison import EVENT_COMPARISON_RULES
from quantx.core.quality.adjustments import ADJUSTMENT_RULES
from quantx.core.quality.daily_rules import DAILY_RULES, PAYLOAD_RULES
from quantx.core.quality.dividend_rules import DIVIDEND_RULES
from quantx.core.quality.event_rules import EVENT_RULES
from quantx.core.quality.evidence_rules import DOUBT_RULES, REPLY_RULES
from quantx.core.quality.fact_rules import REPORTED_ROW_RULES
from quantx.core.quality.fundamental_comparison import COMPARISON_RULES
from quantx.core.quality.gaps import MARKET_RULES
from quantx.core.quality.minute_rules import MINUTE_RULES
from quantx.core.quality.minute_session_rules import SESSION_RULES
from quantx.core.quality.minute_shift import SHIFT_RULES
from quantx.core.quality.operational_rules import OPERATIONAL_RULES, OperationalRule
from quantx.core.quality.option_rules import OPTION_RULES
from quantx.core.quality.rate_rules import FX_ROW_RULES, RATE_RULES, YIELD_ROW_RULES
from quantx.core.quality.repeated_rows import REPEAT_RULES
from quantx.core.quality.rule import POLICY_VERSION, Rule, by_id
from quantx.core.quality.series_rules import SERIES_RULES
from quantx.core.quality.statement_rules import FILING_RULES, REVISION_RULES, STATEMENT_RULES, VALUE_RULES
from quantx.core.quality.vendor_causes import DROPPED_RULES, VENDOR_RULES

__all__ = ["FINDING_RULES", "POLICY_VERSION", "RULES", "OperationalRule", "Rule"]

RULES: dict[str, Rule] = by_id(
    PAYLOAD_RULES,
    DAILY_RULES,
    MINUTE_RULES,
    REPEAT_RULES,
    EVENT_RULES,
    REPORTED_ROW_RULES,
    STATEMENT_RULES,
    VALUE_RULES,
    REVISION_RULES,
    FILING_RULES,
    COMPARISON_RULES,
    REPLY_RULES,
    DOUBT_RULES,
    SERIES_RULES,
    DIVIDEND_RULES,
    ADJUSTMENT_RULES,
    VENDOR_RULES,
    EVENT_COMPARISON_RULES,
    DROPPED_RULES,
    SESSION_RULES,
    SHIFT_RULES,
    MARKET_RULES,
    YIELD_ROW_RULES,
    FX_ROW_RULES,
    RATE_RULES,
    OPTION_RULES,
)

FINDING_RULES: dict[str, Rule | OperationalRule] = {**RULES, **{rule.id: rule for rule in OPERATIONAL_RULES}}
