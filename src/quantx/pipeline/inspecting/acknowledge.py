"""Acknowledge findings: they are closed, stay on record with a reason, and the lake publishes their new status."""

from __future__ import annotations

from collections.abc import Sequence

from quantx.errors import ConfigError
from quantx.pipeline.inspecting.published import publish_findings
from quantx.pipeline.runtime.platform import Platform


def acknowledge(platform: Platform, ids: Sequence[int], by: str, reason: str) -> int:
    """Acknowledge findings, and publish all findings; return how many changed.

    Raises ConfigError where the reason is empty, or where none of them exists and is not acknowledged yet.
    """
    if not reason.strip():
        raise ConfigError("--reason is empty; give the reason for the record")
    closed = [each for each in ids if platform.state.findings.close(each, "acknowledged", by, reason)]
    if not closed:
        named = f"finding {ids[0]}, or it is" if len(ids) == 1 else "such finding, or they are"
        raise ConfigError(f"no {named} already acknowledged; `quantx findings list` lists them")
    publish_findings(platform, platform.tables)
    return len(closed)
