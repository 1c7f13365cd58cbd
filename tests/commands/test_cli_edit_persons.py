"""`l2s edit identity`, `deidentify` and `sequence`: the files, what the JSON says, one sentence for each mistake."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2s_jax import cli
from l2s_jax.commands import results
from l2s_jax.commands.edit import sequence
from tests.helpers import fake_system, halves_system
from tests.helpers.halves_system import person, picture, read, save_picture

LOOKS = {"x": np.array([0.5, -0.5, 0.25, 0]), "y": np.array([-1.0, 1, 0, 0.75])}
PEOPLE = {"a": person(0), "b": person(90), "c": person(40, 2)}
GREY = 1 / 127.5
LIGHT, DARK = np.array([0.8, 0.6, 0, 0]), np.array([0, 0, 0.8, 0.6])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with models and photos: `ax.png` is the person a with the looks x."""
    with (
        fake_system.working_directory(tmp_path_factory.mktemp("persons")) as root,
        pytest.MonkeyPatch.context() as patch,
    ):
        halves_system.install(patch)
        halves_system.save(root / "models" / "halves")
        halves_system.save(root / "models" / "plain", generator=False)
        halves_system.save(root / "models" / "wide", side=16)
        fake_system.save(root / "models" / "tiny", codec="styled")
        for who, identity in PEOPLE.items():
            for what, looks in LOOKS.items():
                save_picture(root / f"{who}{what}.png", identity, looks)
        for folder in ("gallery", "frames", "empty", "blank"):
            (root / folder).mkdir()
        for degrees in (10, 20, 80, 100):
            save_picture(root / "gallery" / f"{degrees}.png", person(degrees), LOOKS["x"])
        (root / "gallery" / "text.png").write_text("hello")
        for number, degrees in ((1, -30), (2, 0), (10, 60)):
            save_picture(root / "frames" / f"f{number}.png", person(degrees), [number / 10, 0, 0, 0])
        save_picture(root / "light.png", LIGHT, [-1, -1, -1, -1], 16)
        save_picture(root / "dark.png", DARK, [-1, -1, -1, -1], 16)
        (root / "blank" / "text.png").write_text("hello")
        Image.fromarray(np.full((8, 8, 3), 127, np.uint8)).save(root / "nobody.png")
        (root / "nobodies").mkdir()
        save_picture(root / "nobodies" / "0.png", person(0), LOOKS["x"])
        Image.open(root / "nobody.png").save(root / "nobodies" / "1.png")
        film = [Image.fromarray(picture(person(degrees), LOOKS["x"])) for degrees in (0, 60, 120, 180)]
        film[0].save(root / "film.webp", save_all=True, append_images=film[1:], lossless=True)
        yield root


@pytest.fixture
def edit(capsys, place):
    def call(*argv, model="halves") -> tuple[int, str, str]:
        code = cli.main(["edit", *map(str, argv), "--model", model])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def facts_of(folder, name) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def assert_shows(path, identity, attributes, atol=GREY):
    who, what = read(pixels(path))
    np.testing.assert_allclose(who, identity, atol=atol)
    np.testing.assert_allclose(what, attributes, atol=atol)


