"""The declared shapes of the SEC's replies: recordings of 2025 and 2026.

Fields that are not read may be missing or null.
"""

from __future__ import annotations

from quantx.providers.drift import Shape

_FACT = {
    "start?": "text",
    "end": "text",
    "val": "number",
    "accn": "text",
    "fy": "whole|null",
    "fp": "text|null",
    "form": "text",
    "filed": "text",
    "frame?": "text",
}
_TAG = {"label?": "text|null", "description?": "text|null", "units": {"*": [_FACT]}}
FACTS = Shape("companyfacts", {"cik": "whole|text", "entityName": "text", "facts": {"*": {"*": _TAG}}})

_PAGE = {
    "accessionNumber": ["text"],
    "filingDate": ["text"],
    "reportDate": ["text"],
    "acceptanceDateTime": ["text"],
    "act?": ["text|null"],
    "form": ["text"],
    "fileNumber?": ["text|null"],
    "filmNumber?": ["text|null"],
    "items": ["text"],
    "core_type?": ["text|null"],
    "size?": ["whole"],
    "isXBRL?": ["whole|null"],
    "isInlineXBRL?": ["whole|null"],
    "isXBRLNumeric?": ["whole|null"],
    "primaryDocument": ["text"],
    "primaryDocDescription": ["text"],
}
OLDER_FILINGS = Shape("older filings", _PAGE)
SUBMISSIONS = Shape(
    "submissions",
    {
        "cik": "text|whole",
        "entityType?": "text|null",
        "sic?": "text|null",
        "sicDescription?": "text|null",
        "ownerOrg?": "text|null",
        "insiderTransactionForOwnerExists?": "whole|null",
        "insiderTransactionForIssuerExists?": "whole|null",
        "name": "text",
        "tickers": ["text"],
        "exchanges?": ["text|null"],
        "ein?": "text|null",
        "lei?": "text|null",
        "description?": "text|null",
        "website?": "text|null",
        "investorWebsite?": "text|null",
        "category?": "text|null",
        "fiscalYearEnd?": "text|null",
        "stateOfIncorporation?": "text|null",
        "stateOfIncorporationDescription?": "text|null",
        "addresses?": "any",
        "phone?": "text|null",
        "flags?": "text|null",
        "formerNames?": "any",
        "filings": {
            "recent": _PAGE,
            "files": [{"name": "text", "filingCount?": "whole", "filingFrom?": "text", "filingTo?": "text"}],
        },
    },
)
