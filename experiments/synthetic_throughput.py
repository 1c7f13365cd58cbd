"""Synthetic faces a second and core, by size: `python experiments/synthetic_throughput.py [--faces 200]`.

Measures the CPU time of one process, so that other load has little effect; prints the median and the best of five runs.
"""

import argparse
import statistics
import time

from input_pipeline.synthetic import render

RUNS = 5


def rate(size: int, faces: int) -> float:
    start = time.process_time()
    for index in range(faces):
        render(1, index, size)
    return faces / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=200, help="faces per run (%(default)s)")
    faces = parser.parse_args().faces
    print("size  median faces/s  best faces/s")
    for size in (64, 128, 256):
        rate(size, 10)
        rates = [rate(size, faces // RUNS) for _ in range(RUNS)]
        print(f"{size:4d}  {statistics.median(rates):14.0f}  {max(rates):12.0f}")


if __name__ == "__main__":
    main()
