"""A system that makes its own images from seeds and brings its own scores: data, training, scores, report, refusals."""

import json

import jax
import numpy as np
import pytest

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError
from input_pipeline.loading.train import eval_batches
from l2s_jax import cli, recipe
from l2s_jax import config as configs
from l2s_jax.report.tables import own_scores, own_tables
from tests.helpers.installed import installed

SYSTEM = """
import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from input_pipeline import labels
from l2s_jax import optim
from l2s_jax.systems import single_network
from l2s_jax.types import Scorer, System


class Scale(nn.Module):
    @nn.compact
    def __call__(self, image, train):
        return image * self.param("scale", nn.initializers.constant(3.0), ())


def draws(batch):
    keys = jax.random.wrap_key_data(batch["seed"])
    return jax.vmap(lambda key: jax.random.normal(key, (8, 8, 3)))(keys)


def build(config):
    network, optimiser = Scale(), optim.build(config.optim.network)

    def train(state, batch, axis):
        def terms(variables):
            off = jnp.mean((network.apply(variables, draws(batch), train=True) - draws(batch)) ** 2, axis=(1, 2, 3))
            weight = batch["weight"]
            return {"error": axis.psum(jnp.sum(off * weight)) / axis.psum(jnp.sum(weight))}, {}

        return single_network.train_step(terms, {"error": 1.0}, optimiser, 0.0, state, axis)

    def collect(variables, batch):
        off = network.apply(variables["network"], draws(batch), train=False) - draws(batch)
        return {"error": jnp.mean(off**2, axis=(1, 2, 3)), "first": draws(batch)[:, 0, 0, 0]}

    def summary(rows, untrained):
        mean = {"mse": float(rows["error"].mean()), "count": len(rows["error"]), "first": float(rows["first"].sum())}
        beside = {"untrained": {"mse": float(untrained["error"].mean())}} if untrained else {}
        return {"scale": mean, "beside": beside}

    def untrained(variables, rng):
        return {"network": network.init(rng, jnp.zeros((1, 8, 8, 3)), train=False)}

    return System(
        name="own_scores",
        label_set=labels.get(config.label_set),
        init=functools.partial(single_network.first_state, network, optimiser, config.image_size, 0.0),
        steps={"train": train},
        schedule=lambda step: ("train",),
        variables=single_network.exported,
        scorer=Scorer(("scale.mse",), collect, summary, untrained, lambda v, b: {"draws & more": draws(b)[None]}),
        needs=("seed",),
    )
"""
CONFIG = """
from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.schema import within

RANGES = within("optim.network", optim.RANGES)


def default_config():
    config = ConfigDict()
    config.label_set = "celebamask"
    config.optim = ConfigDict()
    config.optim.network = optim.default_config()
    return config
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the system, installed as a distribution of its own."""
    modules = {"own_scores/system.py": SYSTEM, "own_scores/config.py": CONFIG}
    with installed(tmp_path_factory.mktemp("own_scores"), "own_scores", modules) as root:
        yield root


@pytest.fixture(scope="module")
def config(place):
    config = configs.default("own_scores").unlock()
    config.image_size = 8
    config.data.train, config.data.eval, config.data.test = "random:16", "random:5?val", "random:7?test"
    config.data.batch_size = config.eval.batch_size = 4
    config.optim.network.learning_rate = 0.5
    config.train.steps, config.train.eval_every, config.train.best_metric = 6, 2, "-scale.mse"
    configs.save(config.lock(), place / "own.json")
    return config


@pytest.fixture(scope="module")
def run(place, config):
    assert cli.main(["train", "--config", "own.json", "--workdir", "run"]) == 0
    return place / "run"


