"""What is exported computes what is trained: the same probabilities and labels, in a process without this library."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from PIL import Image

from l2s_jax import bundle, systems
from l2s_jax.export import onnx_file, stablehlo_file
from l2s_jax.export.segmenter import segmenter
from tests.helpers import tiny_l2s, tiny_segface, tiny_subspaces, tiny_svc

CONFIGS = {
    "independent_subspaces": tiny_subspaces.config,
    "structure_via_consensus": tiny_svc.config,
    "segface_pyramid": partial(tiny_segface.config, model__pyramid=(8, 8, 8), model__backbone="tiny_mobilenet"),
}
MORE = {
    "segface_half": partial(tiny_segface.config, model__decoder__doublings=1),
    "latents2segments": tiny_l2s.quiet,
    "latents2segments_published": tiny_l2s.published,
    "segface_mirror": partial(tiny_segface.config, model__mirror=True),
    "segface_warp": partial(tiny_segface.config, model__warp="exact"),
    **{
        f"segface_{kind}": partial(tiny_segface.config, model__backbone=f"tiny_{kind}")
        for kind in ("mini", "mobilenet", "convnext", "resnet", "efficientnet", "swin", "swinv2")
    },
}

# It stands for a user's program: neither this library nor Flax is imported.
PROGRAM = """
import json, sys
import jax.export, numpy as np, onnxruntime
folder = sys.argv[1]
for name in sys.argv[2:]:
    image = np.load(f"{folder}/{name}.npy")
    exported = jax.export.deserialize(bytearray(open(f"{folder}/{name}.stablehlo", "rb").read()))
    session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx")
    said = session.get_modelmeta().custom_metadata_map
    assert len(json.loads(said["classes"])) == session.get_outputs()[0].shape[-1]
    for batch in (1, 3):
        for way, (p, labels) in (
            ("stablehlo", exported.call(image[:batch])), ("onnx", session.run(None, {"image": image[:batch]}))
        ):
            np.savez(f"{folder}/{name}-{way}-{batch}.npz", probabilities=p, labels=labels)
assert not {"l2s_jax", "flax", "input_pipeline"} & set(sys.modules)
"""


def segmenters(name, config):
    """Every way of segmenting of a system with random weights, by name."""
    system = systems.build(config)
    shapes = jax.eval_shape(lambda: system.variables(system.init(jax.random.key(0))))
    stream = np.random.default_rng(0)

    def drawn(path, leaf):
        """Draw weights with which every layer keeps the size of what passes, or rounding is magnified."""
        spread = 1 / np.sqrt(np.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 0.1
        centre = 1.0 if path[-1].key in ("scale", "var") else 0.0
        return jnp.asarray(stream.normal(centre, spread, leaf.shape).astype(leaf.dtype))

    variables = jax.tree.map_with_path(drawn, shapes)
    meta = bundle.Meta(
        name=name,
        system=system.name,
        config={},
        label_set=system.label_set,
        preprocessing=bundle.Preprocessing(config.image_size),
        licence="Apache-2.0",
    )
    ways = system.segmenters or {"": system.predict}
    return {
        f"{name}{way and '-'}{way}": segmenter(predict, variables, system.label_set, meta, way)
        for way, predict in ways.items()
    }


def images(side: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, side, side, 3), np.uint8)


def check(folder, configs):
    """Export the systems, run the files in a fresh process, and compare with what JAX computes here."""
    every = {name: one for key, make in configs.items() for name, one in segmenters(key, make()).items()}
    for name, one in every.items():
        stablehlo_file.write(folder / f"{name}.stablehlo", one, "l2s export")
        onnx_file.write(folder / f"{name}.onnx", one)
        np.save(folder / f"{name}.npy", images(one.image_size))
    subprocess.run([sys.executable, "-c", PROGRAM, str(folder), *every], check=True)
    for name, one in every.items():
        probabilities, labels = jax.jit(one.function)(images(one.image_size))
        for way in ("stablehlo", "onnx"):
            for batch in (1, 3):
                found = np.load(folder / f"{name}-{way}-{batch}.npz")
                assert found["labels"].dtype == np.uint8
                assert (found["labels"] == labels[:batch]).mean() >= 0.999, (name, way, batch)
                np.testing.assert_allclose(found["probabilities"], probabilities[:batch], rtol=0, atol=1e-4)
    return every


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every kind of system, exported, run and compared."""
    path = tmp_path_factory.mktemp("exported")
    check(path, CONFIGS)
    return path


def test_both_files_compute_the_same_in_a_fresh_process(folder):
    assert len(list(folder.glob("*-onnx-3.npz"))) == 4  # Independent Subspaces segments in two ways


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_so_do_those_of_every_backbone_and_option(tmp_path, name):
    check(tmp_path, {name: MORE[name]})


def test_the_onnx_file_says_what_it_is(folder):
    model = onnx.load(folder / "segface_pyramid.onnx")
    onnx.checker.check_model(model)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert (said["label_set"], said["image_size"], said["licence"]) == ("lapa", "32", "Apache-2.0")
    assert json.loads(said["classes"])[1] == "skin"
    (image,) = model.graph.input
    shape = image.type.tensor_type.shape.dim
    assert (shape[0].dim_param != "", [d.dim_value for d in shape[1:]]) == (True, [32, 32, 3])
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_the_description_of_the_stablehlo_file_says_when_it_ends(folder):
    said = json.loads((folder / "segface_pyramid.stablehlo.json").read_bytes())
    assert said["calling_convention"] == jax.export.maximum_supported_calling_convention_version
    assert said["platforms"] == ["cpu", "cuda", "tpu"]
    assert said["command"].startswith("l2s export")
    assert said["date"][:2] == "20"


def test_depthwise_convolutions_are_those_of_the_runtime(folder):
    """Not the sums that XLA needs on CPUs."""
    groups = [
        attribute.i
        for node in onnx.load(folder / "segface_pyramid.onnx").graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "group"
    ]
    assert max(groups) > 1


def test_the_examples_of_the_page_run(folder, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    for form in ("onnx", "stablehlo"):
        (tmp_path / f"parser.{form}").write_bytes((folder / f"segface_pyramid.{form}").read_bytes())
    Image.fromarray(images(32)[0]).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    said = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(block, said)
    assert said["probabilities"].shape == (1, 32, 32, 11)
    assert "{'" in capsys.readouterr().out
