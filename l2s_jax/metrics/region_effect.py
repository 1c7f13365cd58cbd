"""The region-effect matrix: how much each slice of a code changes each region of the image.

Definitions: docs/methods/latents2segments.md, "Activeness and ACS" and "Region-effect matrix".

`effects` perturbs one slice after another and sums, per batch, how much each region changes; `summary` computes
activeness-correlation scores, leakage, dead slices and DCI from the sums of a data set.

A softmax matte confines a slice's colours to the slice's region, so scores of the matted image overrate a generator:
even with random weights it scores far above chance. `effects` therefore also measures the image without the matte.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.errors import UserError, require
from input_pipeline.labels import IGNORE
from l2s_jax.losses.reconstruction import region_masks
from l2s_jax.losses.reductions import append_axes, safe_divide
from l2s_jax.metrics.factors import specialisation
from l2s_jax.types import Code, Codec, Decoded, PyTree

KINDS = ("noise", "swap", "zero")
DEAD = 0.1
"""A slice is dead if its own-region effect is below this fraction of the median slice's ..."""
GREY_LEVEL = 3 * (1 / 127.5) ** 2
"""... or if swapping it changes its own region by less than one of 256 grey levels per channel (root mean square), the
resolution of 8-bit images. In units of `Effects`: squared [-1, 1] RGB."""
SILENCE = 1e-3
"""Share of a slice's usual energy below which a position is silent."""


class Effects(NamedTuple):
    """Sums over examples; add those of batches with `jax.tree.map`. Effects are squared changes of [-1, 1] RGB.

    Slices and regions are both in the order of `Codec.classes`: K slices, K regions.

    Attributes:
      mean: float32 [K, K], row = slice, column = region: sum over examples of the mean effect per pixel of the region.
      count: float32 [K], number of examples that have the region (of the column).
      area: float32 [K, K], sum over examples of the effect summed over the pixels of the region.
      own: float32 [K], effect of a slice summed over the pixels of its own region.
      total: float32 [K], effect of a slice summed over all valid pixels (including classes without a slice) of the
        examples that have its own region.
    """

    mean: jax.Array
    count: jax.Array
    area: jax.Array
    own: jax.Array
    total: jax.Array


def effects(
    codec: Codec,
    variables: PyTree,
    image: jax.Array,
    mask: jax.Array,
    weight: jax.Array,
    rng: jax.Array,
    kind: str,
    scale: float = 1.0,
    draws: int = 4,
) -> dict[str, Effects]:
    """Compute the effects of every slice in a batch; the noise of the decoder is fixed (`Codec.decode`).

    Kinds of perturbation of slice i, and the effect D_i(p) on pixel p:
      * `noise`: adds to all positions `scale` times N(0, 1) times the channel's standard deviation over the batch where
        the slice is not silent (the paper adds 0.01 N(0, 1), whatever the scale of the code); D_i is the variance over
        `draws` draws, summed over RGB.
      * `swap`: replaces slice i by that of the next example that is not padding; D_i is the squared change. Because a
        part may move, region j is the union of the region in both masks. A batch with a single example is not counted.
      * `zero`: sets slice i to zero; D_i is the squared change.

    The codec is compiled once for all slices and all batches of one shape, if `codec` is the same object.

    Args:
      codec: codec of a system.
      variables: variables of the codec.
      image: float32 [B, H, W, 3] in [-1, 1].
      mask: int [B, H, W], ground truth; 255 = ignore: such pixels do not count.
      weight: [B], 0 = padding.
      rng: typed PRNG key of the batch; used by `noise` only.
      kind: one of KINDS.
      scale: scale of the noise, 1 = one standard deviation.
      draws: number of draws of the noise, at least 2.

    Returns:
      Effects of the batch on each view of the image: `image`, and `unmatted` if the codec has it (`Decoded`).

    Raises:
      UserError: unknown kind, or fewer than two draws of noise.
    """
    require(kind in KINDS, f"unknown kind of region effect '{kind}': choose one of {', '.join(KINDS)}")
    if kind == "noise" and draws < 2:
        raise UserError(f"the effect of noise is a variance over draws: {draws} is too few, take 2 or more")
    code = encode(codec, variables, image)
    unchanged = decode(codec, variables, code)
    mask, weight = jnp.asarray(mask), jnp.asarray(weight, jnp.float32)
    masks, valid = region_masks(mask, max(codec.classes) + 1)[:, np.asarray(codec.classes)], mask != IGNORE
    partner = next_example(weight)
    if kind == "swap":
        masks, valid = jnp.maximum(masks, masks[partner]), valid | valid[partner]
        weight = weight * (partner != jnp.arange(len(partner)))

    def change(index: int, draw: int) -> dict[str, jax.Array]:
        key = jax.random.fold_in(jax.random.fold_in(rng, index), draw)
        return _change(codec, kind, variables, code, unchanged, index, partner, weight, key, scale)

    rows: dict[str, list] = {view: [] for view in unchanged}
    for index in range(len(codec.classes)):  # not lax.map: convolutions inside control flow are slow on CPUs
        changes = [change(index, draw) for draw in range(draws if kind == "noise" else 1)]
        for view in rows:
            energy = _energy([each[view] for each in changes])
            rows[view].append(_region_sums(energy, masks, valid, weight, index))
        jax.block_until_ready(rows)  # the pictures of all slices at once are much memory
    count = _count(masks, weight)
    return {view: _effects(found, count) for view, found in rows.items()}


