"""XLA against ONNX Runtime on the CPU: milliseconds of one picture, from its bytes to probabilities, same weights.

    python experiments/engines.py                       # all of CASES
    python experiments/engines.py l2s-synthetic:light

Medians of runs that alternate between the engines; both use all cores. `ready` is what each takes before its first
picture: compilation without a cache, and conversion without the two seconds to ten of importing the converter. Weights
of configs are random: they change no time.
"""

import statistics
import sys
import time

import jax
import numpy as np
import onnxruntime

from input_pipeline import labels
from l2s_jax import bundle, systems
from l2s_jax.config import default, load
from l2s_jax.export import onnx_file
from l2s_jax.export.segmenter import INPUT, OUTPUTS, Segmenter, segmenter
from l2s_jax.inference.parser import Parser

CASES = ("l2s-synthetic:decodes", "l2s-synthetic:light", "segface/mobilenet", "segface_mini", "parser_small")
RUNS = 15


def opened(case: str) -> Segmenter:
    """Open MODEL:WAY, a config, or segface/BACKBONE at 256 px."""
    if ":" in case:
        name, way = case.split(":")
        parser = Parser.load(name, by=way)
        return segmenter(parser.predict, parser.variables, parser.label_set, parser.model.meta, way)
    config = load(case) if "/" not in case else default("segface").unlock()
    if "/" in case:
        config.model.backbone, config.image_size = case.split("/")[1], 256
    system = systems.build(config)
    variables = jax.jit(lambda: system.variables(system.init(jax.random.key(0))))()
    preprocessing = bundle.Preprocessing(config.image_size)
    meta = bundle.Meta(case.replace("/", "-"), system.name, {}, labels.get(config.label_set), preprocessing, "none")
    return segmenter(system.predict, variables, system.label_set, meta)


def measured(case: str) -> str:
    """Return the row of a table."""
    one = opened(case)
    image = np.random.default_rng(0).integers(0, 256, (1, one.image_size, one.image_size, 3), np.uint8)
    start = time.perf_counter()
    compiled = jax.jit(lambda image: one.function(image)[0]).lower(image).compile()
    xla_ready = time.perf_counter() - start
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(onnx_file.convert(one).SerializeToString())
    onnx_ready = time.perf_counter() - start
    runs = {
        "xla": lambda: np.asarray(compiled(image)),
        "onnx": lambda: session.run([OUTPUTS[0]], {INPUT: image})[0],
    }
    difference = np.abs(runs["xla"]() - runs["onnx"]()).max()
    times = {name: [] for name in runs}
    for _ in range(RUNS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    xla, onnx = (statistics.median(times[name]) for name in runs)
    return (
        f"| {case} | {one.image_size} | {xla:.1f} | {onnx:.1f} | {xla / onnx:.2f} | {xla_ready:.1f} | {onnx_ready:.1f} "
        f"| {difference:.0e} |"
    )


def main(cases: list[str]) -> None:
    print("| network | px | XLA ms | ONNX Runtime ms | XLA / ONNX | XLA ready s | ONNX ready s | largest difference |")
    print("|---|---|---|---|---|---|---|---|")
    for case in cases or CASES:
        print(measured(case), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
