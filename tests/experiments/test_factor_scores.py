"""The study of known factors: which region shows a factor, faces that share factors, and what is printed."""

import numpy as np
import pytest

from experiments import factor_scores as study
from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK, L2S_REGIONS, SUBSPACE_PARTS
from input_pipeline.synthetic import ATTRIBUTE_FACTORS, IDENTITY_FACTORS, render, sample_factors

OF_REGIONS = [(name, region) for region, names in study.REGIONS.items() for name in names.split()]
SIDES = {"l_eye": ["r_eye"], "l_brow": ["r_brow"], "l_ear": ["r_ear"], "l_lip": ["u_lip", "mouth"]}


def test_every_factor_is_named_once():
    names = [name for name, _ in OF_REGIONS] + study.EVERYWHERE.split()
    assert len(set(names)) == len(names)
    left_out = set(IDENTITY_FACTORS + ATTRIBUTE_FACTORS) - set(names)
    assert not set(names) - set(IDENTITY_FACTORS + ATTRIBUTE_FACTORS)
    worn = {"glasses_style", "hat_style", "earring_style", "accessory_hue"}
    moles = {f"{name}{end}" for name in ("mole", "second_mole") for end in ("", "_x", "_y")}
    assert left_out == worn | moles | {"occluder_style", "occluder_x", "occluder_y", "shaved", "lid_fold"}


@pytest.mark.parametrize(("factor", "region"), OF_REGIONS)
def test_a_factor_shows_in_its_region_more_than_elsewhere(factor, region):
    """Mean change per pixel of the region (before or after) against that of all others, on bare faces with long hair.

    The texture stays, so that nothing else changes.
    """
    high = 2.4 if factor == "hair_warmth" else 0.9  # hair is red from 1.25 on
    inside, outside = [], []
    for index in range(2):
        base = sample_factors(1, index).replace(
            bald=0, hat=0, occluder=0, glasses=0, hair_dye=0, hair_length=1, hair_tuck=1, hair_curl=0.5, melanin=-0.5,
            masculinity=0.9 if factor == "beard" else -0.9, makeup=0, sensor_noise=-1, blur=-1, yaw=0.3,
        )  # fmt: skip
        pictures = [render(1, index, 64, factors=base.replace(**{factor: value})) for value in (-0.8, high)]
        ids = [CELEBAMASK[name] for name in (region, *SIDES.get(region, []))]
        own = np.isin(pictures[0]["mask"], ids) | np.isin(pictures[1]["mask"], ids)
        change = np.abs(np.diff([picture["image"].astype(float) for picture in pictures], axis=0)[0]).mean(-1)
        inside += change[own].tolist()
        outside += change[~own].tolist()
    assert np.mean(inside) > 2 * np.mean(outside)


def test_homes_in_two_label_sets():
    """Without a slice of the background and with eyebrows that are skin; and with both."""
    regions = study.home_slices(L2S_REGIONS, [L2S_REGIONS[name] for name in ("hair", "skin", "nose", "eyes", "lips")])
    parts = study.home_slices(SUBSPACE_PARTS, range(5))
    for factor, slice_, part in (
        ("hair_tone", 0, 0),
        ("brow_arch", 1, 2),
        ("nose_width", 2, 1),
        ("gaze_x", 3, 3),
        ("mouth_open", 4, 4),
        ("background_hue", None, 0),
        ("yaw", None, None),
    ):
        assert (regions[factor], parts[factor]) == (slice_, part), factor


def test_sets_share_the_factors_of_one_region_in_turn():
    groups = [["smile", "mouth_open"], ["hair_tone"]]
    drawn = list(study.shared_factors(7, groups, sets=4, set_size=3))
    assert len(drawn) == 12
    for number in range(4):
        faces = [each.named() for each in drawn[3 * number : 3 * number + 3]]
        same = {name for name in faces[0] if len({face[name] for face in faces}) == 1}
        rare = {name for name in same if faces[0][name] == 0}  # such as glasses, which few faces wear
        assert same - rare - {"mouth_open"} == set(groups[number % 2]) - {"mouth_open"}
        assert set(groups[number % 2]) <= same
    assert len({face.named()["smile"] for face in drawn[::6]}) == 2  # each set draws its own


def scored(value):
    one = {"value": value, "chance": 0.1}
    both = {"disentanglement": one, "completeness": {"value": None, "chance": None}}
    found = {"mig": one, "dci": both, "dci_grouped": both, "informativeness": one, "r2_null_max": 0.05}
    return found | {"factor_vae": one | {"ceiling": 0.5}, "r2": [[0.5, 0.04, 0.3, 0.2], [0.1, 0.01, 0.4, 0.6]]}


def test_what_is_printed():
    found = {
        "encoders": {"trained": scored(0.75), "random encoder": scored(0.25)},
        "factors": ["hair_tone", "smile", "fringe", "yaw"],
        "homes": [0, 1, 0, None],
        "subspaces": ["hair", "lips"],
    }
    rows = list(study.lines(found))
    assert rows[1].split() == ["MIG", "0.750", "0.100", "0.250", "0.100"]
    assert rows[3].split()[-4:] == ["-"] * 4
    table = {row.split()[0]: row.split() for row in rows[10:] if row}
    assert table["hair_tone"] == ["hair_tone", "hair", "hair", "0.500", "0.500", "right"]
    assert table["smile"] == ["smile", "lips", "none", "knows", "it", "0.040"]
    assert table["fringe"] == ["fringe", "hair", "lips", "0.400", "0.300", "WRONG"]
    assert table["yaw"] == ["yaw", "-", "lips", "0.600"]
    assert rows[-2].startswith("known best to the subspace of their region: 1 of 2 factors")


@pytest.mark.parametrize("change", [{"faces": 39}, {"sets": 13}, {"sets": 0}, {"set_size": 1}, {"shuffles": 0}])
def test_sizes_that_do_not_fit_are_refused(change):
    sizes = {"faces": 40, "sets": 12, "set_size": 2, "shuffles": 1}
    study.check_sizes(6, **sizes)
    with pytest.raises(UserError, match="take 40 faces or more, a multiple of 12 sets"):
        study.check_sizes(6, **sizes | change)
