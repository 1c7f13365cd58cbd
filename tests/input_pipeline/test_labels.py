import itertools

import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.labels import BISENET19, CELEBAMASK, FARL19, IGNORE, L2S_REGIONS, LABEL_SETS, LAPA, SUBSPACE_PARTS

ALL = pytest.mark.parametrize("label_set", LABEL_SETS.values(), ids=LABEL_SETS)


def mapped(src, dst, name):
    """Name in `dst` of the class `name` of `src`."""
    return dst.names[labels.remap(src, dst)[src[name]]]


@ALL
def test_ids_count_from_zero_and_names_are_unique(label_set):
    assert [label.id for label in label_set.labels] == list(range(len(label_set)))
    assert len(set(label_set.names)) == len(label_set)
    assert all(label_set[name] == i for i, name in enumerate(label_set.names))


def test_names_with_the_number_of_classes_are_understood():
    for name, known in {"celebamask19": "celebamask", "lapa11": "lapa", "helen11": "helen"}.items():
        assert labels.get(name) is labels.get(known)
        assert name == f"{known}{len(labels.get(known))}"


def test_official_celebamask_order():
    assert [CELEBAMASK[name] for name in ("skin", "nose", "l_eye", "r_eye", "l_lip", "hair", "cloth")] == [
        1, 2, 4, 5, 12, 13, 18,
    ]  # fmt: skip


@ALL
def test_flip_is_an_involution_that_only_exchanges_partners(label_set):
    table = label_set.flip
    np.testing.assert_array_equal(table[table], np.arange(256))
    assert table[IGNORE] == IGNORE
    moved = {label_set.names[i] for i in range(len(label_set)) if table[i] != i}
    assert moved == {label.name for label in label_set.labels if label.side}
    for name in moved:
        assert label_set.names[table[label_set[name]]] == {"l": "r", "r": "l"}[name[0]] + name[1:]


def test_lips_necklace_and_earring_have_no_side():
    for name in ("u_lip", "l_lip", "neck_l", "ear_r", "nose"):
        assert CELEBAMASK.labels[CELEBAMASK[name]].side is None
    assert CELEBAMASK.labels[CELEBAMASK["l_eye"]].side == "left"
    assert CELEBAMASK.labels[CELEBAMASK["r_brow"]].side == "right"


@ALL
def test_celebamask_reaches_every_other_set(label_set):
    table = labels.remap(CELEBAMASK, label_set)
    assert table.dtype == np.uint8
    lacking = {"beard", "facewear"}  # the classes CelebAMask has no part of
    reached = {label_set.names[i] for i in table[: len(CELEBAMASK)]}
    assert reached == set(label_set.names) - lacking
    assert (table[len(CELEBAMASK) :] == IGNORE).all()


@ALL
def test_mapping_a_set_to_itself_changes_nothing(label_set):
    np.testing.assert_array_equal(labels.remap(label_set, label_set)[: len(label_set)], np.arange(len(label_set)))


@pytest.mark.parametrize(("src", "dst"), list(itertools.permutations((CELEBAMASK, FARL19, BISENET19), 2)))
def test_the_three_19_class_orders_round_trip_by_name(src, dst):
    there, back = labels.remap(src, dst), labels.remap(dst, src)
    np.testing.assert_array_equal(back[there[:19]], np.arange(19))
    assert all(mapped(src, dst, name) == name for name in src.names)


def test_known_answers_of_coarser_sets():
    for name in ("l_brow", "eye_g"):
        assert mapped(CELEBAMASK, L2S_REGIONS, name) == "skin"
    for name in ("hat", "neck", "l_ear", "cloth"):
        assert mapped(CELEBAMASK, L2S_REGIONS, name) == "background"
    assert mapped(CELEBAMASK, L2S_REGIONS, "l_lip") == "lips"
    assert mapped(CELEBAMASK, LAPA, "r_ear") == "skin"
    assert mapped(CELEBAMASK, SUBSPACE_PARTS, "hair") == "hair_background"
    assert mapped(CELEBAMASK, SUBSPACE_PARTS, "nose") == "face"


