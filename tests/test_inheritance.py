"""The licence of a trained model: of its faces, its teacher and its first weights, whatever becomes of them later."""

import dataclasses
import json

import pytest
from PIL import Image

from input_pipeline import licences
from input_pipeline.datasets import open_mixture
from l2s_jax import bundle, cli, inheritance, systems
from l2s_jax import config as configs
from l2s_jax.systems import names
from tests.helpers import fake_system

LABELS = fake_system.LABELS
OPTIONS = ["--config.train.steps=1", "--config.train.eval_every=0"]


def draw_faces(folder, licence=None):
    """Four faces in palette colours; `licence` in their labels.json."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    stated = {} if licence is None else {"licence": licence}
    (folder / "labels.json").write_text(json.dumps({"label_set": LABELS.name, **stated}))
    for n in range(4):
        image, ids = fake_system.painted(16, 16)
        Image.fromarray(image).save(folder / "images" / f"{n}.png")
        Image.fromarray(ids).save(folder / "masks" / f"{n}.png")
    return f"folder:{folder}"


def save(path, licence):
    """A model under a licence."""
    bundle.save(path, fake_system.variables(), dataclasses.replace(fake_system.meta(), licence=licence))
    return str(path)


def train(place, mixture, evaluation):
    """Exports a model of `mixture`; returns what its model.json says."""
    conf = fake_system.fake_config().unlock()
    conf.data.train, conf.data.eval = mixture, evaluation
    conf.data.batch_size = conf.eval.batch_size = 4
    (place / "tiny.json").write_text(json.dumps(conf.to_dict()))
    assert cli.main(["train", "--config", "tiny.json", *OPTIONS]) == 0
    return bundle.read_meta(place / "runs" / "tiny" / "model")


def test_a_model_of_a_mixture_has_the_strictest_licence(tmp_path, capsys):
    """Whatever it is scored on."""
    research, free = draw_faces(tmp_path / "a", "For research only"), draw_faces(tmp_path / "b", "CC-BY-4.0")
    with fake_system.working_directory(tmp_path) as place:
        meta = train(place, f"0.5*{research} + 0.4*{free} + 0.1*synthetic:4", free)
        assert meta.licence == "For research only"
        assert meta.provenance["licences"] == {
            research: "For research only",
            free: "CC-BY-4.0",
            "synthetic:4": "Apache-2.0",
        }
        capsys.readouterr()
        assert cli.main(["models"]) == 0
        assert "For research only" in capsys.readouterr().out
        assert "licence of the model: For research only" in (place / "runs" / "tiny" / "report.html").read_text()


@pytest.mark.parametrize(
    ("stated", "expected"), [(None, licences.UNKNOWN), ("CC0-1.0", "CC0-1.0"), ("CC-BY-4.0", "CC-BY-4.0")]
)
def test_a_model_of_ones_own_folder_has_what_it_states(tmp_path, stated, expected):
    mixture = draw_faces(tmp_path / "a", stated)
    terms = inheritance.of_training(mixture, open_mixture(mixture), [])
    assert licences.strictest(terms.values()) == expected


@pytest.mark.parametrize("name", names())
def test_systems_name_every_model_they_learn_from(name):
    """Also of systems to come: a config field `model.init_from` is first weights."""
    conf = configs.default(name).unlock()
    assert systems.build(conf.copy_and_resolve_references()).learns_from == ()
    if "init_from" in conf.model:
        conf.model.init_from = "first"
        assert systems.build(conf).learns_from == ("first",)


def test_a_teacher_and_first_weights_pass_their_licences_on(tmp_path):
    conf = configs.default("structure_via_consensus").unlock()
    conf.teacher.model = save(tmp_path / "teacher", "Teachers' terms: non-commercial.")
    conf.model.init_from = save(tmp_path / "first", "CC-BY-4.0")
    assert systems.build(conf).learns_from == (conf.model.init_from,)  # stage 2 asks no teacher
    conf.stage = "teacher"
    learns_from = systems.build(conf).learns_from
    terms = inheritance.of_training("synthetic:4", open_mixture("synthetic:4"), learns_from)
    assert terms == {
        "synthetic:4": "Apache-2.0",
        conf.model.init_from: "CC-BY-4.0",
        conf.teacher.model: "Teachers' terms: non-commercial.",
    }
    assert licences.strictest(terms.values()) == "Teachers' terms: non-commercial"


def test_weights_from_a_file_have_unknown_terms(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    terms = inheritance.of_training("synthetic:4", open_mixture("synthetic:4"), [str(path)])
    assert licences.strictness(licences.strictest(terms.values())) is licences.Strictness.UNKNOWN


def test_a_model_that_is_gone_when_a_run_goes_on_is_remembered(tmp_path):
    inheritance.remember(tmp_path, {"faces": "Apache-2.0", "first": "for research"}, ["first"])
    again = inheritance.remember(tmp_path, {"faces": "Apache-2.0"}, ["first"])
    assert again == {"faces": "Apache-2.0", "first": "for research"}
    milder = inheritance.remember(tmp_path, {"faces": "CC-BY-4.0", "first": "MIT"}, ["first"])
    assert milder == {"faces": "CC-BY-4.0", "first": "for research"}
    assert inheritance.remember(tmp_path, {}, ["another"])["another"] == licences.UNKNOWN
    assert inheritance.remember(tmp_path, {}, []) == milder  # what was never known is not taken for known


def test_a_damaged_memory_is_no_memory(tmp_path):
    for text in ("[", "[1]", '{"a": 3}'):
        (tmp_path / inheritance.FILE).write_text(text)
        known = inheritance.remember(tmp_path, {"a": "for research"}, [])
        assert known == {"a": "for research"}
