"""Explanations: why a value is what it is, or why there is none.

`subject` names what is explained and reads the rows about it, `reply`, `rules`, `adjustment` and `findings` each find a
part of the evidence for any row with the columns `source`, `raw` and `known_from`, and `explanation` has the result.
"""

from quantx.reader.explain.explanation import Explanation

__all__ = ["Explanation"]