def test_known_answers_of_the_sets_of_structure_via_consensus():
    skin_hair, occlusion = labels.get("skin_hair"), labels.get("face_occlusion")
    assert skin_hair.names == ("background", "skin", "hair")
    assert occlusion.names == ("background", "face", "occlusion")
    features = ("nose", "l_eye", "r_brow", "mouth", "u_lip")
    assert {mapped(CELEBAMASK, skin_hair, name) for name in (*features, "skin", "eye_g", "l_ear", "neck")} == {"skin"}
    assert {mapped(CELEBAMASK, skin_hair, name) for name in ("hat", "cloth", "ear_r", "neck_l")} == {"background"}
    assert {mapped(CELEBAMASK, occlusion, name) for name in (*features, "skin")} == {"face"}
    assert {mapped(CELEBAMASK, occlusion, name) for name in ("hair", "hat", "neck", "l_ear")} == {"background"}
    assert {mapped(labels.FACESYNTHETICS, occlusion, name) for name in ("eye_g", "facewear")} == {"occlusion"}
    for coarse in (LAPA, labels.FASSEG, L2S_REGIONS):
        for name in set(coarse.names) - {"background", "hair"}:
            assert (mapped(coarse, skin_hair, name), mapped(coarse, occlusion, name)) == ("skin", "face")
    assert mapped(SUBSPACE_PARTS, occlusion, "eyes") == "face"
    with pytest.raises(UserError, match="'occlusion' has no counterpart"):
        labels.remap(occlusion, skin_hair)


def test_mapping_commutes_with_mirroring():
    for dst in LABEL_SETS.values():
        table, known = labels.remap(CELEBAMASK, dst), np.arange(len(CELEBAMASK))
        np.testing.assert_array_equal(table[CELEBAMASK.flip[known]], dst.flip[table[known]])


def test_a_set_without_sides_cannot_become_one_with_sides():
    with pytest.raises(UserError, match=r"'l2s_regions' cannot be mapped to 'celebamask'.*'eyes'"):
        labels.remap(L2S_REGIONS, CELEBAMASK)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UserError, match="did you mean 'celebamask'"):
        labels.get("celebmask")
    with pytest.raises(KeyError, match="did you mean 'l_eye'"):
        CELEBAMASK["leye"]
    with pytest.raises(UserError, match="there are: celebamask"):
        labels.get("42")


@ALL
def test_palette_tells_the_classes_apart(label_set):
    palette = label_set.palette
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    assert len(np.unique(palette[: len(label_set)], axis=0)) == len(label_set)
    np.testing.assert_array_equal(palette[IGNORE], [255, 255, 255])
    np.testing.assert_array_equal(palette[len(label_set) : IGNORE], 0)


def test_regions_are_classes_and_what_people_call_several_of_them():
    def named(label_set, *names):
        return [label_set.names[number] for number in label_set.region(*names)]

    assert named(CELEBAMASK, "hair") == ["hair"]
    assert named(CELEBAMASK, "lips", "eyes", "l_eye") == ["l_eye", "r_eye", "mouth", "u_lip", "l_lip"]
    assert named(LAPA, "face") == [name for name in LAPA.names if name not in ("background", "hair")]
    assert named(L2S_REGIONS, "eyes") == ["eyes"]
    assert named(SUBSPACE_PARTS, "face") == ["face"]  # a class of that name is meant itself
    with pytest.raises(UserError, match=r"unknown region 'hiar' of label set 'lapa' \(did you mean 'hair'\?\)"):
        LAPA.region("hiar")
    with pytest.raises(UserError, match="unknown region 'ears' of label set 'l2s_regions'"):
        L2S_REGIONS.region("ears")
