"""Frames of animations and videos: all of them in order, upright colours, and one sentence for what is no sequence."""

import cv2
import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.images import decode
from input_pipeline.images.frames import read_frames

LEVELS = (10, 90, 170, 250)


def flat(level: int) -> np.ndarray:
    """Red grows, blue stays: exchanged channels would show."""
    return np.broadcast_to(np.uint8([level, 60, 20]), (32, 48, 3))


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png", "film.avi", "film.mp4"])
def test_all_frames_come_in_order(tmp_path, name):
    path = tmp_path / name
    if path.suffix in (".avi", ".mp4"):
        code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
        writer = cv2.VideoWriter(str(path), code, 10, (48, 32))
        assert writer.isOpened()
        for level in LEVELS:
            writer.write(np.ascontiguousarray(flat(level)[..., ::-1]))
        writer.release()
    else:
        first, *rest = (Image.fromarray(flat(level)) for level in LEVELS)
        first.save(path, save_all=True, append_images=rest, **({"lossless": True} if name == "film.webp" else {}))
    frames = list(read_frames(path))
    assert [frame.shape for frame in frames] == [(32, 48, 3)] * 4
    assert all(frame.dtype == np.uint8 for frame in frames)
    for frame, level in zip(frames, LEVELS, strict=True):
        np.testing.assert_allclose(frame.mean((0, 1)), [level, 60, 20], atol=6)


def test_one_picture_is_one_frame(tmp_path):
    Image.fromarray(flat(10)).save(tmp_path / "one.jpg")
    assert len(list(read_frames(tmp_path / "one.jpg"))) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", "is not a readable image"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "is not a readable image"),
        (b"\0\0\0\x18ftypisom" + bytes(100), "a video of which OpenCV's reader can decode no frame"),
        (b"RIFF\x40\0\0\0AVI " + bytes(100), "a video of which OpenCV's reader can decode no frame"),
        (b"", "is not a readable image"),
    ],
)
def test_what_is_no_sequence_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        list(read_frames(path))
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"film.mp4' does not exist"):
        read_frames(tmp_path / "film.mp4")


def test_a_broken_animation_is_told(tmp_path):
    path = tmp_path / "film.gif"
    first, *rest = (Image.fromarray(flat(level)) for level in LEVELS)
    first.save(path, save_all=True, append_images=rest)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"film.gif' is damaged"):
        list(read_frames(path))


def test_huge_frames_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (48, 32))
    writer.write(np.ascontiguousarray(flat(10)))
    writer.release()
    monkeypatch.setattr(decode, "MAX_PIXELS", 48 * 32 - 1)
    with pytest.raises(UserError, match="has frames of 48 x 32 pixels: make a smaller copy"):
        next(read_frames(tmp_path / "film.avi"))
