"""Gradients of steps under layouts of devices; for the process of test_gradients_by_layout.py that has eight of them.

Steps do not return gradients, but Adam's first update stores them: the first moment is (1 - b1) times the gradient.

    JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.helpers.layouts CASE

prints the differences of every step under jit, pmap and shard_map on 2 and 4 devices from jit on one.
"""

import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from l2s_jax import optim, systems
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.losses import adversarial
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.training import parallel
from l2s_jax.types import System, TrainState
from tests.helpers import (
    fake_system,
    tiny_identity,
    tiny_l2s,
    tiny_recognition,
    tiny_segface,
    tiny_stylegan2,
    tiny_subspaces,
    tiny_svc,
)

REGIONS, SIDE, ROWS = 6, 16, 16
WIDE = {"channel_base": 128, "max_width": 16}
NOISE = 1e-5
"""Gradients that are zero in exact arithmetic (a bias ahead of a norm) are rounding errors, far smaller than this."""


EVERY_WAY = [(devices, 1, mode) for devices in (2, 4) for mode in ("jit", "pmap", "shard_map")]


def differences(case: str, wanted: list[tuple]) -> dict[str, float]:
    """Largest difference from one device, relative to the largest number of the same array.

    Args:
      case: a name of `CASES`.
      wanted: (devices, fsdp) of each layout, or (devices, fsdp, mode); jit without a mode.

    Returns:
      {"STEP DEVICES/FSDP": difference}, with " MODE" where one is given, over gradients, running statistics and metrics
      of every step.
    """
    system, frozen, batch = CASES[case]()
    parallel.FSDP_MIN_SIZE = 2**10  # tiny networks have no array that would be sharded otherwise
    found = {}
    for name in system.steps:
        expected = after_one(system, name, frozen, batch, 1, 1)
        for devices, fsdp, *mode in wanted:
            result = after_one(system, name, frozen, batch, devices, fsdp, *mode)
            compared = jax.tree.map(_difference, expected, result)
            found[" ".join((name, f"{devices}/{fsdp}", *mode))] = max(jax.tree.leaves(compared))
    return found


def after_one(system, name, frozen, batch, devices, fsdp, mode="jit"):
    mesh = parallel.make_mesh(mode, fsdp, jax.devices()[:devices])
    state = parallel.init_state(system.init, jax.random.key(0), mesh)
    assert fsdp == 1 or not all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state.params))
    step = parallel.data_parallel(system.steps[name], mesh, mode, parallel.put_state(frozen, mesh))
    state, metrics = step(state, parallel.global_batch(batch, mesh))
    first_moments = [value for _, value in optax.tree_utils.tree_get_all_with_path(state.opt_state, "mu")]
    return jax.device_get((first_moments, state.stats, metrics))


def _difference(expected, found) -> float:
    expected, found = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), NOISE))


def penalty():
    """R1 of a conditional discriminator of regions and nothing else: the case that was twice too large."""
    network = Discriminator(channel_base=32, max_width=16, regions=REGIONS, lowering="folded")
    optimiser = optim.build(optim.for_lazy_regularization(optim.default_config(), 4))

    def judge(params, regions):
        ids = jnp.tile(jnp.arange(REGIONS), regions.shape[0])
        logits = network.apply({"params": params}, regions.reshape(-1, *regions.shape[2:]), ids)
        return logits.reshape(regions.shape[:2])

    def init(rng):
        params = network.init(rng, jnp.zeros((1, SIDE, SIDE, 3)), jnp.zeros(1, int))["params"]
        return TrainState(jnp.int32(0), rng, params, {}, {}, optimiser.init(params))

    def step(state, batch, axis):
        masks = jnp.moveaxis(jax.nn.one_hot(batch["mask"], REGIONS), -1, 1)
        present = jnp.any(masks > 0, axis=(2, 3))
        regions = masks[..., None] * batch["image"][:, None] - (1 - masks[..., None])

        def loss(params):
            penalties = adversarial.r1(lambda x: judge(params, x), regions, batch_axes=2)
            return axis.psum((present * penalties).sum()) / axis.psum(present.sum())

        value, grads = jax.value_and_grad(loss)(state.params)
        _, opt_state = optimiser.update(axis.psum(grads), state.opt_state, state.params)
        return state.replace(opt_state=opt_state), {"loss": value}

    draws = np.random.default_rng(0)
    mask = draws.integers(0, REGIONS, (ROWS, 4, 4)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2).astype(np.int32)
    image = draws.uniform(-1, 1, (ROWS, SIDE, SIDE, 3)).astype(np.float32)
    system = System("penalty", None, init, {"r1": step}, None, None, None)
    return system, {}, {"image": image, "mask": mask}


def latents2segments():
    return systems.build(tiny_l2s.config()), {}, tiny_l2s.faces(ROWS)


def independent_subspaces():
    return (
        systems.build(tiny_subspaces.config(independence__ramp=0, independence__queue=32)),
        {},
        tiny_subspaces.faces(ROWS),
    )


def segface():
    return systems.build(tiny_segface.config(**tiny_segface.AGREEING)), {}, tiny_segface.faces(ROWS)


def stylegan2():
    # Wide enough for arrays that are stored in parts.
    wide = {f"model__{of}{name}": value for of in ("", "discriminator__") for name, value in WIDE.items()}
    return systems.build(tiny_stylegan2.config(data__batch_size=ROWS, **wide)), {}, tiny_stylegan2.faces(ROWS)


def id_disentanglement():
    return systems.build(tiny_identity.config(schedule__adversarial_every=2)), {}, tiny_identity.draws(ROWS)


def identity_encoder():
    return _with_batch_norm("identity_encoder")


def landmark_regressor():
    return _with_batch_norm("landmark_regressor")


def _with_batch_norm(name):
    config = tiny_recognition.config(name, **tiny_recognition.BATCH_NORM[name])
    return systems.build(config), {}, tiny_recognition.faces(ROWS)


def structure_via_consensus():
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        teacher = tiny_svc.save_teacher(f"{folder}/teacher")
        system = systems.build(tiny_svc.config(teacher__model=teacher, **tiny_svc.TAUGHT))
        return system, frozen_arguments(system), tiny_svc.faces(ROWS)


CASES = {
    case.__name__: case
    for case in (
        penalty,
        latents2segments,
        independent_subspaces,
        segface,
        stylegan2,
        id_disentanglement,
        identity_encoder,
        landmark_regressor,
        structure_via_consensus,
    )
}


if __name__ == "__main__":
    for layout, difference in differences(sys.argv[1], EVERY_WAY).items():
        print(f"{layout:40} {difference:.1e}", flush=True)
