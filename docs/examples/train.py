"""Train a system from Python: a config, one function, the model parses.

    python docs/examples/train.py [WORKDIR [FIELD=VALUE ...]]

The same as `l2s train --config demo --workdir WORKDIR --config.FIELD=VALUE`: started again, it goes on where it
stopped. Here for a tenth of the demo's time, after which masks are crude.
"""

# %% A config is a tree of plain values; any field can be set.
import sys
from pathlib import Path

from input_pipeline.datasets import open_source
from l2s_jax import Parser, config, recipe

workdir, *fields = sys.argv[1:] or ["runs/example"]
settings = config.load("demo", ["train.steps=30", "data.train=synthetic:500", "data.test=synthetic:50?test", *fields])

# %% Data, training, the best checkpoint, the exported model, its scores, the report.
outcome = recipe.run(settings, Path(workdir), warn=print)
print(f"mean F1 on unseen drawings: {outcome.metrics['segmentation']['mean_f1']:.3f}")
print(f"report: {outcome.report}")

# %% The model parses.
parsing = Parser.load(workdir, crop="none")(open_source("synthetic:1?test", size=settings.image_size)[0]["image"])
print({name: f"{share:.0%}" for name, share in parsing.areas().items()})
