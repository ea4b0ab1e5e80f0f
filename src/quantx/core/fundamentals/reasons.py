"""The reasons of null values: why a concept has no value at the end of a period."""

NO_SAME_START = "no_same_start"
NOT_ADDITIVE = "not_additive"
MISSING_QUARTER = "missing_quarter"
STALE = "stale"
NO_TOTAL = "no_total"
WITHDRAWN = "withdrawn"

REASONS = {
    NO_SAME_START: "a longer period ends here, and no shorter one with the same start is reported to subtract",
    NOT_ADDITIVE: "earnings per share and average shares of a quarter or of four are no difference or sum of others",
    MISSING_QUARTER: "the last four quarters are not all known, and the year's reports do not make their sum",
    STALE: "the filer has reported the period, but not this item, which it reported within 400 days before",
    NO_TOTAL: "the balance sheet has no total of this item: the filer reports it per class of shares, or not at all",
    WITHDRAWN: "facts that made a value are no longer in the SEC's data, and the remaining ones do not make it",
}
