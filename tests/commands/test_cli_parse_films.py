"""`l2s parse` on videos and cameras: every frame, classes that hold still, one sentence for what is no film."""

import contextlib
import json
import os
import re
import sys

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.images import frames
from l2s_jax import cli
from l2s_jax.commands import results
from l2s_jax.inference import smoothing
from l2s_jax.inference.parser import Parser
from l2s_jax.report.h264 import H264
from l2s_jax.report.video import Mp4
from tests.helpers import fake_system

LABELS = fake_system.LABELS
HEIGHT, WIDTH = 48, 32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("films")) as root:
        fake_system.save(root / "models" / "tiny")
        yield root


@pytest.fixture
def parse(capsys, place, tmp_path):
    def call(*argv) -> tuple[int, str, str]:
        code = cli.main(["parse", *map(str, argv), "--out", str(tmp_path / "out"), "--model", "tiny"])
        return code, *capsys.readouterr()

    return call


def film(path, count: int = 5, rate: float = 10, height: int = HEIGHT):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (WIDTH, height))
    for _ in range(count):
        writer.write(np.ascontiguousarray(fake_system.painted(height, WIDTH)[0][..., ::-1]))
    writer.release()
    return path


def test_a_film_gives_an_overlay_frames_and_facts(parse, tmp_path):
    path = film(tmp_path / "clip.avi")
    code, out, err = parse(path, "--regions", "hair", "--batch", "2")
    assert (code, err) == (0, "")
    assert re.search("clip  5 frames .* no face found", out)
    assert "\n1 film parsed into" in out
    folder = tmp_path / "out"
    assert sorted(os.listdir(folder)) == ["clip.json", "clip_labels", "clip_mask", "clip_overlay.mp4"]
    numbered = [f"{number:06d}.png" for number in range(5)]
    assert sorted(os.listdir(folder / "clip_labels")) == sorted(os.listdir(folder / "clip_mask")) == numbered
    ids = np.asarray(Image.open(folder / "clip_labels" / "000004.png"))
    assert (ids == fake_system.painted(HEIGHT, WIDTH)[1]).mean() > 0.95
    shown = list(frames.read_frames(folder / "clip_overlay.mp4"))
    assert [frame.shape for frame in shown] == [(HEIGHT, WIDTH, 3)] * 5
    assert frames.frames_per_second(folder / "clip_overlay.mp4") == 10
    facts = json.loads((folder / "clip.json").read_text())
    assert (facts["frames"], facts["width"], facts["smoothing"]) == (5, WIDTH, 0.7)
    assert (facts["faces"], facts["doubt"]) == ([0] * 5, None)
    assert facts["classes"]["hair"]["area"] == pytest.approx(np.mean(ids == LABELS["hair"]), abs=0.02)
    assert facts["classes"]["hair"]["confidence"] > 0.8
    assert facts["classes"]["nose"] == {"id": LABELS["nose"], "area": 0.0, "confidence": None}


def test_films_without_crops_are_not_searched(parse, tmp_path):
    code, out, _ = parse(film(tmp_path / "clip.avi", 1), "--crop", "none")
    assert code == 0
    assert "no face" not in out
    assert json.loads((tmp_path / "out" / "clip.json").read_text())["faces"] == [None]


def test_films_and_photos_in_one_call_again_and_again(parse, tmp_path):
    path = film(tmp_path / "x.avi", 2)
    Image.fromarray(fake_system.painted(16, 16)[0]).save(tmp_path / "x.png")
    for _ in range(2):
        code, out, err = parse(path, tmp_path / "x.png")
        assert (code, err) == (0, "")
        assert "1 photo and 1 film parsed into" in out
        assert {each.stem for each in (tmp_path / "out").glob("*.json")} == {"x", "x-2"}


