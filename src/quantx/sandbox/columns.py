"""The columns of bars: their names and types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FIELDS = ("open", "high", "low", "close", "volume")
