"""The commands a stranger types, with the real system and the shipped configs, shrunk."""

import ast
import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from l2s_jax import bundle, cli, evaluation, systems
from l2s_jax import config as configs
from tests.helpers.compilation_count import CompilationCount

SHRINK = [
    "--config.image_size=16",
    "--config.model.style=8",
    "--config.model.slices=[2,2,2,2,2,2]",
    "--config.model.pyramid.widths=[8,16]",
    "--config.model.pyramid.depths=[1,1]",
    "--config.model.pyramid.light_width=8",
    "--config.model.decoder.width=8",
    "--config.model.decoder.blocks=1",
    "--config.data.train=synthetic:24",
    "--config.data.eval=synthetic:8?val",
    "--config.data.test=synthetic:8?test",
    "--config.data.batch_size=4",
    "--config.eval.batch_size=8",
    "--config.train.log_every=2",
    "--config.train.eval_every=0",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A finished demo with two evaluations: its folder, and how often each of its programs was compiled."""
    folder = tmp_path_factory.mktemp("demo")
    options = [*SHRINK, "--config.train.steps=4", "--config.train.eval_every=2"]
    with CompilationCount() as compilations:
        assert cli.main(["demo", "--workdir", str(folder), *options]) == 0
    return folder, compilations.programs


@pytest.fixture
def workdir(demo):
    return demo[0]


def test_demo_leaves_everything_the_architecture_page_lists(workdir):
    for name in ("config.json", "metrics.jsonl", "metrics.json", "evaluation.npz", "report.html", "model/model.json"):
        assert (workdir / name).stat().st_size > 0
    assert bundle.read_meta(workdir / "model").scores["examples"] == 8


def test_every_program_is_compiled_once(demo, tmp_path):
    workdir, programs = demo
    steps, ways = 1, 3  # without adversaries; by decodes, by the light head, by the painter
    assert programs["jit(counted)"] == steps
    assert programs["jit(_segment)"] == ways  # in both evaluations and the final scores together
    assert programs["jit(_init)"] == programs["jit(_all_finite)"] == programs["jit(_structure)"] == 1
    assert programs["jit(encode)"] == programs["jit(decode)"] == 1  # by all scores of the codec
    for number, size in enumerate([(40, 30), (17, 50), (64, 64)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    with CompilationCount() as compilations:
        assert cli.main(["parse", str(tmp_path), "--out", str(tmp_path), "--model", str(workdir), "--batch", "2"]) == 0
    assert compilations.programs.pop("jit(find)", 0) <= 1  # other tests of this process may have used the detector
    assert compilations.programs == {"jit(<lambda>)": 1}  # the parser, for all sizes of photos


def test_the_scores_have_the_keys_that_scripts_rely_on(workdir):
    scores = json.loads((workdir / "metrics.json").read_text())
    names = ("background", "hair", "skin", "nose", "eyes", "lips")
    assert {"mean_f1", "mean_iou", "per_class"} <= set(scores["segmentation"])
    assert set(scores["segmentation"]["per_class"]) == set(names)
    assert all("f1" in entry for entry in scores["segmentation"]["per_class"].values())
    assert {"acs", "macro_acs", "leak", "dead_slices"} <= set(scores["disentanglement"])
    assert {"chance", "without_matte", "random_generator"} <= set(scores["disentanglement"])
    assert {"mean_mask", "chance"} <= set(scores["segmentation"]["baselines"])
    assert {"l1", "psnr"} <= set(scores["reconstruction"]["mean_face"])
    assert set(scores["disentanglement"]["leak"]) == set(names)
    assert {"l1", "psnr"} <= set(scores["reconstruction"])
    assert "native" in scores["segmentation"]


def test_parse_writes_masks_at_the_size_of_the_photo(workdir, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(tmp_path / "face.png")
    out = tmp_path / "masks"
    assert cli.main(["parse", str(tmp_path / "face.png"), "--out", str(out), "--model", str(workdir)]) == 0
    ids = np.asarray(Image.open(out / "face_labels.png"))
    assert ids.shape == (40, 30)
    assert ids.max() < 6


@pytest.mark.parametrize("name", sorted(configs.names()))
def test_every_shipped_config_builds_its_system(name):
    config = configs.load(name)
    system = systems.build(config)
    assert set(system.schedule(0)) <= set(system.steps)
    assert config.train.best_metric.removeprefix("-") in evaluation.score_names(system)
    assert "Command" in ast.get_docstring(ast.parse(configs.find(name).read_text("utf-8")))


ALIKE = {"segface_celebamask_hq_ours", "segface_helen", "segface_helen_ours", "segface_lapa"}
"""The networks of segface_celebamask_hq and segface_lapa_ours with other classes and warps; each takes a second."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in sorted(configs.names())],
)
def test_the_networks_of_every_shipped_config(name):
    config = configs.load(name)
    system = systems.build(config)
    state = jax.eval_shape(system.init, jax.random.key(0))
    variables, side = system.variables(state), config.image_size
    if system.predict is not None:
        image = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
        logits = jax.eval_shape(system.predict, variables, image).logits
        assert logits.shape == (1, side, side, len(system.label_set))
    if system.generator is not None:
        z = jax.ShapeDtypeStruct((1, system.generator.size), np.float32)
        assert jax.eval_shape(system.generator.sample, variables, z, 0.7).shape == (1, side, side, 3)


@pytest.mark.slow
def test_kill_9_and_resume_ends_in_the_same_bits(tmp_path):
    """N steps == k steps, kill -9, resume, N - k steps: parameters and the position in the data."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "xla"), "PYTHONUNBUFFERED": "1"}
    steps = 12

    def command(folder):
        train = ["train", "--config", "demo", "--workdir", str(folder), f"--config.train.steps={steps}"]
        return [sys.executable, "-m", "l2s_jax.cli", *train, "--config.train.save_every=2", *SHRINK]

    subprocess.run(command(tmp_path / "whole"), check=True, env=os.environ | cache)
    killed = subprocess.Popen(command(tmp_path / "killed"), env=os.environ | cache)
    history = tmp_path / "killed" / "metrics.jsonl"
    while not (history.exists() and '"step": 4' in history.read_text()):
        assert killed.poll() is None, "finished before it could be killed"
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "model").exists()
    subprocess.run(command(tmp_path / "killed"), check=True, env=os.environ | cache)

    whole, resumed = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys()
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    rows = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    losses = [[{k: v for k, v in json.loads(row).items() if "loss" in k} for row in kind] for kind in rows]
    assert losses[0] == losses[1]  # every batch after the crash was the batch it would have been
