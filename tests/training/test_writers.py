import io
import json

import numpy as np
import pytest
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event

from input_pipeline.errors import UserError
from l2s_jax.training.writers import ConsoleWriter, JsonlWriter, MultiWriter, TensorBoardWriter, Writer


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def events(folder):
    """The events of a folder; a record is its length (8 bytes), a checksum (4), the event, a checksum (4)."""
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def test_jsonl_has_step_time_and_finite_numbers(tmp_path):
    writer = JsonlWriter(tmp_path / "m.jsonl", 0, pytest.fail)
    writer.write_scalars(5, {"train/loss": np.float32(0.5), "eval/f1": float("nan"), "eval/iou": 1})
    (line,) = lines(tmp_path / "m.jsonl")  # before closing: a killed run keeps its lines
    writer.close()
    assert line.pop("time") > 1.6e9
    assert line == {"step": 5, "train/loss": 0.5, "eval/iou": 1.0}


def test_resuming_drops_what_will_be_written_again(tmp_path):
    path = tmp_path / "m.jsonl"
    writer = JsonlWriter(path, 0, pytest.fail)
    for step in (10, 20, 30):
        writer.write_scalars(step, {"train/loss": step})
    writer.close()
    with path.open("a") as file:
        file.write('{"step": 20, "train/lo')  # killed in the middle of a line
    writer = JsonlWriter(path, 20, pytest.fail)
    writer.write_scalars(30, {"train/loss": -1})
    writer.close()
    assert [(line["step"], line["train/loss"]) for line in lines(path)] == [(10, 10), (20, 20), (30, -1)]
    assert [file.name for file in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"step": 1',
        b"",
        b"\xff\xfe{",
        b"\0" * 40,
        b"[" * 100_000,
        b"[1]",
        b'{"step": "1"}',
        b'{"time": 1}',
        b"\xef\xbb\xbf",
    ],
)
def test_damaged_lines_are_left_out_and_said(tmp_path, broken):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n' + broken + b'\n{"step": 2}\n' + broken)
    said = []
    JsonlWriter(path, 5, said.append).close()
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'
    assert said == [f"{path} had 1 damaged line: left out"]


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}')
    writer = JsonlWriter(path, 1, pytest.fail)
    writer.write_scalars(2, {})
    writer.close()
    assert [line["step"] for line in lines(path)] == [1, 2]


def test_unwritable_places_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*m.jsonl \(Not a directory\)"):
        JsonlWriter(tmp_path / "file" / "m.jsonl", 0, pytest.fail)
    with pytest.raises(UserError, match=r"cannot write .*board"):
        TensorBoardWriter(tmp_path / "file" / "board", 0)


def test_tensorboard_gets_scalars_and_the_config(tmp_path):
    writer = TensorBoardWriter(tmp_path, 0)
    writer.write_scalars(3, {"train/loss": 0.25})
    writer.write_hparams({"train.steps": 10})
    writer.flush()
    writer.close()
    values = {value.tag: (event.step, value) for event in events(tmp_path) for value in event.summary.value}
    assert values["train/loss"][0] == 3
    assert values["train/loss"][1].simple_value == 0.25
    assert b"| train.steps | 10 |" in values["config/text_summary"][1].tensor.string_val[0]


def test_tensorboard_hides_the_abandoned_history(tmp_path):
    writer = TensorBoardWriter(tmp_path, 20)
    writer.write_scalars(21, {"x": 1})
    writer.close()
    assert [event.step for event in events(tmp_path) if event.session_log.status] == [21]


def test_console_prints_one_line(tmp_path):
    console = Console(file=io.StringIO(), width=20)
    ConsoleWriter(console).write_scalars(7, {"train/loss": 0.123456, "perf/[x]": 20.0})
    assert console.file.getvalue() == "step 7  train/loss 0.1235  perf/[x] 20\n"


def test_multi_writer_passes_everything_on():
    calls = []

    class Recorder(Writer):
        def __getattribute__(self, name):
            return lambda *args: calls.append((name, *args))

    writer = MultiWriter([Recorder(), Recorder()])
    writer.write_scalars(1, {"a": 1})
    writer.write_hparams({})
    writer.flush()
    writer.close()
    once = [("write_scalars", 1, {"a": 1}), ("write_hparams", {}), ("flush",), ("close",)]
    assert calls == [call for call in once for _ in range(2)]
