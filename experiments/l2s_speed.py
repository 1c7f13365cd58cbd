"""How fast does the published-size Latents2Segments parse one face, and how far is that from plain convolutions?

    python experiments/l2s_speed.py [--repeats 5]

Measures published sizes, 128 px, batch 1, float32, the published outputs (five RGB decodes and the painter's map). The
authors' PyTorch code takes 0.08 s for the encoder, 0.28 s per decode and 1.46 s per face on two idle cores. `ours` are
the default's own networks at 128 px: masks by decoding six slices, and by the light head.

A plain stack of 3x3 convolutions 512 -> 512 at 16x16 with the same number of operations is timed in the same run, with
interleaved repeats, so that `ratio` is comparable between machines and loads. `cpu` is the CPU time of the process: on
a shared machine it is more reliable than `wall`. Compilation time is listed separately.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax import config as configs
from l2s_jax import systems
from l2s_jax.layers.resample import conv
from l2s_jax.layers.slices import PUBLISHED, masked_codes
from l2s_jax.models.encoder import Encoder
from l2s_jax.models.generator import Generator
from l2s_jax.models.painter import painter_map

PUBLISHED_SECONDS = {"encode": 0.08, "one decode": 0.28, "parse one face": 1.46}


class Row(NamedTuple):
    """One line of the table: a name, a pure function and its arguments."""

    name: str
    function: Callable
    arguments: tuple


class Timing(NamedTuple):
    compile: float
    wall: list[float]
    cpu: list[float]


def published_rows() -> list[Row]:
    encoder, generator = Encoder(), Generator(lowering="direct")
    image = jax.random.uniform(jax.random.key(0), (1, 128, 128, 3), minval=-1, maxval=1)
    codes, encoder_variables = jax.jit(encoder.init_with_output)(jax.random.key(1), image)
    generator_variables = jax.jit(generator.init)(jax.random.key(2), *codes)
    noise = generator.noise_planes(jax.random.split(jax.random.key(3), 1), 1, *codes[0].shape[1:3])
    variables = (encoder_variables, generator_variables, noise)

    def parse(variables, image):
        structure, style = encoder.apply(variables[0], image)
        noise = {name: jnp.tile(plane, (len(PUBLISHED), 1, 1, 1)) for name, plane in variables[2].items()}
        regions = generator.apply(variables[1], masked_codes(structure, PUBLISHED), style, noise)
        return painter_map(regions, order=range(1, len(PUBLISHED) + 1))

    return [
        Row("encode", encoder.apply, (encoder_variables, image)),
        Row("one decode", generator.apply, (generator_variables, *codes, noise)),
        Row("parse one face", parse, (variables, image)),
        *(Row(f"ours, {way}", *arguments) for way, arguments in our_ways(image).items()),
    ]


def our_ways(image: jax.Array) -> dict[str, tuple[Callable, tuple]]:
    """Return the parse of the default config by decoding slices and by the light head, with freshly drawn weights."""
    config = configs.default("latents2segments").unlock()
    config.image_size = image.shape[1]
    system = systems.build(config)
    variables = system.variables(jax.jit(system.init)(jax.random.key(6)))

    def way(name: str) -> Callable:
        return lambda variables, image: system.segmenters[name](variables, image).labels

    return {name: (way(name), (variables, image)) for name in ("decodes", "light")}


def yardstick(operations: float) -> Row:
    """Make a stack of 3x3 convolutions 512 -> 512 on four 16x16 maps with about this many operations."""
    kernel = 0.01 * jax.random.normal(jax.random.key(4), (3, 3, 512, 512))
    maps = jax.random.normal(jax.random.key(5), (4, 16, 16, 512))
    layers = max(1, round(operations / (2 * maps.size * 9 * 512)))

    def stack(maps, kernel):
        for _ in range(layers):
            maps = conv(maps, kernel, padding="SAME")
        return maps

    return Row(f"{layers} plain convolutions", stack, (maps, kernel))


def operations(row: Row) -> float:
    """Count the floating-point operations as XLA does."""
    return jax.jit(row.function).lower(*row.arguments).cost_analysis()["flops"]


def measure(rows: list[Row], repeats: int) -> list[Timing]:
    """Time all rows, one after the other in each repeat, so that all of them meet the same load."""
    timings, compiled = [], []
    for row in rows:
        start = time.perf_counter()
        compiled.append(jax.jit(row.function).lower(*row.arguments).compile())
        timings.append(Timing(time.perf_counter() - start, [], []))
        jax.block_until_ready(compiled[-1](*row.arguments))
    for _ in range(repeats):
        for row, function, timing in zip(rows, compiled, timings, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(function(*row.arguments))
            timing.wall.append(time.perf_counter() - wall)
            timing.cpu.append(time.process_time() - cpu)
    return timings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each row (default 5)")
    repeats = parser.parse_args().repeats
    rows = published_rows()
    counts = [operations(row) for row in rows]
    timings = measure([row for pair in zip(rows, map(yardstick, counts), strict=True) for row in pair], repeats)
    print(f"{jax.devices()[0].device_kind}, {repeats} repeats: minimum / median seconds, ratio to plain convolutions")
    print(f"{'':16}{'GFLOP':>7}{'compile':>9}{'wall':>16}{'cpu':>16}{'wall ratio':>12}{'cpu ratio':>11}{'PyTorch':>9}")
    for row, count, ours, plain in zip(rows, counts, timings[::2], timings[1::2], strict=True):
        ratios = [np.min(a) / np.min(b) for a, b in ((ours.wall, plain.wall), (ours.cpu, plain.cpu))]
        wall, cpu = (f"{np.min(t):.3f} / {np.median(t):.3f}" for t in (ours.wall, ours.cpu))
        published = PUBLISHED_SECONDS.get(row.name)
        print(
            f"{row.name:16}{count / 1e9:7.1f}{ours.compile:9.1f}{wall:>16}{cpu:>16}{ratios[0]:12.2f}{ratios[1]:11.2f}"
            f"{'' if published is None else f'{published:.2f}':>9}"
        )


if __name__ == "__main__":
    main()
