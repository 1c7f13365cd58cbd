"""The canvas: painting back to front in linear light, and the mask from the same layers."""

import numpy as np

from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic.raster import Cover


class Canvas:
    """A linear-light image of `size` x `size` pixels and its labelled layers.

    Attributes:
      image: float32 [3, size, size], linear light (square of the display value), 0..1 and above.
      size: side in pixels.
      centres: float32 [size], pixel centres in image sides.
      upright: (cos, sin) of the head's roll; glows and grids are rotated by it.
    """

    def __init__(self, size: int, upright: tuple[float, float]):
        self.size = size
        self.upright = upright
        self.image = np.zeros((3, size, size), np.float32)
        self.centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        self._layers: list[tuple[int, Cover]] = []

    def paint(self, cover: Cover, color: np.ndarray, opacity=None, label: str | None = None) -> None:
        """Paint a colour ([3, 1, 1] or [3, h, w]) over the cover; `label` also claims the pixels for the mask."""
        region = self.image[:, *cover.box]
        alpha = cover.alpha if opacity is None else cover.alpha * opacity
        region += alpha * (color - region)
        if label is not None:
            self.mark(cover, label)

    def mark(self, cover: Cover, label: str) -> None:
        """Claim the pixels for a class of CELEBAMASK without painting."""
        self._layers.append((CELEBAMASK[label], cover))

    def tint(self, cover: Cover, color: np.ndarray, opacity=1.0) -> None:
        """Multiply by a colour [3, 1, 1] within the cover: shadow, blush, stain."""
        self.image[:, *cover.box] *= 1.0 + (cover.alpha * opacity) * (color - 1.0)

    def add(self, cover: Cover, light: np.ndarray) -> None:
        """Add light [3, 1, 1] within the cover: a highlight."""
        self.image[:, *cover.box] += cover.alpha * light

    def grid(self, box: tuple[slice, slice], centre, rx: float, ry: float) -> tuple[np.ndarray, np.ndarray]:
        """Return upright coordinates (u, v) of a box's pixels, float32 [h, w], in radii from `centre` (image sides)."""
        cos, sin = self.upright
        # Python floats take the arrays' float32; numpy scalars would promote them.
        x = self.centres[box[1]] - float(centre[0])
        y = (self.centres[box[0]] - float(centre[1]))[:, None]
        u = x * (cos / rx) + y * (sin / rx)
        v = x * (-sin / ry) + y * (cos / ry)
        return u, v

    def box(self, centre, reach: float) -> tuple[slice, slice]:
        """Return the box of pixels within `reach` image sides of a point, clipped at the image border."""
        low = [min(max(int((c - reach) * self.size), 0), self.size) for c in centre]
        high = [min(max(int((c + reach) * self.size) + 1, 0), self.size) for c in centre]
        return slice(low[1], high[1]), slice(low[0], high[0])

    def glow(self, centre, rx: float, ry: float) -> Cover:
        """Return a soft ellipse, (1 - r^2)^2: a shadow, a highlight, a stain."""
        box = self.box(centre, max(rx, ry))
        u, v = self.grid(box, centre, rx, ry)
        fade = np.maximum(1.0 - (u * u + v * v), 0.0)
        return Cover(box, fade * fade)

    def mask(self) -> np.ndarray:
        """Return the mask, uint8 [size, size]: the class with the largest visible share of each pixel.

        From front to back, a layer is visible where it covers and no earlier one did. Shares of one class add up,
        pixels without any cover are background, and a tie goes to the lower id.
        """
        shares: dict[int, np.ndarray] = {}
        free = np.ones((self.size, self.size), np.float32)
        for label, (box, alpha) in reversed(self._layers):
            seen = alpha * free[box]
            shares.setdefault(label, np.zeros_like(free))[box] += seen
            free[box] -= seen
        best = shares.pop(0, 0.0) + free
        mask = np.zeros(free.shape, np.uint8)
        for label in sorted(shares):
            wins = shares[label] > best
            np.copyto(best, shares[label], where=wins)
            mask[wins] = label
        return mask


def within(cover: Cover, limit: Cover) -> Cover:
    """Return the cover clipped by another one: coverages multiply."""
    (rows, columns), (other_rows, other_columns) = cover.box, limit.box
    rows, columns = _overlap(rows, other_rows), _overlap(columns, other_columns)
    box = (rows, columns)
    return Cover(box, cover.alpha[inside(box, cover.box)] * limit.alpha[inside(box, limit.box)])


def inside(box: tuple[slice, slice], outer: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return the box in the coordinates of a box that contains it."""
    (rows, columns), (y, x) = box, (outer[0].start, outer[1].start)
    return slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x)


def soften(cover: Cover, radius: int, shift: tuple[int, int], size: int) -> Cover:
    """Return a copy averaged over 2 radius + 1 pixels each way and moved by (rows, columns): a cast shadow."""
    (rows, columns), (h, w), n = cover.box, cover.alpha.shape, 2 * radius + 1
    total = np.zeros((h + 2 * n - 1, w + 2 * n - 1), np.float32)
    total[n : n + h, n : n + w] = cover.alpha
    for axis in (0, 1):
        total.cumsum(axis=axis, out=total)
        ahead, behind = (total[n:], total[:-n]) if axis == 0 else (total[:, n:], total[:, :-n])
        total = ahead - behind
    total *= np.float32(1.0 / (n * n))
    box = (slice(rows.start + shift[0] - radius, rows.stop + shift[0] + radius),
           slice(columns.start + shift[1] - radius, columns.stop + shift[1] + radius))  # fmt: skip
    frame = slice(0, size)
    seen = (_overlap(box[0], frame), _overlap(box[1], frame))
    return Cover(seen, total[inside(seen, box)])


def _overlap(first: slice, second: slice) -> slice:
    """Return the overlap of two ranges; without overlap an empty range with a start inside the first."""
    start = min(max(first.start, second.start), first.stop)
    return slice(start, max(min(first.stop, second.stop), start))
