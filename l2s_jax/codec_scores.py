"""The scores of a codec, the autoencoder half of a system: reconstruction, region effects, separation, swaps, realism.

`Tally` adds up batches; evaluation.py feeds it every example exactly once.
"""

import functools
import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.layers.slices import descriptors
from l2s_jax.losses import independence
from l2s_jax.losses.reconstruction import region_masks
from l2s_jax.losses.reductions import append_axes
from l2s_jax.metrics import dependence, leakage, realism, reconstruction, region_effect, swap
from l2s_jax.pixels import from_bytes
from l2s_jax.training import exchange
from l2s_jax.types import Batch, Code, Codec, PyTree, unpacked

NOISE = 0.03
"""Noise for the region effects, relative to a slice's own standard deviation. The paper adds 0.01 N(0, 1) to a code of
unit length over 8 channels, whose elements have a root mean square of 0.35: about 3 %."""
DRAWS = 2
"""Noise draws per slice and batch; their variance is unbiased, and it is averaged over batches."""
UNTRAINED_EVERY = 4
"""The random generator is measured on every fourth batch, starting with the first: a quarter more decodes."""
MEAN_FACES = 128
"""The mean of ALL faces is compared with the first batches, at least this many faces: these are kept as uint8."""

PROBED = 1000
"""Most faces that leakage and dependence are measured on; leave-one-out solves a system of this size."""
TOGETHER = 400
"""Most faces that the joint dependence of all slices is measured on: its cost grows with their square and more."""
SAMPLES = ("own_frame", "with_place")
"""What the dependence between slices is measured of."""
PERMUTATIONS = 20
"""Draws of each permutation null."""


