"""Damaged and hostile input at every gate: does each piece end in an answer or in one sentence, soon, in little memory?

    python experiments/fuzz.py [--inputs 10000] [--seed 0] [--only GATE ...] [--out DIR]

Hypothesis makes the inputs: files damaged in a few places (bits, lengths, cuts, pieces moved), JSON with strange values
in strange places, overrides and words of the command line. A gate may return, or raise a `UserError`, whose sentence
the user sees. Everything else is a crash; more than `SECONDS` for one input is a hang. Prints one line a gate: inputs,
those refused, crashes, hangs, the slowest input, and the most memory that one took (Linux). Exit code 1 if anything
crashed, hung or took more than `MEMORY`; `--out` keeps the inputs that crashed or hung.
"""

import argparse
import collections
import contextlib
import copy
import dataclasses
import io
import json
import pickle
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import hypothesis
import numpy as np
from etils import epath
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save

from input_pipeline import label_files
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError
from input_pipeline.images import decode
from input_pipeline.readers.records import message
from l2s_jax import bundle, cli, config
from l2s_jax.bundle.search import SHIPPED
from l2s_jax.inference.model import load_model
from l2s_jax.torch_weights.torch_file import read_state_dict

SECONDS = 20
"""Longest time for one input."""
MEMORY = 1024
"""Most memory that one input may take, MiB."""
PIXELS = 4_000_000
"""Most pixels of a picture, as a service would set it."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 7, 10**4, 10**5, 2**31, 2**63, 10**400, 1e308, float("inf"), float("nan")])
    | st.text(max_size=20)
    | st.sampled_from(["../../etc/passwd", "runs/x", "__class__", "celebamask_hq", "a" * 10**5, "\x00", "${seed}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
"""Values that nobody would write."""


@st.composite
def damaged(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Draw one of `samples` with 1 to 8 places changed."""
    content = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.sampled_from(["bits", "length", "cut", "insert", "move"])):
            case "bits":
                content[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "length":  # where a size or an offset may stand
                extreme = draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
                content[at : at + 4] = extreme.to_bytes(4, draw(st.sampled_from(["little", "big"])))
            case "cut":
                del content[at : at + draw(st.integers(1, len(content) + 1))]
            case "insert":
                content[at:at] = draw(st.binary(max_size=16))
            case "move":
                content[at:at] = content[: draw(st.integers(0, 64))]
    return bytes(content)


@st.composite
def strange(draw: st.DrawFn, sample: Mapping) -> bytes:
    """Draw the JSON text of `sample` with 1 to 3 values replaced, added or taken out."""
    content = copy.deepcopy(dict(sample))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(content)) or [(content, "")]
        group, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "add", "remove"])):
            case "replace":
                group[key] = draw(JSON)
            case "add" if isinstance(group, dict):
                group[draw(st.text(max_size=8))] = draw(JSON)
            case "remove" if len(places) > 1:
                del group[key]
    text = json.dumps(content)
    if draw(st.integers(0, 19)) == 0:  # nested deeper than a parser can go
        text = "[" * 10**5 + text
    return text.encode()


@st.composite
def enlarged(draw: st.DrawFn, samples: Sequence[Mapping]) -> bytes:
    """Draw the JSON text of one of `samples` with 1 or 2 whole numbers of its network changed, mostly to large ones."""
    content = copy.deepcopy(draw(st.sampled_from(samples)))
    numbers = [(group, key) for group, key in _places(content["config"]["model"]) if type(group[key]) is int]
    for _ in range(draw(st.integers(1, 2))):
        group, key = draw(st.sampled_from(numbers))
        group[key] = draw(st.sampled_from([0, -1, 3, 1000, 10**4, 10**5, 10**7, 6 * 10**9, 2**63, 10**30]))
    return json.dumps(content).encode()


def _places(content: object) -> Iterator[tuple[dict | list, object]]:
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)


@dataclasses.dataclass(frozen=True)
class Gate:
    """Where untrusted input comes in.

    Attributes:
      share: of all inputs.
      inputs: strategy of the inputs.
      take: what is done with one.
    """

    share: float
    inputs: st.SearchStrategy
    take: Callable


