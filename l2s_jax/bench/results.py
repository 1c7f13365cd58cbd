"""Results of the bench: their numbers, their file, and two of them side by side."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from input_pipeline import files
from input_pipeline.errors import UserError

MARK, VERSION = "l2s_bench", 1
_MOST_BYTES = 8 * 2**20


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One program at one size, on one device of those that share its batch.

    Attributes:
      system, variant: name of the system; its backbone or config, or "".
      size: side of the images in pixels.
      precision: compute dtype.
      program: what ran; training steps are `step NAME`, and `training` is the loop of them with its data.
      batch: images of a call, over all devices.
      compile_s: seconds of tracing, lowering and compiling; 0 for `training`.
      best_s, median_s, p95_s: seconds of a call, without compilation.
      calls: number of timed calls.
      flops: operations of a call on one device, see `cost.product_flops`.
      peak_bytes: arguments, results and temporary arrays of the compiled program on one device; 0 for `training`.
      ceiling: FLOP/s of plain convolutions and products on one device, measured beside it.
      data_wait: of `training`, the fraction of time that the loop waited for a batch; else None.
    """

    system: str
    variant: str
    size: int
    precision: str
    program: str
    batch: int
    compile_s: float
    best_s: float
    median_s: float
    p95_s: float
    calls: int
    flops: float
    peak_bytes: int
    ceiling: float
    data_wait: float | None = None

    @property
    def key(self) -> tuple:
        """Return what identifies it in a run."""
        return self.system, self.variant, self.size, self.precision, self.program, self.batch

    @property
    def images_per_second(self) -> float:
        """Return the throughput."""
        return self.batch / self.median_s

    @property
    def flops_per_second(self) -> float:
        """Return the operations a second of one device."""
        return self.flops / self.median_s


class Result(NamedTuple):
    """A run of the bench.

    Attributes:
      device: `jax.Device.device_kind`.
      devices: how many of them shared the batch of a training step.
      measurements: in the order in which they were made.
      left_out: names of programs that were not measured, each with the reason.
    """

    device: str
    devices: int
    measurements: Sequence[Measurement]
    left_out: Sequence[str] = ()


def save(result: Result, path: Path) -> None:
    """Write a result as JSON."""
    measurements = [dataclasses.asdict(one) for one in result.measurements]
    files.replace_json(path, {MARK: VERSION} | result._asdict() | {"measurements": measurements})


def load(path: Path) -> Result:
    """Read what `save` wrote.

    Raises:
      UserError: the file cannot be read, or has another shape.
    """
    remedy = "make it anew with `l2s bench --json FILE`"
    content = files.read_limited(path, _MOST_BYTES, "result of the bench", remedy=remedy)
    try:
        found = json.loads(content)
        if found[MARK] != VERSION:
            raise ValueError
        rows = [_measurement(row) for row in found["measurements"]]
        return Result(str(found["device"]), int(found["devices"]), rows, [str(name) for name in found["left_out"]])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"'{path}' is no result of this version's bench: {remedy}") from error


def _measurement(row: dict) -> Measurement:
    kinds = {field.name: field.type for field in dataclasses.fields(Measurement)}
    if set(row) != set(kinds):
        raise ValueError
    for name, kind in kinds.items():
        value = row[name]
        if value is None and name == "data_wait":
            continue
        if kind is str:
            fits = isinstance(value, str)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        if not fits or (value == 0 and name in ("best_s", "median_s", "batch", "ceiling")):
            raise ValueError
    return Measurement(**row)


class Ratio(NamedTuple):
    """A program in two runs.

    Attributes:
      new, old: its measurements.
      faster: old median time over the new one.
      normalised: the same if the ceilings of both runs had been alike: each time is multiplied by its ceiling.
    """

    new: Measurement
    old: Measurement
    faster: float
    normalised: float


def compare(new: Result, old: Result) -> Iterator[Ratio]:
    """Yield what both runs have measured, in the order of the new one."""
    before = {one.key: one for one in old.measurements}
    for one in new.measurements:
        if other := before.get(one.key):
            faster = other.median_s / one.median_s
            yield Ratio(one, other, faster, faster * other.ceiling / one.ceiling)
