"""Metrics of the steps since the last log: kept on the device, fetched together, averaged, checked."""

import collections
import math

import jax

from l2s_jax.training.finite import NotFiniteError
from l2s_jax.types import Metrics


class MetricBuffer:
    """A buffer of step metrics, filled without waiting for them."""

    def __init__(self):
        self._pending: list[tuple[int, str, Metrics]] = []
        self._values: dict[str, list[float]] = collections.defaultdict(list)

    def add(self, step: int, name: str, metrics: Metrics) -> None:
        """Register the scalars that step `name` of batch number `step` will have computed."""
        self._pending.append((step, name, metrics))

    def check(self) -> None:
        """Fetch pending metrics; call it before saving or evaluating.

        Raises:
          NotFiniteError: a metric is NaN or infinite; the message names it and the first step where it is.
        """
        pending, self._pending = self._pending, []
        for step, name, metrics in jax.device_get(pending):
            for metric, value in metrics.items():
                if not math.isfinite(value):
                    raise NotFiniteError(f"{metric} of step '{name}' became {value}", step)
                self._values[f"train/{name}/{metric}"].append(float(value))

    def means(self) -> dict[str, float]:
        """Return `train/STEP/METRIC`, averaged over the steps since a call last reported it; reset the buffer."""
        self.check()
        values, self._values = self._values, collections.defaultdict(list)
        return {name: math.fsum(each) / len(each) for name, each in values.items()}
