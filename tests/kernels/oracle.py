"""The convolution and its gradients in float64 numpy, written from the definition, with rigorous error bounds."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """One layer: x [B, H, W, C], w [kh, kw, C, K], its staircase, strides and padding ((lo, hi), (lo, hi))."""

    name: str
    x_shape: tuple[int, int, int, int]
    w_shape: tuple[int, int, int, int]
    visible: tuple[int, ...]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def y_shape(self):
        (kh, kw, _, out_channels), (sh, sw) = self.w_shape, self.strides
        height, width = (n + lo + hi for n, (lo, hi) in zip(self.x_shape[1:3], self.padding, strict=True))
        return (self.x_shape[0], (height - kh) // sh + 1, (width - kw) // sw + 1, out_channels)


def mask(case):
    return np.array([[c < v for v in case.visible] for c in range(case.w_shape[2])])


def products(case, x, w, dy):
    """Returns (y, dx, dw) in float64 for inputs of any dtype."""
    x, w, dy = (np.asarray(a, np.float64) for a in (x, w, dy))
    w = np.where(mask(case), w, 0)
    (top, bottom), (left, right) = case.padding
    xp = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    (sh, sw), (_, out_h, out_w, _) = case.strides, case.y_shape
    y, dxp, dw = np.zeros(case.y_shape), np.zeros_like(xp), np.zeros(case.w_shape)
    for p in range(case.w_shape[0]):
        for q in range(case.w_shape[1]):
            window = np.s_[:, p : p + sh * (out_h - 1) + 1 : sh, q : q + sw * (out_w - 1) + 1 : sw]
            y += xp[window] @ w[p, q]
            dxp[window] += dy @ w[p, q].T
            dw[p, q] = np.where(mask(case), np.einsum("bijc,bijk->ck", xp[window], dy), 0)
    return y, dxp[:, top : top + x.shape[1], left : left + x.shape[2]], dw


def reduction_lengths(case):
    """Returns how many products are summed for one element of (y, dx, dw), at most."""
    kh, kw, in_channels, out_channels = case.w_shape
    batch, out_h, out_w, _ = case.y_shape
    return kh * kw * in_channels, kh * kw * out_channels, batch * out_h * out_w


def bounds(case, x, w, dy, dtype, accumulator=np.float32):
    """Returns elementwise error bounds of (y, dx, dw).

    A sum of n products in any order errs by at most n·u / (1 − n·u) times the sum of their magnitudes, with u the
    accumulator's unit roundoff (Higham, Accuracy and Stability of Numerical Algorithms, §3.1); rounding the result to
    `dtype` adds one unit roundoff of its magnitude. bfloat16 products are exact in float32.
    """
    unit = np.finfo(accumulator).eps / 2
    rounding = {"bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}[str(dtype)]
    magnitudes = products(case, *(np.abs(np.asarray(a, np.float64)) for a in (x, w, dy)))
    exact = products(case, x, w, dy)
    return tuple(
        n * unit / (1 - n * unit) * m + rounding * (1 + n * unit) * np.abs(e) + rounding * n * unit * m
        for n, m, e in zip(reduction_lengths(case), magnitudes, exact, strict=True)
    )
