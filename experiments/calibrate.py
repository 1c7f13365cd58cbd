"""Make a parser's confidence honest: one temperature for all logits, fitted on faces that trained nothing.

    python experiments/calibrate.py MODEL --data 'folder:data/celebamask_mini?train[740:]' --out DIR

Logits divided by a temperature T choose the same classes (arXiv 1706.04599, section 4.2). T minimises the cross entropy
of the faces of --data, and goes into the weights of the model's last linear layer, so the model in --out is calibrated
without any new code. For models of SegFace with `model.pyramid`, whose logits are that layer's, interpolated.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from input_pipeline.loading.train import eval_batches
from l2s_jax import bundle
from l2s_jax.inference.model import Model, load_model
from l2s_jax.losses.segmentation import cross_entropy
from l2s_jax.types import PyTree, unpacked

LAST = ("network", "params", "decoder", "classifier")
"""Where the last linear layer is in the model's variables."""


def fitted_temperature(model: Model, data: str, batch_size: int = 20) -> float:
    """Return the T that minimises the cross entropy of softmax(logits / T) over the pixels of data.

    Raises:
      UserError: the data cannot be opened.
    """
    system, size = model.system, model.meta.preprocessing.image_size
    source = open_source(data, size=size)
    predict = jax.jit(lambda variables, image: system.predict(variables, image).logits)
    options = {"image_size": size, "batch_size": batch_size, "resize": model.meta.preprocessing.rule}
    batches = [
        (predict(model.variables, batch["image"]), batch["mask"], batch["weight"])
        for batch in (unpacked(each) for each, _ in eval_batches(source, label_set=system.label_set, **options))
    ]
    loss = jax.jit(lambda t, logits, mask, weight: cross_entropy(logits / t, mask, weight, lambda x: x))
    weights = [float(np.sum(weight)) for *_, weight in batches]

    def cost(log_temperature: float) -> float:
        t = jnp.float32(np.exp(log_temperature))
        return float(np.average([float(loss(t, *batch)) for batch in batches], weights=weights))

    return float(
        np.exp(optimize.minimize_scalar(cost, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-3}).x)
    )


def with_temperature(variables: PyTree, temperature: float, path: Sequence[str] = LAST) -> PyTree:
    """Return variables whose logits are divided by a temperature.

    Raises:
      UserError: there is no last linear layer at `path`.
    """
    if not path:
        return jax.tree.map(lambda leaf: leaf / np.float32(temperature), variables)
    first, *rest = path
    if first not in variables:
        raise UserError(f"this model has no layer {'.'.join(LAST)}: give a model of segface with model.pyramid")
    return {**variables, first: with_temperature(variables[first], temperature, rest)}


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Fit, write the calibrated model, print the temperature."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True, help="labelled faces that neither trained nor test the model")
    parser.add_argument("--out", type=Path, required=True, help="folder of the calibrated model")
    args = parser.parse_args(argv)
    model = load_model(args.model)
    with_temperature(model.variables, 1.0)  # refuses early
    temperature = fitted_temperature(model, args.data)
    note = {"temperature": temperature, "fitted_on": args.data}
    meta = dataclasses.replace(model.meta, provenance={**model.meta.provenance, "calibration": note}, scores={})
    bundle.save(args.out, with_temperature(model.variables, temperature), meta)
    print(f"temperature {temperature:.3f}, model {args.out}")


if __name__ == "__main__":
    sys.exit(main())
