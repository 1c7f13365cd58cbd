"""Independent Subspaces: sizes of subspaces, the independence loss and its queue, masks from a teacher."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax.inference.model import frozen_arguments, load_model
from l2s_jax.layers.slices import descriptors
from l2s_jax.losses import independence
from l2s_jax.systems.independent_subspaces import system as subspaces
from l2s_jax.systems.sliced.autoencoder import EXPORTED
from l2s_jax.systems.sliced.networks import Encoded
from l2s_jax.systems.teacher import open_teacher
from l2s_jax.training import parallel
from tests.helpers import fake_system, tiny_subspaces, tiny_svc
from tests.helpers.steps import check_moments, compiled, copied, difference, numbered

ROWS, QUEUE = 4, 6


@pytest.fixture(scope="module")
def config():
    return tiny_subspaces.config()


@pytest.fixture(scope="module")
def system(config):
    return systems.build(config)


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def stepped(system, state):
    """[(state, metrics)] after one, two and three batches, the step counter advanced as the loop does."""
    found, step = [], compiled(system.steps["autoencode"])
    for number in range(3):
        state, metrics = step(state, tiny_subspaces.faces(ROWS, seed=number))
        state = state.replace(step=state.step + 1)
        found.append((state, metrics))
    return found


def test_each_part_has_its_subspace(system, state):
    variables, image = system.variables(state), tiny_subspaces.faces(2)["image"]
    code = jax.jit(system.codec.encode)(variables, image)
    assert code.structure.shape == (2, 5, 4, 4, 4)
    spoken = np.abs(np.asarray(code.structure)).max(axis=(0, 2, 3)) > 0
    np.testing.assert_array_equal(spoken.sum(-1), tiny_subspaces.config().model.subspaces)
    decoded = jax.jit(system.codec.decode)(variables, code)
    predictions = {name: jax.jit(way)(variables, image) for name, way in system.segmenters.items()}
    assert predictions.keys() == {"decodes", "light"}
    np.testing.assert_allclose(predictions["decodes"].logits, decoded.logits, rtol=1e-5, atol=1e-5)
    matte = np.moveaxis(np.asarray(jax.nn.softmax(decoded.logits)), -1, 1)[..., None]
    np.testing.assert_allclose(matte.sum(1), 1, rtol=1e-5)  # a partition, background with hair included


def test_the_queue_holds_the_codes_of_the_last_faces(system, state, stepped):
    assert state.stats["independence"]["codes"].shape == (QUEUE, 5, 4 * 6 + 8)
    assert not state.stats["independence"]["weight"].any()
    first, second = (after.stats["independence"] for after, _ in stepped[:2])
    np.testing.assert_array_equal(first["weight"], [1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(second["weight"], np.ones(QUEUE))
    np.testing.assert_array_equal(second["codes"][ROWS:], first["codes"][: QUEUE - ROWS])
    # What the loss sees of the second batch is what the evaluation sees, of the parameters before the update.
    code = jax.jit(system.codec.encode)(stepped[0][0].params, tiny_subspaces.faces(ROWS, seed=1)["image"])
    expected = jax.jit(descriptors)(code.structure, code.style)
    np.testing.assert_allclose(second["codes"][:ROWS], expected, atol=1e-5)


def test_the_loss_sees_the_queue_and_its_weight_rises(stepped):
    weights = {"image": 2.0, "cross_entropy": 1, "dice": 1, "light": 1, "region_inside": 1, "region_flat": 1}
    for number, (_, metrics) in enumerate(stepped):
        others = sum(weight * metrics[name] for name, weight in weights.items())
        expected = 0.5 * min(number / 4, 1) * metrics["independence"]
        np.testing.assert_allclose(metrics["loss"] - others, expected, rtol=1e-3, atol=1e-5)
        assert metrics["independence"] > 0
    (before, _), (after, metrics) = stepped[1:]
    codes = np.concatenate((after.stats["independence"]["codes"][:ROWS], before.stats["independence"]["codes"]))
    value = jax.jit(independence.hsic)(codes, np.ones(ROWS + QUEUE, np.float32))
    np.testing.assert_allclose(metrics["independence"], value, rtol=1e-4)


def test_independence_does_not_bend_the_masks(config, state):
    """No gradient flows through the coverage and what it multiplies; it does into the content and the styles."""
    networks = subspaces.build_networks(config)
    encoded = jax.jit(networks.encode)(state.params, tiny_subspaces.faces(3)["image"])

    @jax.jit
    def gradients(coverage, content, style):
        def loss(coverage, content, style):
            structure = jnp.concatenate((coverage, coverage * content), axis=-1)
            codes = networks.descriptors(Encoded(structure, style, None))
            return independence.cross_covariance(codes, jnp.ones(3))

        return jax.grad(loss, (0, 1, 2))(coverage, content, style)

    coverage = encoded.structure[..., :1]
    content = encoded.structure[..., 1:] / coverage
    by_coverage, by_content, by_style = map(np.abs, gradients(coverage, content, encoded.style))
    assert by_coverage.max() < 1e-5 * by_content.max()
    assert by_style.max() > 0


@pytest.mark.parametrize(
    ("mode", "measure"),
    [
        ("shard_map", "hsic"),
        # Any measure sees the gathered codes; test_parallel.py compares all layouts every time.
        pytest.param("shard_map", "covariance", marks=pytest.mark.slow),
        pytest.param("jit", "hsic", marks=pytest.mark.slow),
        pytest.param("pmap", "hsic", marks=pytest.mark.slow),
    ],
)
def test_two_devices_compute_what_one_does(config, system, stepped, mode, measure):
    if measure != config.independence.measure:
        system = systems.build(tiny_subspaces.config(independence__measure=measure))
    # A queue that is neither empty nor full, and the whole weight of the loss.
    start, batch = stepped[0][0].replace(step=jnp.int32(4)), tiny_subspaces.faces(ROWS, seed=1)
    mesh = parallel.make_mesh(mode, 1)
    placed = parallel.put_state(copied(start), mesh)
    expected, metrics = compiled(system.steps["autoencode"])(start, batch)
    step = parallel.data_parallel(system.steps["autoencode"], mesh, mode)
    placed, found = step(placed, parallel.global_batch(batch, mesh), last=False)
    for name, value in metrics.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert difference(expected.stats, placed.stats) < 1e-5
    for group, moments in expected.opt_state.items():
        check_moments(placed.opt_state[group], moments)


def test_a_model_with_other_sizes_of_subspaces_gives_what_belongs_to_none_of_them(tmp_path):
    """Also where the arrays would fit: the largest subspace is as large."""
    config = tiny_subspaces.config()
    params = jax.device_get(numbered(systems.build(config)).params)
    variables = {name: jax.tree.map(lambda x: x + 1, params[name]) for name in EXPORTED}
    sides = {"label_set": labels.SUBSPACE_PARTS, "preprocessing": bundle.Preprocessing(tiny_subspaces.SIZE)}
    bundle.save(tmp_path / "a", variables, bundle.Meta("a", config.system, config.to_dict(), **sides, licence="x"))
    for sizes, same in (((4, 3, 2, 2, 2), True), ((2, 2, 2, 3, 4), False)):
        changes = {"model__subspaces": sizes, "model__init_from": str(tmp_path / "a")}
        system = systems.build(tiny_subspaces.config(**changes))
        fresh = numbered(system)
        started = system.init_from(fresh)
        for name, of_regions in (("content", not same), ("Conv_0", False)):
            expected = fresh.params["encoder"] if of_regions else variables["encoder"]
            assert difference(started.params["encoder"][name], expected[name]) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        yield tmp_path_factory.mktemp("teachers")


def test_a_teacher_labels_the_images_without_masks_alone(place):
    teacher = open_teacher(load_model, tiny_svc.save_teacher(place / "teacher"), labels.SUBSPACE_PARTS)
    batch = tiny_svc.faces(3) | {"mask": np.full((3, tiny_svc.SIZE, tiny_svc.SIZE), 3, np.int32)}
    batch["mask"][0, 0], batch["mask"][1] = 255, 255  # some pixels of the first face, all of the second
    fill = jax.jit(subspaces.taught)
    own = labels.remap(fake_system.LABELS, labels.SUBSPACE_PARTS)[tiny_svc.blocks(3)]
    found = np.asarray(fill(teacher, batch)["mask"])
    np.testing.assert_array_equal(found[[0, 2]], batch["mask"][[0, 2]])
    np.testing.assert_array_equal(found[1], own[1])
    del batch["mask"]
    np.testing.assert_array_equal(fill(teacher, batch)["mask"], own)


def test_a_taught_system_needs_no_masks_and_learns_from_its_teacher(place, state):
    where = tiny_svc.save_teacher(place / "other")
    system = systems.build(tiny_subspaces.config(teacher__model=where))
    assert system.needs == ("image",)
    assert system.learns_from == (where,)
    batch, frozen = tiny_subspaces.unlabelled(tiny_subspaces.faces(2), slice(0, 2)), frozen_arguments(system)
    _, metrics = compiled(system.steps["autoencode"])(state, batch, **frozen)
    assert metrics["cross_entropy"] > 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model__subspaces": (4, 4)}, "model.subspaces has 2 entries, but label set 'subspace_parts' has 5 parts"),
        ({"label_set": "l2s_regions"}, "has 6 parts .background, hair, skin"),
        ({"model__subspaces": (4, 4, 4, 4, 1)}, "model.subspaces=1 must be at least 2"),
        ({"independence__measure": "mutual"}, "independence.measure='mutual' must be one of: covariance, hsic"),
        ({"loss__first_half": True}, "is of the published Latents2Segments alone"),
        (
            {"teacher__model": "a", "loss__consensus__weight": 1.0, "data__blobs": 8},
            "set loss.consensus.blobs=classes",
        ),
        ({"loss__gan_mix": 0.1}, "loss.gan_mix needs discriminators"),
        ({"loss__ms_ssim": 0.1, "image_size": 8}, "loss.ms_ssim needs images of 11 px or more, not image_size=8"),
    ],
)
def test_configs_that_do_not_fit_are_named(change, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny_subspaces.config(**change))
