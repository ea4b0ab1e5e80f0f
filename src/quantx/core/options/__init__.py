"""Options without I/O: symbols and contracts, expirations, forward prices, implied volatilities and greeks."""