def _effects(rows: list, count: jax.Array) -> Effects:
    mean, area, own, total = (jnp.stack(column) for column in zip(*rows, strict=True))
    return Effects(mean=mean, count=count, area=area, own=own, total=total)


@functools.partial(jax.jit, static_argnames="codec")
def encode(codec: Codec, variables: PyTree, image: jax.Array) -> Code:
    """Encode images [B, H, W, 3] with one compiled program for all scores of a codec."""
    return codec.encode(variables, image)


@functools.partial(jax.jit, static_argnames="codec")
def decode(codec: Codec, variables: PyTree, code: Code) -> dict[str, jax.Array]:
    """Decode codes, likewise, into float32 [B, H, W, 3] each: `image`, and `unmatted` where the codec has a matte."""
    return _views(codec.decode(variables, code))


def _views(decoded: Decoded) -> dict[str, jax.Array]:
    """Return float32 [B, H, W, 3] each: the image, and the image without the matte if there is one."""
    views = {"image": decoded.image, "unmatted": decoded.unmatted}
    return {name: view.astype(jnp.float32) for name, view in views.items() if view is not None}


@functools.partial(jax.jit, static_argnames=("codec", "kind"))
def _change(codec, kind, variables, code, unchanged, index, partner, weight, key, scale) -> dict[str, jax.Array]:
    """Compute the change of every view when slice `index` is perturbed (traced: one compilation for all slices)."""
    slice_ = code.structure[:, index]
    if kind == "noise":
        changed = slice_ + scale * _deviation(slice_, weight) * jax.random.normal(key, slice_.shape, jnp.float32)
    elif kind == "swap":
        changed = slice_[partner]
    else:
        changed = jnp.zeros_like(slice_)
    code = code.replace(structure=code.structure.at[:, index].set(changed.astype(code.structure.dtype)))
    return jax.tree.map(jnp.subtract, _views(codec.decode(variables, code)), unchanged)


def _deviation(slice_: jax.Array, weight: jax.Array) -> jax.Array:
    """Compute the standard deviation of each channel over batch and positions: [B, h, w, C] -> [1, 1, 1, C].

    Silent positions do not count: their squares are below SILENCE of those where the slice speaks (the mean weighted by
    the squares themselves). A slice of a small region then deviates as far as one that covers half of the face.
    """
    weight = append_axes(weight, 4)
    energy = weight * jnp.sum(jnp.square(slice_), axis=-1, keepdims=True)
    spoken = safe_divide(jnp.sum(jnp.square(energy)), jnp.sum(energy))
    weight = jnp.broadcast_to(weight * (energy >= SILENCE * spoken), slice_.shape)
    count = jnp.sum(weight, axis=(0, 1, 2), keepdims=True)
    mean = safe_divide(jnp.sum(weight * slice_, axis=(0, 1, 2), keepdims=True), count)
    return jnp.sqrt(safe_divide(jnp.sum(weight * (slice_ - mean) ** 2, axis=(0, 1, 2), keepdims=True), count))


@jax.jit
def _energy(changes: list[jax.Array]) -> jax.Array:
    """Reduce changes [B, H, W, 3] -> [B, H, W], summed over RGB: their variance (ddof 1), or the square of one."""
    energy = jnp.square(changes[0]) if len(changes) == 1 else jnp.var(jnp.stack(changes), axis=0, ddof=1)
    return jnp.sum(energy, axis=-1)


@jax.jit
def next_example(weight: jax.Array) -> jax.Array:
    """Return the index of the next example of positive weight, cyclically, int32 [B]; its own if there is no other."""
    size = weight.shape[0]
    candidates = (jnp.arange(size)[:, None] + 1 + jnp.arange(size)[None, :]) % size
    first = jnp.argmax(weight[candidates] > 0, axis=1)
    return jnp.take_along_axis(candidates, first[:, None], axis=1)[:, 0]


