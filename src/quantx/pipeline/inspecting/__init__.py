"""Quality checks that run when runs have ended: series, minutes, dividends, vendors, gaps."""
