"""How far a step on several devices is from the same step on one.

    python -m tests.helpers.layouts [SYSTEM[:STEP] ...] [--devices 2 4 8] [--float64] [--out runs/layouts]

prints a table of every step of every system (a minute or two each on two free cores) on virtual devices, under jit,
pmap, shard_map, and jit with the state stored in parts (fsdp). It may be interrupted: the same command goes on, and
rows that were asked for one by one are in the whole table (experiments/campaign.py). A cell is the largest difference
of any gradient, statistic or metric, relative to the largest number of the same array. Gradients, not parameters: Adam
divides a gradient by its own size, so where it is rounding error its sign alone moves a parameter by the whole learning
rate. Steps do not return gradients, but Adam's first update stores them: the first moment is (1 - b1) times the
gradient.

A batch has 24 rows, so that 8 devices have an odd number each; the last five are padding, so that one of those devices
has nothing else and another some of both.

Sums in another order are rounded otherwise: in float32 a few cells are above 1e-5, where a gradient is a thousand times
smaller than others or a least-squares solve makes much of it. `--float64` computes all in float64, where only a mistake
could differ. Exit code 1 if a cell is above `LIMITS`.
"""

import argparse
import functools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

if __name__ == "__main__":  # before JAX looks
    from tests.helpers import xla_flags

    xla_flags.set_up(devices=8)
    if "--float64" in sys.argv:
        from tests.helpers import float64

        float64.set_up()

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import campaign
from l2s_jax import optim, systems
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.losses import adversarial
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.training import parallel
from l2s_jax.types import System, TrainState
from tests.helpers import (
    drawn_portraits,
    fake_system,
    tiny_detector,
    tiny_identity,
    tiny_l2s,
    tiny_recognition,
    tiny_segface,
    tiny_stylegan2,
    tiny_subspaces,
    tiny_svc,
)

REGIONS, SIDE, ROWS, PADDING = 6, 16, 24, 5
WIDE = {"channel_base": 128, "max_width": 16}
ZERO = 1e-4
"""Below this share of the largest number of all gradients (or statistics, or metrics), an array is little but rounding
errors of what is zero in exact arithmetic (a bias or scale ahead of a norm), and counts relative to that number."""
LIMITS = {False: 1e-3, True: 1e-10}
"""Largest difference, in float32 and in float64."""
WAYS = {"jit": (1, "jit"), "pmap": (1, "pmap"), "shard_map": (1, "shard_map"), "fsdp": (4, "jit")}
"""(most parts that the state is stored in, mode) of the columns of the table."""


def differences(case: str, step: str, wanted: list[tuple]) -> Iterator[float]:
    """Yield the largest difference of a step from one device, relative to the largest number of the same array.

    Args:
      case: a name of `CASES`.
      step: a step of its system.
      wanted: (devices, fsdp, mode) of each layout.

    Yields:
      the difference of each layout, over gradients, running statistics and metrics.
    """
    system, frozen, batch = built(case)
    state = _wide(parallel.init_state(system.init, jax.random.key(0), parallel.make_mesh("jit", 1, jax.devices()[:1])))
    expected = after_one(system, step, frozen, state, batch, 1, 1, "jit")
    for layout in wanted:
        yield float(np.max([*map(_difference, expected, after_one(system, step, frozen, state, batch, *layout))]))


@functools.cache
def built(case: str):
    """(system, its frozen arguments, a batch whose last rows are padding)."""
    parallel.FSDP_MIN_SIZE = 2**10  # tiny networks have no array that would be sharded otherwise
    system, frozen, batch = CASES[case]()
    batch = batch | {"weight": (np.arange(ROWS) < ROWS - PADDING).astype(np.float32)}
    return system, _wide(frozen), _wide(batch)


