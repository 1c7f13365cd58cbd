"""Exact area coverage of closed polygons.

Signed-area accumulation: every edge is cut at the pixel grid, each piece adds the area to its right inside its pixel,
and a running sum along the row spreads it to the pixels further right. All polygons of a drawing go through the same
vectorised pass, each into the buffer of its own bounding box.
"""

from typing import NamedTuple

import numpy as np

from input_pipeline.synthetic.sketch import Drawing, neighbours


class Cover(NamedTuple):
    """Coverage of one part inside its bounding box.

    Attributes:
      box: (rows, columns) slices of the image.
      alpha: float32 [h, w] in [0, 1], the covered share of each pixel.
    """

    box: tuple[slice, slice]
    alpha: np.ndarray


def rasterise(drawing: Drawing, size: int) -> dict[str, Cover]:
    """Compute the coverage of every part on a `size` x `size` image; a part outside the image has an empty box."""
    x, y = drawing.vertices * size
    following = neighbours(drawing.ring_sizes)
    x_end, y_end = x[following], y[following]
    part = np.repeat(drawing.ring_part, drawing.ring_sizes)
    sign = np.repeat(_orientation(x * y_end - x_end * y, drawing.ring_sizes) * drawing.ring_sign, drawing.ring_sizes)

    part_starts = np.flatnonzero(np.diff(part, prepend=-1))
    left, width = _span(x, part_starts, size)
    top, height = _span(y, part_starts, size)
    stride = width + 2  # one column for what lies right of the box, one for its overflow
    cells = height * stride
    offset = np.cumsum(cells) - cells
    boxes = np.stack([left, width, top, height, offset, stride])

    row, y0, y1, x0, x1, edge = _cut(y, y_end, x, x_end)
    _, _, y_min, h, _, _ = boxes[:, part[edge]]
    row = row - y_min
    kept = (row >= 0) & (row < h)  # the rest lies above or below the image
    row, edge = row[kept], edge[kept]
    column, x0, x1, y0, y1, piece = _cut(x0[kept], x1[kept], y0[kept], y1[kept])
    edge = edge[piece]
    x_min, w, _, _, at, step = boxes[:, part[edge]]
    rise = (y1 - y0) * sign[edge]
    # Left of the box (of the image) an edge covers the entire row, beyond the right border nothing.
    spill = 0.5 * (x0 + x1) - column
    column = column - x_min
    spill[(column < 0) | (column >= w)] = 0.0
    cell = at + row[piece] * step + np.minimum(np.maximum(column, 0), w)
    total = int(cells.sum()) + 1
    spill *= rise
    area = np.bincount(np.concatenate([cell, cell + 1]), np.concatenate([rise - spill, spill]), total)
    # A closed contour rises as much as it falls in every row, so one running sum serves all rows of all parts.
    np.cumsum(area, out=area)
    alpha = area.astype(np.float32)
    np.minimum(np.abs(alpha, out=alpha), 1.0, out=alpha)
    covers = {}
    for name, (x0, w, y0, h, at, step) in zip(drawing.parts, boxes.T.tolist(), strict=True):
        pixels = alpha[at : at + h * step].reshape(h, step)[:, :w]
        covers[name] = Cover((slice(y0, y0 + h), slice(x0, x0 + w)), pixels)
    return covers


def _span(values: np.ndarray, starts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return int [parts]: first pixel and number of pixels that each part touches along one axis of the image."""
    low = np.clip(np.floor(np.minimum.reduceat(values, starts)), 0, size).astype(np.int64)
    high = np.clip(np.ceil(np.maximum.reduceat(values, starts)), 0, size).astype(np.int64)
    return low, np.maximum(high - low, 0)


def _orientation(cross: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return float64 [R]: +1 or -1 such that every ring encloses positive area, whichever way it was drawn."""
    return np.where(np.add.reduceat(cross, np.cumsum(sizes) - sizes) < 0.0, -1.0, 1.0)


def _cut(a0, a1, b0, b1):
    """Cut segments (a, b) at every integer that `a` crosses.

    Returns:
      cell: int [P], the unit interval of `a` that each piece lies in.
      a0, a1, b0, b1: float64 [P] ends of the pieces.
      source: int [P], the segment each piece comes from.
    """
    first, last = np.floor(a0), np.floor(a1)
    step = np.sign(last - first)
    counts = np.abs(last - first).astype(np.int64) + 1
    run = a1 - a0
    slope = (b1 - b0) / np.where(run == 0.0, 1.0, run)
    source = np.repeat(np.arange(len(a0)), counts)
    k = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    a0, a1, b0, b1, first, step, slope, final = np.stack([a0, a1, b0, b1, first, step, slope, counts - 1.0])[:, source]
    cell = first + k * step
    opens, closes = k == 0, k == final
    start = np.where(opens, a0, cell + (step < 0))
    stop = np.where(closes, a1, cell + (step > 0))
    side_start = np.where(opens, b0, b0 + (start - a0) * slope)
    side_stop = np.where(closes, b1, b0 + (stop - a0) * slope)
    return cell.astype(np.int64), start, stop, side_start, side_stop, source
