"""The authors' start: weights of a Swapping Autoencoder, or a model of the system, in a fresh state."""

import jax
import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.systems.latents2segments import config as l2s_config
from l2s_jax.systems.latents2segments.convert import convert_checkpoint
from l2s_jax.systems.sliced.autoencoder import EXPORTED
from tests.helpers import l2s_weights, tiny_l2s, torch_writer
from tests.helpers.steps import difference, numbered


def narrow(source, **changes):
    """The published preset with the widths of `l2s_weights`."""
    config = l2s_config.published(configs.default("latents2segments").unlock())
    config.model.residual.base_width, config.model.residual.max_width, config.model.style = 2, 128, 128
    config.model.generator.head_widths, config.model.generator.widths = (16, 32), (32, 32, 16, 8)
    config.model.discriminator.channel_base, config.model.discriminator.max_width = 2048, 32
    config.model.patch.channel_base, config.model.patch.max_width = 256, 24
    config.model.patch.head_widths = (128, 128, 64)
    config.model.init_from = str(source)
    return tiny_l2s.changed(config, changes)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("sae") / "512_latest_checkpoint.pth"
    torch_writer.save(path, torch_writer.state_dict(l2s_weights.checkpoint()))
    return path


@pytest.fixture(scope="module")
def published():
    return {kind: variables["params"] for kind, (_, variables) in convert_checkpoint(l2s_weights.checkpoint()).items()}


@pytest.fixture(scope="module")
def fresh():
    return numbered(systems.build(narrow("", optim__ema=0.5)))


@pytest.mark.parametrize(("image_size", "anew"), [(128, ()), (256, ("discriminator",))])
def test_a_swapping_autoencoder_is_taken_over_where_it_fits(checkpoint, published, fresh, image_size, anew):
    system = systems.build(narrow(checkpoint, image_size=image_size, optim__ema=0.5))
    fresh = fresh if image_size == 128 else numbered(system)
    started = system.init_from(fresh)
    for kind, name in {"E": "encoder", "G": "generator", "D": "discriminator", "Dpatch": "patch"}.items():
        expected = fresh.params[name] if name in anew else published[kind]
        assert difference(started.params[name], expected) == 0
    for name in ("encoder", "generator"):
        assert difference(started.ema[name], started.params[name]) == 0
    assert difference(started.opt_state, fresh.opt_state) == 0


def test_no_discriminator_is_needed(checkpoint, published):
    quiet = {f"loss__{name}": 0.0 for name in ("gan_reconstruction", "gan_mix", "patch")}
    system = systems.build(narrow(checkpoint, **quiet, schedule__discriminator_every=0))
    started = system.init_from(numbered(system))
    assert difference(started.params["encoder"], published["E"]) == 0
    assert started.params.keys() == {"encoder", "generator"}


def test_a_model_of_the_system_is_taken_over(tmp_path):
    config = tiny_l2s.quiet()
    state = numbered(systems.build(config))
    params = jax.device_get(state.params)
    variables = {name: jax.tree.map(lambda x: x + 1, params[name]) for name in EXPORTED}
    sides = {"label_set": labels.get(config.label_set), "preprocessing": bundle.Preprocessing(tiny_l2s.SIZE)}
    bundle.save(tmp_path / "a", variables, bundle.Meta("a", config.system, config.to_dict(), **sides, licence="x"))
    started = systems.build(tiny_l2s.quiet(model__init_from=str(tmp_path / "a"))).init_from(state)
    for name in EXPORTED:
        assert difference(started.params[name], variables[name]) == 0
    # Of other regions, what belongs to one region starts anew, and all else is taken over.
    changes = {"label_set": "hair_skin", "model__slices": (2,) * 3}
    state = numbered(systems.build(tiny_l2s.quiet(**changes)))
    other = systems.build(tiny_l2s.quiet(model__init_from=str(tmp_path / "a"), **changes)).init_from(state)
    for shared in ("Conv_0", "light_0"):
        assert difference(other.params["encoder"][shared], variables["encoder"][shared]) == 0
    for own in ("content", "light_2"):
        assert difference(other.params["encoder"][own], state.params["encoder"][own]) == 0
    assert difference(other.params["generator"]["full"], variables["generator"]["full"]) == 0
    assert difference(other.params["generator"]["own"], state.params["generator"]["own"]) == 0
    wider = changes | {"model__pyramid__widths": (8, 24)}
    state = numbered(systems.build(tiny_l2s.quiet(**wider)))
    with pytest.raises(UserError, match=r"another size than the config: its encoder does not fit: 'Conv_1/bias' is"):
        systems.build(tiny_l2s.quiet(model__init_from=str(tmp_path / "a"), **wider)).init_from(state)


def test_what_cannot_be_taken_over_is_one_sentence(tmp_path, fresh):
    def start(state):
        path = tmp_path / "weights.pth"
        torch_writer.save(path, torch_writer.state_dict(state))
        return systems.build(narrow(path)).init_from(fresh)

    half = {f"E.{name}": tensor for name, tensor in l2s_weights.published("E", width_divisor=32).items()}
    with pytest.raises(
        UserError, match=r"is of another size than the config: its encoder does not fit: 'down_16/conv_0/"
    ):
        start(l2s_weights.checkpoint() | half)
    with pytest.raises(UserError, match="its generator does not fit: it lacks 'head_0/"):
        start(l2s_weights.checkpoint("E"))
    with pytest.raises(UserError, match=r"weights.pth': tensor 'netF' belongs to none"):
        start({"netF": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match="no model"):
        systems.build(narrow(tmp_path / "none")).init_from(fresh)
