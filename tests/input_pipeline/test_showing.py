"""Faces that show all of some classes, told by their masks or by what a source has stored."""

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK, HELEN, IGNORE, L2S_REGIONS
from input_pipeline.loading.views import FacesShowing

REGIONS = ("hair", "skin", "nose", "eyes", "lips")
WORN = [
    ("skin", "nose", "l_eye", "u_lip", "hair"),  # one eye and one lip are enough
    ("skin", "nose", "l_eye", "r_eye", "u_lip", "l_lip", "hat"),  # no hair
    ("skin", "nose", "r_eye", "mouth", "hair", "cloth"),
    ("skin", "nose", "eye_g", "mouth", "hair"),  # glasses are no eyes
]


class Faces:
    """Faces of `WORN`, one pixel a class; `stored` keeps which show what."""

    label_set, names = CELEBAMASK, ("a", "b", "c", "d")

    def __init__(self, stored=False):
        self.stored, self.masks_read = stored, 0

    def __len__(self):
        return len(WORN)

    def __getitem__(self, index):
        return {"image": np.full((2, 4, 3), index, np.uint8), "mask": self._mask(index)}

    def _mask(self, index):
        mask = np.full(8, IGNORE, np.uint8)
        mask[: len(WORN[index])] = [CELEBAMASK[name] for name in WORN[index]]
        return mask.reshape(2, 4)

    def read_mask(self, index):
        self.masks_read += 1
        return self._mask(index)

    def presence(self):
        return np.array([[name in worn for name in CELEBAMASK.names] for worn in WORN]) if self.stored else None


@pytest.mark.parametrize("stored", [True, False])
def test_only_faces_that_show_every_class_are_left(stored):
    source = Faces(stored)
    view = FacesShowing(source, L2S_REGIONS, REGIONS)
    assert source.masks_read == (0 if stored else 4)
    assert (len(view), view.names, view.label_set) == (2, ("a", "c"), CELEBAMASK)
    assert [view[i]["image"][0, 0, 0] for i in range(2)] == [0, 2]
    np.testing.assert_array_equal(view.read_mask(1), source._mask(2))
    assert (view.presence() is not None) == stored
    assert FacesShowing(source, CELEBAMASK, ("hat",)).names == ("b",)


@pytest.mark.parametrize(
    ("label_set", "names", "sentence"),
    [
        (L2S_REGIONS, ("hair", "eye"), "unknown class 'eye' of label set 'l2s_regions' .*eyes"),
        (HELEN, ("skin", "neck"), "unknown class 'neck' of label set 'helen'"),
        (CELEBAMASK, ("hat", "hair"), "none of 4 faces shows all of hat, hair"),
    ],
)
def test_what_cannot_be_required_is_one_sentence(label_set, names, sentence):
    with pytest.raises(UserError, match=sentence):
        FacesShowing(Faces(), label_set, names)
