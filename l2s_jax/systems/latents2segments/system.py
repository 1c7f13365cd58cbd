"""Latents2Segments (Tomar and Rajagopalan, CVPRW 2022, arXiv 2207.01871) with our additions.

An autoencoder whose structure code is divided into slices, one per face region. A shared generator decodes every slice
separately, and a region is where its slice's decoded image is. See config.py for the presets.
"""

import functools

import jax
from ml_collections import ConfigDict

from l2s_jax.systems.latents2segments.initial import with_weights
from l2s_jax.systems.latents2segments.networks import build as build_networks
from l2s_jax.systems.latents2segments.networks import painted_logits
from l2s_jax.systems.sliced import autoencoder
from l2s_jax.systems.sliced.networks import Networks
from l2s_jax.types import Prediction, System


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: the config is inconsistent.
    """
    networks = build_networks(config)
    painter = functools.partial(_by_painter, autoencoder.for_inference(networks), config.model.painter_tolerance)
    sliced = config.model.architecture == "sliced"
    segmenters = (autoencoder.segmenters(networks) if sliced else {}) | {"painter": painter}
    return System(
        name="latents2segments",
        init_from=functools.partial(with_weights, config) if config.model.init_from else None,
        learns_from=(config.model.init_from,) if config.model.init_from else (),
        predict=segmenters["decodes" if sliced else "painter"],
        segmenters=segmenters,
        **autoencoder.functions(config, networks),
    )


def _by_painter(
    networks: Networks, tolerance: int, variables, image: jax.Array, landmarks: jax.Array | None = None
) -> Prediction:
    del landmarks  # this method does not align faces
    encoded = networks.encode(variables, image)
    regions = networks.paint(variables, encoded.structure, encoded.style).regions
    return Prediction(painted_logits(networks, tolerance, regions))
