"""`l2s edit VERB`: the files that each verb writes, what its JSON says, one sentence for each mistake."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2s_jax import cli
from l2s_jax.commands import results
from l2s_jax.commands.edit import work
from l2s_jax.inference import edits
from tests.helpers import fake_system

LABELS = fake_system.LABELS
SIDE = fake_system.SIDE


def face(shade: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Hair, skin below with lips in it, background at the left; `shade` moves colours and the line of the hair."""
    ids = np.full((height, width), LABELS["skin"], np.uint8)
    ids[: height // 4 + shade * height // 16] = LABELS["hair"]
    ids[3 * height // 4 : 7 * height // 8, width // 2 :] = LABELS["lips"]
    ids[:, : width // 4] = LABELS["background"]
    return (0.9 * LABELS.palette[ids] + 2 * shade).astype(np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with models and photos; outputs go to folders named by each test."""
    with fake_system.working_directory(tmp_path_factory.mktemp("edit")) as root:
        for name, codec in (("tiny", "styled"), ("shared", "all"), ("parser", "none")):
            fake_system.save(root / "models" / name, codec=codec, name=name)
        for shade, name in enumerate("abcd"):
            Image.fromarray(face(shade)).save(root / f"{name}.png")
        for shade, name in ((0, "tall_source"), (2, "tall")):
            Image.fromarray(face(shade, 80, 48)).save(root / f"{name}.png")
        Image.fromarray(np.broadcast_to(LABELS.palette[0], (20, 20, 3))).save(root / "nothing.png")
        (root / "text.png").write_text("hello")
        yield root


@pytest.fixture
def edit(capsys, place):
    def call(*argv, model="tiny") -> tuple[int, str, str]:
        code = cli.main(["edit", *map(str, argv), "--model", model])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def facts_of(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def mean_change(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b)[where].mean())


def test_a_swap_is_the_targets_face_with_regions_of_the_source(edit, place, tmp_path):
    swap = ["swap", "--source", "a.png", "--target", "c.png", "--regions", "skin"]
    code, out, err = edit(*swap, "--out", tmp_path)
    assert (code, err) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["c_swap.json", "c_swap.png", "c_swap_grid.png"]
    facts, picture = facts_of(tmp_path, "c_swap"), pixels(tmp_path / "c_swap.png")
    assert facts["verb"] == "swap"
    assert facts["result"] == "the target's face with the regions of the source"
    expected = {"source": "a.png", "target": "c.png", "regions": ["skin"], "style": False, "blend": None}
    assert facts["arguments"] == expected
    assert (facts["model"]["name"], facts["model"]["licence"]) == ("tiny", "Apache-2.0")
    assert facts["files"] == ["c_swap.png", "c_swap_grid.png"]
    assert facts["blend"] is None
    assert "skin  change inside" in out
    # The skin of a begins two rows higher than that of c, and has the colour of c there; all else is c.
    a, c = face(0), face(2)
    rows, face_columns = np.arange(SIDE)[:, None], np.arange(SIDE) >= SIDE // 4
    grown = (rows >= 4) & (rows < 6) & face_columns
    np.testing.assert_allclose(picture[grown], np.broadcast_to(c[8, -1], picture[grown].shape), atol=1)
    np.testing.assert_allclose(picture[~grown], c[~grown], atol=2)
    change = facts["change"]
    skin = (rows >= 4) & face_columns & ~((rows >= 12) & (rows < 14) & (np.arange(SIDE) >= 8))
    assert change["region"] == pytest.approx(skin.mean(), abs=1e-4)
    assert change["inside"] == pytest.approx(mean_change(picture, c, skin), abs=1)
    assert change["outside"] < 0.5
    assert change["outside_over_inside"] == pytest.approx(change["outside"] / change["inside"], abs=1e-3)
    assert edit(*swap, "--style", "--out", tmp_path)[0] == 0  # other arguments: another name
    styled = pixels(tmp_path / "c_swap-2.png")
    np.testing.assert_allclose(styled[skin], np.broadcast_to(a[8, -1], styled[skin].shape), atol=1)
    assert facts_of(tmp_path, "c_swap-2")["arguments"]["style"] is True


def test_the_same_command_replaces_its_results_and_a_moved_album_keeps_them(edit, place, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    for name in ("a.png", "b.png"):
        (album / name).write_bytes((place / name).read_bytes())

    def swap(folder, source="b.png"):
        argv = ["--source", folder / source, "--target", folder / "a.png", "--regions", "lips", "--out", folder]
        code, _, err = edit("swap", *argv)
        assert (code, err) == (0, "")
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    first = swap(album)
    assert len(first) == 5
    assert swap(album) == first
    moved = album.rename(tmp_path / "moved")
    again = swap(moved)
    assert again.keys() == first.keys()
    assert all(again[name] == first[name] for name in first if name.endswith(".png"))
    assert len(swap(moved, "a.png")) == 8


@pytest.mark.parametrize("name", ["a_swap.png", "a_swap_grid.png", "a_swap.json"])
def test_what_others_wrote_is_never_replaced(edit, monkeypatch, place, tmp_path, name):
    (tmp_path / name).write_text('{"annotation": "of weeks"}')
    monkeypatch.setattr("l2s_jax.inference.editor.Editor.load", lambda *args: pytest.fail("work before the check"))
    code, out, err = edit("swap", "--source", "b.png", "--target", "a.png", "--regions", "hair", "--out", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"l2s: '{tmp_path / name}' was not written by `l2s edit` and is not replaced: choose another --out\n"
    assert os.listdir(tmp_path) == [name]


def test_a_blend_keeps_the_photos_own_pixels(edit, place, tmp_path):
    swap = ["swap", "--source", "tall_source.png", "--target", "tall.png", "--regions", "skin", "--out", tmp_path]
    assert edit(*swap, "--blend", 1)[0] == 0
    photo, picture = face(2, 80, 48), pixels(tmp_path / "tall_swap.png")
    assert picture.shape == photo.shape
    np.testing.assert_array_equal(picture[:10], photo[:10])  # the new skin begins at row 20, its border at 15
    np.testing.assert_allclose(picture[23:27, 20:44], np.broadcast_to(photo[40, 20], (4, 24, 3)), atol=5)
    facts = facts_of(tmp_path, "tall_swap")
    blend = facts["blend"]
    assert facts["arguments"]["blend"] == 1
    assert blend["untouched"] == pytest.approx((picture == photo).all(-1).mean(), abs=1e-4)
    assert blend["change"]["inside"] > 3 * blend["change"]["outside"]
    assert 0 < blend["seam"]["added"] < blend["seam"]["cut"]
    assert blend["seam"]["photo"] >= 0
    code, out, _ = edit(*swap, "--blend")
    assert code == 0
    assert "of the photo untouched" in out
    assert facts_of(tmp_path, "tall_swap-2")["arguments"]["blend"] == 4
    assert facts_of(tmp_path, "tall_swap-2")["blend"]["seam"]["added"] < blend["seam"]["added"]


def test_a_mix_takes_each_region_from_its_donor(edit, place, tmp_path):
    take = ["--take", "hair=b.png", "--take", "lips=c.png"]
    code, _, err = edit("mix", "--target", "a.png", *take, "--style", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["a_mix.json", "a_mix.png", "a_mix_grid.png"]
    picture = pixels(tmp_path / "a_mix.png")
    np.testing.assert_allclose(picture[0, -1], face(1)[0, -1], atol=1)
    np.testing.assert_allclose(picture[12, -1], face(2)[12, -1], atol=1)
    np.testing.assert_allclose(picture[9, -1], face(0)[9, -1], atol=1)
    assert facts_of(tmp_path, "a_mix")["arguments"]["take"] == {"hair": "b.png", "lips": "c.png"}


def test_a_triangle_has_the_faces_at_its_corners(edit, place, tmp_path):
    code, _, err = edit("mix", "--faces", "a.png", "b.png", "c.png", "--side", 3, "--out", tmp_path)
    assert (code, err) == (0, "")
    faces = [f"a_mix_{number:02d}.png" for number in range(6)]
    assert sorted(os.listdir(tmp_path)) == sorted([*faces, "a_mix.json", "a_mix_grid.png"])
    for corner, shade in ((0, 0), (3, 1), (5, 2)):
        np.testing.assert_allclose(pixels(tmp_path / faces[corner]), face(shade), atol=2)
    gives = facts_of(tmp_path, "a_mix")["gives"]
    assert [set(each.values()) for each in gives] == [{"A"}, {"A", "B"}, {"A", "C"}, {"B"}, {"B", "C"}, {"C"}]
    assert list(gives[0]) == list(LABELS.names)
    grid = pixels(tmp_path / "a_mix_grid.png")
    assert grid.shape[1] > 3 * 128


def test_restyle_changes_colours_and_no_shapes(edit, place, tmp_path):
    restyle = ["restyle", "--target", "a.png", "--region", "hair", "--out", tmp_path]
    code, _, err = edit(*restyle, "--from", "c.png")
    assert (code, err) == (0, "")
    a, picture = face(0), pixels(tmp_path / "a_restyle.png")
    hair = (np.arange(SIDE)[:, None] < 4) & (np.arange(SIDE) >= 4)
    np.testing.assert_allclose(picture[hair], np.broadcast_to(face(2)[0, -1], picture[hair].shape), atol=1)
    np.testing.assert_allclose(picture[~hair], a[~hair], atol=2)
    for seed in (1, 1, 2):
        assert edit(*restyle, "--noise", 0.5, "--seed", seed)[0] == 0
    assert {path.stem for path in tmp_path.glob("*.json")} == {"a_restyle", "a_restyle-2", "a_restyle-3"}
    one, two = (pixels(tmp_path / f"a_restyle-{number}.png") for number in (2, 3))
    assert mean_change(one, two, hair) > 1
    np.testing.assert_allclose(one[~hair], a[~hair], atol=2)
    assert facts_of(tmp_path, "a_restyle-2")["arguments"]["noise"] == 0.5


def test_an_interpolation_ends_at_the_source(edit, place, tmp_path):
    code, _, err = edit("interpolate", "--source", "d.png", "--target", "a.png", "--steps", 4, "--out", tmp_path)
    assert (code, err) == (0, "")
    frames = [f"a_interpolate_{number:02d}.png" for number in range(4)]
    others = ["a_interpolate.gif", "a_interpolate.json", "a_interpolate_grid.png"]
    assert sorted(os.listdir(tmp_path)) == sorted([*frames, *others])
    np.testing.assert_allclose(pixels(tmp_path / frames[0]), face(0), atol=2)
    np.testing.assert_allclose(pixels(tmp_path / frames[3]), face(3), atol=2)
    with Image.open(tmp_path / "a_interpolate.gif") as film:
        assert film.n_frames == 6  # there and back
        assert results.is_edit(tmp_path / "a_interpolate.gif")
    facts = facts_of(tmp_path, "a_interpolate")
    inside = [frame["change"]["inside"] for frame in facts["frames"]]
    assert inside == sorted(inside)
    assert inside[0] == 0
    assert facts["frames"][0]["change"]["outside"] is None  # all regions: there is no outside
    argv = ["--source", "d.png", "--target", "a.png", "--steps", 3, "--regions", "lips", "--blend"]
    assert edit("interpolate", *argv, "--out", tmp_path)[0] == 0
    last = facts_of(tmp_path, "a_interpolate-2")["frames"][-1]
    assert last["change"]["outside"] < 0.05 * last["change"]["inside"]
    assert last["blend"]["untouched"] > 0.3


def test_traversals_pass_through_the_face(edit, place, tmp_path):
    walk = ["traverse", "--target", "a.png", "--region", "hair", "--code", "style", "--steps", 3, "--out", tmp_path]
    code, _, err = edit(*walk, "--among", "b.png", "c.png", "d.png")
    assert (code, err) == (0, "")
    frames = [pixels(tmp_path / f"a_traverse_{number:02d}.png") for number in range(3)]
    np.testing.assert_allclose(frames[1], face(0), atol=2)
    hair = (0, -1)
    # The faces differ by 2 levels a step in all channels: a deviation of 2, of which there are two to either side.
    for frame, levels in ((frames[0], -4), (frames[2], 4)):
        expected = np.clip(face(0)[hair].astype(int) + levels, 0, 255)
        np.testing.assert_allclose(frame[hair], expected, atol=1)
    assert edit(*walk, "--directions", 2, "--seed", 5)[0] == 0
    facts = facts_of(tmp_path, "a_traverse-2")
    assert len(facts["frames"]) == 6
    assert facts["arguments"]["seed"] == 5
    assert "random directions of the style" in facts["result"]


SWAP = ["swap", "--source", "b.png", "--target", "a.png"]
MIX = ["mix", "--target", "a.png"]
RESTYLE = ["restyle", "--target", "a.png", "--region", "hair"]
WALK = ["interpolate", "--source", "b.png", "--target", "a.png"]
TRAVERSE = ["traverse", "--target", "a.png", "--region", "hair"]
EITHER = "takes either --faces A B C, or --target and --take REGION=PHOTO"


@pytest.mark.parametrize(
    ("argv", "model", "sentence"),
    [
        ([*SWAP, "--regions", "hiar"], "tiny", "no slice for the region 'hiar': did you mean 'hair'?"),
        ([*SWAP, "--regions", "ears"], "tiny", "no slice for the region 'ears': there are: background, hair"),
        ([*SWAP, "--regions", "hair,"], "tiny", "'hair,' is not a list of regions: write names with commas"),
        ([*SWAP, "--regions", "hair"], "parser", "is a model of 'fake', which has no slices to edit"),
        ([*SWAP, "--regions", "hair"], "tyni", "did you mean 'tiny'?"),
        ([*SWAP, "--regions", "hair", "--style"], "shared", "has one style for all regions: swap regions with"),
        ([*SWAP, "--regions", "hair", "--blend", "-1"], "tiny", "'-1' is not a whole number, 0 or more"),
        (["swap", "--target", "a.png", "--regions", "hair"], "tiny", "the following arguments are required: --source"),
        (["swap", "--source", "no.png", *SWAP[3:], "--regions", "hair"], "tiny", "'no.png' does not exist"),
        (["swap", "--source", "text.png", *SWAP[3:], "--regions", "hair"], "tiny", "'text.png'"),
        (["swap", "--source", "nothing.png", *SWAP[3:], "--regions", "hair"], "tiny", "finds no face in 'nothing.png'"),
        (["mix"], "tiny", EITHER),
        (["mix", "--faces", "a.png", "b.png", "c.png", "--target", "a.png"], "tiny", EITHER),
        (
            ["mix", "--faces", "a.png", "b.png"],
            "tiny",
            "--faces needs three photos, the corners of the triangle, not 2",
        ),
        (["mix", "--faces", "a.png", "b.png", "c.png", "--blend"], "tiny", "no photo of its own to --blend into"),
        (["mix", "--faces", "a.png", "b.png", "c.png", "--side", "1"], "tiny", "'1' is not a number of steps, 2 or"),
        (["mix", "--faces", "a.png", "b.png", "c.png", "--style"], "tiny", "--style goes with --take"),
        (["mix", "--target", "a.png", "--take", "hair=b.png", "--side", "3"], "tiny", "--side goes with --faces"),
        (MIX, "tiny", "also needs --take REGION=PHOTO, what it gets"),
        (["mix", "--take", "hair=b.png"], "tiny", "also needs --target, the face that is edited"),
        ([*MIX, "--take", "hair"], "tiny", "'hair' is not REGION=PHOTO, such as hair=b.jpg"),
        ([*MIX, "--take", "hair=b.png", "--take", "hair=c.png"], "tiny", "--take names a region twice"),
        ([*MIX, "--take", "hiar=b.png"], "tiny", "no slice for the region 'hiar': did you mean 'hair'?"),
        ([*MIX, "--take", "hair=b.png", "--style"], "shared", "has one style for all regions: mix regions with"),
        (RESTYLE, "tiny", "one of the arguments --from --noise is required"),
        ([*RESTYLE, "--from", "b.png", "--noise", "1"], "tiny", "--noise: not allowed with argument --from"),
        ([*RESTYLE, "--noise", "0"], "tiny", "'0' is not a number above 0"),
        ([*RESTYLE, "--noise", "-1"], "tiny", "'-1' is not a number above 0"),
        ([*RESTYLE, "--noise", "nan"], "tiny", "'nan' is not a number above 0"),
        ([*RESTYLE, "--noise", "1"], "shared", "has one style for all regions: no region can be restyled by itself"),
        ([*RESTYLE, "--from", "b.png"], "shared", "has one style for all regions: no region can be restyled"),
        ([*WALK, "--steps", "1"], "tiny", "'1' is not a number of steps, 2 or more"),
        ([*WALK, "--regions", "hiar"], "tiny", "no slice for the region 'hiar': did you mean 'hair'?"),
        ([*TRAVERSE, "--among", "b.png"], "tiny", "directions are found between 2 faces or more, not in 1"),
        (
            [*TRAVERSE, "--among", "b.png", "c.png", "--directions", "2"],
            "tiny",
            "2 faces differ in 1 directions at most",
        ),
        ([*TRAVERSE, "--among", "b.png", "b.png"], "tiny", "the faces differ in fewer than 1 directions of 'hair'"),
        ([*TRAVERSE, "--code", "style"], "shared", "has one style for all regions: walk the 'structure'"),
        ([*TRAVERSE, "--reach", "0"], "tiny", "'0' is not a number above 0"),
        ([*TRAVERSE, "--code", "colour"], "tiny", "argument --code: invalid choice: 'colour'"),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence_and_write_nothing(edit, place, tmp_path, argv, model, sentence):
    code, _, err = edit(*argv, "--out", tmp_path / "out", model=model)
    assert code == 2
    assert sentence in err
    assert err.startswith("l2s: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


def test_an_edit_beside_the_face_is_told(capsys):
    picture, place = np.zeros((4, 4, 3), np.uint8), np.eye(4, dtype=bool)
    for old, new, overlap in ((place, place[::-1], 0), (place, place, 1), (place, place & False, None)):
        edit = edits.compare(picture, picture, old, new)
        assert edit.overlap == overlap
        work.report("lips", edit)
        captured = capsys.readouterr()
        assert "lips  change inside 0.00, outside 0.00 of 255" in captured.out
        assert ("hardly overlap (0.00): slices keep their place" in captured.err) == (overlap == 0)


def test_an_unwritable_out_folder_stops_before_any_work(edit, place):
    code, out, err = edit(*SWAP, "--regions", "hair", "--out", "a.png")
    assert (code, out) == (2, "")
    assert err.startswith("l2s: cannot write into the folder")
