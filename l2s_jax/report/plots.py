"""Draw the bars, the confusions, the region effects and the dependence of an evaluation. Our own design."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle

from l2s_jax.report.heat_map import Cell, Labels, colour_scale, heat_map
from l2s_jax.report.svg import BLUE, CARD, INK, MUTED, PLUM, TEAL, Drawing, canvas, draw, short, style

_MANY = 12
"""Names above which those of the columns are tilted."""


def class_bars(
    scores: Mapping[str, tuple[float | None, float | None]], colors: Mapping[str, str], mean: float | None
) -> Drawing:
    """Draw F1 (thick) and IoU (thin, pale) of every class.

    Args:
      scores: (F1, IoU) by class name, each in [0, 1], or None if the class does not occur.
      colors: `#rrggbb` by class name; classes without one are grey.
      mean: mean F1, drawn as a line, or None.
    """
    step, left, width = 34, 108, 1040
    height = len(scores) * step + 52
    with style():
        figure, axes = canvas(width, height, (left, 24, 46, 28))
        for y, (name, (f1, iou)) in enumerate(scores.items()):
            color = colors.get(name, MUTED)
            axes.text(-0.012, y, short(name, 14), ha="right", va="center", color=INK)
            for value, top, thick, alpha, size in ((f1, -0.34, 0.36, 1, 12), (iou, 0.08, 0.22, 0.5, 10.5)):
                if value is None:
                    axes.text(0.006, y, "none in the data", va="center", color=MUTED, fontsize=10)
                    break
                axes.add_patch(Rectangle((0, y + top), value, thick, facecolor=color, alpha=alpha))
                axes.add_patch(Rectangle((0, y + top), value, thick, fill=False, edgecolor=MUTED, linewidth=0.5))
                tint = INK if alpha == 1 else MUTED
                halo = {"facecolor": CARD, "edgecolor": "none", "pad": 1}  # the mean line passes behind the number
                place = (value + 0.006, y + top + thick / 2)
                axes.text(*place, f"{value:.3f}", va="center", color=tint, fontsize=size, bbox=halo)
        if mean is not None:
            axes.axvline(mean, color=INK, linewidth=1.2, dashes=(3, 3), zorder=0)
            axes.text(mean, -0.72, f"mean F1 {mean:.3f}", ha="center", va="center", fontsize=11)
        axes.set(xlim=(0, 1), ylim=(len(scores) - 0.5, -0.55), yticks=[], xticks=np.linspace(0, 1, 6))
        axes.grid(axis="x")
        axes.spines[["left", "bottom"]].set_visible(False)
        return draw(figure, "F1 and IoU of every class")


def confusion(matrix: np.ndarray, names: Sequence[str]) -> Drawing:
    """Draw the confusion matrix, each row as fractions of its sum.

    Args:
      matrix: int64 [K, K] pixel counts, rows = truth, columns = prediction.
      names: K class names.
    """
    labels = Labels("truth", "prediction", "confusion matrix")
    return heat_map(_per_cent(matrix), names, BLUE, labels, small=len(names) > _MANY)


def region_effect(effect: np.ndarray, names: Sequence[str], title: str) -> Drawing:
    """Draw the effect of noise on each slice, each row as fractions of its sum, with the sum beside it.

    Args:
      effect: float64 [K, K], rows = slices, columns = regions.
      names: K region names.
      title: description for readers who do not see the drawing.
    """
    notes = [f"{value:.2g}" for value in np.nansum(effect, axis=1)]
    labels = Labels("slice", "changes in region", title, ("sum", *notes))
    return heat_map(_per_cent(effect), names, TEAL, labels, small=True)


def effect_scale() -> Drawing:
    """Draw the colour scale of all region effects."""
    return colour_scale(TEAL, ("0 %", "100 %"), "colour scale from 0 to 100 per cent of a row")


def dependence(
    pairs: np.ndarray, names: Sequence[str], beside: Mapping[str, float], chance: float | None, title: str
) -> Drawing:
    """Draw the dependence between all pairs of slices; in brackets what is not above chance.

    Args:
      pairs: float64 [K, K], at most 1, below 0 by noise alone; the diagonal, 1 by definition, is left blank.
      names: K names of the slices.
      beside: named values of the same measure, drawn below in the same shades.
      chance: the value that a pair must exceed, or None.
      title: description for readers who do not see the drawing.
    """

    def cell(row: int, column: int) -> Cell:
        value = pairs[row, column]
        if row == column:
            return Cell(np.nan, "")
        within = chance is not None and value <= chance
        return Cell(value, f"({value:.3f})" if within else f"{value:.3f}", quiet=within)

    size = range(len(names))
    below = [(name, Cell(value, f"{value:.3f}")) for name, value in beside.items()]
    labels = Labels("slice", "and slice", title, below=below)
    return heat_map([[cell(r, c) for c in size] for r in size], names, PLUM, labels, small=True)


def dependence_scale() -> Drawing:
    """Draw the colour scale of all matrices of dependence."""
    return colour_scale(PLUM, ("0", "1"), "colour scale from 0, independent, to 1")


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Divide rows by their sums: float64, NaN in rows whose sum is not positive and finite."""
    values = np.asarray(matrix, np.float64)
    sums = values.sum(axis=1, keepdims=True)
    known = np.broadcast_to(np.isfinite(sums) & (sums > 0), values.shape)
    return np.divide(values, sums, out=np.full_like(values, np.nan), where=known)


def _per_cent(matrix: np.ndarray) -> list[list[Cell]]:
    """Return cells of each row's shares of its sum, in per cent."""
    return [[_share(value) for value in row] for row in row_shares(matrix)]


def _share(share: float) -> Cell:
    percent = 100 * share
    if not np.isfinite(share):
        return Cell(share, "–")
    text = "·" if percent < 0.05 else f"{percent:.1f}" if percent < 99.95 else "100"
    return Cell(share, text, quiet=share < 0.01)