def _wide(tree):
    """Let float32 be what JAX calls so, which is float64 after `float64.set_up`."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == np.float32 else leaf, tree)


def after_one(system, name, frozen, state, batch, devices, fsdp, mode):
    mesh = parallel.make_mesh(mode, fsdp, jax.devices()[:devices])
    state = parallel.put_state(jax.tree.map(jnp.copy, state), mesh)  # the step takes it
    assert fsdp == 1 or not all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state.params))
    step = parallel.data_parallel(system.steps[name], mesh, mode, parallel.put_state(frozen, mesh))
    state, metrics = step(state, parallel.global_batch(batch, mesh))
    first_moments = [value for _, value in optax.tree_utils.tree_get_all_with_path(state.opt_state, "mu")]
    return jax.device_get((first_moments, state.stats, metrics))


def _difference(expected, found) -> float:
    """Return the largest difference between two trees, relative to the largest number of the array."""
    expected, found, worst = jax.tree.leaves(expected), jax.tree.leaves(found), 0.0
    largest = max((np.abs(leaf).max() for leaf in expected), default=0.0)
    for ours, theirs in zip(expected, found, strict=True):
        size = np.abs(ours).max()
        scale = size if size > ZERO * largest else largest
        worst = np.maximum(worst, np.abs(theirs - ours).max() / (scale or 1.0))  # NaN, if there is one
    return worst


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
        present = jnp.any(masks > 0, axis=(2, 3)) * batch["weight"][:, None]
        regions = masks[..., None] * batch["image"][:, None] - (1 - masks[..., None])

        def loss(params):
            penalties = adversarial.r1(lambda x: judge(params, x), regions, batch_axes=2)
            return axis.psum((present * penalties).sum()) / axis.psum(present.sum())

        value, grads = jax.value_and_grad(loss)(state.params)
        _, opt_state = optimiser.update(axis.pmean(grads), state.opt_state, state.params)
        return state.replace(opt_state=opt_state), {"loss": value}

    draws = np.random.default_rng(0)
    mask = draws.integers(0, REGIONS, (ROWS, 4, 4)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2).astype(np.int32)
    image = draws.uniform(-1, 1, (ROWS, SIDE, SIDE, 3)).astype(np.float32)
    system = System("penalty", None, init, {"r1": step}, None, None)
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
    config = tiny_segface.config(**tiny_segface.AGREEING, model__backbone="tiny_mini", model__stochastic_depth=0.5)
    return systems.build(config), {}, tiny_segface.faces(ROWS)


def stylegan2():
    # Wide enough for arrays that are stored in parts; what belongs together lies on one device.
    groups = {"model__discriminator__group": 3, "schedule__path_length_shrink": 3}
    wide = {f"model__{of}{name}": value for of in ("", "discriminator__") for name, value in WIDE.items()}
    config = tiny_stylegan2.config(data__batch_size=ROWS, **groups, **wide)
    return systems.build(config), {}, tiny_stylegan2.faces(ROWS)


def id_disentanglement():
    return systems.build(tiny_identity.config(schedule__adversarial_every=2)), {}, tiny_identity.draws(ROWS)


def identity_encoder():
    return _with_batch_norm("identity_encoder")


def landmark_regressor():
    return _with_batch_norm("landmark_regressor")


def _with_batch_norm(name):
    config = tiny_recognition.config(name, **tiny_recognition.BATCH_NORM[name])
    return systems.build(config), {}, tiny_recognition.faces(ROWS)


def face_detector():
    return systems.build(tiny_detector.config()), {}, drawn_portraits.batch(ROWS)


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
        face_detector,
        structure_via_consensus,
    )
}


def row(case: str, step: str, layouts: Sequence[tuple], limit: float) -> tuple[bool, list[str]]:
    """Return whether a step is within the limit on all layouts, and the cells of its row."""
    found = list(differences(case, step, layouts))
    return all(difference <= limit for difference in found), [f"{difference:.0e}" for difference in found]


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("steps", nargs="*", default=list(CASES), metavar="SYSTEM[:STEP]")
    parser.add_argument("--devices", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--float64", action="store_true", help="compute in float64")
    parser.add_argument("--out", type=Path, default=Path("runs/layouts"), help="folder of the rows that held")
    args = parser.parse_args()
    columns = {
        f"{way} {devices}": (devices, min(parts, devices), mode)
        for way, (parts, mode) in WAYS.items()
        for devices in args.devices
    }
    parts = {
        f"{case}: {name}": functools.partial(row, case, name, list(columns.values()), LIMITS[args.float64])
        for case, _, step in (asked.partition(":") for asked in args.steps)
        for name in ([step] if step else built(case)[0].steps)
    }
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / f"{'float64' if args.float64 else 'float32'}-{'-'.join(map(str, args.devices))}.json"
    return campaign.table(file, {}, ("system: step", *columns), parts)


if __name__ == "__main__":
    sys.exit(main())
