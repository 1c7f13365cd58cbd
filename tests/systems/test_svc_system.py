import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from input_pipeline import datasets, labels
from input_pipeline.errors import UserError
from input_pipeline.images.augment import Augment
from input_pipeline.images.components import blobs
from input_pipeline.loading import train
from l2s_jax import bundle, systems
from l2s_jax.inference.model import frozen_arguments, load_model
from l2s_jax.systems.structure_via_consensus import config as svc_config
from l2s_jax.systems.structure_via_consensus import system as svc_system
from l2s_jax.systems.teacher import open_teacher
from l2s_jax.training import checkpoints, parallel
from l2s_jax.types import GLOBAL_VIEW, unpacked
from tests.helpers import fake_system, tiny_svc
from tests.helpers.steps import check_moments, compiled, copied, difference, one_device

TO_STUDENT = labels.remap(fake_system.LABELS, labels.SKIN_HAIR)


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A folder with the bundle `teacher`, whose system is installed."""
    folder = tmp_path_factory.mktemp("svc")
    with pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        tiny_svc.save_teacher(folder / "teacher", softness=20.0)
        yield folder


@pytest.fixture(scope="module")
def student(place):
    """Stage 1 with soft labels and all terms, its state, the teacher's weights, and its compiled step."""
    system = systems.build(tiny_svc.config(**tiny_svc.TAUGHT, teacher__model=str(place / "teacher")))
    state = parallel.init_state(system.init, jax.random.key(0), one_device())
    step = compiled(system.steps["teacher"])
    frozen = frozen_arguments(system)
    return system, state, frozen, lambda state, batch, frozen: step(state, batch, **frozen)


@pytest.fixture(scope="module")
def trained(student):
    """The student after some batches without masks, and the metrics of each."""
    _, state, frozen, step = student
    batch = {name: array for name, array in tiny_svc.faces(4).items() if name != "mask"}
    history = []
    for _ in range(25):
        state, metrics = step(state, batch, frozen)
        state = state.replace(step=state.step + 1)
        history.append(jax.device_get(metrics))
    return state, history


def fresh_state(system):
    """A state of zeros, which costs no compilation."""
    shapes = jax.eval_shape(system.init, jax.random.key(0)).replace(rng=())
    zeros = jax.tree.map(lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype)), shapes)
    return zeros.replace(rng=jax.random.key(0))


def test_the_student_comes_to_say_what_the_teacher_says(trained):
    _, history = trained
    assert set(history[0]) == {"loss", "divergence", "dice", "consensus"}
    assert np.mean([m["divergence"] for m in history[-3:]]) < 0.5 * np.mean([m["divergence"] for m in history[:3]])
    last = history[-1]
    np.testing.assert_allclose(
        last["loss"], last["divergence"] + 0.5 * last["dice"] + 0.1 * last["consensus"], rtol=1e-5
    )


def test_the_average_follows(student, trained):
    system, before, _, _ = student
    state, _ = trained
    exported, fresh = system.variables(state)["network"], system.variables(before)["network"]
    for collection in ("params", "batch_stats"):
        assert difference(exported[collection], fresh[collection]) > 0
    assert difference(exported["params"], state.params["network"]) > 0


def test_the_teacher_is_an_argument_and_neither_saved_nor_compiled_in(student, trained, tmp_path):
    system, _, frozen, _ = student
    state, _ = trained
    teacher = jax.tree.leaves(frozen)
    assert {leaf.shape for leaf in teacher} == {(3, 6), (6,)}
    path = checkpoints.save(tmp_path, checkpoints.Checkpoint(state, {}, {}), 1).result()
    saved = json.loads((path / checkpoints.META).read_text())["arrays"]
    assert not any("teacher" in name or shape in ([3, 6], [6]) for name, (shape, _) in saved.items())
    assert set(frozen) == {"teacher"}
    traced = jax.make_jaxpr(lambda s, b, f: system.steps["teacher"](s, b, GLOBAL_VIEW, **f))(
        state, tiny_svc.faces(2), frozen
    )
    given = {np.asarray(leaf).tobytes() for leaf in teacher}
    assert not any(np.asarray(constant).tobytes() in given for constant in traced.consts)


def test_hard_labels_are_what_the_teacher_says_in_the_students_classes(place):
    config = tiny_svc.config(**tiny_svc.TAUGHT, teacher__labels="hard", teacher__model=str(place / "teacher"))
    teacher, batch = open_teacher(load_model, config.teacher.model, labels.SKIN_HAIR), tiny_svc.faces(3)
    wrong = batch | {"mask": np.zeros_like(batch["mask"])}
    said = jax.jit(lambda teacher, batch: svc_system.taught(config, teacher, batch))(teacher, wrong)
    np.testing.assert_array_equal(said["mask"], TO_STUDENT[tiny_svc.blocks(3)])
    assert said["mask"].dtype == jnp.int32
    assert "probabilities" not in said
    for mask, pieces in zip(batch["mask"], said["blobs"], strict=True):
        every = blobs(mask, 64, min_pixels=1)
        np.testing.assert_array_equal(pieces, np.where(every < tiny_svc.BLOBS, every, -1))


