"""Choices of ours, each beside its alternative in one process.

    python experiments/bench/choices.py                  # all of them
    python experiments/bench/choices.py depthwise

`depthwise` parses one face with SegFace, and trains it on four of 128 px, with depthwise convolutions as XLA's grouped
ones and as sums of shifted maps (layers/depthwise.py).
`r1` is the gradient of the penalty on StyleGAN2's discriminator (64 px, 8 images), as the gradient of a gradient, and
as the derivative of the weights' gradient along the images' (forward over reverse: `losses.adversarial.r1`). `state` is
a training step of SegFace whose state is donated, as in every training, and one that keeps it.
"""

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax import config
from l2s_jax.bench import programs
from l2s_jax.bench.measure import peak_bytes
from l2s_jax.bench.subjects import subjects
from l2s_jax.bench.timing import timed
from l2s_jax.cost import product_flops
from l2s_jax.layers.called_with import called_with
from l2s_jax.layers.depthwise import DepthwiseConv
from l2s_jax.losses import adversarial
from l2s_jax.models.stylegan2 import config as stylegan2
from l2s_jax.types import GLOBAL_VIEW, PyTree, System, unpacked

SIZE, ROWS = 64, 8
NETWORKS = (("mobilenet", 256), ("mobilenet", 512), ("efficientnet", 256), ("mini", 256), ("convnext_base", 256))


def row(name: str, program: Callable, start: PyTree, inputs: PyTree, seconds: float) -> PyTree:
    """Print what a program `(start, inputs) -> (next start, result)` costs; return its first result."""
    began = time.perf_counter()
    traced = program.trace(start, inputs)
    compiled = traced.lower().compile()
    compilation = time.perf_counter() - began
    first = None

    def call(_: int):
        nonlocal start, first
        start, result = compiled(start, inputs)
        first = result if first is None else first
        return start, result

    times = timed(call, seconds)
    print(
        f"| {name} | {compilation:.1f} s | {1000 * min(times):.0f} ms | {1000 * np.median(times):.0f} ms "
        f"| {product_flops(traced.jaxpr.jaxpr) / 1e9:.2f} | {peak_bytes(compiled) / 2**20:.0f} MiB |"
    )
    return first


def r1(seconds: float) -> None:
    """Compare both ways to differentiate R1; print how far their gradients are apart."""
    network = stylegan2.discriminator(config.default("stylegan2").model, SIZE, jnp.float32, lowering="auto")
    images = jax.random.uniform(jax.random.key(0), (ROWS, SIZE, SIZE, 3), minval=-1.0)
    params = jax.jit(network.init)(jax.random.key(1), images)["params"]

    def judge(params, images):
        return jnp.sum(network.apply({"params": params}, images))

    def reverse(params, images):
        penalty = lambda params: jnp.mean(adversarial.r1_penalty(jax.grad(judge, 1)(params, images)))  # noqa: E731
        return params, jax.grad(penalty)(params)

    def forward(params, images):
        penalty = lambda params: jnp.mean(adversarial.r1(lambda x: judge(params, x), images))  # noqa: E731
        return params, jax.grad(penalty)(params)

    one, other = (
        row(f"r1, {way.__name__} over reverse", jax.jit(way), params, images, seconds) for way in (reverse, forward)
    )
    ends = [np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)]) for grads in jax.device_get((one, other))]
    print(f"largest difference: {np.abs(ends[0] - ends[1]).max() / np.abs(ends[0]).max():.1e} of the largest gradient")


def state(seconds: float) -> None:
    """Compare a training step that takes its state with one that keeps it."""
    system, batch = segface("mini", SIZE, ROWS)
    for name, donated in (("kept", ()), ("donated", 0)):
        first = jax.jit(system.init)(jax.random.key(0))
        row(f"state, {name}", jax.jit(step_of(system), donate_argnums=donated), first, batch, seconds)


def lowerings(seconds: float) -> None:
    """Compare both lowerings of depthwise convolutions."""
    for backbone, size in NETWORKS:
        system, batch = segface(backbone, size, 1)
        variables = system.variables(jax.jit(system.init)(jax.random.key(0)))
        for lowering in ("grouped", "shifted"):
            with called_with(DepthwiseConv, lowering=lowering):
                row(f"{backbone}, {size} px, {lowering}", jax.jit(parse_of(system)), variables, batch["image"], seconds)
    for backbone in dict.fromkeys(backbone for backbone, _ in NETWORKS):
        system, batch = segface(backbone, 128, 4)
        for lowering in ("grouped", "shifted"):
            with called_with(DepthwiseConv, lowering=lowering):
                first = jax.jit(system.init)(jax.random.key(0))
                row(f"{backbone}, step, {lowering}", jax.jit(step_of(system), donate_argnums=0), first, batch, seconds)


def segface(backbone: str, size: int, rows: int) -> tuple[System, dict[str, jax.Array]]:
    """Return SegFace and a random batch on the device."""
    (subject,) = subjects(("segface",), (backbone,), sizes=(size,), batch=rows)
    return subject.system, jax.device_put(unpacked(programs.batch(subject.system, rows, size, 0)))


def parse_of(system: System) -> Callable:
    return lambda variables, image: (variables, system.predict(variables, image).labels)


def step_of(system: System) -> Callable:
    return lambda state, batch: system.steps["train"](state, batch, GLOBAL_VIEW)


CHOICES = {"r1": r1, "state": state, "depthwise": lowerings}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "choices", nargs="*", choices=[*CHOICES, []], metavar="NAME", help=f"{', '.join(CHOICES)} (all)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="for each program (%(default)s)")
    args = parser.parse_args()
    print("| | compile | best | median | GFLOP | memory |\n|---|---|---|---|---|---|")
    for name in args.choices or CHOICES:
        CHOICES[name](args.seconds)


if __name__ == "__main__":
    main()
