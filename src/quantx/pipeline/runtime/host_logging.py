"""Events of the services where a host collects the lines of Python's own logging, as Functions does."""

from __future__ import annotations

import logging

import structlog

NAME = "quantx"


def log_to_host(level: str) -> None:
    """Hand events to Python's logging as one line of JSON each, from `level` on."""
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
    logging.getLogger("azure").setLevel(logging.WARNING)  # its libraries tell of each request, and lines cost money
