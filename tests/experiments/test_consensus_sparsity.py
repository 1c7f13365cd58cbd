"""The study of the consensus loss: what its names mean, how it scores masks, and what it makes of several seeds."""

import csv
import math
import types

import jax
import numpy as np
import pytest

from experiments import consensus_sparsity as study
from input_pipeline.errors import UserError
from l2s_jax import systems
from l2s_jax.types import Prediction

NAMES = ("background", "skin", "hat")


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("ce", (1, 0, 0, 0, "components", "clean", 0)),
        ("ce~12", (1, 0, 0, 0, "components", "clean", 12)),
        ("1:0", (0, 1, 0, 0, "components", "clean", 0)),
        ("10:5/classes~3", (0, 2 / 3, 1 / 3, 0, "classes", "clean", 3)),
        ("ce+1:3", (1, 1, 3, 0, "components", "clean", 0)),
        ("0.5:0.5@1", (0, 0.5, 0.5, 1, "components", "clean", 0)),
        ("ce+0:2@0.5/classes", (1, 0, 2, 0.5, "classes", "clean", 0)),
        ("10:5/authors", (0, 2 / 3, 1 / 3, 0, "classes", "published", 0)),
        ("ce+1:3/authors~3", (1, 1, 3, 0, "classes", "published", 3)),
    ],
)
def test_names_of_losses(text, loss):
    assert study.read_loss(text)[:4] == pytest.approx(loss[:4])
    assert study.read_loss(text)[4:] == loss[4:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dice",
        "ce+",
        "1",
        "1:",
        "ce1:1",
        "0:0",
        "1:-1",
        "1:1@",
        "1.1.1:2",
        "1:1/class",
        "1:1@1/authors",
        "1:1/classes/authors",
        "ce/classes",
        "ce~",
        "1:1~0",
        "1:1~-4",
        "ce~1e9",
    ],
)
def test_other_names_are_refused(text):
    with pytest.raises(UserError, match="must be ce, ALPHA:BETA"):
        study.read_loss(text)


@pytest.mark.parametrize("base", [(), ("--config", "segface_mini", "--label-set", "skin_hair")])
def test_runs_differ_in_loss_and_seed_alone(base):
    args = study.arguments([*base, "--steps", "7", "--image-size", "64"])
    plain, other = (study.config_of(study.read_loss(loss), seed, args) for loss, seed in (("ce", 0), ("ce+1:4@1", 2)))
    flat, other_flat = (study.configs.flatten(config) for config in (plain, other))
    assert {name: other_flat[name] for name in flat if flat[name] != other_flat[name]} == {
        "seed": 2,
        "loss.consensus.weight": 1.0,
        "loss.consensus.alpha": 1.0,
        "loss.consensus.beta": 4.0,
        "loss.consensus.size_power": 1.0,
    }
    assert plain.loss.consensus.weight == 0
    for config in (plain, other):
        assert systems.build(config).label_set.name == "skin_hair"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("svc_stage1", r"'svc_stage1' learns from a teacher \(stage=teacher\), the study from masks"),
        ("svc_mini2", "svc_mini2"),
    ],
)
def test_configs_that_do_not_fit_are_named(config, sentence):
    with pytest.raises(UserError, match=sentence):
        study.config_of(study.read_loss("ce"), 0, study.arguments(["--config", config]))


def test_a_published_recipe_is_studied_as_ours_is():
    args = study.arguments(["--config", "configs/svc_stage2.py", "--out", "runs/x", "--steps", "5"])
    config = study.config_of(study.read_loss("1:1@1"), 0, args)
    assert (config.model.init_from, config.loss.consensus.normalisation) == ("", "clean")
    assert str(study.place(args)) == "runs/x/svc_stage2-skin_hair-128px-5"


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--steps", "-1"], ["--image-size", "0"]])
def test_numbers_from_one_on(words, capsys):
    with pytest.raises(SystemExit) as stop:
        study.arguments(words)
    assert stop.value.code == 2
    assert "is not a number above 0" in capsys.readouterr().err


def said(variables, image):
    """A parser that says what is in the red channel."""
    return Prediction(variables * jax.nn.one_hot(image[..., 0].astype(int), len(NAMES)))


