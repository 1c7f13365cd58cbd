"""Painting back to front in linear light, and deciding the mask from the same layers."""

import numpy as np

from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic.raster import Cover


class Canvas:
    """A linear-light picture of `size` x `size` pixels and the labelled layers it is made of.

    Attributes:
      image: float32 [3, size, size], linear light (square of the display value), 0..1 and above.
      size: side in pixels.
      upright: (cos, sin) of the head's roll; glows and grids are turned by it.
    """

    def __init__(self, size: int, upright: tuple[float, float]):
        self.size = size
        self.upright = upright
        self.image = np.zeros((3, size, size), np.float32)
        self._centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
        self._layers: list[tuple[int, Cover]] = []

    def paint(self, cover: Cover, color: np.ndarray, opacity=1.0, label: str | None = None) -> None:
        """Lays a colour ([3, 1, 1] or [3, h, w]) over the cover; `label` also claims the pixels for the mask."""
        region = self.image[:, *cover.box]
        alpha = cover.alpha if isinstance(opacity, float) and opacity == 1.0 else cover.alpha * opacity
        region += alpha * (color - region)
        if label is not None:
            self.mark(cover, label)

    def mark(self, cover: Cover, label: str) -> None:
        """Claims the pixels for a class of CELEBAMASK without painting."""
        self._layers.append((CELEBAMASK[label], cover))

    def tint(self, cover: Cover, color: np.ndarray, opacity=1.0) -> None:
        """Multiplies by a colour [3, 1, 1] where the cover is: shadow, blush, stain."""
        self.image[:, *cover.box] *= 1.0 + (cover.alpha * opacity) * (color - 1.0)

    def add(self, cover: Cover, light: np.ndarray) -> None:
        """Adds light [3, 1, 1]: a highlight."""
        self.image[:, *cover.box] += cover.alpha * light

    def grid(self, box: tuple[slice, slice], centre, rx: float, ry: float) -> tuple[np.ndarray, np.ndarray]:
        """float32 [h, w] upright coordinates (u, v) of the pixels of a box, in radii from `centre` (image sides)."""
        cos, sin = self.upright
        x = self._centres[box[1]] - np.float32(centre[0])
        y = (self._centres[box[0]] - np.float32(centre[1]))[:, None]
        u = x * np.float32(cos / rx) + y * np.float32(sin / rx)
        v = x * np.float32(-sin / ry) + y * np.float32(cos / ry)
        return u, v

    def box(self, centre, reach: float) -> tuple[slice, slice]:
        """The pixels within `reach` image sides of a point, cut at the image border."""
        low = [min(max(int((c - reach) * self.size), 0), self.size) for c in centre]
        high = [min(max(int((c + reach) * self.size) + 1, 0), self.size) for c in centre]
        return slice(low[1], high[1]), slice(low[0], high[0])

    def glow(self, centre, rx: float, ry: float) -> Cover:
        """A soft ellipse, (1 - r^2)^2: a shadow, a highlight, a stain."""
        box = self.box(centre, max(rx, ry))
        u, v = self.grid(box, centre, rx, ry)
        fade = np.maximum(1.0 - (u * u + v * v), 0.0)
        return Cover(box, fade * fade)

    def mask(self) -> np.ndarray:
        """uint8 [size, size]: the class with the largest visible share of each pixel.

        Going front to back, a layer shows where it covers and nothing before it did. Shares of one class add up, what
        nothing covers is background, and a tie goes to the lower id.
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


def within(cover: Cover, *limits: Cover) -> Cover:
    """The cover cut by other covers: coverages multiply."""
    box = tuple(
        slice(max(c.box[axis].start for c in (cover, *limits)), min(c.box[axis].stop for c in (cover, *limits)))
        for axis in (0, 1)
    )
    box = tuple(slice(b.start, max(b.stop, b.start)) for b in box)
    alpha = crop(cover, box)
    for limit in limits:
        alpha = alpha * crop(limit, box)
    return Cover(box, alpha)


def crop(cover: Cover, box: tuple[slice, slice]) -> np.ndarray:
    """The cover's alpha on a box inside its own."""
    return cover.alpha[tuple(slice(b.start - c.start, b.stop - c.start) for b, c in zip(box, cover.box, strict=True))]


def soften(cover: Cover, radius: int, shift: tuple[int, int], size: int) -> Cover:
    """A blurred copy (two box filters of 2 radius + 1 pixels) moved by (rows, columns): a cast shadow."""
    reach = 2 * radius
    rows, columns = cover.box
    low = (rows.start + shift[0] - reach, columns.start + shift[1] - reach)
    alpha = np.pad(cover.alpha, reach)
    for axis in (0, 1):
        for _ in range(2):
            alpha = _box_filter(alpha, radius, axis)
    cut = tuple(slice(max(-a, 0), max(min(size - a, n), 0)) for a, n in zip(low, alpha.shape, strict=True))
    box = tuple(slice(a + c.start, a + max(c.stop, c.start)) for a, c in zip(low, cut, strict=True))
    return Cover(box, alpha[cut])


def _box_filter(values: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Running mean along an axis; zero outside."""
    width = 2 * radius + 1
    pad = [(0, 0), (0, 0)]
    pad[axis] = (radius + 1, radius)
    total = np.cumsum(np.pad(values, pad), axis=axis)
    upper = (slice(width, None), slice(None)) if axis == 0 else (slice(None), slice(width, None))
    lower = (slice(None, -width), slice(None)) if axis == 0 else (slice(None), slice(None, -width))
    return (total[upper] - total[lower]) * np.float32(1.0 / width)
