"""The log of commands that move data."""

from __future__ import annotations

import logging
import sys

import structlog

from quantx.tracing import add_trace


def configure_logging(level: str = "WARNING") -> None:
    """Log events to stderr: for people on a terminal, as JSON elsewhere."""
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.PrintLogger(
            sys.stderr
        ),  # the current stderr, which a caller may have replaced
    )
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # its lines repeat our errors