@pytest.mark.parametrize("encoder", [Mp4, H264])
def test_frames_of_odd_sizes_are_written_whole(tmp_path, encoder):
    with contextlib.closing(encoder(tmp_path / "odd.mp4", 25)) as film:
        film.add(np.full((31, 33, 3), (250, 60, 20), np.uint8))
    (frame,) = frames.read_frames(tmp_path / "odd.mp4")
    assert frame.shape == (32, 34, 3)
    np.testing.assert_allclose(frame.mean((0, 1)), (250, 60, 20), atol=6)
    nowhere = contextlib.closing(encoder(tmp_path / "no" / "folder.mp4", 25))
    with pytest.raises(UserError, match="cannot write the film"), nowhere as film:
        film.add(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize(("installed", "codec"), [(True, "h264"), (False, "mpeg4")])
def test_films_are_h264_where_pyav_is_installed(parse, tmp_path, monkeypatch, installed, codec):
    if not installed:
        monkeypatch.setitem(sys.modules, "l2s_jax.report.h264", None)
    assert parse(film(tmp_path / "clip.avi", 2))[0] == 0
    with av.open(tmp_path / "out" / "clip_overlay.mp4") as written:
        assert (written.streams[0].codec.name, written.streams[0].average_rate) == (codec, 10)
    assert results.is_result(tmp_path / "out" / "clip_overlay.mp4")


@pytest.mark.parametrize("name", ["clip_overlay.mp4", "clip_labels/000001.png", "clip.json"])
def test_what_others_wrote_is_never_replaced(parse, tmp_path, name):
    path, foreign = film(tmp_path / "clip.avi"), tmp_path / "out" / name
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"of weeks")
    code, _, err = parse(path)
    assert code == 2
    assert f"'{foreign}' was not written by `l2s parse`" in err
    assert foreign.read_bytes() == b"of weeks"
    assert not any(each.startswith(".") for each in os.listdir(tmp_path / "out"))


def test_what_cannot_be_decoded_is_one_sentence_and_skipped(parse, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    (tmp_path / "list.mp4").write_bytes(b"#EXTM3U\n/etc/hostname\n")
    code, _, err = parse(film(tmp_path / "good.avi", 2), tmp_path / "cut.mp4", tmp_path / "list.mp4")
    assert code == 2
    lines = err.splitlines()
    assert "list.mp4' is not a readable image" in lines[0]
    assert "cut.mp4' is a video of which OpenCV's reader can decode no frame" in lines[1]
    assert "2 of 3 photos could not be read" in lines[2]
    written = sorted(os.listdir(tmp_path / "out"))
    assert written == ["good.json", "good_labels", "good_overlay.mp4"]


def test_a_camera_that_is_not_there_is_one_sentence(parse):
    code, _, err = parse("camera:97")
    assert (code, err) == (2, "l2s: camera 97 gives no pictures: connect it, or name another (camera:0 is the first)\n")


def test_a_camera_runs_until_the_user_interrupts(parse, tmp_path, monkeypatch):
    def pictures(number):
        assert number == 3
        yield from [fake_system.painted(HEIGHT, WIDTH)[0]] * 8
        raise KeyboardInterrupt

    monkeypatch.setattr(frames, "read_camera", pictures)
    code, out, err = parse("camera:3", "--batch", "4")
    assert (code, err) == (0, "")
    assert "camera:3  8 frames" in out
    assert len(list(frames.read_frames(tmp_path / "out" / "camera:3_overlay.mp4"))) == 8


def test_the_mark_of_a_film_is_read_back(tmp_path):
    path = film(tmp_path / "clip.avi").rename(tmp_path / "clip.mp4")
    assert not results.is_result(path)
    with path.open("ab") as file:
        file.write(results.mp4_box(results.mark(tmp_path / "clip.avi", tmp_path)))
    assert results.is_result(path)


def test_classes_hold_still_where_the_picture_does_and_nowhere_else(place):
    parser = Parser("models/tiny")
    side = fake_system.SIDE
    hair, lips = (np.broadcast_to(LABELS.palette[LABELS[name]], (side, side, 3)) for name in ("hair", "lips"))
    cut = [parsing.ids for parsing in parser.film([hair, lips, lips])]
    assert (cut[1] == LABELS["lips"]).all()  # nothing survives a cut
    still = np.full((side, side, 3), 0.2, np.float32)
    before = np.full((side, side, 2), (1.0, 0.0), np.float32)
    after = np.full((side, side, 2), (0.4, 0.6), np.float32)
    np.testing.assert_allclose(smoothing.steady(after, still, (before, still), 0.5)[0, 0], (0.7, 0.3), atol=1e-6)
    moved = smoothing.steady(after, still + 1, (before, still), 0.5)
    np.testing.assert_allclose(moved, after, atol=1e-4)
    np.testing.assert_array_equal(smoothing.steady(after, still, (before, still), 0.0), after)
    pictures = [fake_system.painted(16, 24)[0]] * 3
    single = parser(pictures[0])
    for parsing in parser.film(iter(pictures), batch_size=2):
        np.testing.assert_array_equal(parsing.ids, single.ids)
