"""StyleGAN2 as a system: schedule, samples, scores, initial weights, what does not fit, a training from the shell."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from input_pipeline.errors import UserError
from l2s_jax import bundle, cli, systems
from l2s_jax import config as configs
from l2s_jax.inference.model import load_model
from l2s_jax.metrics import realism
from l2s_jax.systems.stylegan2 import scores
from tests.helpers import stylegan2_weights, tiny_stylegan2
from tests.helpers.steps import difference, numbered

SHRINK = {
    "image_size": 16,
    "model.code": 6,
    "model.mapping_layers": 1,
    "model.max_width": 6,
    "model.channel_base": 32,
    "model.discriminator.max_width": 6,
    "model.discriminator.channel_base": 32,
    "data.batch_size": 4,
    "data.train": "synthetic:16",
    "data.eval": "synthetic:8?val",
    "data.test": "synthetic:9?test",
    "eval.batch_size": 4,
    "loss.path_length": 0,  # a program less; test_stylegan2_steps.py has its tests
    "train.steps": 1,
    "train.log_every": 1,
    "train.eval_every": 0,
    "train.save_every": 0,
}


@pytest.fixture(scope="module")
def system():
    return systems.build(tiny_stylegan2.config())


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def collect(system):
    return jax.jit(system.scorer.collect)


def test_both_networks_learn_from_every_batch_and_penalties_are_lazy(system):
    runs = [system.schedule(number) for number in range(33)]
    assert runs[0] == ("generator", "path_length", "discriminator", "r1")
    assert runs[1] == ("generator", "discriminator")
    assert runs[4] == ("generator", "path_length", "discriminator")
    assert [number for number, run in enumerate(runs) if "path_length" in run] == list(range(0, 33, 4))
    assert [number for number, run in enumerate(runs) if "r1" in run] == [0, 16, 32]


def test_without_path_lengths_there_is_no_such_step_and_no_correction():
    plain = systems.build(tiny_stylegan2.config(loss__path_length=0.0))
    assert plain.steps.keys() == {"generator", "discriminator", "r1"}
    assert plain.schedule(0) == ("generator", "discriminator", "r1")


@pytest.mark.parametrize(("ema", "source"), [(0.9, "ema"), (0.0, "params")])
def test_the_average_is_exported_if_there_is_one(ema, source):
    system = systems.build(tiny_stylegan2.config(optim__ema=ema))
    state = jax.eval_shape(system.init, jax.random.key(0))
    marked = state.replace(**{source: {"generator": "marked"} | ({"discriminator": 0} if source == "params" else {})})
    exported = system.variables(marked)["generator"]
    assert exported["params"] == "marked"
    assert set(exported["buffers"]) == {"synthesis", "w_avg"}


def test_a_sample_is_the_mean_face_without_truncation_left(system, state):
    variables, sample = system.variables(state), jax.jit(system.generator.sample)
    z = jax.random.normal(jax.random.key(1), (3, system.generator.size))
    faces, mean = sample(variables, z, 1.0), sample(variables, z, 0.0)
    side = tiny_stylegan2.SIZE
    assert faces.shape == (3, side, side, 3)
    assert faces.dtype == jnp.float32
    assert np.abs(faces[0] - faces[1]).max() > 1e-3
    np.testing.assert_allclose(mean[0], mean[1], atol=1e-6)


def test_a_checksum_is_that_of_the_pixels_wherever_the_image_stands():
    image = tiny_stylegan2.faces(5)["image"]
    checksums = jax.jit(scores.checksums)
    found = np.asarray(checksums(image))
    pixels = np.round((image.astype(np.float64) + 1) * 127.5).astype(np.uint64).reshape(5, -1)
    factors = (np.arange(pixels.shape[1], dtype=np.uint64) * np.uint64(2 * 2654435761) + np.uint64(1)) % np.uint64(
        2**32
    )
    np.testing.assert_array_equal(found, (pixels * factors % np.uint64(2**32)).sum(1) % np.uint64(2**32))
    np.testing.assert_array_equal(checksums(image[::-1])[::-1], found)
    turned = image[:, :, ::-1]
    assert len({*found.tolist(), *np.asarray(checksums(turned)).tolist()}) == 10


@pytest.fixture(scope="module")
def rows(system, state, collect):
    batch = tiny_stylegan2.faces(12)
    found = [
        collect(system.variables(state), {name: x[i : i + 4] for name, x in batch.items()}) for i in range(0, 12, 4)
    ]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def test_faces_are_compared_with_photos_beside_baselines(system, state, rows):
    untrained = system.scorer.untrained(system.variables(state), jax.random.key(5))
    assert difference(untrained["generator"]["params"], state.params["generator"]) > 0.1
    other = {**rows, "generated": np.random.default_rng(0).normal(size=rows["generated"].shape)}
    summary = system.scorer.summary(rows, other)
    table = summary["distances_from_photos_in_pyramid_features"]
    assert table.keys() == {"generated", "truncated", "untrained", "mean_face", "photos"}
    assert summary["generation"] == table["generated"]
    expected = realism.summary("pyramid", rows["photo"], {"generated": rows["generated"]})
    assert table["generated"]["kernel_distance"] == expected["generated"]
    assert table["generated"]["frechet_distance"] == expected["frechet"]["generated"]
    assert abs(table["photos"]["kernel_distance"]) < table["untrained"]["kernel_distance"]
    mean = rows["thumbnail"].astype(np.float64).mean(axis=0) / 127.5 - 1
    features = np.asarray(jax.jit(realism.PYRAMID.of)(np.float32(mean[None])))
    expected = realism.summary("pyramid", rows["photo"], {"mean": np.repeat(features, 12, axis=0)})
    assert table["mean_face"]["kernel_distance"] == pytest.approx(expected["mean"], rel=1e-4)
    short = system.scorer.summary(rows, None)
    assert short["generation"] == summary["generation"]
    assert short["distances_from_photos_in_pyramid_features"].keys() == {"generated", "truncated", "photos"}


def test_scores_do_not_depend_on_the_batches(system, state, collect, rows):
    batch = tiny_stylegan2.faces(12)
    turned = collect(system.variables(state), {name: x[[5, 3, 8, 0]] for name, x in batch.items()})
    for name, values in turned.items():
        np.testing.assert_allclose(values, rows[name][[5, 3, 8, 0]], rtol=1e-4, atol=1e-4)


def test_pictures_are_grids_that_begin_with_the_faces_themselves(system, state):
    draw = jax.jit(system.scorer.pictures)
    pictures = draw(system.variables(state), tiny_stylegan2.faces(2))
    again = draw(system.variables(state), tiny_stylegan2.faces(2, seed=7))
    side = tiny_stylegan2.SIZE
    shapes = [picture.shape for picture in pictures.values()]
    assert shapes == [(4, 8, side, side, 3), (4, 8, side, side, 3), (6, 6, side, side, 3)]
    assert difference(pictures, again) == 0
    mixed = np.asarray(list(pictures.values())[2])
    sample = jax.jit(functools.partial(system.generator.sample, system.variables(state)))
    np.testing.assert_allclose(mixed[0, 0], sample(jnp.ones((1, 6)), 0.0)[0], atol=1e-5)
    faces = mixed.reshape(36, -1)
    assert len(np.unique(faces.round(5), axis=0)) == 36


@pytest.mark.parametrize(
    ("accuracy", "sentence"),
    [(0.99, "right about 99.0% of the pictures: the generator learns little"), (0.5, "it is blind"), (0.8, "")],
)
def test_a_discriminator_that_teaches_nothing_is_noticed(system, accuracy, sentence):
    told = system.watch({"train/discriminator/d_accuracy": accuracy})
    assert sentence in told
    assert bool(told) is bool(sentence)
    assert system.watch({"train/generator/loss": 1.0}) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image_size": 24}, "image_size=24 must be a power of two from 8 to 4096 for StyleGAN2"),
        ({"data__batch_size": 5}, "data.batch_size=5 must be a multiple of model.discriminator.group=2"),
        ({"model__channel_base": 4}, "model.channel_base=4 leaves no channel at 8 px"),
        ({"model__discriminator__channel_base": 4}, "model.discriminator.channel_base=4 leaves no channel at 8 px"),
        ({"latents__mixing": 1.5}, "latents.mixing=1.5 must be at most 1"),
        ({"schedule__r1_every": 0}, "schedule.r1_every=0 must be at least 1"),
    ],
)
def test_configs_that_do_not_fit_are_named(change, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny_stylegan2.config(**change))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("stylegan2")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("HOME", str(root))
        yield root


@pytest.fixture(scope="module")
def run(place):
    """The shipped config, shrunk, through `l2s train`."""
    options = [f"--config.{name}={value}" for name, value in SHRINK.items()]
    assert cli.main(["train", "--config", "stylegan2_synthetic", "--workdir", "run", *options]) == 0
    return place / "run"


def test_the_shipped_config_trains_and_is_measured(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["data"] == {"spec": "synthetic:9?test", "examples": 9}
    assert metrics["generation"].keys() == {"kernel_distance", "frechet_distance"}
    assert "untrained" in metrics["distances_from_photos_in_pyramid_features"]
    page = (run / "report.html").read_text()
    assert "style mixing" in page
    assert "mean face" in page
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any({"train/generator/loss", "train/r1/penalty"} <= line.keys() for line in lines)


def test_the_exported_model_makes_faces(run):
    model = load_model("run")
    image = jax.jit(model.system.generator.sample)(model.variables, jnp.ones((1, model.system.generator.size)), 0.7)
    assert image.shape == (1, 16, 16, 3)
    assert np.all(np.isfinite(image))


def test_training_begins_with_a_model_or_a_published_generator(place, run):
    config = configs.load(run / "config.json").unlock()
    config.model.init_from = "run"
    system = systems.build(config)
    assert system.learns_from == ("run",)
    fresh = numbered(system)
    begun = system.init_from(fresh)
    trained = load_model("run").variables["generator"]
    assert difference(begun.params["generator"], trained["params"]) == 0
    assert difference(begun.ema["generator"], trained["params"]) == 0
    assert difference(begun.stats["generator"], trained["buffers"]) == 0
    assert difference(begun.params["discriminator"], fresh.params["discriminator"]) == 0

    state = stylegan2_weights.generator(16, code=6, layers=1, base=32, most=6)
    save_file(state, place / "published.safetensors")
    config.model.init_from = "published.safetensors"
    begun = systems.build(config).init_from(fresh)
    np.testing.assert_array_equal(begun.ema["generator"]["mapping"]["dense_0"]["kernel"], state["style.1.weight"].T)

    config.model.code = 7
    with pytest.raises(UserError, match=r"init_from='published\.safetensors' does not fit the config: 'params/mapping"):
        systems.build(config).init_from(numbered(systems.build(config)))


def test_published_weights_become_a_model(place, capsys):
    save_file(stylegan2_weights.generator(16), place / "face.safetensors")
    assert cli.main(["convert", "stylegan2", "face.safetensors", "--out", "models/face"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "StyleGAN2, 16 px of FFHQ" in said
    assert "l2s parse" not in said
    assert bundle.read_meta("models/face").preprocessing.image_size == 16
    model = load_model("models/face")
    assert model.system.generator.size == 5
    assert cli.main(["convert", "stylegan2", "face.safetensors", "--out", "models/other", "--image-size", "32"]) == 2
    assert "16 px, not 32" in capsys.readouterr().err