def test_soft_labels_add_up_the_probabilities_of_the_teachers_classes(place):
    teacher = open_teacher(load_model, tiny_svc.save_teacher(place / "unsure", softness=400.0), labels.SKIN_HAIR)
    image = np.random.default_rng(0).uniform(-1, 1, (2, tiny_svc.SIZE, tiny_svc.SIZE, 3)).astype(np.float32)
    colour = teacher.args[0]["parser"]["params"]["colour"]
    own = np.asarray(jax.nn.softmax(image @ colour["kernel"] + colour["bias"][None, None, None]))
    expected = np.stack([own[..., TO_STUDENT[:6] == k].sum(-1) for k in range(3)], axis=-1)
    found = jax.jit(lambda teacher, batch: teacher(batch))(teacher, {"image": image})
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # What is most probable together need not be what is most probable alone.
    assert (expected.argmax(-1) != TO_STUDENT[own.argmax(-1)]).any()


def test_the_teacher_sees_its_own_size(place):
    small = tiny_svc.save_teacher(place / "small", image_size=tiny_svc.SIZE // 2)
    teacher = open_teacher(load_model, small, labels.SKIN_HAIR)
    found = np.asarray(jax.jit(lambda teacher, batch: teacher(batch))(teacher, tiny_svc.faces(2)))
    assert found.shape == (2, tiny_svc.SIZE, tiny_svc.SIZE, 3)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    inside = (slice(None), slice(2, None, 6), slice(2, None, 6))  # of blocks of 6 pixels
    np.testing.assert_array_equal(found.argmax(-1)[inside], tiny_svc.faces(2)["mask"][inside])


def test_photos_without_masks_are_enough(place, student):
    """From files to labels."""
    system, state, frozen, step = student
    assert system.needs == ("image",)
    (place / "photos" / "images").mkdir(parents=True)
    ids = tiny_svc.blocks(4)
    for number, face in enumerate(fake_system.LABELS.palette[ids]):
        Image.fromarray(face).save(place / "photos" / "images" / f"{number}.png")
    source = datasets.open_source(f"folder:{place / 'photos'}", require_masks=False)
    data = {"label_set": labels.SKIN_HAIR, "image_size": tiny_svc.SIZE, "batch_size": 4, "seed": 0}
    with train.train_batches(source, **data, augment=Augment.none(), blobs=tiny_svc.BLOBS) as batches:
        batch = unpacked(next(batches))
    assert (batch["mask"] == labels.IGNORE).all()
    said = np.asarray(jax.jit(lambda teacher, batch: teacher(batch))(frozen["teacher"], batch)).argmax(-1)
    for mask in TO_STUDENT[ids]:
        assert (said == mask).all((1, 2)).any()  # all faces are there, in another order
    del batch["mask"], batch["blobs"]
    assert np.isfinite(step(state, batch, frozen)[1]["loss"])


# test_parallel.py compares all layouts every time, of a smaller system.
@pytest.mark.parametrize("mode", [pytest.param("jit", marks=pytest.mark.slow), "shard_map"])
def test_two_devices_compute_what_one_does(student, mode):
    """Statistics of the batch and draws of the dropout are those of the global batch."""
    system, state, frozen, step = student
    batch = {name: array for name, array in tiny_svc.faces(4).items() if name != "mask"}
    batch["weight"][-1] = 0
    expected, scores = step(state, batch, frozen)
    mesh = parallel.make_mesh(mode, 1)
    assert mesh.size == 2
    run = parallel.data_parallel(system.steps["teacher"], mesh, mode, parallel.put_state(frozen, mesh))
    found, metrics = run(parallel.put_state(copied(state), mesh), parallel.global_batch(batch, mesh))
    for name, value in scores.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
    assert difference(found.stats, expected.stats) < 1e-5
    check_moments(found.opt_state, expected.opt_state, rtol=2e-3, noise=1e-5)


def test_stage_2_starts_where_stage_1_ended_and_needs_no_teacher(place, student, trained):
    system, _, _, _ = student
    state, _ = trained
    teacher = str(shutil.copytree(place / "teacher", place / "gone"))
    config = tiny_svc.config(**tiny_svc.TAUGHT, teacher__model=teacher)
    shutil.rmtree(teacher)
    meta = bundle.Meta(
        name="stage1",
        system=config.system,
        config=config.to_dict(),
        label_set=system.label_set,
        preprocessing=bundle.Preprocessing(config.image_size),
        licence="Apache-2.0",
    )
    bundle.save(place / "stage1", system.variables(state), meta)
    assert load_model(place / "stage1").system.label_set == labels.SKIN_HAIR

    second = systems.build(tiny_svc.config(model__init_from=str(place / "stage1")))
    assert (second.frozen, second.needs) == (None, ("image", "mask"))
    fresh = fresh_state(second)
    started = second.init_from(fresh)
    mine, theirs = second.variables(started), system.variables(state)
    assert jax.tree.structure(started) == jax.tree.structure(fresh)
    assert difference(mine, theirs) == 0
    assert difference(started.params["network"], theirs["network"]["params"]) == 0
    assert difference(started.opt_state, fresh.opt_state) == 0
    after, scores = jax.eval_shape(lambda s, b: second.steps["labels"](s, b, GLOBAL_VIEW), started, tiny_svc.faces(4))
    assert set(scores) == {"loss", "cross_entropy", "dice", "consensus"}
    assert jax.tree.structure(after) == jax.tree.structure(started)

    other = systems.build(tiny_svc.config(model__init_from=str(place / "stage1"), label_set="lapa"))
    fresh = fresh_state(other)
    params = other.init_from(fresh).params["network"]
    assert difference(params["classes"], fresh.params["network"]["classes"]) == 0
    assert difference(params["dec4"], theirs["network"]["params"]["dec4"]) == 0
    wide = systems.build(tiny_svc.config(model__init_from=str(place / "stage1"), model__width=6))
    with pytest.raises(UserError, match=r"tensor 'network/params/\S+' has shape"):
        wide.init_from(fresh_state(wide))
    with pytest.raises(UserError, match="is a model of 'fake'"):
        systems.build(tiny_svc.config(model__init_from=str(place / "teacher"))).init_from(fresh)


def test_predict_speaks_of_every_pixel_of_any_size():
    system = systems.build(tiny_svc.config(label_set="face_occlusion"))
    variables = jax.eval_shape(lambda: system.variables(system.init(jax.random.key(0))))
    for height, width in ((20, 64), (36, 24)):
        image = jax.ShapeDtypeStruct((2, height, width, 3), jnp.float32)
        logits = jax.eval_shape(system.predict, variables, image, None).logits
        assert (logits.shape, logits.dtype) == ((2, height, width, 3), jnp.float32)


def test_the_published_recipe():
    config = svc_config.published(tiny_svc.config().unlock())
    config.data.augment.flip = 0.5
    assert (config.image_size, config.loss.consensus.alpha, config.loss.consensus.beta) == (128, 10, 5)
    system = systems.build(config.lock())
    state = jax.eval_shape(system.init, jax.random.key(0))
    assert state.ema == {}
    after, scores = jax.eval_shape(lambda s, b: system.steps["labels"](s, b, GLOBAL_VIEW), state, tiny_svc.faces(2))
    assert set(scores) == {"loss", "consensus"}
    assert jax.tree.structure(after) == jax.tree.structure(state)
    only_flips = Augment.from_dict(config.data.augment.to_dict())
    assert only_flips == Augment(**vars(Augment.none()) | {"flip": 0.5})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stage": "distil"}, "stage='distil' must be one of: labels, teacher"),
        ({"teacher__labels": "firm"}, r"teacher\.labels='firm' must be one of: soft, hard"),
        ({"image_size": 30}, "image_size=30 must be a multiple of 4"),
        (
            {"data__resolution_schedule": ((10, 16),)},
            "data.resolution_schedule=16 must be a multiple of 4, at least 20",
        ),
        ({"model__width": 5}, r"model\.width=5 must be an even number"),
        ({"model__dropout": 1.0}, r"model\.dropout=1\.0 must be at most 0\.999"),
        ({"loss__consensus__blobs": "components"}, r"set data\.blobs"),
    ],
)
def test_configs_that_do_not_fit_are_named(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny_svc.config(**changes))


@pytest.mark.parametrize(
    ("teacher", "label_set", "sentence"),
    [
        ("", "skin_hair", "needs a model to learn from"),
        ("nobody", "skin_hair", "no model 'nobody'"),
        ("teacher", "lapa", "'l2s_regions' cannot be mapped to 'lapa'"),
    ],
)
def test_teachers_that_do_not_fit_are_named(place, teacher, label_set, sentence):
    where = str(place / teacher) if (place / teacher).is_dir() and teacher else teacher
    system = systems.build(tiny_svc.config(stage="teacher", teacher__model=where, label_set=label_set))
    with pytest.raises(UserError, match=sentence):
        system.frozen(load_model)
