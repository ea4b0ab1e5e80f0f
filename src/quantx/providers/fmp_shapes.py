"""The declared shapes of FMP's replies: recordings of 2023 to 2025 and its documentation (2026).

Fields that are not read may be missing or null.
"""

from __future__ import annotations

from quantx.providers.drift import Shape

_PRICES = dict.fromkeys(("open", "high", "low", "close", "volume"), "number|null")
_BARS = {"symbol": "text", "date": "text", **_PRICES, "change?": "number|null", "changePercent?": "number|null"}

# Fields of the statements: those of incomes and balance sheets as recorded in 2025, those of cash flows as documented.
_INCOME = (
    "revenue costOfRevenue grossProfit researchAndDevelopmentExpenses generalAndAdministrativeExpenses "
    "sellingAndMarketingExpenses sellingGeneralAndAdministrativeExpenses otherExpenses operatingExpenses "
    "costAndExpenses netInterestIncome interestIncome interestExpense depreciationAndAmortization ebitda ebit "
    "nonOperatingIncomeExcludingInterest operatingIncome totalOtherIncomeExpensesNet incomeBeforeTax "
    "incomeTaxExpense netIncomeFromContinuingOperations netIncomeFromDiscontinuedOperations "
    "otherAdjustmentsToNetIncome netIncome netIncomeDeductions bottomLineNetIncome eps epsDiluted "
    "weightedAverageShsOut weightedAverageShsOutDil"
)
_BALANCE = (
    "cashAndCashEquivalents shortTermInvestments cashAndShortTermInvestments netReceivables accountsReceivables "
    "otherReceivables inventory prepaids otherCurrentAssets totalCurrentAssets propertyPlantEquipmentNet goodwill "
    "intangibleAssets goodwillAndIntangibleAssets longTermInvestments taxAssets otherNonCurrentAssets "
    "totalNonCurrentAssets otherAssets totalAssets totalPayables accountPayables otherPayables accruedExpenses "
    "shortTermDebt capitalLeaseObligationsCurrent taxPayables deferredRevenue otherCurrentLiabilities "
    "totalCurrentLiabilities longTermDebt capitalLeaseObligationsNonCurrent deferredRevenueNonCurrent "
    "deferredTaxLiabilitiesNonCurrent otherNonCurrentLiabilities totalNonCurrentLiabilities otherLiabilities "
    "capitalLeaseObligations totalLiabilities treasuryStock preferredStock commonStock retainedEarnings "
    "additionalPaidInCapital accumulatedOtherComprehensiveIncomeLoss otherTotalStockholdersEquity "
    "totalStockholdersEquity totalEquity minorityInterest totalLiabilitiesAndTotalEquity totalInvestments "
    "totalDebt netDebt"
)
_CASH_FLOW = (
    "netIncome depreciationAndAmortization deferredIncomeTax stockBasedCompensation changeInWorkingCapital "
    "accountsReceivables inventory accountsPayables otherWorkingCapital otherNonCashItems "
    "netCashProvidedByOperatingActivities investmentsInPropertyPlantAndEquipment acquisitionsNet "
    "purchasesOfInvestments salesMaturitiesOfInvestments otherInvestingActivities "
    "netCashProvidedByInvestingActivities netDebtIssuance longTermNetDebtIssuance shortTermNetDebtIssuance "
    "netStockIssuance netCommonStockIssuance commonStockIssuance commonStockRepurchased netPreferredStockIssuance "
    "netDividendsPaid commonDividendsPaid preferredDividendsPaid otherFinancingActivities "
    "netCashProvidedByFinancingActivities effectOfForexChangesOnCash netChangeInCash cashAtEndOfPeriod "
    "cashAtBeginningOfPeriod operatingCashFlow capitalExpenditure freeCashFlow incomeTaxesPaid interestPaid"
)
_STATEMENT = {
    "date": "text",
    "symbol": "text",
    "reportedCurrency": "text",
    "cik?": "text|null",
    "filingDate": "text",
    "acceptedDate": "text|null",
    "fiscalYear": "text",
    "period": "text",
    "link?": "text|null",
    "finalLink?": "text|null",
}


def _statement(name: str, fields: str) -> Shape:
    return Shape(name, [_STATEMENT | {f"{field}?": "number|null" for field in fields.split()}])


SHAPES = {
    "income": _statement("income", _INCOME),
    "balance": _statement("balance", _BALANCE),
    "cash_flow": _statement("cash_flow", _CASH_FLOW),
    "bars": Shape("bars", [{**_BARS, "vwap?": "number|null"}]),
    "splits": Shape(
        "splits",
        [{"symbol": "text", "date": "text", "numerator": "number", "denominator": "number", "splitType?": "text|null"}],
    ),
    "dividends": Shape(
        "dividends",
        [
            {
                "symbol": "text",
                "date": "text",
                "adjDividend": "number",
                "dividend?": "number|null",
                "recordDate?": "text|null",
                "paymentDate?": "text|null",
                "declarationDate?": "text|null",
                "yield?": "number|null",
                "frequency?": "text|null",
            }
        ],
    ),
}
# The rows of the older api/v3, which is not fetched any more.
EARLIER_BARS = Shape(
    "bars",
    [
        {
            "date": "text",
            **_PRICES,
            "adjClose": "number|null",
            "unadjustedVolume?": "number|null",
            "change?": "number|null",
            "changePercent?": "number|null",
            "vwap?": "number|null",
            "label?": "text|null",
            "changeOverTime?": "number|null",
        }
    ],
)
