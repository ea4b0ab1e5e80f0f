"""QuantX Data Builder: market data that one quant owns and can trust."""

__version__ = "0.1.0"