def test_a_pair_is_the_person_of_one_with_the_rest_of_the_other(edit, place, tmp_path):
    code, out, err = edit("identity", "--id", "ax.png", "--attributes", "cy.png", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["ax_identity.json", "ax_identity.png", "ax_identity_grid.png"]
    assert_shows(tmp_path / "ax_identity.png", PEOPLE["a"], LOOKS["y"])
    facts = facts_of(tmp_path, "ax_identity")
    assert facts["verb"] == "identity"
    assert facts["arguments"] == {"id": ["ax.png"], "attributes": ["cy.png"]}
    assert facts["model"]["system"] == "halves"
    (face,) = facts["faces"]
    assert (face["file"], face["id"], face["attributes"]) == ("ax_identity.png", "ax.png", "cy.png")
    assert face["cosine"]["to_identity"] == pytest.approx(1, abs=1e-3)
    assert face["cosine"]["to_attributes"] == pytest.approx(np.cos(np.deg2rad(40)), abs=0.01)
    assert f"ax as cy  cosine to the person 1.000, to the other picture {face['cosine']['to_attributes']:.3f}" in out
    assert "they can rise while the face breaks" in out
    assert "they can rise while the face breaks" in facts["note"]
    assert all(results.is_edit(tmp_path / name) for name in os.listdir(tmp_path))


def test_several_of_each_are_a_table(edit, place, tmp_path):
    people, looks = ["ax.png", "bx.png", "cx.png"], ["ay.png", "bx.png"]
    code, _, err = edit("identity", "--id", *people, "--attributes", *looks, "--out", tmp_path)
    assert (code, err) == (0, "")
    faces = facts_of(tmp_path, "ax_identity")["faces"]
    assert [(face["id"], face["attributes"]) for face in faces] == [(who, what) for who in people for what in looks]
    for face in faces:
        assert_shows(tmp_path / face["file"], PEOPLE[face["id"][0]], LOOKS[face["attributes"][1]])
    grid = pixels(tmp_path / "ax_identity_grid.png")
    assert grid.shape[0] > 4 * 128
    assert grid.shape[1] > 3 * 128


def test_a_walk_reaches_both_photos(edit, place, tmp_path):
    walk = ["identity", "--id", "ax.png", "bx.png", "--attributes", "cy.png", "--interpolate", "identity"]
    code, _, err = edit(*walk, "--steps", 3, "--out", tmp_path)
    assert (code, err) == (0, "")
    frames = [f"ax_identity_{number:02d}.png" for number in range(3)]
    others = ["ax_identity.gif", "ax_identity.json", "ax_identity_grid.png"]
    assert sorted(os.listdir(tmp_path)) == sorted([*frames, *others])
    for frame, identity in zip(frames, (PEOPLE["a"], [0.5, 0.5, 0, 0], PEOPLE["b"]), strict=True):
        assert_shows(tmp_path / frame, identity, LOOKS["y"], atol=1.5 * GREY)
    with Image.open(tmp_path / "ax_identity.gif") as film:
        assert film.n_frames == 4  # there and back
    cosines = [face["cosine"]["end"]["to_identity"] for face in facts_of(tmp_path, "ax_identity")["faces"]]
    np.testing.assert_allclose(cosines, [0, np.sqrt(0.5), 1], atol=0.01)
    assert edit(*walk, "--steps", 3, "--space", "codes", "--out", tmp_path)[0] == 0
    assert_shows(tmp_path / "ax_identity-2_01.png", person(45), LOOKS["y"], atol=1.5 * GREY)
    both = ["--id", "ax.png", "bx.png", "--attributes", "cx.png", "cy.png", "--interpolate", "both"]
    assert edit("identity", *both, "--out", tmp_path / "both")[0] == 0
    assert_shows(tmp_path / "both" / "ax_identity_00.png", PEOPLE["a"], LOOKS["x"])
    assert_shows(tmp_path / "both" / "ax_identity_08.png", PEOPLE["b"], LOOKS["y"])
    looks = ["--id", "ax.png", "--attributes", "cx.png", "cy.png", "--interpolate", "attributes", "--steps", 2]
    assert edit("identity", *looks, "--out", tmp_path / "looks")[0] == 0
    assert_shows(tmp_path / "looks" / "ax_identity_01.png", PEOPLE["a"], LOOKS["y"])


def test_deidentified_photos_show_generated_people(edit, place, tmp_path):
    photos = ["ax.png", "bx.png", "cy.png"]
    command = ["deidentify", *photos, "--threshold", "0.1", "--out", tmp_path]
    code, out, err = edit(*command)
    assert (code, err) == (0, "")
    facts = facts_of(tmp_path, "ax_deidentify")
    assert facts["arguments"]["threshold"] == 0.1
    assert facts["arguments"]["k"] is None
    assert facts["pool"] == 64
    assert [face["photo"] for face in facts["faces"]] == photos
    shown = []
    for face in facts["faces"]:
        who, what = read(pixels(tmp_path / face["file"]))
        own = PEOPLE[face["photo"][0]]
        np.testing.assert_allclose(what, LOOKS[face["photo"][1]], atol=GREY)
        assert who @ own < 0.1
        assert face["cosine"]["surrogate"] == pytest.approx(face["cosine"]["after"], abs=0.01)
        assert face["cosine"]["after"] == pytest.approx(who @ own, abs=0.01)
        assert face["cosine"]["before"] == pytest.approx(1, abs=1e-3)
        shown.append(who)
    assert np.abs(np.diff(shown, axis=0)).max(axis=1).min() > 0.05  # everybody is somebody else
    found = facts["reidentification"]
    assert found["before"] == {"rank1": 1, "auc": 1}
    shown, own = np.array(shown), np.array([PEOPLE[name[0]] for name in photos])
    assert found["after"] == expected_of(shown @ own.T)
    assert found["chance"] == {"rank1": pytest.approx(1 / 3, abs=1e-4), "auc": 0.5}
    assert "found again among the photos: before 100.0 %" in out
    assert "another encoder may find again" in facts["limits"]
    first = pixels(tmp_path / "ax_deidentify_00.png")
    assert edit(*command, "--seed", 5)[0] == 0
    assert np.abs(first.astype(int) - pixels(tmp_path / "ax_deidentify-2_00.png")).max() > 5
    assert edit(*command)[0] == 0  # again the first
    np.testing.assert_array_equal(pixels(tmp_path / "ax_deidentify_00.png"), first)


def expected_of(similarity: np.ndarray) -> dict:
    """Rank-1 and AUC by definition, of a square whose diagonal is right."""
    right, wrong = np.diag(similarity), similarity[~np.eye(len(similarity), dtype=bool)]
    rank1 = np.mean(similarity.argmax(axis=1) == np.arange(len(similarity)))
    return {"rank1": pytest.approx(rank1, abs=1e-4), "auc": pytest.approx((right[:, None] > wrong).mean(), abs=1e-4)}


def test_k_same_shows_the_mean_of_the_gallerys_nearest(edit, place, tmp_path):
    code, _, err = edit("deidentify", "ax.png", "--how", "ksame", "--k", 2, "--gallery", "gallery", "--out", tmp_path)
    assert code == 0
    assert (
        err
        == "skipped: 'gallery/text.png' is not a readable image: give a JPEG, PNG, WEBP, AVIF, BMP, TIFF, GIF file\n"
    )
    assert_shows(tmp_path / "ax_deidentify.png", person(15), LOOKS["x"], atol=1.5 * GREY)
    facts = facts_of(tmp_path, "ax_deidentify")
    assert facts["reidentification"] is None  # of one photo
    assert facts["pool"] == 4
    assert facts["arguments"]["gallery"] == "gallery"
    assert facts["arguments"]["seed"] is None
    assert facts["faces"][0]["cosine"]["after"] == pytest.approx(np.cos(np.deg2rad(15)), abs=0.01)


def test_kept_parts_are_the_photos_own(edit, place, tmp_path):
    (tmp_path / "pool").mkdir()
    save_picture(tmp_path / "pool" / "dark.png", DARK, [0, 0, 0, 0], 16)
    away = ["deidentify", "light.png", "--gallery", tmp_path / "pool", "--out", tmp_path]
    assert edit(*away, model="wide")[0] == 0
    code, out, err = edit(*away, "--keep", "skin", "--parts", "tiny", model="wide")
    assert code == 0
    plain, kept = (pixels(tmp_path / f"light_deidentify{number}.png").astype(int) for number in ("", "-2"))
    light = picture(LIGHT, [-1, -1, -1, -1], 16)
    # The two light blocks of the photo are what its model of parts takes for skin, and paints in their mean colour.
    np.testing.assert_allclose(kept[:8, :8], light[:8, :8].mean(), atol=4)
    np.testing.assert_allclose(plain[:8, :8], 128, atol=1)
    np.testing.assert_array_equal(kept[:, 12:], plain[:, 12:])  # beyond the soft border nothing has changed
    facts = facts_of(tmp_path, "light_deidentify-2")
    assert (facts["parts"]["name"], facts["parts"]["regions"]) == ("tiny", ["skin"])
    cosine = facts["faces"][0]["cosine"]
    assert cosine["surrogate"] == pytest.approx(0, abs=2 * GREY)
    assert cosine["after"] > 0.3
    assert "is not below the threshold" in err
    assert "keep fewer parts" in err
    assert "parts tiny" in out
    assert edit(*away, "--keep", "mouth", "--parts", "tiny", model="wide")[0] == 0  # which this model calls lips
    assert facts_of(tmp_path, "light_deidentify-3")["parts"]["regions"] == ["lips"]


def test_a_sequence_shows_one_person(edit, place, tmp_path):
    code, out, err = edit("sequence", "frames", "--id", "bx.png", "--out", tmp_path)
    assert (code, err) == (0, "")
    frames = [f"frames_sequence_{number:02d}.png" for number in range(3)]
    others = ["frames_sequence.gif", "frames_sequence.json", "frames_sequence_grid.png"]
    assert sorted(os.listdir(tmp_path)) == sorted([*frames, *others])
    for frame, number in zip(frames, (1, 2, 10), strict=True):  # f2 before f10
        assert_shows(tmp_path / frame, PEOPLE["b"], [number / 10, 0, 0, 0])
    with Image.open(tmp_path / "frames_sequence.gif") as film:
        assert film.n_frames == 3  # and not back again
    facts = facts_of(tmp_path, "frames_sequence")
    coherence = facts["coherence"]
    assert coherence["result"]["consecutive"] == pytest.approx(1, abs=1e-3)
    assert coherence["result"]["variance"] == pytest.approx(0, abs=1e-3)
    for name in ("photos", "own_identities"):
        expected = (np.cos(np.deg2rad(30)) + np.cos(np.deg2rad(60))) / 2
        assert coherence[name]["consecutive"] == pytest.approx(expected, abs=0.01)
    assert [face["cosine"]["to_identity"] for face in facts["faces"]] == pytest.approx([1, 1, 1], abs=1e-3)
    assert "result          cosine from frame to frame 1.0000" in out
    assert edit("sequence", "frames", "--out", tmp_path)[0] == 0
    mean = np.mean([person(degrees) for degrees in (-30, 0, 60)], axis=0)
    assert_shows(tmp_path / "frames_sequence-2_02.png", mean / np.linalg.norm(mean), [1, 0, 0, 0], atol=1.5 * GREY)
    assert "the mean identity of the frames" in facts_of(tmp_path, "frames_sequence-2")["result"]


def test_frames_of_an_animation_may_be_left_out(edit, place, tmp_path):
    code, _, err = edit("sequence", "film.webp", "--id", "cx.png", "--every", 3, "--out", tmp_path)
    assert (code, err) == (0, "")
    facts = facts_of(tmp_path, "film_sequence")
    assert len(facts["faces"]) == 2
    assert facts["coherence"]["photos"]["consecutive"] == pytest.approx(-1, abs=1e-3)  # 0 and 180 degrees


IDENTITY = ["identity", "--id", "ax.png", "--attributes", "by.png"]
DEIDENTIFY = ["deidentify", "ax.png"]
SEQUENCE = ["sequence", "frames"]


@pytest.mark.parametrize(
    ("argv", "model", "sentence"),
    [
        (["identity", "--id", "ax.png"], "halves", "the following arguments are required: --attributes"),
        (IDENTITY, "tiny", "is a model of 'fake', which does not tell the person from the rest"),
        (["swap", "--source", "ax.png", "--target", "bx.png", "--regions", "hair"], "halves", "no slices to edit"),
        (["identity", "--id", "no.png", "--attributes", "by.png"], "halves", "'no.png' does not exist"),
        (["identity", "--id", "nobody.png", "--attributes", "by.png"], "halves", "finds no identity in 'nobody.png'"),
        ([*IDENTITY, "--steps", "3"], "halves", "--steps goes with --interpolate: only a walk has one"),
        ([*IDENTITY, "--space", "w"], "halves", "--space goes with --interpolate: only a walk has one"),
        ([*IDENTITY, "--interpolate", "identity"], "halves", "needs 2 of --id and 1 of --attributes, not 1 and 1"),
        ([*IDENTITY, "--interpolate", "both"], "halves", "needs 2 of --id and 2 of --attributes, not 1 and 1"),
        ([*IDENTITY, "--interpolate", "all"], "halves", "argument --interpolate: invalid choice: 'all'"),
        ([*DEIDENTIFY, "--how", "blur"], "halves", "argument --how: invalid choice: 'blur'"),
        ([*DEIDENTIFY, "--threshold", "-1"], "halves", "'-1' is not a cosine, above -1 and at most 1"),
        ([*DEIDENTIFY, "--threshold", "nan"], "halves", "'nan' is not a cosine"),
        ([*DEIDENTIFY, "--threshold", "-0.9999"], "halves", "none of 64 faces has a cosine below -0.9999"),
        ([*DEIDENTIFY, "--k", "3"], "halves", "--k goes with --how ksame"),
        ([*DEIDENTIFY, "--how", "ksame", "--threshold", "0.1"], "halves", "--threshold goes with --how synthetic"),
        ([*DEIDENTIFY, "--how", "ksame", "--k", "1"], "halves", "k=1 would show one person of the gallery"),
        ([*DEIDENTIFY, "--how", "ksame", "--gallery", "gallery"], "halves", "has 4 other faces, but the mean is of 5"),
        (DEIDENTIFY, "plain", "cannot generate faces by itself: give a gallery"),
        ([*DEIDENTIFY, "--gallery", "galery"], "halves", "there is no photo or folder 'galery'"),
        ([*DEIDENTIFY, "--gallery", "empty"], "halves", "the folder 'empty' holds no photos"),
        ([*DEIDENTIFY, "--gallery", "blank"], "halves", "none of the faces to choose among can be read: give another"),
        ([*DEIDENTIFY, "--keep", "lips"], "halves", "also needs --parts MODEL, which finds them"),
        ([*DEIDENTIFY, "--parts", "tiny"], "halves", "also needs --keep REGIONS, what it is to find"),
        ([*DEIDENTIFY, "--keep", "lisp", "--parts", "tiny"], "halves", "no slice for the region 'lisp': did you mean"),
        ([*DEIDENTIFY, "--keep", "lips", "--parts", "halves"], "halves", "'halves', which has no slices to edit"),
        (["sequence", "ax.png"], "halves", "'ax.png' holds 1 frame: a sequence has 2 or more"),
        ([*SEQUENCE, "--every", "3"], "halves", "'frames' holds 1 frame: a sequence has 2 or more"),
        ([*SEQUENCE, "--every", "0"], "halves", "'0' is not a number above 0"),
        (["sequence", "no.mp4"], "halves", "'no.mp4' does not exist"),
        (["sequence", "blank"], "halves", "'blank/text.png' is not a readable image"),
        (["sequence", "empty"], "halves", "the folder 'empty' holds no photos"),
        (["sequence", "nobodies"], "halves", "finds no identity in frame 1 of 'nobodies'"),
        ([*SEQUENCE, "--id", "nobody.png"], "halves", "finds no identity in 'nobody.png'"),
    ],
    ids=str,
)
def test_mistakes_are_one_sentence_and_write_nothing(edit, place, tmp_path, argv, model, sentence):
    code, _, err = edit(*argv, "--out", tmp_path / "out", model=model)
    assert code == 2
    *skipped, last = err.splitlines()
    assert sentence in last
    assert last.startswith("l2s: ")
    assert all(line.startswith("skipped: ") for line in skipped)
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


def test_too_many_frames_are_refused(edit, place, tmp_path, monkeypatch):
    monkeypatch.setattr(sequence, "MOST", 2)
    code, _, err = edit(*SEQUENCE, "--out", tmp_path)
    assert (code, os.listdir(tmp_path)) == (2, [])
    assert err == "l2s: 'frames' has more than 2 frames: cut it, or take fewer with --every 2\n"


@pytest.mark.parametrize(
    ("argv", "name"),
    [(IDENTITY, "ax_identity.png"), (DEIDENTIFY, "ax_deidentify_grid.png"), (SEQUENCE, "frames_sequence.gif")],
)
def test_what_others_wrote_is_never_replaced(edit, place, tmp_path, argv, name):
    (tmp_path / name).write_text("of weeks")
    code, out, err = edit(*argv, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"l2s: '{tmp_path / name}' was not written by `l2s edit` and is not replaced: choose another --out\n"
    assert os.listdir(tmp_path) == [name]


def test_results_are_no_frames_and_no_gallery(edit, place, tmp_path):
    save_picture(tmp_path / "1.png", person(10), LOOKS["x"])
    save_picture(tmp_path / "2.png", person(20), LOOKS["x"])
    for _ in range(2):  # the second time the results of the first lie beside the photos
        assert edit("sequence", tmp_path, "--out", tmp_path)[0] == 0
        assert len(facts_of(tmp_path, f"{tmp_path.name}_sequence")["faces"]) == 2
    for _ in range(2):
        assert (
            edit("deidentify", tmp_path / "1.png", "--gallery", tmp_path, "--threshold", 1, "--out", tmp_path)[0] == 0
        )
        assert facts_of(tmp_path, "1_deidentify")["pool"] == 2


def documented(language: str) -> list[str]:
    """The blocks of the page's part on persons."""
    page = (Path(__file__).parents[2] / "docs" / "editing.md").read_text("utf-8")
    part = page.partition("## Persons\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)


def test_the_examples_of_the_page_run(capsys, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    halves_system.save(tmp_path / "runs" / "identity")
    fake_system.save(tmp_path / "models" / "tiny", codec="styled")
    (python,), (shell,) = documented("python"), documented("sh")
    names = {}
    exec(python, names)
    assert names["table"].shape == (2, 3, 8, 8, 3)
    assert names["walk"].shape == (9, 8)
    assert len(names["film"]) == 3
    for line in shell.splitlines():
        argv = line.replace("l2s-synthetic", "tiny").split()[1:]
        assert cli.main(argv) == 0, capsys.readouterr().err
    assert len(list((tmp_path / "edits").glob("*.json"))) == len(shell.splitlines())
