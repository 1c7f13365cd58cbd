"""What does structure via consensus cost on top of a softmax, next to plain cross entropy?

    python experiments/consensus_speed.py [--repeats 10] [--size 512] [--batch 4] [--classes 19] [--blobs 64]

Measures value and gradient of each loss for float32 logits, with masks and blobs as arguments. Every repeat times all
rows in turn, so that all of them meet the same load; ratios are to plain cross entropy in the same run. `cpu` is the
CPU time of the process: on a shared machine it is more reliable than `wall`. Compilation time is listed separately. The
published PyTorch code loops over blobs and takes 108 s for 19 of them at the default sizes on two idle cores.
"""

import argparse
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.consensus import consensus
from l2s_jax.losses.segmentation import cross_entropy


def batch(size: int, images: int, classes: int, blobs: int) -> tuple[jax.Array, ...]:
    """Make (logits, mask, blobs, weight): Voronoi cells of `blobs` random points, each of a random class."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    ids = np.empty((images, size, size), np.int32)
    for image in ids:
        points = rng.uniform(0, size, (blobs, 2))
        image[:] = np.argmin([(y - py) ** 2 + (x - px) ** 2 for py, px in points], axis=0)
    mask = rng.integers(0, classes, blobs).astype(np.int32)[ids]
    logits = 2 * rng.standard_normal((*ids.shape, classes), np.float32) + 2 * np.eye(classes, dtype=np.float32)[mask]
    return tuple(map(jnp.asarray, (logits, mask, ids, np.ones(images, np.float32))))


def losses(blobs: int) -> dict:
    """Return the losses by name, functions (logits, mask, blobs, weight) -> scalar."""

    def same(sums):
        return sums

    def plain(logits, mask, _, weight):
        return cross_entropy(logits, mask, weight, same)

    def agreeing(logits, mask, ids, weight, summation):
        options = {"max_blobs": blobs, "alpha": 10.0, "beta": 5.0, "summation": summation}
        return consensus(logits, mask, ids, weight, same, **options)

    rows = {f"consensus, {way}": functools.partial(agreeing, summation=way) for way in ("auto", "segment", "matmul")}
    return {"cross entropy": plain} | rows


def measure(functions: dict, arguments: tuple, repeats: int) -> dict[str, np.ndarray]:
    """Return float64 [2, repeats], wall and CPU seconds, by name."""
    compiled = {}
    for name, function in functions.items():
        start = time.perf_counter()
        compiled[name] = jax.jit(jax.value_and_grad(function)).lower(*arguments).compile()
        print(f"{name}: compiled in {time.perf_counter() - start:.1f} s")
        jax.block_until_ready(compiled[name](*arguments))
    seconds = {name: np.empty((2, repeats)) for name in compiled}
    for repeat in range(repeats):
        for name, function in compiled.items():
            wall, cpu = time.perf_counter(), time.process_time()
            jax.block_until_ready(function(*arguments))
            seconds[name][:, repeat] = time.perf_counter() - wall, time.process_time() - cpu
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in {"repeats": 10, "size": 512, "batch": 4, "classes": 19, "blobs": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    sizes = parser.parse_args()
    arguments = batch(sizes.size, sizes.batch, sizes.classes, sizes.blobs)
    seconds = measure(losses(sizes.blobs), arguments, sizes.repeats)
    plain = next(iter(seconds.values()))
    shape = "x".join(map(str, arguments[0].shape))
    print(f"{jax.devices()[0].device_kind}, {shape}, {sizes.blobs} blobs, {sizes.repeats} repeats: minimum / median")
    print(f"{'':20}{'wall s':>16}{'cpu s':>16}{'wall ratio':>14}{'cpu ratio':>14}")
    for name, ours in seconds.items():
        ratios = (f"{np.min(a) / np.min(b):.2f} / {np.median(a / b):.2f}" for a, b in zip(ours, plain, strict=True))
        wall, cpu = (f"{np.min(t):.3f} / {np.median(t):.3f}" for t in ours)
        print(f"{name:20}{wall:>16}{cpu:>16}" + "".join(f"{ratio:>14}" for ratio in ratios))


if __name__ == "__main__":
    main()
