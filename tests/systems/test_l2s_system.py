"""The system as a whole: what catches the published defects, and the contract with the loop.

The defects: docs/methods/latents2segments.md, "Defects of the published code".
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax import systems
from l2s_jax.systems.latents2segments import config as l2s_config
from l2s_jax.systems.latents2segments import losses
from l2s_jax.systems.latents2segments.networks import build as build_networks
from l2s_jax.training import parallel
from l2s_jax.types import WHOLE_BATCH
from tests.helpers import tiny_l2s


@pytest.fixture(scope="module")
def config():
    return tiny_l2s.config()


@pytest.fixture(scope="module")
def system(config):
    return systems.build(config)


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


@functools.cache
def compiled(step):
    return jax.jit(lambda state, batch: step(state, batch, WHOLE_BATCH))


def run(system, name, state, batch):
    return compiled(system.steps[name])(state, batch)


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


def test_schedule_without_adversaries_parses_between_reconstructions():
    schedule = systems.build(tiny_l2s.quiet(schedule__autoencode_every=3)).schedule
    assert [schedule(step)[0] for step in range(6)] == ["autoencode", "parse", "parse"] * 2


def published_config():
    config = l2s_config.published(configs.default("latents2segments").unlock())
    config.image_size = 128
    return config.lock()


def slice_gradients(config) -> np.ndarray:
    """RMS of the L1 loss's gradient with respect to each slice's channels, for fresh weights."""
    networks = build_networks(config)
    batch = tiny_l2s.faces(2)

    @jax.jit
    def gradients(rng):
        params = networks.init(rng)
        codes, style = networks.encode(params, batch["image"])

        def loss(codes):
            logits = networks.parse(params, codes) if networks.presence else None
            _, regions = networks.paint(params, codes, style, logits)
            return jnp.mean(jnp.abs(regions - batch["image"][:, None]))

        return jax.grad(loss)(codes)

    grads = np.asarray(gradients(jax.random.key(1)))
    return np.array([np.sqrt(np.mean(np.square(grads[:, k, ..., a:b]))) for k, (a, b) in enumerate(networks.slices)])


def test_gradients_of_all_slices_are_alive_at_initialisation():
    rms = slice_gradients(tiny_l2s.config())
    assert rms.min() > 0
    assert rms.max() / rms.min() < 100


def test_second_normalisation_kills_slices_of_one_channel():
    """The published defect "One-channel slices", so that the test above is known to see it."""
    off = {"presence__width": 0, "background": False, "generator__renormalize": True}
    off = {f"model__{name}": value for name, value in off.items()} | {
        f"loss__{n}": 0.0 for n in ("image", "region_inside", "consensus__weight")
    }
    dead = tiny_l2s.config(model__slices=(2, 2, 2, 1, 1), loss__independence=0.0, **off)
    rms = slice_gradients(dead)
    assert rms.max() / rms.min() > 100
    assert rms[:3].min() > rms[3:].max()  # the one-channel slices are the dead ones


def penalties(config):
    """Jitted batch -> R1 terms of fresh discriminators."""
    networks = build_networks(config)

    @jax.jit
    def judges(rng):  # the other networks need no drawing
        params = networks.init(rng)
        return {name: params[name] for name in ("discriminator", "patch")}

    params = judges(jax.random.key(2))
    return jax.jit(lambda batch: losses.r1_terms(networks, config.loss, params, batch, jax.random.key(3), WHOLE_BATCH))


def test_every_region_has_the_same_weight_in_the_image_penalty():
    """With an unconditional discriminator, naming the regions differently changes nothing."""
    config, batch = tiny_l2s.config(model__discriminator__conditional=False), tiny_l2s.faces(2)
    renamed = batch | {"mask": np.array([3, 0, 5, 1, 2, 4], np.int32)[batch["mask"]]}
    r1 = penalties(config)
    np.testing.assert_allclose(r1(batch)["r1"], r1(renamed)["r1"], rtol=1e-5)


def test_patch_penalty_sees_the_crops_of_every_region(config):
    """Defect "R1 mix-up": the published patch penalty saw the hair only."""
    batch = tiny_l2s.faces(2)
    r1 = penalties(config)
    reference = r1(batch)["patch_r1"]
    for region in range(6):
        only = (batch["mask"] == region)[..., None]
        changed = batch | {"image": np.where(only, -batch["image"], batch["image"])}
        assert abs(r1(changed)["patch_r1"] - reference) > 1e-5 * reference


@pytest.mark.parametrize(("size", "padding"), [(1, 2), (3, 3)])  # three and six rows are what other cases compile
def test_any_batch_size_and_padding_does_not_count(system, state, size, padding):
    batch = tiny_l2s.faces(size)
    plain, metrics = run(system, "autoencode", state, batch)
    assert all(np.isfinite(value) for value in metrics.values())
    # The odd last row gets a partner that must not count.
    more, padded_metrics = run(system, "autoencode", state, tiny_l2s.padded(batch, padding))
    masks, colours = ("cross_entropy", "dice", "consensus"), ("image", "region", "region_inside", "gan_reconstruction")
    for name in (*masks, *colours, "independence"):
        np.testing.assert_allclose(metrics[name], padded_metrics[name], rtol=2e-5, atol=1e-6)
    assert tiny_l2s.difference(plain.params["presence"], more.params["presence"]) < 1e-2


@pytest.mark.parametrize(
    ("mode", "names"),
    # pmap and shard_map run the same local program: one of them goes through all steps.
    [("shard_map", ("discriminate", "r1", "autoencode")), ("pmap", ("autoencode",)), ("jit", ("autoencode",))],
)
def test_two_devices_compute_what_one_does(system, state, mode, names):
    batch = tiny_l2s.faces(6)  # three rows per device: pairs cross the border between devices
    mesh = parallel.make_mesh(mode, 1)
    # A copy: the steps of the loop donate their state, and this one belongs to the module.
    reference, placed = state, parallel.put_state(jax.tree.map(jnp.copy, state), mesh)
    for name in names:
        reference, expected = run(system, name, reference, batch)
        step = parallel.data_parallel(system.steps[name], mesh, mode)
        placed, metrics = step(placed, parallel.global_batch(batch, mesh))
        for key, value in expected.items():
            np.testing.assert_allclose(metrics[key], value, rtol=1e-4, atol=1e-5, err_msg=f"{name}/{key}")
    assert tiny_l2s.difference(reference.ema, placed.ema) < 1e-5
    # Adam forgets the scale of a gradient, its moments do not: here an N-fold gradient would show.
    for group, moments in reference.opt_state.items():
        moments, theirs = jax.tree.leaves(moments), jax.tree.leaves(placed.opt_state[group])
        largest = max(float(np.abs(leaf).max()) for leaf in moments)  # some gradients are nothing but rounding
        for leaf, their_leaf in zip(moments, theirs, strict=True):
            np.testing.assert_allclose(their_leaf, leaf, rtol=1e-3, atol=1e-6 * largest)


def test_steps_leave_the_other_networks_alone(system, state):
    after, _ = run(system, "discriminate", state, tiny_l2s.faces(6))
    for name in ("encoder", "generator", "presence"):
        assert tiny_l2s.difference(state.params[name], after.params[name]) == 0
    assert tiny_l2s.difference(state.params["discriminator"], after.params["discriminator"]) > 0
    assert int(after.step) == int(state.step)


def test_light_head_and_codec_agree(system, state):
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    decoded = jax.jit(lambda v, x: system.codec.decode(v, system.codec.encode(v, x)))(variables, image)
    np.testing.assert_allclose(jax.jit(system.predict)(variables, image).logits, decoded.logits, rtol=1e-5, atol=1e-5)
    # Regions on black, cut out by a matte that sums to one, add up to the image.
    np.testing.assert_allclose((decoded.regions + 1).sum(1) - 1, decoded.image, atol=1e-5)


def test_untrained_paints_anew_and_nothing_else(system, state):
    """The baseline of what is painted: the same masks and codes, other colours, the same at every call."""
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    untrained = jax.jit(system.codec.untrained)
    random, again, other = (untrained(variables, jax.random.key(seed)) for seed in (1, 1, 2))
    assert random.keys() == variables.keys()
    assert tiny_l2s.difference(random["generator"], again["generator"]) == 0
    for drawn in (variables, other):
        assert tiny_l2s.difference(random["generator"], drawn["generator"]) > 0.1
    reconstruct = jax.jit(lambda v, x: system.codec.decode(v, system.codec.encode(v, x)))
    trained, painted = reconstruct(variables, image), reconstruct(random, image)
    np.testing.assert_array_equal(trained.logits, painted.logits)
    assert np.abs(trained.image - painted.image).max() > 0.01
    # Fresh as `init` draws it: the same spread of every kernel.
    for ours, theirs in zip(*map(jax.tree.leaves, (random["generator"], state.params["generator"])), strict=True):
        assert ours.shape == theirs.shape
        if ours.size > 500:
            assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.2)


def test_without_the_matte_the_picture_is_the_mean_of_the_colours(system, state):
    """From the regions on black, with the matte divided out again."""
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    decoded = jax.jit(lambda v, x: system.codec.decode(v, system.codec.encode(v, x)))(variables, image)
    matte = np.moveaxis(jax.nn.softmax(decoded.logits), -1, 1)[..., None]
    colours = (decoded.regions + (1 - matte)) / matte
    np.testing.assert_allclose(decoded.unmatted, colours.mean(axis=1), atol=1e-4)


def test_presence_logit_depends_on_its_own_slice_alone(system, state):
    variables, image = system.variables(state), tiny_l2s.faces(1)["image"]
    code = jax.jit(system.codec.encode)(variables, image)
    hair = labels.L2S_REGIONS["hair"]
    changed = code.replace(structure=code.structure.at[:, hair].multiply(-1.0))
    decode = jax.jit(system.codec.decode)
    before, after = (np.asarray(decode(variables, c).logits) for c in (code, changed))
    others = [k for k in range(6) if k != hair]
    np.testing.assert_array_equal(before[..., others], after[..., others])
    assert np.abs(before[..., hair] - after[..., hair]).max() > 1e-3


def test_published_preset_paints_its_regions():
    system = systems.build(tiny_l2s.published())
    state = jax.jit(system.init)(jax.random.key(0))
    state, metrics = run(system, "autoencode", state, tiny_l2s.faces(2))
    assert {"region", "gan_reconstruction", "gan_mix", "patch"} <= set(metrics)
    assert "cross_entropy" not in metrics
    variables, image = system.variables(state), tiny_l2s.faces(2)["image"]
    decoded = jax.jit(lambda v, x: system.codec.decode(v, system.codec.encode(v, x)))(variables, image)
    assert decoded.regions.shape == (2, 5, 32, 32, 3)
    assert decoded.logits.shape == (2, 32, 32, 6)
    assert system.codec.classes == (1, 2, 3, 4, 5)
    assert decoded.unmatted is None  # the decoder cuts its regions out itself
    painted = jax.jit(system.predict)(variables, image)
    assert set(np.unique(painted.logits)) <= {0.0, 20.0}


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
    painted = networks.painted_logits(jnp.asarray(regions)).argmax(-1)
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
        assert bool(networks.painted_logits(dim).argmax(-1).any()) is seen


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model__painter_tolerance": 255}, "from 0 to 254"),
        (
            {
                "label_set": "subspace_parts",
                "model__background": False,
                "model__slices": (2,) * 4,
                "model__presence__width": 0,
            },
            "is hair_background",
        ),
        ({"model__slices": (2, 2)}, "model.slices has 2 entries"),
        ({"model__slices": (2, 2, 2, 2, 2, 1)}, "at least 2 channels"),
        ({"model__generator__widths": (8,)}, "model.generator.widths needs 2 entries"),
        ({"image_size": 30}, "multiple of 4"),
        ({"model__encoder": "vgg"}, "choose pyramid or residual"),
        ({"model__slices": (2, 2, 2, 2, 2, 3)}, "slices of equal width"),
        ({"model__background": False, "model__slices": (2,) * 5}, "needs a background slice"),
        ({"model__presence__width": 0}, "need the light head"),
        ({"model__presence__width": 0, "loss__image": 0.0, "loss__region_inside": 0.0}, "the light head's masks"),
        ({"schedule__discriminator_every": 0}, "loss.gan_reconstruction needs discriminators"),
        ({"schedule__discriminator_every": 1}, "never trains the autoencoder"),
        ({"schedule__autoencode_every": 0}, "at least 1"),
        ({"model__pyramid__widths": (12, 16)}, "multiples of 8"),
    ],
)
def test_configs_that_do_not_fit_are_named(change, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny_l2s.config(**change))
