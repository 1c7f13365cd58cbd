"""A program that turns 64-bit numbers on (JAX_ENABLE_X64): models are read, and steps compute what they always do."""

import jax
import numpy as np
import pytest

from l2s_jax import systems
from l2s_jax.inference import parser
from l2s_jax.types import GLOBAL_VIEW
from tests.helpers import fake_system, tiny_l2s, tiny_segface, tiny_stylegan2, tiny_subspaces, tiny_svc


def dtypes(tree) -> dict[str, str]:
    return {jax.tree_util.keystr(path): str(leaf.dtype) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.fixture
def wide():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("tiny", "conf"),
    [
        (tiny_l2s, tiny_l2s.config()),
        (tiny_subspaces, tiny_subspaces.config(loss__ms_ssim=0.5)),
        (tiny_segface, tiny_segface.config(model__stochastic_depth=0.1, **tiny_segface.AGREEING)),
        (tiny_svc, tiny_svc.config()),
        (tiny_stylegan2, tiny_stylegan2.config()),
    ],
    ids=[
        "latents2segments",
        "independent_subspaces",
        "segface",
        "structure_via_consensus",
        "stylegan2",
    ],
)
def test_every_step_keeps_float32(wide, tiny, conf):
    system = systems.build(conf)
    batch = tiny.faces(2)
    state = jax.eval_shape(system.init, jax.random.key(0))
    assert "float64" not in dtypes(state).values()
    for step in system.steps.values():
        after, metrics = jax.eval_shape(lambda state, batch, step=step: step(state, batch, GLOBAL_VIEW), state, batch)
        assert dtypes(after) == dtypes(state)
        assert set(dtypes(metrics).values()) == {"float32"}
    variables = jax.eval_shape(system.variables, state)
    if system.predict is not None:
        prediction = jax.eval_shape(system.predict, variables, batch["image"], batch.get("landmarks"))
        assert set(dtypes(prediction).values()) == {"float32"}
    if system.scorer is not None:
        collected = jax.eval_shape(system.scorer.collect, variables, batch)
        assert "float64" not in dtypes(collected).values()


def test_a_step_and_a_parsing_are_the_same_with_and_without(monkeypatch, tmp_path):
    fake_system.install(monkeypatch)
    fake_system.save(tmp_path / "tiny")
    system = systems.build(fake_system.fake_config())
    image, ids = fake_system.painted(fake_system.SIDE, fake_system.SIDE)
    batch = {"image": image[None].astype(np.float32) / 127.5 - 1, "mask": ids[None].astype(np.int32)}
    params, parsings = [], []
    for wide in (False, True):
        with jax.enable_x64(wide):
            step = jax.jit(lambda state, batch: system.steps["g"](state, batch, GLOBAL_VIEW))
            after, _ = step(system.init(jax.random.key(0)), batch)
            params.append(jax.tree.map(np.asarray, after.params))
            parsings.append(parser.Parser.load(tmp_path / "tiny")(image))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *params)
    np.testing.assert_array_equal(parsings[0].ids, parsings[1].ids)
    np.testing.assert_allclose(parsings[0].confidence, parsings[1].confidence, rtol=1e-6)