def test_a_system_with_its_own_scores_trains_and_is_measured(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["scale"]["count"] == 7
    assert metrics["data"] == {"spec": "random:7?test", "examples": 7}
    # Padding is left out: the sum of one number of every draw is that of the seven seeds alone.
    seeds = [open_source("random:7?test")[index]["seed"] for index in range(7)]
    first = [jax.random.normal(jax.random.wrap_key_data(seed), (8, 8, 3))[0, 0, 0] for seed in seeds]
    assert metrics["scale"]["first"] == pytest.approx(float(np.sum(first)), rel=1e-5)
    assert metrics["scale"]["mse"] < 1 < metrics["beside"]["untrained"]["mse"]
    # The lowest error was the best one.
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    errors = {line["step"]: line["eval/scale.mse"] for line in lines if "eval/scale.mse" in line}
    assert (run / "checkpoints" / "best").is_dir()
    assert len(errors) == 3
    best = min(errors, key=errors.get)
    assert any(str(best) in entry.name for entry in (run / "checkpoints" / "best").iterdir())


def test_its_report_shows_tables_and_pictures(run):
    page = (run / "report.html").read_text()
    assert "untrained" in page
    assert "draws &amp; more" in page
    assert (run / "panels" / "draws-more.png").is_file()


def test_groups_of_any_depth_become_tables():
    metrics = {"data": {"spec": "x"}, "scale": {"mse": 1.0, "no_number": None}}
    metrics |= {"factors": {"means": {"ours": {"a": 1}}, "by_name": {"nose": {"long": 0.5}, "eyes": {"far": 0.25}}}}
    assert own_scores(metrics) == {
        "scale": {"mse": {"score": 1.0}, "no number": {"score": None}},
        "factors: means": {"ours": {"a": 1}},
        "factors: by name": {"nose": {"long": 0.5}, "eyes": {"far": 0.25}},
    }
    turned = own_scores({"baselines": {"ours": {"a": 1, "b": 2, "c": 3}, "theirs": {"a": 4, "c": 5}}})["baselines"]
    assert turned == {"a": {"ours": 1, "theirs": 4}, "b": {"ours": 2}, "c": {"ours": 3, "theirs": 5}}
    (_, table), *_ = own_tables({"baselines": {"ours": {"a": 1.0, "b": 2.0}, "theirs": {"b": 3.0}}})
    assert list(table.head) == ["", "a", "b"]
    assert [[cell.text for cell in row] for row in table.rows] == [["ours", "1.000", "2.000"], ["theirs", "–", "3.000"]]


def test_evaluate_repeats_the_scores(run, capsys):
    assert (
        cli.main(["evaluate", "--model", "run", "--data", "random:7?test", "--json", "again.json", "--batch", "3"]) == 0
    )
    assert "untrained" in capsys.readouterr().out
    again, metrics = (json.loads(file.read_text()) for file in (run.parent / "again.json", run / "metrics.json"))
    assert again["scale"]["mse"] == pytest.approx(metrics["scale"]["mse"], rel=1e-5)


def test_what_does_not_segment_is_no_parser_no_editor_no_teacher(run, capsys):
    for words in (
        ["parse", "x.png", "--model", "run"],
        ["edit", "swap", "x.png", "y.png", "--model", "run", "--out", "z"],
        ["evaluate", "--model", "run", "--data", "random:3", "--features", "run"],
        ["train", "--config", "own.json", "--workdir", "other", "--config.train.best_metric=-scale.mze"],
        ["train", "--config", "own.json", "--workdir", "other", "--config.data.train=synthetic:8"],
    ):
        assert cli.main(words) == 2, words
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_dry_run_knows_the_seeds(config, place, capsys):
    assert cli.main(["train", "--config", "own.json", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "uint32" in said
    assert "logits" not in said


def test_draws_are_distinct_by_split_and_number():
    seeds = {
        tuple(open_source(f"random:50?{split}")[i]["seed"]) for split in ("train", "val", "test") for i in range(50)
    }
    assert len(seeds) == 150
    source = open_source("random:5?val")
    batches = [batch for batch, masks in eval_batches(source, label_set=source.label_set, image_size=8, batch_size=4)]
    assert [set(batch) for batch in batches] == [{"seed", "weight"}] * 2
    assert batches[1]["seed"].dtype == np.uint32
    assert batches[1]["weight"].tolist() == [1, 0, 0, 0]
    np.testing.assert_array_equal(batches[1]["seed"][0], source[4]["seed"])
    for spec in ("random:0", "random:x", "random:5?later"):
        with pytest.raises(UserError):
            open_source(spec)


def test_a_stream_of_seeds_resumes(config):
    system = type("System", (), {"label_set": open_source("random:5").label_set, "needs": ("seed",)})
    with recipe.training_batches(config, system, recipe.training_parts(config, ("seed",))) as batches:
        seen = [next(batches)["seed"] for _ in range(4)]
    with recipe.training_batches(config, system, recipe.training_parts(config, ("seed",))) as batches:
        batches.set_state(batches.get_state() | {"step": 2})
        np.testing.assert_array_equal(next(batches)["seed"], seen[2])
    assert len(np.unique(np.concatenate(seen), axis=0)) == 16
