"""The losses of a sliced autoencoder: its own terms, those of the discriminators and the R1 penalties.

Formulas and weights: docs/methods/latents2segments.md, "Reconstruction losses", "Adversarial losses" and "R1"; the
independence of slices: docs/methods/independent_subspaces.md.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from l2s_jax.layers.crops import crop, random_windows, region_windows
from l2s_jax.losses import adversarial, independence, reconstruction, segmentation, ssim
from l2s_jax.losses.reductions import global_mean, safe_divide
from l2s_jax.systems import consensus_term
from l2s_jax.systems.sliced.networks import Encoded, Networks, Painted
from l2s_jax.types import Axis, Batch, PyTree, example_rngs

Params = dict[str, PyTree]
Terms = dict[str, jax.Array]

QUEUE = "independence"
"""Key, in `TrainState.stats`, of the descriptors of earlier batches."""


class Faces(NamedTuple):
    """A batch with the targets that the losses need, and one key per image.

    Attributes:
      image: [B, H, W, 3] in [-1, 1].
      mask: int32 [B, H, W].
      weight: [B], 0 = padding.
      masks: [B, K, H, W], target mask of each slice.
      targets: [B, K, H, W, 3], each region alone on black.
      present: [B, K], the weight of the image where it shows the region, else 0.
      rngs: typed keys [B].
    """

    image: jax.Array
    mask: jax.Array
    weight: jax.Array
    masks: jax.Array
    targets: jax.Array
    present: jax.Array
    rngs: jax.Array


def faces(networks: Networks, batch: Batch, rng: jax.Array, axis: Axis) -> Faces:
    """Compute the targets of a batch."""
    image, mask, weight = batch["image"], batch["mask"], batch["weight"]
    masks = networks.masks(mask)
    present = weight[:, None] * jnp.any(masks > 0, axis=(2, 3))
    targets = reconstruction.region_images(image, masks)
    return Faces(image, mask, weight, masks, targets, present, example_rngs(rng, axis, image.shape[0]))


def partner(x: jax.Array, axis: Axis) -> jax.Array:
    """Exchange rows within pairs (0 and 1, 2 and 3 ...) of the GLOBAL batch; an odd last row gets the first one.

    Pairs that lie on one device are exchanged there; only an odd number of rows a device needs those of the others.
    """
    if x.shape[0] % 2 == 0:
        return x.reshape(-1, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)
    rows = axis.all_gather(x)
    swapped = np.arange(rows.shape[0]) ^ 1
    swapped[swapped == rows.shape[0]] = 0
    return axis.local_rows(rows[swapped])


def autoencoder_terms(
    networks: Networks, config: ConfigDict, params: Params, stats: PyTree, batch: Batch, rng: jax.Array, axis: Axis
) -> tuple[Terms, PyTree]:
    """Compute the unweighted terms of encoder and generator, by name of their weight, and the new `stats` (`queue`)."""
    loss = config.loss
    face = faces(networks, batch, rng, axis)
    terms: Terms = {}
    encoded = networks.encode(params, face.image)
    if loss.light:
        terms["light"] = segmentation.cross_entropy(encoded.light, face.mask, face.weight, axis.psum)
        terms["light"] += segmentation.dice(encoded.light, face.mask, face.weight, axis.psum)
    if loss.independence:
        terms["independence"], stats = _independence(networks, config, encoded, face.weight, stats, axis)
    encoded = encoded._replace(structure=networks.noised(encoded.structure, _fold(face.rngs, 0)))
    shown, structure, style = _reconstructed(loss, face, encoded, axis)
    painted = networks.paint(params, structure, style, _fold(shown.rngs, 1))
    if loss.consensus.weight:
        terms["consensus"] = consensus_term.term(config, painted.logits, batch, axis)
    terms |= _reconstruction_terms(loss, shown, painted, axis)
    if loss.gan_reconstruction:
        logits = judge(networks, params, views(networks, painted))
        terms["gan_reconstruction"] = adversarial.generator_loss(logits, seen(networks, shown), axis.psum)
    if loss.gan_mix or loss.patch:
        terms |= _mix_terms(networks, loss, params, face, encoded, axis)
    return terms, stats


def queue(networks: Networks, config: ConfigDict, params: Params) -> dict[str, PyTree]:
    """Return the first `stats`: room for the descriptors of the faces of earlier batches, with weight 0."""
    size = config.independence.queue
    if not (config.loss.independence and size):
        return {}
    image = jnp.zeros((1, networks.image_size, networks.image_size, 3), jnp.float32)
    shape = jax.eval_shape(lambda: networks.descriptors(networks.encode(params, image))).shape
    return {QUEUE: {"codes": jnp.zeros((size, *shape[1:]), jnp.float32), "weight": jnp.zeros(size, jnp.float32)}}


def _independence(
    networks: Networks, config: ConfigDict, encoded: Encoded, weight: jax.Array, stats: PyTree, axis: Axis
) -> tuple[jax.Array, PyTree]:
    """Measure the dependence between slices over the global batch and the queue, and push the batch into the queue."""
    rows = {"codes": axis.all_gather(networks.descriptors(encoded)), "weight": axis.all_gather(weight)}
    if stats:
        rows = jax.tree.map(lambda new, old: jnp.concatenate((new, old)), rows, stats[QUEUE])
        stats = {QUEUE: jax.tree.map(lambda x: x[: config.independence.queue], rows)}
    return independence.MEASURES[config.independence.measure](**rows), stats


def _reconstructed(loss, face: Faces, encoded: Encoded, axis: Axis) -> tuple[Faces, jax.Array, jax.Array]:
    """Select the rows to reconstruct: all, or with `first_half` one of each pair (published)."""
    if not loss.first_half:
        return face, encoded.structure, encoded.style
    # If the local batch is even, only half the rows are decoded; if not, all are, with the same result.
    even = axis.local_rows(jnp.arange(axis.all_gather(face.weight).shape[0]) % 2 == 0)
    face = face._replace(weight=face.weight * even, present=face.present * even[:, None])
    rows = slice(None, None, 2) if even.shape[0] % 2 == 0 else slice(None)
    return jax.tree.map(lambda x: x[rows], (face, encoded.structure, encoded.style))


def _reconstruction_terms(loss, face: Faces, painted: Painted, axis: Axis) -> Terms:
    terms, colours = {}, painted.colours
    if loss.cross_entropy:
        terms["cross_entropy"] = segmentation.cross_entropy(painted.logits, face.mask, face.weight, axis.psum)
    if loss.dice:
        terms["dice"] = segmentation.dice(painted.logits, face.mask, face.weight, axis.psum)
    if loss.region:
        terms["region"] = _region_mean(jnp.abs(painted.regions - face.targets), face, axis)
    if loss.image:
        terms["image"] = reconstruction.l1(painted.image, face.image, face.weight, axis.psum)
    if loss.ms_ssim:
        similarity = ssim.ms_ssim(painted.image, face.image)
        terms["ms_ssim"] = global_mean(1 - similarity, face.weight, axis.psum)
    if loss.region_inside:
        terms["region_inside"] = reconstruction.region_l1(colours, face.image, face.masks, face.weight, axis.psum)
    if loss.region_flat:
        terms["region_flat"] = reconstruction.flat_l1(colours, face.image, face.masks, face.weight, axis.psum)
    return terms


def _region_mean(error: jax.Array, face: Faces, axis: Axis) -> jax.Array:
    """Average [B, K, H, W, 3] over images, then over regions with equal weight (0.2 each as published)."""
    cost = jnp.sum(face.weight[:, None] * jnp.mean(error, axis=(2, 3, 4)), axis=0)
    total, count = axis.psum((cost, jnp.sum(face.weight)))
    return jnp.mean(safe_divide(total, count))


def _mix_terms(networks, loss, params, face: Faces, encoded: Encoded, axis: Axis) -> Terms:
    mixed, present, masks = mix(networks, params, face, encoded, axis)
    terms = {}
    if loss.gan_mix:
        terms["gan_mix"] = adversarial.generator_loss(judge(networks, params, mixed), present, axis.psum)
    if loss.patch:
        reference = jax.lax.stop_gradient(_features(networks, params, face.targets, face.masks, _fold(face.rngs, 2)))
        features = _features(networks, params, mixed, masks, _fold(face.rngs, 3))
        logits = pair(networks, params, reference, features)
        terms["patch"] = adversarial.generator_loss(logits, present, axis.psum)
    return terms


def mix(networks, params, face: Faces, encoded: Encoded, axis: Axis) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Decode the partner's structure in the image's own style: all of it, or some slices where faces are judged.

    Returns:
      what is judged, [B, V, H, W, 3] (`views`); its weight [B, V], 0 where it is a region that either face lacks; the
      partner's masks [B, K, H, W].
    """
    structure, present, masks = (partner(x, axis) for x in (encoded.structure, face.present, face.masks))
    if networks.judges_regions:
        present = face.present * present
    else:
        swapped = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, structure.shape[1:2]))(_fold(face.rngs, 6))
        structure = jnp.where(swapped[:, :, None, None, None], structure, encoded.structure)
        present = (face.weight * partner(face.weight, axis))[:, None]
    painted = networks.paint(params, structure, encoded.style, _fold(face.rngs, 4))
    return views(networks, painted), present, masks


