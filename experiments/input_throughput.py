"""Images a second that this machine can feed: `python experiments/input_throughput.py [--dir DIR] [--data SPEC]`.

Measures three amounts of work on the same faces, by the same number of threads or processes, in turn:

    decode           Pillow decodes photo and mask, nothing else
    decode + resize  Pillow also resizes both to --size: the baseline of every ratio
    decode + augment our batches, with the augmentation of the default config, as uint8

Faces are procedural, with film grain, so that their files are as large as those of CelebAMask-HQ: photos of 512 and of
1024 pixels with masks of 512, as a folder and as records, and rendered on the fly. Each run reads every face at most
once. In a temporary folder they are read from the page cache; in each --dir the cache is emptied before every run.
"""

import argparse
import contextlib
import dataclasses
import io
import itertools
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grain
import numpy as np
import PIL
from absl import flags
from PIL import Image, features
from rich.console import Console
from rich.progress import track
from rich.table import Table

from input_pipeline import files, processes
from input_pipeline.datasets import open_source
from input_pipeline.errors import script
from input_pipeline.images.augment import Augment
from input_pipeline.labels import CELEBAMASK
from input_pipeline.loading.train import train_batches
from input_pipeline.readers.records.prepare import open_data, prepare
from input_pipeline.synthetic import render
from input_pipeline.types import Source

BATCH = 8
MASK = 512
GRAIN, QUALITY = 8.0, 75  # 40 kB at 512 px and 110 kB at 1024 px
BASELINE = "decode + resize"
OURS = "decode + augment"

Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Faces:
    """Faces in one form: `source` for our pipeline, `files` of (photo, mask) for Pillow, () if there are none.

    `cold` is the folder to drop from the page cache before every run, or None.
    """

    form: str
    place: str
    source: Source
    files: Sequence[Pair] = ()
    cold: Path | None = None


@dataclasses.dataclass(frozen=True)
class Crew:
    """The threads or processes that do the work."""

    kind: str
    count: int

    def __str__(self) -> str:
        return f"{self.count} {self.kind}"


@dataclasses.dataclass(frozen=True)
class Pillow:
    """A random-access sequence whose elements cost what Pillow costs; the images themselves are discarded."""

    files: Sequence[Pair]
    side: int | None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> int:
        photo, mask = self.files[index]
        for path, resampling in ((photo, Image.Resampling.BILINEAR), (mask, Image.Resampling.NEAREST)):
            with Image.open(path) as image:
                picture = image.convert("RGB") if path == photo else image.copy()
                if self.side is not None:
                    picture.resize((self.side, self.side), resampling)
        return index