class Tally:
    """Running sums over batches.

    Args:
      codec: the codec.
      variables: exported by `System.variables`.
      rng: typed PRNG key of the noise, the random generator and the permutations.
      names: names of the classes.
      features: what realism is measured in.
    """

    def __init__(
        self,
        codec: Codec,
        variables: PyTree,
        rng: jax.Array,
        names: Sequence[str],
        features: realism.Features,
    ):
        self.codec, self.variables, self.rng, self.names = codec, variables, rng, names
        self.classes, self.slices = len(names), [names[c] for c in codec.classes]
        self.errors, self.swaps, self.colours = None, None, None
        self.features, self.probed, self.looks, self.faces = features, [], [], 0
        self.effects: dict = {}
        self.mean_face = _MeanFace(self.classes)
        self.random, self.random_effects, self.random_faces = None, {}, 0
        if codec.untrained is not None:
            key = jax.random.fold_in(rng, zlib.crc32(b"untrained") & 0x7FFFFFFF)
            self.random = _untrained(codec, variables, key)

    def add(self, number: int, batch: dict[str, np.ndarray], placed: Batch) -> None:
        """Add batch number `number`: this process's rows on the host; those of all on the devices, unpacked."""
        code = region_effect.encode(self.codec, self.variables, placed["image"])
        decoded = region_effect.decode(self.codec, self.variables, code)["image"]
        self.errors = added(self.errors, _errors(self.classes, decoded, placed))
        rows = np.flatnonzero(exchange.on_host(placed["weight"]))
        self.mean_face.add(batch, len(rows))
        self.colours = added(self.colours, _colour_sums(self.classes, placed))
        for k in range(len(self.slices)):
            self.swaps = added(self.swaps, _swap_sum(self.codec, self.variables, code, decoded, placed, k))
        looks = _looks(self.codec, self.features.of, self.variables, code, decoded, placed, self.faces)
        self.looks.append(tuple(kind[rows] for kind in exchange.on_host(looks)))
        self.faces += len(rows)
        if len(self.probed) < PROBED:
            probed = exchange.all_rows(_probed(self.codec, exchange.own_rows(code), unpacked(batch)))
            real = np.flatnonzero(exchange.all_rows(batch["weight"]))
            self.probed += [{name: value[row] for name, value in probed.items()} for row in real]
        self.effects = added(self.effects or None, self._effects(self.variables, number, placed))
        if self.random is not None and number % UNTRAINED_EVERY == 0:
            self.random_effects = added(self.random_effects or None, self._effects(self.random, number, placed))
            self.random_faces += len(rows)

    def _effects(self, variables: PyTree, number: int, batch: Batch) -> dict[str, dict]:
        """Return sums by kind and view; noise and swap partners are the same for all variables."""
        key, faces = jax.random.fold_in(self.rng, number), (batch["image"], batch["mask"], batch["weight"])
        return {
            kind: region_effect.effects(self.codec, variables, *faces, key, kind, NOISE, DRAWS)
            for kind in ("noise", "swap")
        }

    def summary(self) -> dict:
        """Return `reconstruction`, `disentanglement`, `swap` and `realism` of metrics.json (docs/architecture.md)."""
        slices = self.slices
        code = _disentanglement(self.effects, slices) | {"slices": slices, "noise": NOISE, "levels": self._levels()}
        if self.random is not None:
            random = _disentanglement(self.random_effects, slices) | {"examples": self.random_faces}
            code |= {"random_generator": random, "untrained_macro_acs": random["macro_acs"]}
        if "without_matte" in code:
            code["ungated_macro_acs"] = code["without_matte"]["macro_acs"]
        photos, *decoded = (np.concatenate(rows) for rows in zip(*self.looks, strict=True))
        errors = reconstruction.summary(self.errors, self.names) | {"mean_face": self.mean_face.summary(self.names)}
        kinds = dict(zip(("reconstructions", "swaps"), decoded, strict=True))
        return {
            "reconstruction": errors,
            "disentanglement": code | _dependence(self.probed, slices, self.rng),
            "swap": swap.summary(self.swaps, slices),
            "realism": realism.summary(self.features.name, photos, kinds),
        }

    def _levels(self) -> dict[str, dict[str, float | None]]:
        """Return what a slice does to its region in grey levels of 255, beside what tells the region's photos apart."""
        total = region_effect.summary(self.effects["noise"]["image"], self.slices)["total"]
        count, first, second = self.colours
        size = np.maximum(count, 1)[:, None]
        deviation = np.sqrt(np.maximum(second / size - (first / size) ** 2, 0)).mean(axis=1)
        return {
            name: {
                # The variance of three channels for NOISE deviations -> root mean square of one, for one deviation.
                "a_deviation": None if total[name] is None else 127.5 * float(np.sqrt(total[name] / 3)) / NOISE,
                "photos": 127.5 * float(deviation[label]) if count[label] else None,
            }
            for name, label in zip(self.slices, self.codec.classes, strict=True)
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the region-effect matrices of evaluation.npz, and those of the random generator if there is one."""
        found = {"slices": np.asarray(self.codec.classes, np.uint8)}
        for prefix, effects in (("", self.effects), ("random_", self.random_effects)):
            for view, name in (("image", "effect"), ("unmatted", "effect_unmatted")):
                if view in effects.get("noise", {}):
                    found[prefix + name] = region_effect.matrix(effects["noise"][view])
        return found


class _MeanFace:
    """The errors of reconstructing every face as the mean of all: the baseline that any reconstruction must beat."""

    def __init__(self, classes: int):
        self.classes, self.total, self.faces, self.kept = classes, 0.0, 0, []

    def add(self, batch: dict[str, np.ndarray], faces: int) -> None:
        """Add this process's rows of a batch that has so many faces in all."""
        self.total = self.total + np.sum(batch["image"][batch["weight"] > 0], axis=0, dtype=np.float64)
        if self.faces < MEAN_FACES:
            self.kept.append(exchange.all_rows({name: batch[name] for name in ("image", "mask", "weight")}))
        self.faces += faces

    def summary(self, names: Sequence[str]) -> dict:
        """Return scores as `reconstruction.summary` does, with the number of `examples` the mean was compared with."""
        total, errors = exchange.total(self.total), None
        mean = from_bytes(total / max(self.faces, 1))
        for batch in self.kept:
            errors = added(errors, _mean_errors(self.classes, mean, batch))
        faces = sum(int(np.sum(batch["weight"] > 0)) for batch in self.kept)
        return reconstruction.summary(errors, names) | {"examples": faces}


@functools.partial(jax.jit, static_argnums=0)
def _mean_errors(classes: int, mean: jax.Array, batch) -> dict[str, reconstruction.ErrorSums]:
    batch = unpacked(batch)
    return _errors(classes, jnp.broadcast_to(mean, batch["image"].shape), batch)


@functools.partial(jax.jit, static_argnums=0)
def _errors(classes: int, decoded: jax.Array, batch) -> dict[str, reconstruction.ErrorSums]:
    return reconstruction.region_errors(decoded, batch["image"], batch["mask"], batch["weight"], classes)


@functools.partial(jax.jit, static_argnums=0)
def _colour_sums(classes: int, batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the number of pixels of each class, float32 [K], and the sums of their colours and squares, [K, 3]."""
    masks = region_masks(batch["mask"], classes) * append_axes(batch["weight"], 4)
    sums = [jnp.einsum("bkhw,bhwc->kc", masks, batch["image"] ** power, precision="highest") for power in (1, 2)]
    return jnp.sum(masks, axis=(0, 2, 3)), *sums


def _disentanglement(effects: dict[str, dict], slices: Sequence[str]) -> dict:
    """Return the noise scores, under `swap` those of swaps, and under `without_matte` both if there is a matte."""
    silent = region_effect.silent(effects["swap"]["image"])
    found = {
        view: {kind: region_effect.summary(effects[kind][view], slices, silent) for kind in effects}
        for view in effects["noise"]
    }
    views = {view: {**kinds["noise"], "swap": kinds["swap"]} for view, kinds in found.items()}
    return views["image"] | ({"without_matte": views["unmatted"]} if "unmatted" in views else {})


@functools.partial(jax.jit, static_argnums=0)
def _untrained(codec: Codec, variables: PyTree, rng: jax.Array) -> PyTree:
    return codec.untrained(variables, rng)


@functools.partial(jax.jit, static_argnums=0)
def _swap_sum(codec: Codec, variables: PyTree, code: Code, before: jax.Array, batch, k: int) -> swap.SwapSums:
    partner = region_effect.next_example(batch["weight"])
    structure = code.structure.at[:, k].set(code.structure[partner, k])
    after = codec.decode(variables, code.replace(structure=structure))
    region = jnp.asarray(codec.classes)[k]
    own = (batch["mask"] == region).astype(jnp.float32)
    painted = (jnp.argmax(after.logits, axis=-1) == region).astype(jnp.float32)
    both = jnp.any(own > 0, axis=(1, 2)) & jnp.any(own[partner] > 0, axis=(1, 2))
    weight = batch["weight"] * both * (partner != jnp.arange(len(partner)))
    faces = batch["image"], own, own[partner], before, after.image, painted
    return swap.sums(k, len(codec.classes), *faces, weight)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _looks(codec: Codec, features, variables: PyTree, code: Code, decoded: jax.Array, batch, first: int) -> tuple:
    """Return the features of photos, reconstructions and faces with one slice of the next one, [B, D] each.

    Face number n of the data set gets slice n modulo K; `first` is the number of the batch's first face.
    """
    partner, slices = region_effect.next_example(batch["weight"]), len(codec.classes)
    taken = jax.nn.one_hot((first + jnp.arange(len(partner))) % slices, slices, dtype=bool)[:, :, None, None, None]
    swapped = code.replace(structure=jnp.where(taken, code.structure[partner], code.structure))
    faces = batch["image"], decoded, codec.decode(variables, swapped).image
    return tuple(features(image) for image in faces)


def _probed(codec: Codec, code: Code, batch) -> dict[str, np.ndarray]:
    """Return what the probes and the dependence between slices are computed from, a row for each row of the batch."""
    structure, style = np.asarray(code.structure, np.float32), np.asarray(code.style, np.float32)
    b, k, h, w, c = structure.shape
    masks = np.asarray(region_masks(batch["mask"], max(codec.classes) + 1))[:, list(codec.classes)]
    with np.errstate(invalid="ignore"):
        colours = np.einsum("bkhw,bhwc->bkc", masks, batch["image"], optimize=True) / masks.sum((2, 3))[..., None]
    cells = leakage.pool(structure.reshape(b * k, h, w, c)).reshape(b, k, -1)
    # A style that all slices share tells what any of them is asked, and makes no pair of them dependent.
    shared = np.repeat(style[:, None], k, axis=1) if style.ndim == 2 else style[..., :0]
    return {
        "with_place": cells if style.ndim == 2 else np.concatenate((cells, style), axis=-1),
        "shared": shared,
        "layouts": leakage.pool(masks.reshape(b * k, *masks.shape[2:], 1)).reshape(b, k, -1),
        "colours": colours,  # not a number where a face lacks the region
        "own_frame": np.asarray(_descriptors(code)),
    }


def _dependence(probed: list[dict[str, np.ndarray]], slices: Sequence[str], rng: jax.Array) -> dict:
    """Return the leakage probes, and the dependence between slices beside its permutation null.

    `own_frame`: slices described in their own frames (layers/slices.py), the value under `hsic`; `with_place`: their
    cells at 8x8 with their styles.
    """
    if len(probed) < 8:
        return {"probe_leakage": None, "hsic": None, "hsic_null": None}
    rows = {name: np.stack([row[name] for row in probed[:PROBED]]) for name in probed[0]}
    probe = leakage.probe(np.concatenate((rows["with_place"], rows["shared"]), axis=-1), rows["layouts"], slices)
    colours = leakage.probe(rows["own_frame"], _filled(rows["colours"]), slices)
    samples = {name: independence.standardised(rows[name], np.ones(len(rows[name]))) for name in SAMPLES}
    found = {name: dependence.table(sample, rng, PERMUTATIONS) for name, sample in samples.items()}
    hsic = found["own_frame"]["hsic"]
    together = dependence.joint(samples["own_frame"][:TOGETHER], rng, PERMUTATIONS)
    return {
        "probe_leakage": probe["leakage"],
        "probe": probe,
        "colour_probe": colours,
        "hsic": hsic["mean"],
        "hsic_null": hsic["null"],
        "dependence": found,
        "joint_dependence": together,
    }


def _filled(colours: np.ndarray) -> np.ndarray:
    """Give regions that a face lacks their mean colour over the other faces; 0 if no face has them."""
    here = ~np.isnan(colours)
    mean = np.sum(np.where(here, colours, 0), axis=0) / np.maximum(here.sum(axis=0), 1)
    return np.where(here, colours, mean)


@jax.jit
def _descriptors(code: Code) -> jax.Array:
    return descriptors(code.structure, code.style)


def added(total, new):
    """Add in float64 on the host: float32 sums lose precision over a data set."""
    new = jax.tree.map(lambda x: np.asarray(x, np.float64), exchange.on_host(new))
    return new if total is None else jax.tree.map(np.add, total, new)
