"""Log events through Python's own logging, where a host collects its lines, as Azure Functions does."""

from __future__ import annotations

import logging

import structlog

NAME = "quantx"


def log_to_host(level: str) -> None:
    """Write events of `level` and above to Python's logging, one line of JSON each."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: logging.getLogger(NAME),
    )
    logging.getLogger(NAME).setLevel(level)
    logging.getLogger("azure").setLevel(logging.WARNING)  # its libraries log each request, and lines cost money
