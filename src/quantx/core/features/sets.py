"""The registry of feature sets. A new feature is one entry in its set; a new set is one line here."""

from __future__ import annotations

from quantx.core.features.alpha158 import ALPHA158
from quantx.core.features.cross_section import CROSS_SECTION
from quantx.core.features.feature import FeatureSet
from quantx.core.features.fundamental import FUNDAMENTAL
from quantx.core.features.labels import LABELS
from quantx.core.features.minute import MINUTE
from quantx.core.features.options import OPTIONS
from quantx.core.features.technical import TECHNICAL

SETS: dict[str, FeatureSet] = {
    each.name: each for each in (TECHNICAL, ALPHA158, FUNDAMENTAL, CROSS_SECTION, LABELS, MINUTE, OPTIONS)
}
