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
    """Coverage of every part of the drawing on a `size` x `size` image; a part outside the image has an empty box."""
    start = drawing.vertices * size
    end = start[neighbours(drawing.ring_sizes)]
    part = np.repeat(drawing.ring_part, drawing.ring_sizes)
    sign = np.repeat(_orientation(start, end, drawing.ring_sizes) * drawing.ring_sign, drawing.ring_sizes)

    part_starts = np.flatnonzero(np.diff(part, prepend=-1))
    low = np.clip(np.floor(np.minimum.reduceat(start, part_starts)), 0, size).astype(np.int64)
    high = np.clip(np.ceil(np.maximum.reduceat(start, part_starts)), 0, size).astype(np.int64)
    extent = np.maximum(high - low, 0)
    stride = extent[:, 0] + 2  # one column for what lies right of the box, one for its spill
    cells = extent[:, 1] * stride
    offset = np.cumsum(cells) - cells

    row, (y0, y1), (x0, x1), edge = _cut(start[:, 1], end[:, 1], start[:, 0], end[:, 0])
    column, (x0, x1), (y0, y1), piece = _cut(x0, x1, y0, y1)
    edge, row = edge[piece], row[piece]
    owner = part[edge]
    rise = (y1 - y0) * sign[edge]
    column, row = column - low[owner, 0], row - low[owner, 1]
    inside = (row >= 0) & (row < extent[owner, 1]) & (extent[owner, 0] > 0)
    # Left of the image a piece covers its whole row; right of it, nothing.
    beyond = (column < 0) | (column >= extent[owner, 0])
    spill = np.where(beyond, 0.0, 0.5 * (x0 + x1) - low[owner, 0] - column)
    column = np.clip(column, 0, extent[owner, 0])
    cell = (offset[owner] + row * stride[owner] + column)[inside]
    rise, spill = rise[inside], spill[inside]
    total = int(cells.sum()) + 1
    area = np.bincount(cell, rise * (1.0 - spill), total) + np.bincount(cell + 1, rise * spill, total)

    covers = {}
    for k, name in enumerate(drawing.parts):
        (width, height), (x, y) = extent[k].tolist(), low[k].tolist()
        strip = area[offset[k] : offset[k] + cells[k]].reshape(height, width + 2)
        alpha = np.minimum(np.abs(np.cumsum(strip, axis=1)[:, :width]), 1.0).astype(np.float32)
        covers[name] = Cover((slice(y, y + height), slice(x, x + width)), alpha)
    return covers


def _orientation(start: np.ndarray, end: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """float64 [R]: +1 or -1 such that every ring encloses positive area, whichever way it was drawn."""
    cross = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    return np.where(np.add.reduceat(cross, np.cumsum(sizes) - sizes) < 0.0, -1.0, 1.0)


def _cut(a0, a1, b0, b1):
    """Cuts segments (a, b) wherever `a` crosses an integer.

    Returns:
      cell: int [P], the unit interval of `a` that each piece lies in.
      (a0, a1), (b0, b1): float64 [P] ends of the pieces.
      source: int [P], the segment each piece comes from.
    """
    first, last = np.floor(a0), np.floor(a1)
    step = np.sign(last - first)
    counts = (np.abs(last - first) + 1).astype(np.int64)
    source = np.repeat(np.arange(len(a0)), counts)
    k = np.arange(len(source)) - np.repeat(np.cumsum(counts) - counts, counts)
    up = step[source]
    cell = first[source] + k * up
    run = a1 - a0
    slope = ((b1 - b0) / np.where(run == 0.0, 1.0, run))[source]
    a0, a1, b0, b1 = a0[source], a1[source], b0[source], b1[source]
    head, tail = k == 0, k == counts[source] - 1
    start = np.where(head, a0, cell + (up < 0))
    stop = np.where(tail, a1, cell + (up > 0))
    side_start = np.where(head, b0, b0 + (start - a0) * slope)
    side_stop = np.where(tail, b1, b0 + (stop - a0) * slope)
    return cell.astype(np.int64), (start, stop), (side_start, side_stop), source
