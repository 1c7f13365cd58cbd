"""Kill -9 four processes that share a stream of batches, go on with one, kill it, go on with three: the same batches?

    python -m experiments.elastic [--batches 60] [--seed 0]

Each process reads its rows of every global batch, as each host of a training does, in step with the others; the first
one saves the position every few batches, as a checkpoint does. Every row that anybody read, before and after the kills,
is compared with that of one process that nobody disturbed: image, mask and all else, by checksum.
"""

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.images.augment import Augment
from input_pipeline.labels import L2S_REGIONS
from input_pipeline.loading.train import Batch, TrainBatches, train_batches

PROCESSES = (4, 1, 3)
"""One after the other."""
ROWS, SIDE, SAVE_EVERY = 12, 32, 4
SPAWN = multiprocessing.get_context("spawn")


def stream(process: int, count: int) -> TrainBatches:
    """Open the rows of one of `count` processes in a stream of augmented synthetic faces."""
    return train_batches(
        open_source("synthetic:30", size=SIDE),
        label_set=L2S_REGIONS,
        image_size=SIDE,
        batch_size=ROWS,
        seed=5,
        augment=Augment(flip=0.5),
        process_index=process,
        process_count=count,
        threads=1,
        prefetch=1,
    )


def fingerprints(batch: Batch) -> list[int]:
    """Return the CRC-32 of each row, all arrays together."""
    return [
        zlib.crc32(b"".join(batch[name][row].tobytes() for name in sorted(batch))) for row in range(len(batch["image"]))
    ]


def read(folder: Path, process: int, count: int, batches: int, together: Barrier) -> None:
    """Read from the saved position to the end, a line of `notes` for every batch."""
    position = folder / "position.json"
    with stream(process, count) as rows, notes(folder, process, count).open("a") as lines:
        if position.exists():
            rows.set_state(json.loads(position.read_text()))
        while (number := rows.get_state()["step"]) < batches:
            print(json.dumps([number, fingerprints(next(rows))]), file=lines, flush=True)
            together.wait()  # as the collectives of a step hold the hosts together
            if process == 0 and (number + 1) % SAVE_EVERY == 0:
                files.replace_json(position, rows.get_state())


def notes(folder: Path, process: int, count: int) -> Path:
    """Return the file of what a process read: a line [number of the batch, fingerprints of its rows] each."""
    return folder / f"{process}-of-{count}.jsonl"


def noted(folder: Path, process: int, count: int) -> list[tuple[int, list[int]]]:
    """Return the whole lines of `notes`; the kill may have cut the last one off."""
    path = notes(folder, process, count)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else ()
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def read_until(folder: Path, count: int, batches: int, stop: int) -> None:
    """Read with `count` processes; kill all of them as soon as the first one has read batch number `stop`."""
    together = SPAWN.Barrier(count)
    workers = [
        SPAWN.Process(target=read, args=(folder, process, count, batches, together), daemon=True)
        for process in range(count)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if stop in (number for number, _ in noted(folder, 0, count)):
            for worker in workers:
                worker.kill()
        time.sleep(0.002)


def campaign(folder: Path, batches: int, seed: int) -> tuple[str, int]:
    """Read the stream with one number of processes after another; compare every row with the undisturbed stream.

    Returns:
      what happened, and how many batches differ or are missing.
    """
    draw, share = random.Random(seed), batches // len(PROCESSES)
    stops = [turn * share + draw.randrange(-share // 3, share // 3) for turn in range(1, len(PROCESSES))]
    for count, stop in zip(PROCESSES, [*stops, batches], strict=True):
        read_until(folder, count, batches, stop)
    with stream(0, 1) as undisturbed:
        wanted = [fingerprints(next(undisturbed)) for _ in range(batches)]
    wrong, left, reads = set(), set(range(batches)), 0
    for count in PROCESSES:
        part = ROWS // count
        for process in range(count):
            seen = noted(folder, process, count)
            wrong |= {number for number, rows in seen if rows != wanted[number][process * part : (process + 1) * part]}
            left -= {number for number, _ in seen if process == 0}
            reads += len(seen)
    told = ", ".join(f"{count} killed at batch {stop}" for count, stop in zip(PROCESSES, stops, strict=False))
    last = f"{PROCESSES[-1]} to the end: {batches} batches of {ROWS} rows in {reads} parts"
    return f"{told}, {last}, {len(wrong)} differ, {len(left)} missing", len(wrong | left)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and print what happened; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        told, failed = campaign(Path(scratch), args.batches, args.seed)
    print(told)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
