"""The check that raw objects are where the settings say: with a wrong place each stored reply would seem to be lost."""

from __future__ import annotations

from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation
from quantx.state.replies.port import Replies

_SAMPLE = 3  # of the first raw objects, and of the last
RAW_STEP = "set QUANTX_RAW_URL to the place where they are (without it: raw/ in the lake), or restore them there"


def confirm_raw(location: LakeLocation, replies: Replies) -> None:
    """Open the place of raw objects; ConfigError where none of the first and the last that have landed lies there.

    One that is there is enough: single missing ones are damage, which `quantx verify` finds.
    """
    where, paths = raw_url(location), replies.first_and_last_objects(_SAMPLE)
    if not paths or any(location.has(path) for path in reversed(paths)):
        return
    raise ConfigError(f"the raw objects that the state has recorded are not in {where}, as {paths[-1]}; {RAW_STEP}")


def raw_url(location: LakeLocation) -> str:
    """Return the URL of the place of raw objects, which is opened for that."""
    return location.raw.url if location.raw is not location else f"{location.url}/raw"
