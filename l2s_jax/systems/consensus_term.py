"""The loss term `loss.consensus` (losses/consensus.py), for any system that predicts class logits."""

import jax
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax.losses.consensus import consensus, published_consensus
from l2s_jax.schema import OneOf, Range
from l2s_jax.types import Axis, Batch

RANGES = {
    "weight": Range(0.0, 1e6),
    "alpha": Range(0.0, 1e6),
    "beta": Range(0.0, 1e6),
    "blobs": OneOf(("components", "classes")),
    "normalisation": OneOf(("clean", "published", "published_all")),
    "size_power": Range(0.0, 16.0),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return the default fields of `config.loss.consensus`."""
    config = ConfigDict()
    config.weight = 0.0  # weight of the consensus loss; 0 = off
    config.alpha = 10.0  # weight, within it, of the label term: cross entropy of a blob's mean probability
    config.beta = 5.0  # weight, within it, of the consensus: divergence of a blob's pixels from their mean
    config.blobs = "components"  # components: connected ones, at most data.blobs per mask | classes: one per class
    config.normalisation = "clean"  # clean | published | published_all (the authors advise against it)
    config.size_power = 0.0  # weight of a blob is pixels**this (clean only): 0 = all equal, 1 = by area
    return config


def check(config: ConfigDict) -> None:
    """Check that the fields of `config.loss.consensus` fit together and that `config.data` provides its blobs.

    Raises:
      UserError: they do not.
    """
    group = config.loss.consensus
    require(
        group.normalisation == "clean" or not group.size_power,
        f"loss.consensus.size_power={group.size_power} goes with loss.consensus.normalisation=clean, not with "
        f"{group.normalisation}",
    )
    require(
        config.data.blobs or not needs(config),
        f"loss.consensus.weight={group.weight} needs the connected components of the training masks: set data.blobs "
        "to the most that an image may have (64 for faces), or loss.consensus.blobs=classes",
    )


def needs(config: ConfigDict) -> tuple[str, ...]:
    """Return the arrays that the term reads from a batch besides its labels, for `System.needs`."""
    group = config.loss.consensus
    return ("blobs",) if group.weight and group.blobs == "components" else ()


def term(config: ConfigDict, logits: jax.Array, batch: Batch, axis: Axis) -> jax.Array:
    """Return the unweighted consensus loss of a batch.

    Args:
      config: with the group `loss.consensus`, and `data.blobs`: the number of ids in `batch["blobs"]`.
      logits: [B, H, W, K], any float type.
      batch: `mask`, `weight` and, if blobs are components, `blobs`: any map of ids in 0..data.blobs-1 (such as
        superpixels), -1 = none.
      axis: collective operations over the devices that share the batch.

    Returns:
      float32 scalar in nats, the same on all devices.
    """
    group, mask = config.loss.consensus, batch["mask"]
    by_class = group.blobs == "classes"
    blobs, max_blobs = (mask, logits.shape[-1]) if by_class else (batch["blobs"], config.data.blobs)
    arrays = logits, mask, blobs, batch["weight"], axis.psum
    options = {"max_blobs": max_blobs, "alpha": group.alpha, "beta": group.beta}
    if group.normalisation == "clean":
        return consensus(*arrays, **options, size_power=group.size_power)
    reduce = "all" if group.normalisation == "published_all" else "idx"
    return published_consensus(*arrays, **options, reduce=reduce, shared_ids=by_class)


def weights(loss: ConfigDict) -> dict[str, float]:
    """Return the factor of each term of `config.loss` by its name: the field itself, or `weight` of a group."""
    return {name: value.weight if isinstance(value, ConfigDict) else value for name, value in loss.items()}