def draw_faces(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Render (image, mask) of procedural faces."""
    faces = []
    for index in range(count):
        face = render(1, index, MASK)
        faces.append((face["image"], face["mask"]))
    return faces


def photograph(image: np.ndarray, side: int, seed: int) -> bytes:
    """Encode a photo of `side` pixels as JPEG, with film grain that is equally coarse at every size."""
    grain_field = np.random.default_rng(seed).standard_normal((MASK // 2, MASK // 2), dtype=np.float32)
    enlarged = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    layer = np.asarray(Image.fromarray(grain_field).resize((side, side), Image.Resampling.BICUBIC))
    grained = np.clip(np.asarray(enlarged) + GRAIN * layer[..., None], 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grained).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def write_folder(root: Path, faces: Sequence[tuple[np.ndarray, np.ndarray]], side: int) -> list[Pair]:
    """Write `folder:ROOT`; return its files."""
    pairs = []
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index, (image, mask) in enumerate(faces):
        photo, drawn = root / "images" / f"{index:05d}.jpg", root / "masks" / f"{index:05d}.png"
        photo.write_bytes(photograph(image, side, index))
        Image.fromarray(mask).save(drawn)
        pairs.append((str(photo), str(drawn)))
    return pairs


def build(
    root: Path, drawn: Sequence[tuple[np.ndarray, np.ndarray]], sides: Sequence[int], place: str, cold: bool
) -> Iterator[Faces]:
    """Write the faces as folders and as records under `root`, with photos of each of `sides` pixels."""
    for side in sides:
        folder, records = root / f"folder_{side}", root / f"records_{side}"
        pairs = write_folder(folder, drawn, side)
        prepare(open_data(str(folder), "folder"), records)
        evict = {"cold": root} if cold else {}
        yield Faces(f"folder, {side} px", place, open_source(f"folder:{folder}"), pairs, **evict)
        yield Faces(f"records, {side} px", place, open_source(f"records:{records}"), pairs, **evict)


def given(spec: str, images: int, scratch: Path) -> Faces:
    """Open the user's faces. Pillow reads their photos, and copies of their masks; records have no files for it."""
    source = open_source(spec)
    raw = getattr(source, "raw", None)
    if raw is None:
        return Faces(spec, "as it is", source)
    pairs = []
    for index in range(min(images, len(source))):
        mask = scratch / f"{index:05d}.png"
        Image.fromarray(raw.read_mask(index)).save(mask)
        pairs.append((str(raw.image_path(index)), str(mask)))
    return Faces(spec, "as it is", source, pairs)


def empty_cache(root: Path) -> None:
    """Ask the kernel to drop all files under a folder from the page cache."""
    os.sync()
    for path in root.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


@contextlib.contextmanager
def pillow_batches(faces: Faces, side: int | None, crew: Crew) -> Iterator[Iterator]:
    """Yield Pillow's work, distributed by the same machinery as ours."""
    in_threads = crew.kind == "threads"
    read = grain.ReadOptions(
        num_threads=crew.count if in_threads else 0, prefetch_buffer_size=crew.count if in_threads else 0
    )
    work = grain.MapDataset.source(Pillow(faces.files, side)).shuffle(seed=1).repeat().batch(BATCH)
    processes = grain.MultiprocessingOptions(num_workers=0 if in_threads else crew.count, per_worker_buffer_size=1)
    iterator = iter(work.to_iter_dataset(read).mp_prefetch(processes))
    yield iterator
    iterator.close()


@contextlib.contextmanager
def our_batches(faces: Faces, side: int, crew: Crew) -> Iterator[Iterator]:
    """Yield the batches of `train_batches`."""
    hands = {"threads": crew.count} if crew.kind == "threads" else {"workers": crew.count}
    options = {"label_set": CELEBAMASK, "image_size": side, "batch_size": BATCH, "seed": 1, "augment": Augment()}
    with train_batches(faces.source, **options, **hands, prefetch=1) as batches:
        yield batches


def rate(batches: contextlib.AbstractContextManager, images: int, crew: Crew) -> float:
    """Measure images a second once all workers run; their start, and the work done meanwhile, do not count."""
    with batches as iterator:
        warm_up = 2 * crew.count
        for _ in range(warm_up):
            next(iterator)
        timed = images // BATCH - warm_up
        start = time.perf_counter()
        for _ in range(timed):
            next(iterator)
        return timed * BATCH / (time.perf_counter() - start)


def measure(faces: Faces, side: int, images: int, crew: Crew) -> dict[str, float]:
    """Measure images a second of each kind of work, one after the other."""
    work: dict[str, Callable[[], contextlib.AbstractContextManager]] = {}
    if faces.files:
        work["decode"] = lambda: pillow_batches(faces, None, crew)
        work[BASELINE] = lambda: pillow_batches(faces, side, crew)
    work[OURS] = lambda: our_batches(faces, side, crew)
    rates = {}
    for name, batches in work.items():
        if faces.cold is not None:
            empty_cache(faces.cold)
        rates[name] = rate(batches(), min(images, len(faces.source)), crew)
    return rates


def rows_of(faces: Faces, crew: Crew, runs: Sequence[dict[str, float]]) -> Iterator[dict]:
    """Yield the table row of each kind of work."""
    for work in runs[0]:
        rates = [run[work] for run in runs]
        ratios = [run[work] / run[BASELINE] for run in runs if BASELINE in run]
        yield {
            "faces": faces.form,
            "place": faces.place,
            "workers": str(crew),
            "work": work,
            "min": min(rates),
            "median": statistics.median(rates),
            "ratio": statistics.median(ratios) if ratios else None,
        }


def show(screen: Console, rows: Sequence[dict], side: int) -> None:
    table = Table(title=f"images/s at {side} px")
    for column in ("faces", "file system", "workers", "work", "min", "median", f"to '{BASELINE}'"):
        table.add_column(column, justify="right" if column in ("min", "median") or "'" in column else "left")
    for row in rows:
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        numbers = f"{row['min']:.0f}", f"{row['median']:.0f}", ratio
        table.add_row(row["faces"], row["place"], row["workers"], row["work"], *numbers)
    screen.print(table)


def machine() -> dict[str, str | int]:
    turbo = features.version_feature("libjpeg_turbo")
    return {
        "cores": processes.cores(),
        "python": platform.python_version(),
        "pillow": PIL.__version__,
        "jpeg": f"libjpeg-turbo {turbo}" if turbo else "libjpeg",
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=128, help="faces of a run (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each kind (%(default)s)")
    parser.add_argument("--size", type=int, default=512, help="pixels a side of the batches (%(default)s)")
    parser.add_argument("--photos", type=int, nargs="+", default=[512, 1024], help="pixels a side (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many work (%(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=("threads", "processes"), default=["threads", "processes"])
    parser.add_argument("--dir", type=Path, action="append", default=[], help="also measure files here, uncached")
    parser.add_argument("--data", action="append", default=[], metavar="SPEC", help="also measure these faces")
    parser.add_argument("--json", type=Path, help="write the table here, too")
    args = parser.parse_args()
    least = BATCH * (2 * max(args.workers) + 1)
    if args.images < least:
        parser.error(f"--images must be at least {least} for {max(args.workers)} workers")
    return args


@script
def main() -> None:
    args, screen = arguments(), Console()
    flags.FLAGS.mark_as_parsed()  # grain reads absl's flags before it starts a worker
    with contextlib.ExitStack() as folders:
        drawn = draw_faces(args.images)
        measured = [Faces("rendered on the fly", "-", open_source(f"synthetic:{args.images}", size=args.size))]
        cached = Path(folders.enter_context(tempfile.TemporaryDirectory()))
        measured += build(cached, drawn, args.photos, "page cache", cold=False)
        for place in args.dir:
            root = Path(folders.enter_context(tempfile.TemporaryDirectory(dir=place)))
            measured += build(root, drawn, args.photos, f"{place}, not cached", cold=True)
        for spec in args.data:
            scratch = Path(folders.enter_context(tempfile.TemporaryDirectory()))
            measured.append(given(spec, args.images, scratch))
        rows = []
        crews = [Crew(kind, count) for kind in args.kinds for count in args.workers]
        for crew, faces in track(list(itertools.product(crews, measured)), "measuring", console=screen):
            runs = [measure(faces, args.size, args.images, crew) for _ in range(args.repeats)]
            rows += rows_of(faces, crew, runs)
    show(screen, rows, args.size)
    if args.json is not None:
        files.replace_json(args.json, {"machine": machine(), "size": args.size, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