def gates(folder: Path) -> dict[str, Gate]:
    """Return the gates by name; they write what they read into `folder`."""
    face = open_source("synthetic:1?test", size=48)[0]
    photo, mask = Image.fromarray(face["image"]), Image.fromarray(face["mask"])
    photos = [_encoded(photo, kind) for kind in ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")]
    masks = [_encoded(mask, "PNG"), _encoded(mask.convert("P"), "PNG"), _encoded(mask.convert("P"), "GIF")]
    record = message.encode(message.Record("face", photos[1], masks[0], {}))
    weights = {"a.weight": np.ones((3, 4), np.float32), "b.bias": np.zeros(5, np.float32)}
    stored = [
        *(path.read_bytes() for path in _torch_files()),
        save(weights),
        *(pickle.dumps(weights, p) for p in (2, 4)),
    ]
    model = SHIPPED / "l2s-synthetic"
    description = json.loads((model / bundle.JSON_FILE).read_bytes())
    others = [json.loads((path / bundle.JSON_FILE).read_bytes()) for path in sorted(SHIPPED.iterdir())]
    tensors = (model / bundle.TENSOR_FILE).read_bytes()
    classes = [{"id": 0, "name": "background", "color": [0, 0, 0]}, {"id": 7, "name": "hair"}]
    own_labels = {"name": "own", "labels": classes}
    fields = sorted(config.flatten(config.load("demo")))
    file, copied = folder / "input", folder / "model"
    shutil.copytree(model, copied)

    def on_disk(take: Callable[[Path], object], target: Path = file) -> Callable[[bytes], object]:
        def write_and_take(content: bytes) -> object:
            target.write_bytes(content)
            return take(target)

        return write_and_take

    def described(content: bytes) -> None:
        (copied / bundle.TENSOR_FILE).write_bytes(tensors)
        (copied / bundle.JSON_FILE).write_bytes(content)
        load_model(copied)

    def with_tensors(content: bytes) -> None:
        (copied / bundle.JSON_FILE).write_text(json.dumps(description))
        (copied / bundle.TENSOR_FILE).write_bytes(content)
        load_model(copied)

    def named(content: bytes) -> decode.Encoded:
        return decode.Encoded("input", content)

    return {
        "photos": Gate(0.25, damaged(photos), lambda x: decode.read_image(named(x), max_pixels=PIXELS)),
        "masks": Gate(0.1, damaged(masks), lambda x: decode.read_mask(named(x), max_pixels=PIXELS)),
        "drawings": Gate(0.05, damaged(photos), lambda x: decode.read_drawing(named(x), exact=True, max_pixels=PIXELS)),
        "records": Gate(0.1, damaged([record]), lambda x: message.decode(x, "input")),
        "label maps": Gate(0.05, strange(own_labels), on_disk(lambda path: label_files.read(epath.Path(path)))),
        "weights of others": Gate(0.2, damaged(stored), on_disk(read_state_dict)),
        "descriptions of models": Gate(0.05, strange(description), described),
        "sizes of models": Gate(0.05, enlarged(others), described),
        "weights of models": Gate(0.02, damaged([tensors]), with_tensors),
        "configs": Gate(0.05, strange(config.load("demo").to_dict()), on_disk(config.load, folder / "config.json")),
        "overrides": Gate(0.05, _overrides(fields), lambda x: config.load("demo", x)),
        "command lines": Gate(0.03, _words(), _command),
    }


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _torch_files() -> list[Path]:
    """Return files that PyTorch itself wrote."""
    return sorted(path for path in Path(__file__).parents[1].glob("tests/data/torch/*") if path.suffix != ".npz")


def _overrides(fields: Sequence[str]) -> st.SearchStrategy[list[str]]:
    text = st.text(max_size=30) | JSON.map(lambda value: json.dumps(value)[:1000])
    names = st.sampled_from(fields) | st.text(max_size=30)
    return st.lists(st.builds("{}={}".format, names, text), min_size=1, max_size=4)


def _words() -> st.SearchStrategy[list[str]]:
    """Words after `l2s`, for commands that read; no path of them leads out of an empty folder."""
    others = {"demo", "train", "serve", "bench", "data", "edit"}
    commands = st.sampled_from([*sorted(cli.COMMANDS.keys() - others), "data check"])
    options = ("--model", "--out", "--data", "--json", "--size", "--label-set", "--regions", "--format", "--soft")
    values = ("--help", "0", "-1", "x.png", "synthetic:4?test", "records:x", "celebamask_hq", "parser-small")
    known = st.sampled_from(options + values)
    letters = st.characters(exclude_characters="/~.\x00")  # no word names another folder
    odd = st.text(letters, max_size=12).filter(lambda word: word != "-")  # standard input
    return st.builds(lambda command, rest: [*command.split(), *rest], commands, st.lists(known | odd, max_size=5))


def _command(words: list[str]) -> None:
    """Run `l2s` in an empty folder; a mistake must be one line on standard error."""
    errors = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(errors))
        code = cli.main(words)
    lines = errors.getvalue().splitlines()
    if code == 2 and lines and lines[-1].startswith("l2s: "):
        raise UserError(lines[-1])
    if code:
        raise AssertionError(f"exit code {code}: {errors.getvalue()[-500:]}")


