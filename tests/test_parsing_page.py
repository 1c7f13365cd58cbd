"""Every example of docs/parsing.md and docs/api.md runs, with a model of CelebAMask's classes."""

import contextlib
import glob
import io
import json
import re
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from input_pipeline.labels import CELEBAMASK
from l2s_jax import bundle, cli
from tests.helpers import fake_system

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the photos, the folders and the film that the pages name."""
    with (
        fake_system.working_directory(tmp_path_factory.mktemp("pages")) as root,
        pytest.MonkeyPatch.context() as patch,
    ):
        fake_system.save(root / "models" / "shipped", label_set=CELEBAMASK, side=64)
        patch.setattr(bundle, "DEFAULT_PARSER", root / "models" / "shipped")
        for name in ("photo.jpg", "other.jpg", "album/2024/a.jpg", "more/b.jpg"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(face()).save(root / name, "PNG")  # without loss: classes are colours here
        film = cv2.VideoWriter(str(root / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 64))
        for _ in range(3):
            film.write(np.ascontiguousarray(face()[..., ::-1]))
        film.release()
        yield root


def face() -> np.ndarray:
    """Hair above skin with two eyes, in the palette's colours, which the model reads."""
    ids = np.full((64, 64), CELEBAMASK["hair"], np.uint8)
    ids[24:, 8:56] = CELEBAMASK["skin"]
    ids[30:38, 14:26], ids[30:38, 38:50] = CELEBAMASK["r_eye"], CELEBAMASK["l_eye"]
    return CELEBAMASK.palette[ids]


def run(line: str, monkeypatch) -> int:
    """Run a command of the page as a shell does, with its redirections and patterns."""
    words = [name for word in shlex.split(line, comments=True) for name in (sorted(glob.glob(word)) or [word])]
    with contextlib.ExitStack() as stack:
        if "<" in words:
            at = words.index("<")
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(words[at + 1]).read_bytes())))
            del words[at : at + 2]
        if ">" in words:
            at = words.index(">")
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(words[at + 1], "w"))))
            del words[at : at + 2]
        assert words[0] == "l2s"
        return cli.main(words[1:])


def test_every_command_of_the_page_runs_and_writes_what_it_says(place, monkeypatch, capsys):
    lines = [line for block in blocks("parsing.md", "sh") for line in block.splitlines()]
    assert len(lines) > 12
    for line in lines:
        assert run(line, monkeypatch) == 0, capsys.readouterr().err
    said = re.findall(r"photo_\w+\.png", (DOCS / "parsing.md").read_text("utf-8"))
    assert len(set(said)) == 6
    assert [name for name in said if not (place / "masks" / name).exists()] == []
    assert Image.open(place / "person.png").mode == "RGBA"
    entries = [json.loads(line) for line in (place / "results.jsonl").read_text().splitlines()]
    assert [entry["image"] for entry in entries] == ["album/2024/a.jpg"]
    for name in ("2024/a.json", "b.json", "clip.json", "clip_labels/000000.png", "clip_mask/000002.png"):
        assert (place / "results" / name).exists()


@pytest.mark.parametrize("page", ["parsing.md", "api.md"])
def test_the_code_of_the_pages_runs(place, page):
    names = {}
    exec("\n".join(blocks(page, "python")), names)
    parsing = names["parsing"]
    np.testing.assert_array_equal(np.unique(parsing.ids), CELEBAMASK.region("hair", "skin", "eyes"))
    columns = np.nonzero(parsing.mask("l_eye"))[1]
    assert columns.min() > 32  # the subject's left is the right half of the photo
    if page == "api.md":
        assert names["names"] == ["skin", "l_eye", "r_eye", "hair"]