@pytest.fixture(scope="module")
def faces():
    """Face 0 is right; face 1 has two islands of skin and lost its hat, face 2 a hole of background; 3 is padding."""
    truth = np.zeros((4, 12, 12), np.int32)
    truth[:, 4:10, 2:10], truth[:, 1:3, 2:10] = 1, 2
    spoken = truth.copy()
    spoken[1, 1:3], spoken[1, 0, 0], spoken[1, 0, 11] = 0, 1, 1
    spoken[2, 6:8, 5:7] = 0
    spoken[3] = np.arange(12) % 3
    image = np.repeat(spoken[..., None], 3, axis=-1).astype(np.float32)
    weight = np.array([1, 1, 1, 0], np.float32)
    batches = [{"image": image[part], "mask": truth[part], "weight": weight[part]} for part in (slice(2), slice(2, 4))]
    return batches


@pytest.fixture(scope="module")
def result(faces):
    return study.measure(said, np.float32(5), faces, NAMES)


def test_small_pieces_are_given_away_before(faces):
    cleaned = study.measure(said, np.float32(5), faces, NAMES, smallest=5)
    np.testing.assert_array_equal(cleaned.off, [0, 1, 0])  # the hat is still lost
    assert cleaned.scores["components_off"]["skin"] == cleaned.scores["components_off"]["background"] == 0
    assert cleaned.scores["f1"]["skin"] == 1


def test_faces_are_scored_and_padding_is_not(result):
    np.testing.assert_array_equal(
        result.off, [0, 1, 0]
    )  # two more of skin, one less of hat; the background is nobody's
    off = result.scores["components_off"]
    assert off == pytest.approx({"all": 1 / 3, "background": 1 / 3, "skin": 2 / 3, "hat": 1 / 3})
    assert result.scores["class_by_class"] == pytest.approx({"all": 1.0})
    hat = 2 * 32 / (2 * 32 + 16)
    assert result.scores["f1"]["hat"] == pytest.approx(hat)
    assert result.scores["f1"]["all"] == pytest.approx((hat + 2 * 140 / (2 * 140 + 4 + 2)) / 2)
    assert result.scores["boundary_f1"]["hat"] == pytest.approx(2 / 3)
    assert result.labels.shape == (3, 12, 12)


def test_a_finished_run_is_found_again_where_nothing_changed(tmp_path, result):
    about = {"config": {"seed": 0, "train": {"steps": 3}}, "faces": "folder:x?val"}
    assert study.finished(tmp_path, about) is None
    study.store(tmp_path, about, result)
    found = study.finished(tmp_path, about)
    assert found.scores == result.scores
    np.testing.assert_array_equal(found.labels, result.labels)
    np.testing.assert_array_equal(found.off, result.off)
    assert study.finished(tmp_path, about | {"faces": "folder:x?train"}) is None


def scores(off, f1):
    return types.SimpleNamespace(
        scores={
            "components_off": {"all": off, "skin": off, "hat": None},
            "class_by_class": {"all": 2 * off},
            **{name: {"all": f1, "skin": f1, "hat": None} for name in ("f1", "iou", "boundary_f1")},
        }
    )


@pytest.fixture(scope="module")
def results():
    return {
        "ce": [scores(4.0, 0.70), scores(2.0, 0.72), scores(3.0, 0.71)],
        "1:1": [scores(2.6, 0.70), scores(0.9, 0.70), scores(1.8, 0.71)],  # fewer, and no worse than the seeds differ
        "1:10": [scores(1.0, 0.50), scores(0.8, 0.50), scores(0.9, 0.50)],  # fewer, and worse
        "10:5": [scores(3.5, 0.75), scores(1.5, 0.75), scores(2.5, 0.75)],  # fewer, not by enough
        "ce+1:1": [scores(1.0, 0.75), scores(1.5, 0.75), scores(2.9, 0.75)],  # fewer by chance: -3, -0.5, -0.1
    }


