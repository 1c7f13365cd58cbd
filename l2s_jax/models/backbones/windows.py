"""Shifted windows: partition of a feature map for local attention, and its inverse (Swin, arXiv 2103.14030).

Everything but the partition itself is plain numpy over the static sizes of the map.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

MASKED = -100.0
"""Added to the attention logit between tokens that are adjacent only by the cyclic shift (published: not -inf)."""


@dataclasses.dataclass(frozen=True)
class ShiftedWindows:
    """Partition of a map into square windows.

    Attributes:
      height: rows of the map.
      width: columns of the map.
      window: side of a window. The map is padded with zeros at its end to a multiple of it.
      shift: rows and columns by which the map is rolled before it is divided; a direction in which a single window
        covers the padded map is not rolled.
    """

    height: int
    width: int
    window: int
    shift: int

    @property
    def grid(self) -> tuple[int, int]:
        """Return the number of windows from top to bottom and from left to right."""
        return -(-self.height // self.window), -(-self.width // self.window)

    @property
    def shifts(self) -> tuple[int, int]:
        """Return the numbers of rows and columns by which the map is actually rolled."""
        rows, columns = (self.shift if count > 1 else 0 for count in self.grid)
        return rows, columns

    def split(self, x: jax.Array) -> jax.Array:
        """Divide a map [B, H, W, C] into windows [B, N, window * window, C]."""
        (rows, columns), side = self.grid, self.window
        bottom, right = rows * side - self.height, columns * side - self.width
        x = jnp.pad(x, ((0, 0), (0, bottom), (0, right), (0, 0)))
        if any(self.shifts):
            x = jnp.roll(x, (-self.shifts[0], -self.shifts[1]), axis=(1, 2))
        x = x.reshape(x.shape[0], rows, side, columns, side, x.shape[-1]).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(x.shape[0], rows * columns, side * side, x.shape[-1])

    def join(self, windows: jax.Array) -> jax.Array:
        """Join windows [B, N, window * window, C] to a map [B, H, W, C]; the inverse of `split`."""
        (rows, columns), side = self.grid, self.window
        x = windows.reshape(windows.shape[0], rows, columns, side, side, windows.shape[-1])
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape[0], rows * side, columns * side, x.shape[-1])
        if any(self.shifts):
            x = jnp.roll(x, self.shifts, axis=(1, 2))
        return x[:, : self.height, : self.width]

    def regions(self) -> np.ndarray | None:
        """Return int32 [N, window * window], equal for tokens that are neighbours in the map; None if all are."""
        if not any(self.shifts):
            return None
        rows, columns = (self._regions(*pair) for pair in zip(self.grid, self.shifts, strict=True))
        both = 3 * rows[:, None, :, None] + columns[None, :, None, :]
        return both.reshape(rows.shape[0] * columns.shape[0], -1)

    def _regions(self, count: int, shift: int) -> np.ndarray:
        """Return int32 [count, window] in one direction: 0 before the last window, 1 in it, 2 rolled in."""
        at = np.arange(count * self.window)
        if shift == 0:
            return np.zeros((count, self.window), np.int32)
        last, rolled = at >= at.size - self.window, at >= at.size - shift
        return (last.astype(np.int32) + rolled).reshape(count, self.window)


def separated(regions: np.ndarray) -> jax.Array:
    """Convert `ShiftedWindows.regions` [N, T] to float32 [1, N, 1, T, T], to add to logits [B, N, heads, T, T]."""
    apart = jnp.asarray(regions)[:, :, None] != jnp.asarray(regions)[:, None, :]
    return jnp.where(apart, MASKED, 0.0)[None, :, None]


def pairwise(table: jax.Array, window: int) -> jax.Array:
    """Expand a table over relative positions to all pairs of tokens of a window.

    Two small products with one-hot matrices replace a gather, whose gradient would be a scatter.

    Args:
      table: [2 * window - 1, 2 * window - 1, heads], by row and column of the query minus those of the key, plus
        window - 1.
      window: side of a window.

    Returns:
      [heads, window * window, window * window], query before key; exact values of the table.
    """
    at = np.arange(window)
    offset = at[:, None] - at[None, :] + window - 1
    pick = jnp.asarray(offset[..., None] == np.arange(2 * window - 1), table.dtype)
    spread = jnp.einsum("qkr,pjc,rch->hqpkj", pick, pick, table, precision=jax.lax.Precision.HIGHEST)
    return spread.reshape(table.shape[-1], window**2, window**2)


def relative_positions(window: int) -> np.ndarray:
    """Return, for each pair of tokens, the row of the flattened table that `pairwise` uses, int64 [window^4]."""
    side = 2 * window - 1
    at = np.stack(np.meshgrid(np.arange(window), np.arange(window), indexing="ij"), -1).reshape(-1, 2)
    offset = at[:, None] - at[None, :] + window - 1
    return (offset[..., 0] * side + offset[..., 1]).reshape(-1)