@jax.jit
def _count(masks: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.sum(weight[:, None] * jnp.any(masks > 0, axis=(2, 3)), axis=0)


@jax.jit
def _region_sums(energy, masks, valid, weight, index):
    """Compute row `index` of `Effects.mean`, `.area`, `.own` and `.total` from D_i [B, H, W]."""
    size = jnp.sum(masks, axis=(2, 3))
    moved = jnp.einsum("bkhw,bhw->bk", masks, energy, precision="highest")
    everywhere = jnp.sum(valid * energy, axis=(1, 2))
    has_own = weight * (size[:, index] > 0)
    return (
        jnp.sum(weight[:, None] * safe_divide(moved, size), axis=0),
        jnp.sum(weight[:, None] * moved, axis=0),
        jnp.sum(weight * moved[:, index]),
        jnp.sum(has_own * everywhere),
    )


def matrix(effects: Effects) -> np.ndarray:
    """Return E_ij, the mean effect per pixel of slice i on region j, float64 [K, K]; 0 if no example has region j."""
    mean, count = np.asarray(effects.mean, np.float64), np.asarray(effects.count, np.float64)
    return np.divide(mean, count, out=np.zeros_like(mean), where=np.broadcast_to(count > 0, mean.shape))


def silent(swap: Effects) -> np.ndarray:
    """Return the slices whose swap changes their own region by less than GREY_LEVEL, bool [K].

    Args:
      swap: sums of the kind `swap` on the image; slices whose region no pair of faces has are never silent.
    """
    return (np.asarray(swap.count) > 0) & (np.diagonal(matrix(swap)) < GREY_LEVEL)


def summary(effects: Effects, names: Sequence[str], silent: np.ndarray | None = None) -> dict:
    """Compute the disentanglement scores of a data set, ready for JSON.

    With E the area-normalised matrix (`matrix`), over the regions that some example has:
      * `acs` = tr(A) / sum(A), with A summed over pixels instead: the paper's score, dominated by large regions.
      * `acs_area_normalised` = tr(E) / sum(E).
      * `macro_acs` = mean_i E_ii / sum_j E_ij. A dead slice scores 0 here, so that it gains nothing.
      * `total` {name: E_ii}, the own-region effect, in squared [-1, 1] RGB per pixel.
      * `leak` {name: 1 - own effect / effect on all valid pixels}, over the examples that have the region.
      * `chance`: value of all three if every slice changes all pixels equally, 1 / regions.
      * `dead_slices`: names whose own-region effect is below a tenth of the median slice's, and the `silent` ones.
      * `dci_disentanglement` = sum_i rho_i (1 - H_K(E_i. / sum_j E_ij)), rho_i = sum_j E_ij / sum(E), H_K the entropy
        to base K; `dci_completeness` the same of the transpose (Eastwood & Williams 2018).

    Args:
      effects: sums over a data set; add batches in float64.
      names: K names of the classes of the slices, in the order of `Codec.classes`.
      silent: bool [K], as from `silent`; None if no slices were swapped.

    Returns:
      Python floats, None for regions that no example has and for quotients with denominator 0.

    Raises:
      ValueError: the number of names is not K.
    """
    if len(names) != len(effects.count):
        raise ValueError(f"{len(names)} names do not fit the effects of {len(effects.count)} slices")
    seen = np.flatnonzero(np.asarray(effects.count) > 0)
    effect, area = (m[np.ix_(seen, seen)] for m in (matrix(effects), np.asarray(effects.area, np.float64)))
    own_pixels, all_pixels = (np.asarray(x, np.float64)[seen] for x in (effects.own, effects.total))
    own = np.diagonal(effect)
    dead = (own == 0) | (own < DEAD * np.median(own)) if seen.size else np.zeros(0, bool)
    dead = dead if silent is None else dead | silent[seen]
    focus = np.divide(own, effect.sum(axis=1), out=np.zeros_like(own), where=~dead)
    leak = [_quotient(all_ - own_, all_) for own_, all_ in zip(own_pixels, all_pixels, strict=True)]
    return {
        "acs": _quotient(np.trace(area), area.sum()),
        "acs_area_normalised": _quotient(np.trace(effect), effect.sum()),
        "macro_acs": float(focus.mean()) if seen.size else None,
        "chance": 1 / seen.size if seen.size else None,
        "leak": _named(leak, seen, names),
        "total": _named(own.tolist(), seen, names),
        "dead_slices": [names[k] for k in seen[dead]],
        "dci_disentanglement": specialisation(effect),
        "dci_completeness": specialisation(effect.T),
    }


def _quotient(above: float, below: float) -> float | None:
    return float(above / below) if below > 0 else None


def _named(values: Sequence[float | None], seen: np.ndarray, names: Sequence[str]) -> dict:
    known = dict(zip(seen.tolist(), values, strict=True))
    return {name: known.get(k) for k, name in enumerate(names)}
