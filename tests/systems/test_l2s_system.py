"""The system as a whole: what catches the published defects, and the contract with the loop.

The defects: docs/methods/latents2segments.md, "Defects of the published code".
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax import systems
from l2s_jax.systems.latents2segments import config as l2s_config
from l2s_jax.systems.latents2segments.networks import build as build_networks
from l2s_jax.systems.latents2segments.networks import painted_logits
from l2s_jax.systems.sliced import losses
from l2s_jax.types import GLOBAL_VIEW
from tests.helpers import tiny_l2s
from tests.helpers.steps import compiled, difference


@pytest.fixture(scope="module")
def config():
    return tiny_l2s.config()


@pytest.fixture(scope="module")
def system(config):
    return systems.build(config)


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def published():
    """(system, state) of the published preset."""
    system = systems.build(tiny_l2s.published())
    return system, jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def reconstruct(system):
    """Jitted (variables, image) -> what is decoded from the image's code."""
    return jax.jit(lambda variables, image: system.codec.decode(variables, system.codec.encode(variables, image)))


def test_published_schedule_alternates_and_regularises_every_16th_discriminator_step():
    schedule = systems.build(published_config()).schedule
    assert [schedule(step) for step in (0, 1, 2, 3)] == [
        ("discriminate", "r1"),
        ("autoencode",),
        ("discriminate",),
        ("autoencode",),
    ]
    with_r1 = [step for step in range(128) if "r1" in schedule(step)]
    assert with_r1 == [0, 32, 64, 96]


def published_config():
    config = l2s_config.published(configs.default("latents2segments").unlock())
    config.image_size = 128
    return config.lock()


def slice_gradients(config, params) -> np.ndarray:
    """RMS of the L1 loss's gradient with respect to each slice's channels."""
    networks = build_networks(config)
    batch = tiny_l2s.faces(2)

    @jax.jit
    def gradients(params):
        codes, style, _ = networks.encode(params, batch["image"])

        def loss(codes):
            return jnp.mean(jnp.abs(networks.paint(params, codes, style).regions - batch["image"][:, None]))

        return jax.grad(loss)(codes)

    grads = np.asarray(gradients(params))
    slices = getattr(networks, "slices", ((0, None),) * len(networks.classes))
    return np.array([np.sqrt(np.mean(np.square(grads[:, k, ..., a:b]))) for k, (a, b) in enumerate(slices)])


def test_gradients_of_all_slices_are_alive_at_initialisation(config, state):
    rms = slice_gradients(config, state.params)
    assert rms.min() > 0
    assert rms.max() / rms.min() < 100


def test_second_normalisation_kills_slices_of_one_channel(published):
    """The published defect "One-channel slices", so that the test above is known to see it."""
    rms = slice_gradients(tiny_l2s.published(), published[1].params)
    assert rms.max() / rms.min() > 100
    assert rms[:3].min() > rms[3:].max()  # the one-channel slices are the dead ones


def judges(params):
    return {name: params[name] for name in ("discriminator", "patch")}


def penalties(config, params):
    """Jitted batch -> R1 terms of these discriminators."""
    networks = build_networks(config)
    r1 = jax.jit(
        lambda params, batch: losses.r1_terms(networks, config.loss, params, batch, jax.random.key(3), GLOBAL_VIEW)
    )
    return functools.partial(r1, judges(params))


def test_every_region_has_the_same_weight_in_the_image_penalty():
    """With an unconditional discriminator, naming the regions differently changes nothing."""
    config, batch = tiny_l2s.config(model__discriminator__conditional=False), tiny_l2s.faces(2)
    renamed = batch | {"mask": np.array([3, 0, 5, 1, 2, 4], np.int32)[batch["mask"]]}
    fresh = jax.jit(lambda rng: judges(build_networks(config).init(rng)))  # the other networks need no drawing
    r1 = penalties(config, fresh(jax.random.key(2)))
    np.testing.assert_allclose(r1(batch)["r1"], r1(renamed)["r1"], rtol=1e-5)


def test_patch_penalty_sees_the_crops_of_every_region(config, state):
    """Defect "R1 mix-up": the published patch penalty saw the hair only."""
    batch = tiny_l2s.faces(2)
    r1 = penalties(config, state.params)
    reference = r1(batch)["patch_r1"]
    for region in range(6):
        only = (batch["mask"] == region)[..., None]
        changed = batch | {"image": np.where(only, -batch["image"], batch["image"])}
        assert abs(r1(changed)["patch_r1"] - reference) > 1e-5 * reference


