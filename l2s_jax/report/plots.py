"""Draw the bar charts and heat maps of an evaluation. Our own design."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle

from l2s_jax.report.svg import BLUE, CARD, GRID, INK, MUTED, ON_FILL, TEAL, Drawing, canvas, draw, short, style


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
    return _heat_map(row_shares(matrix), names, BLUE, "truth", "prediction", (), "confusion matrix")


def region_effect(effect: np.ndarray, names: Sequence[str]) -> Drawing:
    """Draw the effect of noise on each slice, each row as fractions of its sum, with the sum beside it.

    Args:
      effect: float64 [K, K], rows = slices, columns = regions.
      names: K region names.
    """
    sums = np.nansum(effect, axis=1)
    notes = [f"{value:.2g}" for value in sums]
    return _heat_map(row_shares(effect), names, TEAL, "slice", "changes in region", ("sum", *notes), "region effect")


def row_shares(matrix: np.ndarray) -> np.ndarray:
    """Divide rows by their sums: float64, NaN in rows whose sum is not positive and finite."""
    values = np.asarray(matrix, np.float64)
    sums = values.sum(axis=1, keepdims=True)
    known = np.broadcast_to(np.isfinite(sums) & (sums > 0), values.shape)
    return np.divide(values, sums, out=np.full_like(values, np.nan), where=known)


def _heat_map(
    shares: np.ndarray, names: Sequence[str], color: str, rows: str, columns: str, notes: Sequence[str], title: str
) -> Drawing:
    """Draw cells shaded and labelled by fraction; `notes` (a heading and one text a row) go to the right."""
    count = len(names)
    tilted = count > 12
    cell_width, cell_height = (42, 32) if tilted else (78, 46)
    left, top, right = 116, 110 if tilted else 66, 62 if notes else 6
    with style():
        size = (left + count * cell_width + right, top + count * cell_height + 6)
        figure, axes = canvas(*size, (left, top, right, 6))
        for (r, c), share in np.ndenumerate(shares):
            _draw_cell(axes, r, c, share, color, small=tilted)
        tilt = {"rotation": 38, "ha": "left", "va": "bottom"} if tilted else {"ha": "center", "va": "bottom"}
        for i, name in enumerate(names):
            axes.text(-0.62, i, short(name, 13), ha="right", va="center")
            axes.text(i, -0.62, short(name, 10), **tilt)
        above = -0.62 - (66 if tilted else 24) / cell_height
        axes.text(-0.62, above, f"{rows} ↓", color=MUTED, ha="right", va="bottom", fontsize=11)
        axes.text(-0.46, above, f"{columns} →", color=MUTED, ha="left", va="bottom", fontsize=11)
        for y, note in enumerate(notes, start=-1):
            height = -0.62 if y < 0 else y
            axes.text(count - 0.36, height, note, color=MUTED, va="bottom" if y < 0 else "center", fontsize=11)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
        axes.axis("off")
        return draw(figure, title)


def _draw_cell(axes, row: int, column: int, share: float, color: str, small: bool) -> None:
    """Draw one cell. It is shaded by opacity, so that zero looks like the page, light or dark."""
    known = np.isfinite(share)
    box = {"xy": (column - 0.47, row - 0.46), "width": 0.94, "height": 0.92}
    axes.add_patch(Rectangle(**box, facecolor=GRID, alpha=0.35))
    if known:
        axes.add_patch(Rectangle(**box, facecolor=color, alpha=float(np.clip(share, 0, 1))))
    percent = 100 * share
    text = "–" if not known else "·" if percent < 0.05 else f"{percent:.1f}" if percent < 99.95 else "100"
    tint = ON_FILL if known and share > 0.75 else INK if known and share >= 0.01 else MUTED
    axes.text(column, row, text, ha="center", va="center", color=tint, fontsize=10 if small else 12)