def views(networks: Networks, painted: Painted) -> jax.Array:
    """Return what the discriminator sees, [B, V, H, W, 3]: every region on black, or the composed face (V = 1)."""
    return painted.regions if networks.judges_regions else painted.image[:, None]


def true_views(networks: Networks, face: Faces) -> jax.Array:
    """Return the same of the photos."""
    return face.targets if networks.judges_regions else face.image[:, None]


def seen(networks: Networks, face: Faces) -> jax.Array:
    """Return the weight of each view, [B, V]."""
    return face.present if networks.judges_regions else face.weight[:, None]


def discriminator_terms(
    networks: Networks, loss: ConfigDict, params: Params, fixed: Params, batch: Batch, rng: jax.Array, axis: Axis
) -> Terms:
    """Compute the terms of both discriminators; `params` are theirs, `fixed` those of the autoencoder.

    `d_accuracy` is no loss: the share of views that the discriminator takes for what they are, 0.5 for a blind one.
    """
    face = faces(networks, batch, rng, axis)
    encoded = networks.encode(fixed, face.image)
    mixed, present, masks = mix(networks, fixed, face, encoded, axis)
    shown, *codes = _reconstructed(loss, face, encoded, axis)
    decoded = views(networks, networks.paint(fixed, *codes, _fold(shown.rngs, 1)))
    decoded, mixed = jax.lax.stop_gradient((decoded, mixed))

    psum = axis.psum
    real = judge(networks, params, true_views(networks, face)), seen(networks, face)
    again = judge(networks, params, decoded), seen(networks, shown)
    swapped = judge(networks, params, mixed), present
    terms = {
        "d_real": adversarial.real_loss(*real, psum),
        "d_reconstruction": adversarial.fake_loss(*again, psum),
        "d_mix": adversarial.fake_loss(*swapped, psum),
        "d_accuracy": adversarial.accuracy(real, (again, swapped), psum),
    }
    if loss.patch:
        reference = _features(networks, params, face.targets, face.masks, _fold(face.rngs, 2))
        real = _features(networks, params, face.targets, face.masks, _fold(face.rngs, 5))
        fake = _features(networks, params, mixed, masks, _fold(face.rngs, 3))
        terms["patch_real"] = adversarial.real_loss(pair(networks, params, reference, real), face.present, psum)
        terms["patch_mix"] = adversarial.fake_loss(pair(networks, params, reference, fake), present, psum)
    return terms