def test_masks_are_those_of_the_decoded_slices(system, state, reconstruct):
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    decoded = reconstruct(variables, image)
    np.testing.assert_allclose(jax.jit(system.predict)(variables, image).logits, decoded.logits, rtol=1e-5, atol=1e-5)
    assert system.predict is system.segmenters["decodes"]
    assert set(system.segmenters) == {"decodes", "light", "painter"}
    # Regions on black, cut out by a matte that sums to one, add up to the image.
    np.testing.assert_allclose((decoded.regions + 1).sum(1) - 1, decoded.image, atol=1e-5)


def test_untrained_paints_anew_and_nothing_else(system, state, reconstruct):
    """The baseline of what is painted: the same codes, other masks and colours, the same at every call."""
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    untrained = jax.jit(system.codec.untrained)
    random, again, other = (untrained(variables, jax.random.key(seed)) for seed in (1, 1, 2))
    assert random.keys() == variables.keys()
    assert difference(random["generator"], again["generator"]) == 0
    for drawn in (variables, other):
        assert difference(random["generator"], drawn["generator"]) > 0.1
    trained, painted = reconstruct(variables, image), reconstruct(random, image)
    assert np.abs(trained.logits - painted.logits).max() > 0.01
    assert np.abs(trained.image - painted.image).max() > 0.01
    # Drawn as `init` draws it: the same spread of every kernel.
    for ours, theirs in zip(*map(jax.tree.leaves, (random["generator"], state.params["generator"])), strict=True):
        assert ours.shape == theirs.shape
        if ours.size > 500:
            assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.2)


def test_without_the_matte_the_picture_is_the_mean_of_the_colours(system, state, reconstruct):
    """From the regions on black, with the matte divided out again."""
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    decoded = jax.device_get(reconstruct(variables, image))
    matte = np.moveaxis(scipy.special.softmax(decoded.logits, axis=-1), -1, 1)[..., None]
    colours = (decoded.regions + (1 - matte)) / matte
    np.testing.assert_allclose(decoded.unmatted, colours.mean(axis=1), atol=1e-4)


def test_matte_logit_depends_on_its_own_slice_alone(system, state):
    variables, image = system.variables(state), tiny_l2s.faces(1)["image"]
    code = jax.jit(system.codec.encode)(variables, image)
    hair = labels.L2S_REGIONS["hair"]
    structure = np.array(code.structure)
    structure[:, hair] *= -1
    changed = code.replace(structure=structure)
    decode = jax.jit(system.codec.decode)
    before, after = (np.asarray(decode(variables, c).logits) for c in (code, changed))
    others = [k for k in range(6) if k != hair]
    np.testing.assert_array_equal(before[..., others], after[..., others])
    assert np.abs(before[..., hair] - after[..., hair]).max() > 1e-3


def test_published_preset_paints_its_regions(published):
    system, state = published
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    decoded = jax.jit(lambda v, x: system.codec.decode(v, system.codec.encode(v, x)))(variables, image)
    assert decoded.regions.shape == (2, 5, tiny_l2s.SIZE, tiny_l2s.SIZE, 3)
    assert decoded.logits.shape == (2, tiny_l2s.SIZE, tiny_l2s.SIZE, 6)
    assert system.codec.classes == (1, 2, 3, 4, 5)
    assert decoded.unmatted is None  # the decoder cuts its regions out itself
    painted = jax.jit(system.predict)(variables, image)
    assert set(np.unique(painted.logits)) <= {0.0, 20.0}


def published_terms(metrics):
    assert {"region", "gan_reconstruction", "gan_mix", "patch"} <= set(metrics)
    assert "cross_entropy" not in metrics


def test_published_preset_has_its_terms(published):
    system, state = published
    step = system.steps["autoencode"]
    published_terms(jax.eval_shape(lambda s, b: step(s, b, GLOBAL_VIEW), state, tiny_l2s.faces(2))[1])


@pytest.mark.slow
def test_published_preset_trains(published):
    system, state = published
    after, metrics = compiled(system.steps["autoencode"])(state, tiny_l2s.faces(2))
    published_terms(metrics)
    assert all(np.isfinite(value) for value in metrics.values())
    assert {name for name in after.params if difference(state.params[name], after.params[name]) > 0} == {
        "encoder",
        "generator",
    }


def test_published_skin_keeps_eyes_and_lips():
    networks = build_networks(published_config())
    mask = np.full((1, 2, 2), labels.L2S_REGIONS["eyes"], np.int32)
    hair, skin, nose, eyes, lips = np.asarray(networks.masks(mask))[0, :, 0, 0]
    assert (hair, skin, nose, eyes, lips) == (0, 1, 0, 1, 0)