@dataclasses.dataclass
class Outcome:
    """What became of the inputs of one gate.

    Attributes:
      count: inputs by outcome: "taken", "refused", "crashed", "hung".
      slowest: seconds.
      memory: the most that one input took, MiB.
      failures: inputs that crashed or hung, with the reason.
    """

    count: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    slowest: float = 0.0
    memory: float = 0.0
    failures: list[tuple[object, str]] = dataclasses.field(default_factory=list)


def campaign(gate: Gate, inputs: int, seed: int) -> Outcome:
    """Give a gate `inputs` inputs."""
    outcome = Outcome()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(gate.inputs)
    def give(value):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak
        started, before = time.monotonic(), _memory("VmRSS")
        verdict, reason = _judged(gate.take, value)
        outcome.count[verdict] += 1
        outcome.slowest = max(outcome.slowest, time.monotonic() - started)
        outcome.memory = max(outcome.memory, _memory("VmHWM") - before)
        if reason:
            outcome.failures.append((value, reason))

    give()
    return outcome


def _judged(take: Callable, value: object) -> tuple[str, str]:
    try:
        with _limited():
            take(value)
    except UserError:
        return "refused", ""
    except TimeoutError:
        return "hung", f"no answer after {SECONDS} s"
    except Exception:
        return "crashed", traceback.format_exc()
    return "taken", ""


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _memory(which: str) -> float:
    """Return a figure of /proc/self/status, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all gates together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="GATE", help="these gates alone")
    parser.add_argument("--out", type=Path, help="folder for inputs that crashed or hung")
    args = parser.parse_args(argv)
    table = Table("gate", *("inputs", "refused", "crashed", "hung", "slowest s", "MiB"))
    failed = False
    warnings.simplefilter("ignore")  # Pillow's on odd tags
    with tempfile.TemporaryDirectory() as folder:
        for name, gate in gates(Path(folder)).items():
            if args.only and name not in args.only:
                continue
            outcome = campaign(gate, max(1, round(gate.share * args.inputs)), args.seed)
            count = outcome.count
            numbers = (count.total(), count["refused"], count["crashed"], count["hung"])
            table.add_row(name, *map(str, numbers), f"{outcome.slowest:.2f}", f"{outcome.memory:.0f}")
            failed |= bool(outcome.failures) or outcome.memory > MEMORY
            _keep(outcome, args.out and args.out / name.replace(" ", "_"))
    Console().print(table)
    return int(failed)


def _keep(outcome: Outcome, folder: Path | None) -> None:
    """Write the inputs that failed, if a folder is given, and each reason once to standard error."""
    for reason in {reason for _, reason in outcome.failures}:
        print(reason, file=sys.stderr)
    for number, (value, reason) in enumerate(outcome.failures if folder else ()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.bin").write_bytes(value if isinstance(value, bytes) else repr(value).encode())
        (folder / f"{number}.txt").write_text(reason)


if __name__ == "__main__":
    sys.exit(main())
