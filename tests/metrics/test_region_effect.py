import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.metrics import region_effect
from l2s_jax.metrics.region_effect import GREY_LEVEL, KINDS, Effects, effects, matrix, silent, summary
from l2s_jax.types import Code, Codec, Decoded

NAMES = ("background", "hair", "skin", "eyes")
SLICES, SIZE, BATCH = 4, 8, 4
MASK = np.repeat(np.arange(SLICES), SIZE // SLICES)[None, :, None] * np.ones((BATCH, 1, SIZE), int)  # equal bands


def toy_codec(mixing, log=None, classes=None):
    """Slice i paints region j (the bands of MASK) with strength mixing[i, j]; the code is the pooled image."""

    def encode(variables, image):
        pooled = jnp.mean(image, axis=(2, 3)).reshape(-1, SLICES, SIZE // SLICES, 1, 1)
        return Code(structure=pooled, style=jnp.zeros((image.shape[0], 1)))

    def decode(variables, code):
        if log is not None:
            log.append(code.structure.shape)  # runs once per compilation
        paint = jnp.einsum("bi,ij->bj", jnp.mean(code.structure, axis=(2, 3, 4)), jnp.asarray(mixing, jnp.float32))
        canvas = jnp.repeat(paint, SIZE // SLICES, axis=1)[:, :, None, None]
        image = jnp.broadcast_to(variables["gain"] * canvas, (paint.shape[0], SIZE, SIZE, 3))
        return Decoded(image=image, regions=image[:, None], logits=image)

    return Codec(encode, decode, tuple(range(SLICES)) if classes is None else classes)


@pytest.fixture(scope="module")
def image():
    return jax.random.uniform(jax.random.key(1), (BATCH, SIZE, SIZE, 3), minval=-1)


BLINDNESS = np.ones((SLICES, SLICES))
IDEAL, BLIND, DEAD_EYES = toy_codec(np.eye(4)), toy_codec(BLINDNESS), toy_codec(np.diag([1, 1, 1, 0.1]))


def measure(codec, image, kind="swap", mask=MASK, weight=None, **more):
    weight = jnp.ones(len(image)) if weight is None else jnp.asarray(weight, jnp.float32)
    arrays = image, jnp.asarray(mask), weight, jax.random.key(0)
    return effects(codec, {"gain": jnp.float32(1)}, *arrays, kind, **more)["image"]


@pytest.mark.parametrize("kind", KINDS)
def test_ideal_generator_scores_one(image, kind):
    result = summary(measure(IDEAL, image, kind), NAMES)
    for key in ("acs", "acs_area_normalised", "macro_acs", "dci_disentanglement", "dci_completeness"):
        assert result[key] == pytest.approx(1.0, abs=1e-6), key
    assert result["leak"] == pytest.approx(dict.fromkeys(NAMES, 0.0), abs=1e-6)
    assert result["dead_slices"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_slice_blind_generator_scores_chance(image, kind):
    result = summary(measure(BLIND, image, kind), NAMES)
    for key in ("acs", "acs_area_normalised", "macro_acs"):
        assert result[key] == pytest.approx(1 / SLICES, rel=1e-5), key
    assert result["leak"] == pytest.approx(dict.fromkeys(NAMES, 1 - 1 / SLICES), rel=1e-5)
    assert result["dci_disentanglement"] == pytest.approx(0.0, abs=1e-5)


def test_dead_slice_is_found_and_earns_nothing(image):
    result = summary(measure(DEAD_EYES, image, "noise"), NAMES)
    assert result["dead_slices"] == ["eyes"]
    assert result["macro_acs"] == pytest.approx(0.75)
    assert result["acs"] == pytest.approx(1.0)  # what the published score hides
    assert result["leak"]["eyes"] == pytest.approx(0.0, abs=1e-6)


def matted_codec(paint):
    """Slice i paints `paint[i]` [SIZE, SIZE, 3] times its mean everywhere; a perfect matte cuts out band i of it."""

    def decode(variables, code):
        strength = jnp.mean(code.structure, axis=(2, 3, 4))[..., None, None, None]
        colours = strength * paint[None]
        matte = jax.nn.one_hot(MASK[:1], SLICES, axis=1)[..., None]
        image = jnp.sum(matte * colours, axis=1)
        return Decoded(image, colours, image, unmatted=jnp.mean(colours, axis=1))

    return Codec(IDEAL.encode, decode, tuple(range(SLICES)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_matte_flatters_a_random_generator(image, kind):
    """With the matte all that a slice paints lies in its region, whatever it paints; without, it paints anywhere."""
    random = jax.random.rademacher(jax.random.key(2), (SLICES, SIZE, SIZE, 3), jnp.float32)
    arrays = image, jnp.asarray(MASK), jnp.ones(BATCH), jax.random.key(0)
    found = effects(matted_codec(random), {}, *arrays, kind)
    assert summary(found["image"], NAMES)["macro_acs"] == pytest.approx(1.0, abs=1e-6)
    alone = summary(found["unmatted"], NAMES)
    assert alone["macro_acs"] == pytest.approx(1 / SLICES, rel=1e-5)
    assert alone["leak"] == pytest.approx(dict.fromkeys(NAMES, 1 - 1 / SLICES), rel=1e-5)


def test_a_generator_that_keeps_to_its_regions_needs_no_matte(image):
    band = jax.nn.one_hot(MASK[0], SLICES, axis=0)[..., None]
    disciplined = jnp.broadcast_to(band, (SLICES, SIZE, SIZE, 3))
    arrays = image, jnp.asarray(MASK), jnp.ones(BATCH), jax.random.key(0)
    found = effects(matted_codec(disciplined), {}, *arrays, "swap")
    for view in ("image", "unmatted"):
        assert summary(found[view], NAMES)["macro_acs"] == pytest.approx(1.0, abs=1e-6)
    assert effects(IDEAL, {"gain": jnp.float32(1)}, *arrays, "swap").keys() == {"image"}  # no matte, no second view


def test_slices_that_all_do_nothing_are_all_dead(image):
    """Beside the median slice none of them is weak; beside what a picture can show, all are."""
    idle = toy_codec(1e-3 * np.eye(4))
    swap, noise = measure(idle, image, "swap"), measure(idle, image, "noise")
    assert summary(swap, NAMES)["dead_slices"] == []
    np.testing.assert_array_equal(silent(swap), True)
    for sums in (swap, noise):
        result = summary(sums, NAMES, silent(swap))
        assert result["dead_slices"] == list(NAMES)
        assert result["macro_acs"] == 0


def test_a_slice_is_silent_below_one_grey_level():
    """Two faces whose slices differ by 1: slice i changes its band by mixing_ii on every channel."""
    faces = jnp.stack([jnp.zeros((SIZE, SIZE, 3)), jnp.ones((SIZE, SIZE, 3))])
    level = 1 / 127.5
    sums = measure(toy_codec(np.diag([1, 1.01 * level, 0.99 * level, -0.99 * level])), faces, "swap", MASK[:2])
    assert np.diagonal(matrix(sums))[1] == pytest.approx(1.01**2 * GREY_LEVEL, rel=1e-4)
    np.testing.assert_array_equal(silent(sums), [False, False, True, True])


def test_nothing_is_silent_that_was_never_swapped(image):
    np.testing.assert_array_equal(silent(measure(IDEAL, image, "swap", weight=[0, 0, 1, 0])), False)
    hidden = measure(IDEAL, image, "swap", mask=np.where(MASK == 3, 255, MASK))
    np.testing.assert_array_equal(silent(hidden), False)
    assert summary(hidden, NAMES, silent(hidden))["chance"] == pytest.approx(1 / 3)


def test_zeroing_by_hand(image):
    """Region j shows the mean of its slice: zeroing slice i changes 3 channels by mixing_ij times that mean."""
    mixing = np.array([[1, 0.5, 0, 0], [0, 1, 0, 0.25], [0, 0, 2, 0], [0.1, 0, 0, 1]])
    slices = np.asarray(image).mean((2, 3)).reshape(BATCH, SLICES, -1).mean(2)
    expected = np.mean(3 * (slices[:, :, None] * mixing) ** 2, axis=0)
    sums = measure(toy_codec(mixing), image, "zero")
    np.testing.assert_allclose(matrix(sums), expected, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(sums.area, expected * BATCH * SIZE * SIZE / SLICES, rtol=1e-4, atol=1e-9)
    leak = 1 - np.diagonal(expected) / expected.sum(1)
    assert list(summary(sums, NAMES)["leak"].values()) == pytest.approx(leak, abs=1e-5)


def test_noise_is_a_variance_in_units_of_the_slice(image):
    """The mean of m noisy positions of one standard deviation s varies by s^2 / m."""
    slices = np.asarray(image).mean((2, 3)).reshape(BATCH, SLICES, -1)
    expected = 3 * slices.var(axis=(0, 2)) / slices.shape[2]
    own = np.diagonal(matrix(measure(IDEAL, image, "noise", draws=64)))
    np.testing.assert_allclose(own, expected, rtol=0.35)  # 4 x 63 degrees of freedom: 9 % each
    doubled = np.diagonal(matrix(measure(IDEAL, image, "noise", scale=2.0, draws=64)))
    np.testing.assert_allclose(doubled, 4 * own, rtol=1e-4)


def test_silent_positions_do_not_make_a_slice_look_still():
    """A slice that speaks in one row of eight deviates as the same slice alone does."""
    rng = np.random.default_rng(0)
    spoken = (2 + rng.normal(size=(16, 1, 8, 2))).astype(np.float32)
    whole = np.zeros((16, 8, 8, 2), np.float32)
    whole[:, 3] = spoken[:, 0]
    deviation = jax.jit(region_effect._deviation)
    for slice_ in (spoken, whole):
        found = deviation(slice_, np.ones(16, np.float32))
        np.testing.assert_allclose(found[0, 0, 0], spoken.std(axis=(0, 1, 2)), rtol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_dropping(image, kind):
    """Padding anywhere in the batch changes nothing; the noise of the other rows stays the same."""
    weight = [1, 1, 1, 0]
    padded = measure(IDEAL, image.at[3].set(7.0), kind, weight=weight)
    other = measure(IDEAL, image.at[3].set(-3.0), kind, weight=weight)
    for a, b in zip(padded, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    np.testing.assert_array_equal(padded.count, 3)
    if kind != "noise":
        for a, b in zip(padded, measure(IDEAL, image[:3], kind, mask=MASK[:3]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_swap_skips_a_lonely_example_and_takes_the_union_of_masks(image):
    lonely = measure(IDEAL, image, "swap", weight=[0, 0, 1, 0])
    assert all(np.all(np.asarray(x) == 0) for x in lonely)
    mask = MASK.copy()
    mask[0][mask[0] == 3] = 2  # the first face shows no eyes, its partner does, and so does its predecessor's
    np.testing.assert_array_equal(measure(IDEAL, image, "swap", mask=mask).count, 4)
    np.testing.assert_array_equal(measure(IDEAL, image, "zero", mask=mask).count, [4, 4, 4, 3])


def test_empty_regions_are_skipped(image):
    mask = np.where(MASK == 3, 255, MASK)
    result = summary(measure(IDEAL, image, "zero", mask=mask), NAMES)
    assert result["leak"]["eyes"] is None
    assert result["total"]["eyes"] is None
    assert result["dead_slices"] == []
    assert result["macro_acs"] == pytest.approx(1.0)
    some = MASK.copy()
    some[1:][some[1:] == 3] = 255
    one_face = matrix(measure(IDEAL, image[:1], "zero", mask=MASK[:1]))
    assert matrix(measure(IDEAL, image, "zero", mask=some))[3, 3] == pytest.approx(one_face[3, 3], rel=1e-5)


def test_codec_without_a_background_slice(image):
    """Slices of classes 1..4 of five: what they paint on the background is leakage, but no column of the matrix."""
    mask = np.where(MASK == 0, 0, MASK + 1)  # class 1, the region of slice 0, is on no picture
    sums = measure(toy_codec(BLINDNESS, classes=(1, 2, 3, 4)), image, "zero", mask=mask)
    np.testing.assert_array_equal(sums.count, [0, 4, 4, 4])
    result = summary(sums, ("hair", "skin", "nose", "eyes"))
    assert result["leak"] == {"hair": None, **dict.fromkeys(("skin", "nose", "eyes"), pytest.approx(3 / 4))}
    assert result["macro_acs"] == pytest.approx(1 / 3)


def test_scores_by_hand():
    """Two regions of 1000 and 10 pixels in each of 5 faces; slice 1 moves both alike."""
    effect, area = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1000.0, 10.0])
    sums = Effects(mean=5 * effect, count=np.full(2, 5), area=5 * effect * area, own=5 * area, total=5 * effect @ area)
    result = summary(sums, ("skin", "nose"))
    assert result["acs"] == pytest.approx(1010 / 2010)
    assert result["acs_area_normalised"] == pytest.approx(2 / 3)
    assert result["macro_acs"] == pytest.approx((1 + 1 / 2) / 2)
    assert result["leak"] == pytest.approx({"skin": 0.0, "nose": 1000 / 1010})
    assert result["total"] == pytest.approx({"skin": 1.0, "nose": 1.0})
    assert result["dci_disentanglement"] == pytest.approx(1 / 3 * 1 + 2 / 3 * 0)
    assert result["dci_completeness"] == pytest.approx(2 / 3 * 0 + 1 / 3 * 1)


def test_decoder_is_compiled_once_for_all_slices_and_batches(image):
    log = []
    codec = toy_codec(np.eye(4), log)
    for _ in range(2):
        measure(codec, image, "swap")
    assert len(log) == 2  # the unchanged image, and every changed one


def test_everything_is_json_and_null_when_nothing_was_measured(image):
    nothing = summary(measure(IDEAL, image, "zero", weight=[0, 0, 0, 0]), NAMES)
    assert nothing["acs"] is None
    assert nothing["macro_acs"] is None
    json.dumps([nothing, summary(measure(BLIND, image), NAMES)], allow_nan=False)


def test_faults(image):
    with pytest.raises(UserError, match="unknown kind of region effect 'swop': choose one of noise, swap, zero"):
        measure(IDEAL, image, "swop")
    with pytest.raises(UserError, match="1 is too few"):
        measure(IDEAL, image, "noise", draws=1)
    with pytest.raises(ValueError, match="3 names do not fit"):
        summary(measure(IDEAL, image), NAMES[:3])