def test_helen_variant_has_two_slices_of_four_channels_and_no_background():
    config = l2s_config.helen(tiny_l2s.published().unlock()).lock()
    networks = build_networks(config)
    assert networks.slices == ((0, 4), (4, 8))
    assert [config.label_set, *(networks.label_set.names[k] for k in networks.classes)] == ["hair_skin", "hair", "skin"]
    # Skin lies over hair where both are painted, as the authors paint; elsewhere is background.
    regions = np.full((1, 2, 1, 4, 3), -1.0, np.float32)
    regions[0, 0, 0, :2], regions[0, 1, 0, 1:3] = 0.5, 0.5
    painted = painted_logits(networks, 0, jnp.asarray(regions)).argmax(-1)
    assert [networks.label_set.names[k] for k in np.ravel(painted)] == ["hair", "skin", "skin", "background"]


def test_helen_variant_takes_the_features_for_skin():
    table = labels.remap(labels.HELEN, labels.HAIR_SKIN)
    kept = {name: labels.HAIR_SKIN.names[table[labels.HELEN[name]]] for name in labels.HELEN.names}
    assert kept == dict.fromkeys(labels.HELEN.names, "skin") | {"background": "background", "hair": "hair"}
    masks = build_networks(l2s_config.helen(tiny_l2s.published().unlock()).lock()).masks(np.array([[[0, 1, 2]]]))
    np.testing.assert_array_equal(masks[0, :, 0], [[0, 1, 0], [0, 0, 1]])  # no feature is added twice


def test_painter_takes_the_tolerance_of_the_config():
    dim = jnp.full((1, 5, 1, 1, 3), -1 + 2.5 * 2 / 255)  # level 2 of 255
    for tolerance, seen in ((1, True), (2, False)):
        networks = build_networks(tiny_l2s.published(model__painter_tolerance=tolerance))
        assert bool(painted_logits(networks, networks.painter_tolerance, dim).argmax(-1).any()) is seen


MATTED = ("cross_entropy", "dice", "light", "image", "region_inside", "region_flat", "consensus__weight")
PUBLISHED = {"model__architecture": "published"} | {f"loss__{name}": 0.0 for name in MATTED}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model__painter_tolerance": 255}, "model.painter_tolerance=255 must be at most 254"),
        (
            {
                "label_set": "subspace_parts",
                "model__background": False,
                "model__slices": (2,) * 4,
            },
            "is hair_background",
        ),
        ({"model__slices": (2, 2)}, "model.slices has 2 entries"),
        ({"model__slices": (2, 2, 2, 2, 2, 1)}, "each needs at least 2, its coverage and its content"),
        (PUBLISHED | {"model__slices": (2, 2, 2, 2, 2, 1)}, "a slice needs at least 2 channels"),
        ({"model__generator__renormalize": True}, "model.generator.renormalize=true is of the published method"),
        (PUBLISHED | {"model__generator__widths": (8,)}, "model.generator.widths needs 4 entries"),
        ({"image_size": 30}, "multiple of 4"),
        ({"model__architecture": "vgg"}, "model.architecture='vgg' must be one of: sliced, published"),
        ({"model__background": False, "model__slices": (2,) * 5}, "needs a background slice"),
        ({"model__architecture": "published"}, "loss.cross_entropy needs decoded mattes"),
        (PUBLISHED | {"loss__consensus__weight": 0.1}, "loss.consensus.weight needs decoded mattes"),
        ({"loss__first_half": True}, "is of the published method"),
        ({"schedule__discriminator_every": 0}, "loss.gan_reconstruction needs discriminators"),
        ({"schedule__discriminator_every": 1}, "never trains the autoencoder"),
        ({"model__pyramid__widths": (12, 16)}, "multiples of 8"),
        ({"model__decoder__width": 10}, "model.decoder.width=10 must be a multiple of 4"),
        (PUBLISHED | {"loss__patch": 0.0, "model__discriminator__judges": "image"}, "published composes no faces"),
    ],
)
def test_configs_that_do_not_fit_are_named(change, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny_l2s.config(**change))


@pytest.mark.parametrize(
    ("accuracy", "sentence"),
    [(0.99, "right about 99.0% of the pictures: the generator learns little"), (0.5, "it is blind"), (0.8, "")],
)
def test_a_discriminator_that_teaches_nothing_is_noticed(system, accuracy, sentence):
    told = system.watch({"train/discriminate/d_accuracy": accuracy})
    assert sentence in told
    assert bool(told) is bool(sentence)
    assert system.watch({"train/autoencode/loss": 1.0}) == ""
