"""The scaled complementary error function and the normal distribution, over arrays.

Source: W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969), with the
coefficients of CALERF (netlib specfun). The relative error is below 1e-14 in the range that options need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SMALL, _LARGE = 0.46875, 4.0
# Numerators and denominators in descending powers.
_ERF = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (
        *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1),
        *(2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3),
        1.23033935479799725e3,
    ),
    (
        *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3),
        *(3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
    ),
)
_TAIL = (
    (
        *(1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1),
        *(1.60837851487422766e-2, 6.58749161529837803e-4),
    ),
    (
        *(1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2),
        2.33520497626869185e-3,
    ),
)
_INVERSE_ROOT_PI = 5.6418958354775628695e-1
_ROOT_HALF = 0.70710678118654752440
_INVERSE_ROOT_TWO_PI = 0.39894228040143267794


def erfcx(x: Floats) -> Floats:
    """Return exp(x²) · erfc(x) of each value; infinite below -26.

    >>> erfcx(np.array([0.0, 1.0, 10.0])).round(12).tolist()
    [1.0, 0.427583576156, 0.056140992744]
    """
    size = np.abs(x)
    result = _rational(_MIDDLE, size)
    small, large = size <= _SMALL, size > _LARGE
    if small.any():
        near = x[small]
        square = near * near
        result[small] = np.exp(square) * (1.0 - near * _rational(_ERF, square))
    if large.any():
        far = size[large]
        inverse = 1.0 / (far * far)
        result[large] = (_INVERSE_ROOT_PI - inverse * _rational(_TAIL, inverse)) / far
    below = x < -_SMALL
    if below.any():
        with np.errstate(over="ignore"):
            result[below] = 2.0 * np.exp(x[below] * x[below]) - result[below]
    return result


def normal_cdf(x: Floats) -> Floats:
    """Return the standard normal distribution function of each value.

    >>> normal_cdf(np.array([0.0, -1.959963984540054])).round(12).tolist()
    [0.5, 0.025]
    """
    size = np.abs(x)
    tail = 0.5 * np.exp(-0.5 * size * size) * erfcx(size * _ROOT_HALF)
    return np.where(x > 0, 1.0 - tail, tail)


def normal_density(x: Floats) -> Floats:
    """Return the standard normal density of each value."""
    return np.asarray(_INVERSE_ROOT_TWO_PI * np.exp(-0.5 * x * x))


def _rational(coefficients: tuple[Sequence[float], Sequence[float]], x: Floats) -> Floats:
    above, below = (_polynomial(each, x) for each in coefficients)
    above /= below
    return above


def _polynomial(coefficients: Sequence[float], x: Floats) -> Floats:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total
