"""Curated rows are a function of the replies and of POLICY_VERSION: rules that reject do not change without it."""

from __future__ import annotations

import hashlib

from quantx.core.quality.daily_rules import DAILY_RULES
from quantx.core.quality.event_rules import EVENT_RULES
from quantx.core.quality.fact_rules import REPORTED_ROW_RULES
from quantx.core.quality.minute_rules import MINUTE_RULES
from quantx.core.quality.rule import POLICY_VERSION

# What the rules of each version are, in the words of their expressions.
DIGESTS = {
    2: "9ba0a06e2b4c2be711a90ac6d5e377bf2f09d666ba3a7cb6999de9b4a8459cd9",
    3: "0e7437c34892769cf23c27209ad02c31fb4f16d004102783e9c2a97405edef45",
    4: "7e525956f1ebfe5e9ba51f2dc2f91d8675785271e2a403d433a8a7a3fcb50ec9",
    5: "73571183abca7fc40dcc79b04c7f59c54147695278f90981ff075f34c365a2b2",
    6: "b7ae2f9c518c46336d7e018e039922591569baadfb8558b5c2af8d2b8c8d94e3",
    7: "7c250d5e5a87d92bc37a360e115793258c83e617dc972f60b82a2aa7e6e38543",
}


def test_a_changed_rule_has_a_new_version() -> None:
    groups = (DAILY_RULES, MINUTE_RULES, EVENT_RULES, REPORTED_ROW_RULES)
    said = [f"{r.id} {r.severity} {r.markets} {r.classes} {r.broken}" for rules in groups for r in rules]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()
    assert DIGESTS.get(POLICY_VERSION) == digest, "a rule has changed: raise POLICY_VERSION, and add its digest here"
