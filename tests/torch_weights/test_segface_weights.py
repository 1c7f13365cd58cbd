"""Published SegFace names -> our variables: everything has a place, and what has none is named."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax.systems.segface.convert import Published, convert_checkpoint, recognise
from l2s_jax.systems.segface.published import WEIGHTS

GOLDEN = Path(__file__).parents[1] / "data" / "goldens" / "segface.json"
HEADS = {head.name: head for head in WEIGHTS.heads}
MODELS = json.loads(GOLDEN.read_text())["models"]


def published(head):
    """A state dict with the names and shapes of a published network; each tensor has its own values."""
    entries = MODELS[f"{head}-mobilenet-128"]["state"]
    return {name: tensor(i, name, shape) for i, (name, shape, _) in enumerate(entries)}


def tensor(seed, name, shape):
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    numbers = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    return numbers / 2**20 + np.float32(seed)


@pytest.fixture(scope="module")
def celeb():
    return published("celeb")


@pytest.fixture(scope="module")
def converted(celeb):
    return convert_checkpoint(celeb)


def test_the_network_is_recognised(converted):
    assert converted[0] == Published(("celeb",), "mobilenet", 19)
    for head in ("lapa", "helen"):
        assert recognise(published(head)) == Published(("lapa", "helen"), "mobilenet", 11)
    for head, classes in (("celeb", 19), ("lapa", 11), ("helen", 11)):
        assert len(labels.get(HEADS[head].label_set)) == classes


def test_every_number_arrives(celeb, converted):
    _, variables = converted
    flat = flatten_dict(variables, sep="/")
    assert {leaf.dtype for leaf in flat.values()} == {np.dtype(np.float32)}
    # A bias of an enlarging layer stands four times, once for each pixel of a cell.
    ours = {path: leaf[: leaf.size // 4] if path.endswith(("enlarge1/bias", "enlarge2/bias")) else leaf
            for path, leaf in flat.items()}  # fmt: skip
    theirs = [array for name, array in celeb.items() if not name.endswith("num_batches_tracked")]
    both = [np.sort(np.concatenate([np.ravel(leaf) for leaf in leaves])) for leaves in (ours.values(), theirs)]
    np.testing.assert_array_equal(*both)
    assert sum(leaf.size for leaf in theirs) == sum(leaf.size for leaf in ours.values())


def test_tokens_stand_in_the_order_of_the_label_set(celeb, converted):
    tokens = converted[1]["params"]["decoder"]["tokens"]
    names = {"skin": "face", "l_ear": "rightear", "r_ear": "leftear", "l_brow": "rightbro", "r_eye": "lefteye"}
    names |= {"mouth": "innermouth", "l_lip": "lowerlip", "eye_g": "glass", "ear_r": "earring", "neck_l": "necklace"}
    for ours, theirs in names.items():
        np.testing.assert_array_equal(tokens[labels.FARL19[ours]], celeb[f"face_decoder.{theirs}_token.weight"][0])


@pytest.mark.parametrize("head", ["lapa", "helen"])
def test_tokens_of_eleven_classes_whatever_the_order_of_the_file(head):
    state = published(head)
    shuffled = {name: state[name] for name in sorted(state)}
    tokens = convert_checkpoint(shuffled)[1]["params"]["decoder"]["tokens"]
    # These names mean the image's sides.
    names = {"background": "background", "skin": "face", "r_brow": "leftbro", "l_eye": "righteye", "u_lip": "upperlip"}
    for ours, theirs in names.items():
        index = labels.get(HEADS[head].label_set)[ours]
        np.testing.assert_array_equal(tokens[index], state[f"face_decoder.{theirs}_token.weight"][0])


def test_axes(celeb, converted):
    decoder = converted[1]["params"]["decoder"]
    attention = "face_decoder.transformer.layers.1.cross_attn_image_to_token"
    ours = decoder["transformer"]["block1"]["image_to_tokens"]
    assert ours["query"]["kernel"].shape == (256, 8, 16)
    assert ours["query"]["kernel"][5, 3, 7] == celeb[f"{attention}.q_proj.weight"][3 * 16 + 7, 5]
    assert ours["value"]["bias"][2, 1] == celeb[f"{attention}.v_proj.bias"][2 * 16 + 1]
    assert ours["out"]["kernel"][4, 9, 200] == celeb[f"{attention}.out_proj.weight"][200, 4 * 16 + 9]
    assert decoder["enlarge1"]["kernel"][7, 64 * 2 + 5] == celeb["face_decoder.output_upscaling.0.weight"][7, 5, 1, 0]
    fusion = converted[1]["params"]["fusion"]
    assert fusion["mixing"][1000, 3] == celeb["linear_fuse.weight"][3, 1000, 0, 0]
    assert fusion["level2"]["kernel"].shape == (112, 256)
    frequencies = converted[1]["constants"]["decoder"]["position"]["frequencies"]
    np.testing.assert_array_equal(frequencies, celeb["pe_layer.positional_encoding_gaussian_matrix"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("linear_fuse.bias", r"no place for 'linear_fuse\.bias'"),
        ("face_decoder.iou_head.weight", r"no place for 'face_decoder\.iou_head\.weight'"),
        ("face_decoder.moustache_token.weight", "these 20 class tokens are not those of SegFace's celeb, lapa, helen"),
        ("backbone.17.weight", "tensors of the encoder .*none of the backbones"),
        ("optimizer.step", r"no place for 'optimizer\.step'"),
    ],
)
def test_a_tensor_too_many_is_named(celeb, name, sentence):
    with pytest.raises(UserError, match=sentence):
        convert_checkpoint(celeb | {name: np.zeros(1, np.float32)})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("face_decoder.transformer.norm_final_attn.bias", "nothing for 'params/decoder/transformer/norm/bias'"),
        ("linear_c.3.proj.weight", "nothing for 'params/fusion/level3/kernel'"),
        ("face_decoder.nose_token.weight", "these 18 class tokens"),
        ("backbone.16.1.running_var", "tensors of the encoder .*none of the backbones"),
        ("pe_layer.positional_encoding_gaussian_matrix", "these are not SegFace's weights"),
    ],
)
def test_a_missing_tensor_is_named(celeb, name, sentence):
    with pytest.raises(UserError, match=sentence):
        convert_checkpoint({key: value for key, value in celeb.items() if key != name})


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("face_decoder.transformer.layers.0.self_attn.q_proj.weight", (255, 256)),
        ("face_decoder.transformer.layers.0.self_attn.k_proj.bias", (128,)),
        ("face_decoder.output_upscaling.0.weight", (256, 64)),
        ("face_decoder.output_hypernetwork_mlps.layers.2.weight", (64, 256)),
        ("linear_fuse.weight", (1024,)),
    ],
)
def test_a_wrong_shape_is_named(celeb, name, shape):
    with pytest.raises(UserError, match=f"tensor '{name}' of shape"):
        convert_checkpoint(celeb | {name: np.zeros(shape, np.float32)})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("linear_c.0.proj.bias", np.float32([0, np.nan]), "'linear_c.0.proj.bias' holds numbers that are not finite"),
        ("face_decoder.nose_token.weight", np.float64([0, 1e300]), "holds numbers that are not finite in float32"),
        ("linear_fuse.weight", np.int64([0, 1]), "holds int64, not the floating-point numbers of weights"),
    ],
)
def test_numbers_that_are_no_weights_are_refused(celeb, name, value, sentence):
    with pytest.raises(UserError, match=sentence):
        convert_checkpoint(celeb | {name: np.resize(value, celeb[name].shape)})


def test_a_variance_is_not_negative(celeb):
    name = next(name for name in celeb if name.endswith("running_var"))
    with pytest.raises(UserError, match=r"running_var' holds a negative variance"):
        convert_checkpoint(celeb | {name: -celeb[name]})


def test_tokens_of_different_sizes_are_refused(celeb):
    with pytest.raises(UserError, match="class tokens differ in shape"):
        convert_checkpoint(celeb | {"face_decoder.hat_token.weight": np.zeros((1, 128), np.float32)})


def test_weights_of_something_else():
    with pytest.raises(UserError, match="these are not SegFace's weights"):
        convert_checkpoint({"features.0.0.weight": np.zeros((16, 3, 3, 3), np.float32)})
