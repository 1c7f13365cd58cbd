"""The picture of label sets in the documentation is drawn by the code that is here."""

from pathlib import Path

import numpy as np
from PIL import Image

from experiments import label_sets_picture

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "label_sets.png"


def test_the_picture_of_the_page_is_the_one_that_is_drawn(tmp_path):
    assert label_sets_picture.main(["--out", str(tmp_path / "a.png")]) == 0
    drawn, shown = (np.asarray(Image.open(path)).astype(int) for path in (tmp_path / "a.png", PICTURE))
    assert drawn.shape == shown.shape
    assert np.abs(drawn - shown).mean() < 1
