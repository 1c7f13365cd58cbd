import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from l2s_jax import systems
from l2s_jax.losses.consensus import consensus, published_consensus
from l2s_jax.systems import consensus_term
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW, TrainState
from tests.helpers import tiny_l2s, tiny_segface

CLASSES, BLOBS = 3, 4
GROUPS = {
    "components": {},
    "classes by area": {"blobs": "classes", "size_power": 1.0, "alpha": 1.0},
    "published components": {"normalisation": "published", "beta": 7.0},
    "published classes": {"normalisation": "published", "blobs": "classes"},
    "published, all": {"normalisation": "published_all", "blobs": "classes", "alpha": 1.0},
}


def config(group) -> ConfigDict:
    fields = ConfigDict({"data": {"blobs": BLOBS}, "loss": {"consensus": consensus_term.default_config()}})
    fields.loss.consensus.update({"weight": 1.0} | group)
    return fields


@pytest.fixture(scope="module")
def batch():
    """Four images, the last one padding; the devices hold different numbers of blobs."""
    rng = np.random.default_rng(0)
    blobs = rng.integers(-1, BLOBS, (4, 1, 5)).repeat(3, 1).astype(np.int32)
    blobs[0] = np.minimum(blobs[0], 1)
    mask = np.where(blobs < 0, 255, blobs % CLASSES).astype(np.int32)
    logits = 2 * rng.normal(size=(*mask.shape, CLASSES)).astype(np.float32)
    return {"logits": logits, "mask": mask, "blobs": blobs, "weight": np.array([1, 1, 1, 0], np.float32)}


def published(logits, mask, blobs, weight, **options):
    return published_consensus(logits, mask, blobs, weight, GLOBAL_VIEW.psum, **options)


def clean(logits, mask, blobs, weight, **options):
    return consensus(logits, mask, blobs, weight, GLOBAL_VIEW.psum, **options)


def test_every_choice_is_its_loss_on_one_device_and_on_two(batch):
    mask, blobs, weight = (batch[name] for name in ("mask", "blobs", "weight"))
    ratio = {"alpha": 10.0, "beta": 5.0}
    pieces, classes = ratio | {"max_blobs": BLOBS}, ratio | {"max_blobs": CLASSES}
    losses = {
        "components": lambda x: clean(x, mask, blobs, weight, **pieces),
        "classes by area": lambda x: clean(x, mask, mask, weight, **classes | {"alpha": 1.0}, size_power=1.0),
        "published components": lambda x: published(x, mask, blobs, weight, **pieces | {"beta": 7.0}, shared_ids=False),
        "published classes": lambda x: published(x, mask, mask, weight, **classes),
        "published, all": lambda x: published(x, mask, mask, weight, **classes | {"alpha": 1.0}, reduce="all"),
    }

    @jax.jit
    def expect(scale):
        return {name: jax.value_and_grad(lambda s, f=f: f(s * batch["logits"]))(scale) for name, f in losses.items()}

    def differentiated(group, scale, batch, axis):
        value, gradient = jax.value_and_grad(
            lambda scale: consensus_term.term(config(group), scale * batch["logits"], batch, axis)
        )(scale)
        return value, axis.pmean(gradient)

    def step(state, batch, axis):
        scale = state.params["scale"]
        return state, {name: differentiated(group, scale, batch, axis) for name, group in GROUPS.items()}

    scale, mesh = jnp.float32(1.3), parallel.make_mesh("shard_map", 1)
    assert mesh.size == 2
    expected = expect(scale)
    state = TrainState(jnp.int32(0), jax.random.key(0), {"scale": scale}, {}, {}, {})
    _, found = parallel.data_parallel(step, mesh, "shard_map")(state, parallel.global_batch(batch, mesh))
    assert len({round(float(value), 4) for value, _ in expected.values()}) == len(GROUPS)
    for name, (value, gradient) in expected.items():
        np.testing.assert_allclose(found[name][0], value, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(found[name][1], gradient, rtol=1e-5, err_msg=name)


def test_blobs_are_needed_by_a_loss_over_components():
    off = {"weight": 0.0}
    needed = [consensus_term.needs(config(group)) for group in ({}, {"blobs": "classes"}, off)]
    assert needed == [("blobs",), (), ()]


@pytest.mark.parametrize("tiny", [tiny_segface.config, tiny_l2s.config], ids=["segface", "latents2segments"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weight": 0.5}, r"loss.consensus.weight=0.5 needs the connected components .* set data\.blobs"),
        ({"blobs": "superpixels"}, "loss.consensus.blobs='superpixels' must be one of: components, classes"),
        ({"normalisation": "idx"}, "loss.consensus.normalisation='idx' must be one of: clean"),
        ({"size_power": -1.0}, "loss.consensus.size_power=-1.0 must be at least 0"),
        ({"size_power": float("nan")}, "loss.consensus.size_power=nan must be at least 0"),
        ({"normalisation": "published", "size_power": 0.5}, "loss.consensus.size_power=0.5 goes with"),
    ],
)
def test_groups_that_do_not_fit_are_named(tiny, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny(data__blobs=0, **{f"loss__consensus__{name}": value for name, value in changes.items()}))


def test_a_group_weighs_what_its_weight_says():
    loss = ConfigDict({"dice": 0.5, "consensus": consensus_term.default_config()})
    loss.consensus.weight = 0.25
    assert consensus_term.weights(loss) == {"dice": 0.5, "consensus": 0.25}
