"""The pictures for strangers to judge, of people whose codes are known."""

import numpy as np
from PIL import Image

from experiments import cross_people
from tests.helpers import halves_system
from tests.helpers.halves_system import person, picture

PEOPLE = 3


def source(spec, size, require_masks):
    """Draw as many people as asked, each turned further."""
    count = int(spec.removeprefix("synthetic:").partition("?")[0])
    return [{"image": picture(person(10 * row, 2), [row / 20, 0, 0, 0], size)} for row in range(count)]


def test_every_person_has_a_folder_of_outputs_and_the_codes_are_in_its_order(tmp_path, monkeypatch):
    monkeypatch.setattr(cross_people, "open_source", source)
    halves_system.install(monkeypatch)
    halves_system.save(tmp_path / "maker")
    out = tmp_path / "out"
    argv = [str(tmp_path / "maker"), "--out", str(out), "--people", str(PEOPLE), "--each", "2"]
    assert cross_people.main(argv) == 0
    for name in ("outputs", "copies"):
        files = sorted((out / name).glob("*/*.png"))
        assert [str(file.relative_to(out / name)) for file in files] == [
            f"{who:03}/{number}.png" for who in range(PEOPLE) for number in range(2)
        ]
        codes = np.load(out / f"{name}.npy")
        assert len(codes) == len(files)
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    outputs = np.load(out / "outputs.npy").reshape(PEOPLE, 2, -1)
    # The maker is exact: both pictures of a person have his code, whichever attributes they have.
    np.testing.assert_allclose(outputs[:, 0], outputs[:, 1], atol=0.02)
    assert np.abs(np.diff(np.load(out / "copies.npy").reshape(PEOPLE, 2, -1), axis=1)).max() > 0.1
    assert Image.open(out / "table.png").size[0] > 0


def test_a_model_that_makes_no_faces_is_refused(tmp_path, monkeypatch, capsys):
    halves_system.install(monkeypatch)
    halves_system.save(tmp_path / "maker")
    halves_system.save(tmp_path / "bare", generator=False)
    argv = [str(tmp_path / "maker"), "--out", str(tmp_path / "out"), "--generator", str(tmp_path / "bare")]
    assert cross_people.main(argv) == 2
    assert "makes no faces from random numbers" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
