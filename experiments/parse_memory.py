"""Does `l2s parse` stay the size it is over thousands of photos, and does it compile once?

    python experiments/parse_memory.py [--photos 2000] [--sizes 50] [--folder DIR] [options of l2s parse]

Writes that many small synthetic photos in that many sizes, every fortieth broken, into a folder (a temporary one), and
parses them. Prints the resident memory of the process after a tenth of the photos and after all, and how many programs
were compiled after the first photo.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from input_pipeline.datasets import open_source
from l2s_jax import cli

BROKEN = 40


def resident() -> float:
    """Return the resident memory of this process, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Looks(io.StringIO):
    """A standard output that looks at the process after each line."""

    def __init__(self):
        super().__init__()
        self.memory: list[float] = []
        self.compiled: list[int] = []
        self._count = 0
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, seconds: float, **_) -> None:
        self._count += event.endswith("backend_compile_duration")

    def write(self, text: str) -> int:
        """Take a look for each end of a line; keep nothing."""
        if "\n" in text:
            self.memory.append(resident())
            self.compiled.append(self._count)
        return len(text)


def write_photos(folder: Path, photos: int, sizes: int, seed: int = 0) -> None:
    """Write crops of synthetic faces, JPEG, 24 to 160 pixels high and wide."""
    faces = [face["image"] for face in open_source("synthetic:8?test", size=128)]
    shapes = np.random.default_rng(seed).integers(24, 161, (sizes, 2))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(photos):
        width, height = map(int, shapes[number % sizes])
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(faces[number % len(faces)]).resize((width, height)).save(path)
        if number % BROKEN == BROKEN - 1:
            path.write_bytes(path.read_bytes()[:200])


def run(folder: Path, out: Path, options: Sequence[str]) -> tuple[int, Looks]:
    """Parse a folder; return the exit code and what was seen after each photo."""
    looks, before = Looks(), sys.stdout
    sys.stdout = looks
    try:
        return cli.main(["parse", str(folder), "--out", str(out), "--json", *options]), looks
    finally:
        sys.stdout = before


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--sizes", type=int, default=50)
    parser.add_argument("--folder", type=Path)
    args, options = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        write_photos(Path(scratch, "photos"), args.photos, args.sizes)
        start = time.perf_counter()
        code, looks = run(Path(scratch, "photos"), Path(scratch, "masks"), options)
        seconds = time.perf_counter() - start
        written = len(list(Path(scratch, "masks").glob("*.json")))
    early, late = looks.memory[args.photos // 10 - 1], looks.memory[-1]
    print(f"exit code {code}, {written} photos of {len(looks.memory)} in {seconds:.0f} s")
    print(f"resident after {args.photos // 10}: {early:.0f} MiB, after {len(looks.memory)}: {late:.0f} MiB")
    print(f"growth {100 * (late / early - 1):.1f} %, programs compiled after the first photo: ", end="")
    print(looks.compiled[-1] - looks.compiled[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