def r1_terms(networks: Networks, loss: ConfigDict, params: Params, batch: Batch, rng: jax.Array, axis: Axis) -> Terms:
    """Compute gradient penalties gamma / 2 ||grad||^2, with the same weight for every region of every image."""
    face = faces(networks, batch, rng, axis)

    def weighted(penalty: jax.Array, weight: jax.Array) -> jax.Array:
        return safe_divide(*axis.psum((jnp.sum(weight * penalty), jnp.sum(weight))))

    image = adversarial.r1(lambda x: judge(networks, params, x), true_views(networks, face), batch_axes=2)
    terms = {"r1": loss.r1 / 2 * weighted(image, seen(networks, face))}
    if loss.patch and loss.patch_r1:
        crops = tuple(patch_crops(networks, face.targets, face.masks, _fold(face.rngs, i)) for i in (2, 5))

        def judge_pair(crops):
            first, second = (networks.patch.apply({"params": params["patch"]}, x, method="features") for x in crops)
            return pair(networks, params, first, second)

        penalty = adversarial.r1(judge_pair, crops, batch_axes=1).reshape(face.present.shape)
        # The published code halves the patch penalty once more than gamma / 2.
        terms["patch_r1"] = loss.patch_r1 / 2 * 0.5 * weighted(penalty, face.present)
    return terms


def judge(networks: Networks, params: Params, regions: jax.Array) -> jax.Array:
    """Apply the image discriminator to views [B, V, H, W, 3] -> logits [B, V]."""
    b, k = regions.shape[:2]
    flat = regions.reshape(b * k, *regions.shape[2:])
    return networks.discriminator.apply({"params": params["discriminator"]}, flat, _region_ids(networks, b, k)).reshape(
        b, k
    )


def pair(networks: Networks, params: Params, reference: jax.Array, features: jax.Array) -> jax.Array:
    """Apply the patch discriminator to features [B * K, P, h, w, C] -> logits [B, K, P]."""
    k = len(networks.classes)
    ids = _region_ids(networks, features.shape[0] // k, k)
    logits = networks.patch.apply({"params": params["patch"]}, reference, features, ids, method="pair")
    return logits.reshape(-1, k, logits.shape[-1])


def patch_crops(networks: Networks, regions: jax.Array, masks: jax.Array, rngs: jax.Array) -> jax.Array:
    """Take random crops of region images [B, K, H, W, 3] -> [B * K, P, crop, crop, 3]."""
    b, k = regions.shape[:2]
    keys = jax.vmap(lambda key: jax.random.split(key, k))(rngs).reshape(b * k)
    if networks.crops_around_region:
        windows = region_windows(keys, masks.reshape(b * k, *masks.shape[2:]), networks.crops)
    else:
        windows = random_windows(keys, networks.crops)
    return crop(regions.reshape(b * k, *regions.shape[2:]), windows, networks.crop_size)


def _features(networks, params, regions, masks, rngs) -> jax.Array:
    crops = patch_crops(networks, regions, masks, rngs)
    return networks.patch.apply({"params": params["patch"]}, crops, method="features")


def _region_ids(networks: Networks, b: int, k: int) -> jax.Array | None:
    return jnp.tile(jnp.arange(k, dtype=jnp.int32), b) if networks.discriminator.regions else None


def _fold(rngs: jax.Array, use: int) -> jax.Array:
    """Derive keys for a use: 0 code noise; 1, 4 generator noise; 2, 3, 5 crops of reference, mixed and second real;
    6 which slices are swapped."""
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(rngs, use)
