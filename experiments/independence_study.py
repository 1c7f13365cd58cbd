"""What does the independence loss buy, and what does it cost? One training for each setting and seed, on unseen faces.

    python experiments/independence_study.py --out DIR [--config subspaces_synthetic] [--seeds 3]
        [--losses 0 covariance:0.1 covariance:1 hsic:1] [--set image_size=64 train.steps=250]

A loss is `0` or MEASURE:WEIGHT (`independence.measure`, `loss.independence`). Every run is a workdir under DIR, as `l2s
train` makes it: the study goes on where it was stopped, and what is finished is not trained again. Printed as Markdown:
mean and standard deviation over the seeds; normalised HSIC (unbiased) and RV between subspaces, each in its own frame,
beside their permutation nulls; HSIC with the places of the parts; F1, PSNR; how well a ridge regression tells the mean
colours of all other parts from one subspace, and from all of them (a linear change of coordinates cannot hide those, as
it can from HSIC); macro ACS, leakage.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from input_pipeline.errors import UserError, script
from l2s_jax import config as configs
from l2s_jax import recipe
from l2s_jax.report.tables import number

COLUMNS = {
    "HSIC": "disentanglement.hsic",
    "permuted": "disentanglement.hsic_null",
    "RV": "disentanglement.dependence.own_frame.rv.mean",
    "permuted ": "disentanglement.dependence.own_frame.rv.null",
    "HSIC with places": "disentanglement.dependence.with_place.hsic.mean",
    "mean F1": "segmentation.mean_f1",
    "PSNR": "reconstruction.psnr",
    "colours of others from one": "disentanglement.colour_probe.alone",
    "from all": "disentanglement.colour_probe.whole",
    "macro ACS": "disentanglement.macro_acs",
    "leakage": "disentanglement.probe_leakage",
    "swap outside / inside": "swap.outside_over_inside",
}
"""Title and path in metrics.json of each column."""


def overrides(loss: str) -> dict[str, object]:
    """Return the config fields of a loss given as `0` or MEASURE:WEIGHT.

    Raises:
      UserError: it is neither.
    """
    if loss == "0":
        return {"loss.independence": 0.0}
    measure, _, weight = loss.partition(":")
    try:
        return {"independence.measure": measure, "loss.independence": float(weight)}
    except ValueError as error:
        raise UserError(f"'{loss}' is neither 0 nor MEASURE:WEIGHT, such as covariance:0.1") from error


def trained(args: argparse.Namespace, loss: str, seed: int) -> dict:
    """Train one setting, unless it is finished, and return its metrics.json."""
    folder = args.out / f"{loss.replace(':', '_')}_{seed}"
    if not (folder / "metrics.json").is_file():
        fields = [*args.set, *(f"{name}={value}" for name, value in overrides(loss).items()), f"seed={seed}"]
        config = configs.load(args.config, fields)
        outcome = recipe.run(config, folder, warn=lambda sentence: print(sentence, file=sys.stderr))
        if outcome.interrupted:
            sys.exit(128 + outcome.interrupted)
    return json.loads((folder / "metrics.json").read_text())


def table(found: Mapping[str, Sequence[Mapping]]) -> str:
    """Return the Markdown table of all settings."""
    rows = [("loss", *COLUMNS), ("---",) * (1 + len(COLUMNS))]
    for loss, runs in found.items():
        found_at = {path: [number(metrics, *path.split(".")) for metrics in runs] for path in COLUMNS.values()}
        each = [np.array(values, np.float64) for values in found_at.values()]  # nan where one was not measured
        rows.append((loss, *(f"{np.mean(v):.3f} ± {np.std(v, ddof=1) if len(v) > 1 else 0:.3f}" for v in each)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--config", default="subspaces_synthetic", help="config of all runs (default %(default)s)")
    parser.add_argument("--losses", nargs="+", default=["0", "covariance:0.1", "covariance:1", "hsic:1"])
    parser.add_argument("--seeds", type=int, default=3, help="runs of each setting (default 3)")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="config fields of all runs")
    args = parser.parse_args()
    for loss in args.losses:
        overrides(loss)
    found = {}
    for seed in range(args.seeds):  # all settings of a seed first: a study that is stopped can be compared
        for loss in args.losses:
            found.setdefault(loss, []).append(trained(args, loss, seed))
            print(table(found), flush=True)


if __name__ == "__main__":
    sys.exit(main())