def test_seeds_are_summed_up_and_judged(results):
    summary = study.summarise(results)
    assert summary["ce"]["components_off"]["all"] == pytest.approx((3.0, 1.0))
    assert summary["ce"]["f1"]["hat"] is None
    assert study.change(summary, "1:1") == pytest.approx(5.3 / 9 - 1)
    assert study.verdict(results).endswith("(within ce's spread over seeds): 1:1 (-41 %)")
    worse = {loss: results[loss] for loss in ("ce", "1:10", "10:5", "ce+1:1")}
    assert study.verdict(worse).endswith("no loss here")
    none = {"ce": [scores(0.0, 0.7)], "1:1": [scores(0.5, 0.7)], "1:0": [scores(0.0, 0.7)]}
    changes = [study.change(study.summarise(none), loss) for loss in none]
    assert changes == [0, math.inf, 0]


def test_intervals_of_paired_seeds(results):
    low, high = study.interval(results["ce"], results["1:1"], "components_off")
    mean, error = -3.7 / 3, np.std([-1.4, -1.1, -1.2], ddof=1) / 3**0.5
    assert (low, high) == pytest.approx((mean - 4.30265 * error, mean + 4.30265 * error), abs=1e-5)
    noisy = study.interval(results["ce"], results["ce+1:1"], "components_off")
    assert noisy[0] < 0 < noisy[1]
    assert study.interval(results["ce"][:1], results["1:1"][:1], "f1") == (-math.inf, math.inf)
    rows = study.markdown_of_changes(results).splitlines()
    assert rows[2] == f"| 1:1 | {low:+.2f} to {high:+.2f} | -3.54 to +2.20 |"


def test_tables(results):
    summary = study.summarise(results)
    head, rule, first, second, *_ = study.markdown(summary).splitlines()
    assert head == "| loss | against ce | components off | class by class | mean F1 | mean IoU | boundary F1 |"
    assert rule.count("---") == 7
    assert first == "| ce |  | 3.00 ± 1.00 | 6.00 ± 2.00 | 71.0 ± 1.0 | 71.0 ± 1.0 | 71.0 ± 1.0 |"
    assert second.startswith("| 1:1 | -41 % | 1.77 ± 0.85 |")
    by_class = study.markdown_by_class(summary, "f1").splitlines()
    assert by_class[0] == "| F1 | ce | 1:1 | 1:10 | 10:5 | ce+1:1 |"
    assert by_class[3] == "| hat | - | - | - | - | - |"
    rows = list(csv.DictReader(study.lines(results).splitlines()))
    assert len(rows) == 5 * 3 * 3
    assert rows[1] == {
        **{"loss": "ce", "seed": "0", "class": "skin", "components_off": "4.0", "class_by_class": ""},
        **{"f1": "0.7", "iou": "0.7", "boundary_f1": "0.7"},
    }


def test_the_picture_shows_the_worst_faces_of_the_baseline():
    count, side = study.WORST + 2, 32
    rng = np.random.default_rng(0)
    off = np.arange(count, dtype=np.float32)
    labels = rng.integers(0, 3, (count, side, side)).astype(np.uint8)
    masks = [study.Result(labels, off, {}), study.Result(labels[::-1], off[::-1], {})]
    batch = {
        "image": rng.uniform(-1, 1, (count + 1, side, side, 3)).astype(np.float32),
        "mask": rng.integers(0, 3, (count + 1, side, side)).astype(np.int32),
        "weight": np.array([1] * count + [0], np.float32),
    }
    names = tuple(f"face{i}" for i in range(count))
    label_set = systems.build(study.config_of(study.read_loss("ce"), 0, study.arguments([]))).label_set
    scored = study.Scored("folder:x", names, [batch], said, label_set)
    drawn = study.picture(scored, {"ce": masks[:1], "1:1": masks[1:]})
    rows, columns = study.WORST * (study.CELL + study.image_grid.GAP), 4 * (study.CELL + study.image_grid.GAP)
    assert drawn.shape[0] > rows
    assert drawn.shape[1] > columns
    best_first = study.picture(scored, {"1:1": masks[1:], "ce": masks[:1]})
    assert drawn.shape == best_first.shape
    assert np.any(drawn != best_first)
