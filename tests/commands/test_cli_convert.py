"""`l2s convert`: a published checkpoint becomes a model for every command, and anything else one sentence."""

import json
import os
import pickle
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from l2s_jax import bundle, cli, systems
from l2s_jax.inference.model import load_model
from l2s_jax.layers.slices import masked_codes
from l2s_jax.models import backbones
from l2s_jax.models.segface import SegFace
from l2s_jax.systems.latents2segments import convert
from l2s_jax.systems.segface.convert import convert_checkpoint
from l2s_jax.systems.structure_via_consensus import convert as face_occ_net
from tests.helpers import fake_system, l2s_weights, torch_writer

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"
MODELS = json.loads((GOLDENS / "segface.json").read_text())["models"]
FACE_OCC_NET = json.loads((GOLDENS / "structure_via_consensus.json").read_text())["FaceOccNet"]["state"]
SIDE = 64


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("convert")) as root:
        yield root


def weights(head):
    """Numbers for SegFace with MobileNet."""
    return numbered(MODELS[f"{head}-mobilenet-128"]["state"])


def numbered(tensors):
    """Small numbers under published names; spread enough for several classes to win."""
    state = {}
    for i, (name, shape, _) in enumerate(tensors):
        numbers = np.random.default_rng(i).standard_normal(shape, np.float32)
        if name.endswith("num_batches_tracked"):
            state[name] = np.int64(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + np.abs(numbers)
        elif len(shape) <= 1:
            state[name] = np.float32(name.endswith("weight")) + np.float32(0.1) * numbers
        else:
            state[name] = numbers / np.float32(np.sqrt(numbers[0].size if "token" not in name else 1))
    return state


@pytest.fixture(scope="module")
def celeb(place):
    state = weights("celeb")
    torch_writer.save(place / "model_299.pt", torch_writer.checkpoint(state))
    return state


def l2s(capsys, *argv):
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *argv):
    code, _, err = l2s(capsys, *argv)
    assert code == 2
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_a_converted_model_parses_and_is_scored(capsys, place, celeb):
    argv = ["convert", "segface", "model_299.pt", "--out", "models/mobile", "--image-size", SIDE]
    code, out, _ = l2s(capsys, *argv)
    assert code == 0
    assert "SegFace, mobilenet, 19 classes of CelebAMask-HQ, 7.0" in " ".join(out.split())

    meta = bundle.read_meta("models/mobile")
    assert (meta.name, meta.system, meta.label_set.name) == ("mobile", "segface", "farl19")
    assert meta.preprocessing == bundle.Preprocessing(SIDE, resize="stretch-bicubic")
    assert (meta.config["image_size"], meta.config["data"]["framing"]) == (SIDE, "whole")
    assert meta.provenance["source"]["file"] == "model_299.pt"
    assert len(meta.provenance["source"]["sha256"]) == 64
    assert "non-commercial" in meta.licence

    size = 3 * SIDE // 2, SIDE
    photo = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(photo).save(place / "photo.png")
    code, _, err = l2s(capsys, "parse", "photo.png", "--out", "masks", "--model", "mobile")
    assert (code, err) == (0, "")
    classes = np.asarray(Image.open(place / "masks" / "photo_labels.png"))
    square = np.asarray(Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    imagenet = (square / np.float32(255) - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    network = SegFace(backbones.build("mobilenet"), 19)
    answer = jax.jit(lambda v, x: jax.nn.softmax(network.apply(v, x, train=False)))
    probabilities = np.moveaxis(np.asarray(answer(convert_checkpoint(celeb)[1], imagenet[None])[0]), -1, 0)
    planes = [Image.fromarray(plane.copy()).resize(size, Image.Resampling.BILINEAR) for plane in probabilities]
    planes = np.stack([np.asarray(plane) for plane in planes])
    chosen = np.take_along_axis(planes, classes[None].astype(int), axis=0)[0]
    assert len(np.unique(classes)) > 1
    assert np.max(planes.max(axis=0) - chosen) < 1e-2  # the best, but for near ties

    argv = ["evaluate", "--model", "mobile", "--data", "synthetic:4?val", "--batch", 4, "--json", "scores.json"]
    code, out, err = l2s(capsys, *argv)
    assert (code, err) == (0, "")
    assert "on 4 faces of synthetic:4?val" in " ".join(out.split())
    scores = json.loads((place / "scores.json").read_text())
    assert scores["data"] == {"spec": "synthetic:4?val", "examples": 4}
    for part in (scores["segmentation"], scores["segmentation"]["native"]):
        assert tuple(part["per_class"]) == meta.label_set.names
        assert 0 <= part["mean_f1"] <= 1


def test_eleven_classes_need_a_head(capsys, place):
    torch_writer.save(place / "eleven.pt", torch_writer.checkpoint(weights("helen")))
    argv = ["convert", "segface", "eleven.pt", "--out", "models/eleven", "--image-size", SIDE]
    assert "have the same tensors: say --head lapa or --head helen" in refused(capsys, *argv)
    assert "its 11 classes are those of lapa or helen, not of celeb" in refused(capsys, *argv, "--head", "celeb")
    assert not Path("models/eleven").exists()
    code, out, _ = l2s(capsys, *argv, "--head", "lapa", "--name", "parts")
    assert code == 0
    assert "warped by their landmarks" in out
    meta = bundle.read_meta("models/eleven")
    assert (meta.name, meta.label_set.name) == ("parts", "lapa")
    assert (meta.config["model"]["warp"], meta.config["data"]["framing"]) == ("published", "whole")
    code, out, _ = l2s(capsys, "convert", "segface", "eleven.pt", "--out", "models/helen", "--head", "helen")
    assert code == 0
    assert "cut out by their landmarks" in out
    meta = bundle.read_meta("models/helen")
    assert (meta.label_set.name, meta.preprocessing.resize) == ("helen", "stretch-bicubic")
    assert (meta.config["model"]["warp"], meta.config["data"]["framing"]) == ("none", "face_inside")


def test_face_occ_net_is_converted_and_parses_in_proportion(capsys, place):
    state = numbered(FACE_OCC_NET)
    torch_writer.save(place / "occ.pth", torch_writer.state_dict({f"module.{name}": x for name, x in state.items()}))
    argv = ["convert", "structure_via_consensus", "occ.pth", "--out", "models/occ"]
    assert "have the same tensors: say --head part_labels or --head cofw" in refused(capsys, *argv)
    assert "its 3 classes are those of part_labels or cofw, not of lapa" in refused(capsys, *argv, "--head", "lapa")
    code, out, _ = l2s(capsys, *argv, "--head", "part_labels", "--image-size", SIDE)
    assert code == 0
    assert "FaceOccNet, 3 classes of Part Labels, 4.53 M numbers, 64 px" in " ".join(out.split())
    meta = bundle.read_meta("models/occ")
    assert (meta.system, meta.label_set.name) == ("structure_via_consensus", "skin_hair")
    assert meta.preprocessing == bundle.Preprocessing(SIDE, resize="pad-square-bicubic")
    assert (meta.config["stage"], meta.config["loss"]["consensus"]["beta"]) == ("labels", 5.0)

    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE // 2, 3), np.uint8)
    Image.fromarray(photo).save(place / "tall.png")
    assert l2s(capsys, "parse", "tall.png", "--out", "masks", "--model", "occ")[0] == 0
    classes = np.asarray(Image.open(place / "masks" / "tall_labels.png"))
    module, variables = face_occ_net.convert_checkpoint(state)
    padded = np.pad(photo, ((0, 0), (SIDE // 4, SIDE // 4), (0, 0)), mode="edge") / np.float32(127.5) - 1
    logits = np.asarray(jax.jit(lambda v, x: module.apply(v, x, train=False))(variables, padded[None])[0])
    logits = logits[:, SIDE // 4 : -SIDE // 4]
    chosen = np.take_along_axis(logits, classes[..., None].astype(int), axis=-1)[..., 0]
    assert len(np.unique(classes)) > 1
    assert np.max(logits.max(axis=-1) - chosen) < 1e-4  # the best, but for ties

    code, _, _ = l2s(capsys, *argv, "--head", "cofw", "--name", "covered")
    assert code == 0
    meta = bundle.read_meta("models/occ")
    assert (meta.name, meta.label_set.name, meta.preprocessing.image_size) == ("covered", "face_occlusion", 128)
    two = state | {f"model_class.{leaf}": state[f"model_class.{leaf}"][:2] for leaf in ("weight", "bias")}
    torch_writer.save(place / "two.pth", torch_writer.state_dict(two))
    refusal = refused(capsys, "convert", "structure_via_consensus", "two.pth", "--out", "models/two", "--head", "cofw")
    assert "'two.pth': this FaceOccNet has 2 classes, the published ones 3" in refusal
    torch_writer.save(place / "other.pth", torch_writer.state_dict({"encoder.bias": two["model_class.bias"]}))
    refusal = refused(capsys, "convert", "structure_via_consensus", "other.pth", "--out", "models/two")
    assert "'other.pth': these are not FaceOccNet's weights" in refusal
    assert not Path("models/two").exists()


@pytest.mark.slow
def test_latents2segments_is_converted_paints_and_is_scored(capsys, place):
    state = l2s_weights.checkpoint()
    state["G.ToRGB.bias"] = np.full_like(state["G.ToRGB.bias"], -1.5)  # some of each region is black
    torch_writer.save(place / "l2s.pth", torch_writer.state_dict(state))
    argv = ["convert", "latents2segments", "l2s.pth", "--out", "models/regions"]
    assert "have the same tensors: say --head five_regions or --head hair_skin" in refused(capsys, *argv)
    assert "its 8 channels are those of five_regions or hair_skin, not of celeb" in refused(
        capsys, *argv, "--head", "celeb"
    )
    assert "image_size=100" in refused(capsys, *argv, "--head", "five_regions", "--image-size", 100)
    code, out, _ = l2s(capsys, *argv, "--head", "five_regions")
    assert code == 0
    assert "was never trained on regions" in out
    meta = bundle.read_meta("models/regions")
    assert "non-commercial use only" in meta.licence
    assert "Adobe Research Licence" in meta.licence
    assert meta.preprocessing == bundle.Preprocessing(128, resize="stretch-bicubic")
    slices = ((0, 2), (2, 4), (4, 6), (6, 7), (7, 8))
    assert "Latents2Segments, 5 regions of CelebAMask-HQ" in " ".join(out.split())

    photo = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    Image.fromarray(photo).save(place / "square.png")
    assert l2s(capsys, "parse", "square.png", "--out", "masks", "--model", "regions")[0] == 0
    classes = np.asarray(Image.open(place / "masks" / "square_labels.png"))
    networks = convert.convert_checkpoint(state)
    (encoder, encoding), (generator, decoding) = networks["E"], networks["G"]

    @jax.jit
    def regions(image):
        structure, style = encoder.apply(encoding, image)
        return generator.apply(decoding, masked_codes(structure, slices), style)

    levels = (np.clip(np.asarray(regions(photo[None] / np.float32(127.5) - 1))[0], -1, 1) + 1) * 127.5
    expected = np.zeros((128, 128), int)
    for k, region in enumerate(levels, 1):
        expected[(region >= 1).any(-1)] = k
    assert len(np.unique(expected)) > 2
    assert (classes == expected).mean() > 0.999  # but for rounding at the threshold

    argv = ["evaluate", "--model", "regions", "--data", "synthetic:2?val", "--batch", 2, "--json", "l2s.json"]
    assert l2s(capsys, *argv)[0] == 0
    scores = json.loads((place / "l2s.json").read_text())
    assert tuple(scores["segmentation"]["per_class"]) == meta.label_set.names
    assert scores["disentanglement"]["slices"] == ["hair", "skin", "nose", "eyes", "lips"]

    safetensors.numpy.save_file(state, place / "helen.safetensors")
    argv = ["convert", "latents2segments", "helen.safetensors", "--head", "hair_skin", "--out", "models/helen_regions"]
    assert l2s(capsys, *argv)[0] == 0
    meta = bundle.read_meta("models/helen_regions")
    assert (meta.label_set.name, tuple(meta.config["model"]["slices"])) == ("hair_skin", (4, 4))
    system = load_model("models/helen_regions").system  # its tensors are those of the system
    assert system.codec.classes == (1, 2)


def test_what_lacks_a_network_of_latents2segments_is_one_sentence(capsys, place):
    def sentence(state):
        torch_writer.save(place / "part.pth", torch_writer.state_dict(state))
        return refused(capsys, "convert", "latents2segments", "part.pth", "--head", "hair_skin", "--out", "models/part")

    assert "it has no generator" in sentence(l2s_weights.checkpoint("E"))
    assert "it has no encoder" in sentence(l2s_weights.checkpoint("G", "D"))
    other = l2s_weights.published("G", width_divisor=32)
    state = l2s_weights.checkpoint("E") | {f"G.{name}": tensor for name, tensor in other.items()}
    assert "do not belong together" in sentence(state)
    assert "'network.weight' belongs to none" in sentence({"network.weight": np.zeros(1, np.float32)})
    assert not Path("models/part").exists()


@pytest.fixture(scope="module")
def converted(place, celeb):
    assert cli.main(["convert", "segface", "model_299.pt", "--out", "whole", "--image-size", str(SIDE)]) == 0
    return place / "whole"


def test_damaged_models_are_one_sentence_in_both_commands(capsys, place, converted):
    Image.new("RGB", (8, 8)).save(place / "small.png")
    tensors = (converted / "model.safetensors").read_bytes()
    description = json.loads((converted / "model.json").read_text())
    squashed = json.dumps(description | {"preprocessing": description["preprocessing"] | {"resize": "squash"}})
    broken = {
        "cut": (tensors[:1_000_000], json.dumps(description), "file not fully covered"),
        "changed": (tensors[:-4] + b"\0\1\2\3", json.dumps(description), "sha256 differs"),
        "squashed": (tensors, squashed, "from another version of l2s_jax: its field 'resize'"),
    }
    for name, (numbers, text, _) in broken.items():
        (place / name).mkdir()
        (place / name / "model.safetensors").write_bytes(numbers)
        (place / name / "model.json").write_text(text)
    sentences = {name: sentence for name, (_, _, sentence) in broken.items()}
    for model, sentence in (sentences | {"model_299.pt": "'model_299.pt' is not a model bundle"}).items():
        assert sentence in refused(capsys, "parse", "small.png", "--out", "none", "--model", model)
        argv = ["evaluate", "--model", model, "--data", "synthetic:4?val", "--json", "none.json"]
        assert sentence in refused(capsys, *argv)
        assert not Path("none.json").exists()
        assert not any(Path("none").iterdir())


def test_help_knows_all_that_can_be_converted(capsys):
    published = {name: systems.published(name).weights for name in systems.convertible()}
    heads = [head.name for weights in published.values() for head in weights.heads]
    assert len(set(heads)) == len(heads)
    assert cli.main(["convert", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in (*published, *heads))
    for name, weights in published.items():
        assert f"{name} {weights.image_size}" in " ".join(out.split())


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_what_is_not_the_checkpoint_is_one_sentence(capsys, place, celeb):
    def sentence(file, *more):
        return refused(capsys, "convert", "segface", file, "--out", "models/refused", *more)

    assert "cannot read 'missing.pt'" in sentence("missing.pt")
    (place / "cut.pt").write_bytes((place / "model_299.pt").read_bytes()[:1_000_000])
    assert "'cut.pt' is damaged or cut off" in sentence("cut.pt")
    torch_writer.write(place / "evil.pt", pickle.dumps(Evil(), 2))
    assert f"it asks for '{os.name}.system', which no weights need" in sentence("evil.pt")
    assert not Path("executed").exists()
    torch_writer.save(place / "optimiser.pt", torch_writer.checkpoint({})["optimizer"])
    assert "'optimiser.pt' holds no weights" in sentence("optimiser.pt")
    torch_writer.save(place / "other.pt", torch_writer.state_dict({"conv.weight": np.zeros((3, 3), np.float32)}))
    assert "'other.pt': these are not SegFace's weights" in sentence("other.pt")
    lacking = {name: tensor for name, tensor in celeb.items() if name != "linear_fuse.weight"}
    torch_writer.save(place / "lacking.pt", torch_writer.state_dict(lacking))
    assert "'lacking.pt': " in sentence("lacking.pt")
    assert "image_size=100 must be a multiple of 32" in sentence("model_299.pt", "--image-size", 100)
    assert not Path("models/refused").exists()
