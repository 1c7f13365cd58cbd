"""Draw heat maps with a number in every cell, and the colour scale that explains them. Our own design."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from l2s_jax.report.svg import GRID, INK, MUTED, ON_FILL, Drawing, canvas, draw, short, style

_DARK = 0.75
"""Shade above which lettering is light."""


class Cell(NamedTuple):
    """A cell of a heat map.

    Attributes:
      shade: opacity in [0, 1], clipped; NaN = unknown. Zero looks like the page, light or dark.
      text: what stands in it.
      quiet: the text is muted.
    """

    shade: float
    text: str
    quiet: bool = False


class Labels(NamedTuple):
    """What stands around a heat map.

    Attributes:
      rows, columns: what the rows and the columns are.
      title: description for readers who do not see the drawing.
      notes: texts to the right of the cells, a heading and one for each row; or none.
      below: named cells below the map, one a line; or none.
    """

    rows: str
    columns: str
    title: str
    notes: Sequence[str] = ()
    below: Sequence[tuple[str, Cell]] = ()


def heat_map(
    cells: Sequence[Sequence[Cell]], names: Sequence[str], color: str, labels: Labels, *, small: bool
) -> Drawing:
    """Draw a square of cells.

    Args:
      cells: K rows of K cells.
      names: K names of both rows and columns.
      color: `#rrggbb` of shade 1, one of the palette.
      labels: what stands around it.
      small: narrow cells under tilted names, for many names or several maps side by side.
    """
    count = len(names)
    width, height = (42, 32) if small else (78, 46)
    left, top, right = 116, 110 if small else 66, 62 if labels.notes else 6
    lines = count + (len(labels.below) + 0.4 if labels.below else 0)
    if small:
        right = max(right, 42)  # the last tilted name reaches beyond its column
    with style():
        figure, axes = canvas(left + count * width + right, top + lines * height + 6, (left, top, right, 6))
        for r, row in enumerate(cells):
            for c, cell in enumerate(row):
                _draw_cell(axes, r, c, cell, color, small)
        tilt = {"rotation": 38, "ha": "left", "va": "bottom"} if small else {"ha": "center", "va": "bottom"}
        for i, name in enumerate(names):
            axes.text(-0.62, i, short(name, 13), ha="right", va="center")
            axes.text(i, -0.62, short(name, 10), **tilt)
        above = -0.62 - (66 if small else 24) / height
        axes.text(-0.62, above, f"{labels.rows} ↓", color=MUTED, ha="right", va="bottom", fontsize=11)
        axes.text(-0.46, above, f"{labels.columns} →", color=MUTED, ha="left", va="bottom", fontsize=11)
        for y, note in enumerate(labels.notes, start=-1):
            place = -0.62 if y < 0 else y
            axes.text(count - 0.36, place, note, color=MUTED, va="bottom" if y < 0 else "center", fontsize=11)
        for y, (name, cell) in enumerate(labels.below):
            axes.text(-0.62, count + 0.4 + y, name, color=MUTED, ha="right", va="center", fontsize=11)
            _draw_cell(axes, count + 0.4 + y, 0, cell, color, small)
        axes.set(xlim=(-0.5, count - 0.5), ylim=(lines - 0.5, -0.5))
        axes.axis("off")
        return draw(figure, labels.title)


def colour_scale(color: str, ends: tuple[str, str], title: str) -> Drawing:
    """Draw the shades from 0 to 1 in tenths between the names of both `ends`."""
    tenths = np.linspace(0, 1, 11)
    cell, left, right = 26, 7 * len(ends[0]) + 10, 7 * len(ends[1]) + 10
    with style():
        figure, axes = canvas(left + len(tenths) * cell + right, 28, (left, 4, right, 4))
        for place, shade in enumerate(tenths):
            _draw_cell(axes, 0, place, Cell(float(shade), ""), color, small=True)
        axes.text(-0.7, 0, ends[0], ha="right", va="center", color=MUTED, fontsize=11)
        axes.text(len(tenths) - 0.3, 0, ends[1], ha="left", va="center", color=MUTED, fontsize=11)
        axes.set(xlim=(-0.5, len(tenths) - 0.5), ylim=(0.5, -0.5))
        axes.axis("off")
        return draw(figure, title)


def _draw_cell(axes: Axes, row: float, column: float, cell: Cell, color: str, small: bool) -> None:
    known = np.isfinite(cell.shade)
    box = {"xy": (column - 0.47, row - 0.46), "width": 0.94, "height": 0.92}
    axes.add_artist(Rectangle(**box, facecolor=GRID, alpha=0.35))  # add_patch would reckon the limits anew each time
    if known:
        axes.add_artist(Rectangle(**box, facecolor=color, alpha=float(np.clip(cell.shade, 0, 1))))
    tint = ON_FILL if known and cell.shade > _DARK else MUTED if cell.quiet or not known else INK
    if cell.text:
        axes.text(column, row, cell.text, ha="center", va="center", color=tint, fontsize=10 if small else 12)
