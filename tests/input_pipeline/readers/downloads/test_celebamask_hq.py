import itertools
import pickle
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.celebamask_hq import LAYOUT
from input_pipeline.readers.downloads.source import LayoutSource
from tests.helpers.celebamask_fixture import FACES, painted, write_celebamask_hq, write_part

ORDERS = {  # as published, written out a second time
    "official": "skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck "
    "cloth",
    "farl": "neck skin cloth l_ear r_ear l_brow r_brow l_eye r_eye nose mouth l_lip u_lip hair eye_g hat ear_r neck_l",
    "zllrunning": "skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip neck neck_l cloth "
    "hair hat",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("celebamask")
    return root, write_celebamask_hq(root)


@pytest.fixture
def download(tmp_path, written):
    """A copy to spoil: the folder CelebAMask-HQ."""
    shutil.copytree(written[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "CelebAMask-HQ"


def load(root, split="all", variant=None):
    return LAYOUT.open(epath.Path(root), split, variant)


def annotations(home, number):
    return home / "CelebAMask-HQ-mask-anno" / str(number // 2000)


@pytest.mark.parametrize("variant", ORDERS)
def test_round_trip_under_every_paint_order(written, variant):
    root, faces = written
    split = load(root, variant=variant)
    assert split.names == tuple(f"{number:05d}" for number in faces)
    assert split.problems == ()
    assert split.label_set is labels.CELEBAMASK
    for index, face in enumerate(faces.values()):
        mask = split.read_mask(index)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, painted(face.parts, ORDERS[variant].split()))
        assert split.image_path(index).read_bytes() == face.photo
        assert split.read_landmarks(index) is None


def test_paint_orders_differ_on_a_dressed_face(written):
    masks = [load(written[0], variant=variant).read_mask(0) for variant in ORDERS]
    for first, second in itertools.combinations(masks, 2):
        assert (first != second).mean() > 0.01
    official, farl, _ = (np.bincount(mask.ravel(), minlength=19) for mask in masks)
    for name in ("eye_g", "neck_l"):
        assert farl[labels.CELEBAMASK[name]] > official[labels.CELEBAMASK[name]] + 5


@pytest.mark.parametrize(
    ("pair", "winners"),  # in the order of ORDERS
    [
        ("neck_l neck", "neck neck_l neck_l"),
        ("neck_l cloth", "cloth neck_l cloth"),
        ("l_eye eye_g", "l_eye eye_g eye_g"),
        ("hair cloth", "cloth hair hair"),
        ("hair ear_r", "ear_r ear_r hair"),
        ("skin neck", "neck skin neck"),
        ("u_lip l_lip", "l_lip u_lip l_lip"),
        ("hair hat", "hat hat hat"),
    ],
)
def test_known_winner_where_two_parts_overlap(tmp_path, pair, winners):
    write_celebamask_hq(tmp_path, {0: "train"}, size=16)
    home = tmp_path / "CelebAMask-HQ"
    shutil.rmtree(annotations(home, 0))
    for part in pair.split():
        write_part(home, 0, part, np.ones((4, 6), bool))
    for variant, winner in zip(ORDERS, winners.split(), strict=True):
        expected = np.full((4, 6), labels.CELEBAMASK[winner])
        np.testing.assert_array_equal(load(home, variant=variant).read_mask(0), expected)


def test_variants_and_the_default(written):
    assert list(LAYOUT.variants) == list(ORDERS)
    assert downloads.get("celebamask_hq") == (LAYOUT, "official")
    assert load(written[0]).order == load(written[0], variant="official").order
    with pytest.raises(UserError, match=r"unknown variant 'farm' of layout 'celebamask_hq' .*did you mean 'farl'"):
        downloads.get("celebamask_hq/farm")


def test_splits_join_mapping_and_partition(written):
    root, faces = written
    assert LAYOUT.splits(epath.Path(root)) == ("train", "val", "test")
    assert [len(load(root, name).names) for name in ("train", "val", "test")] == [3, 1, 2]
    for name in ("train", "val", "test"):
        split = load(root, name)
        numbers = [number for number in FACES if FACES[number] == name]
        assert split.names == tuple(f"{number:05d}" for number in numbers)
        assert split.problems == ()
        for index, number in enumerate(numbers):
            assert split.image_path(index).read_bytes() == faces[number].photo
            np.testing.assert_array_equal(
                split.read_mask(index), painted(faces[number].parts, ORDERS["official"].split())
            )
    with pytest.raises(UserError, match="has no split 'valid': name one of train, val, test, all"):
        load(root, "valid")


def test_the_folder_or_its_parent(written, tmp_path):
    root, _ = written
    assert load(root).root == load(root / "CelebAMask-HQ").root
    with pytest.raises(UserError, match="is no CelebAMask-HQ download: it must hold the folders 'CelebA-HQ-img' and"):
        load(tmp_path)
    with pytest.raises(UserError, match="is no CelebAMask-HQ download"):
        LAYOUT.splits(epath.Path(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("file", "source"),
    [("list_eval_partition.txt", "CelebA's folder 'Eval'"), ("CelebA-HQ-to-CelebA-mapping.txt", "part of the CelebAM")],
)
def test_without_an_index_file_there_is_one_split_of_all(download, file, source):
    (download / file).unlink()
    assert LAYOUT.splits(epath.Path(download)) == ("all",)
    assert len(load(download, "all").names) == len(FACES)
    with pytest.raises(UserError, match=rf"needs the file '{file}' in .*{source}.*'\?all'"):
        load(download, "val")


def test_examples_have_photos_of_twice_the_size_of_their_masks(written):
    root, faces = written
    source = LayoutSource(load(root, "val"))
    np.testing.assert_array_equal(source[0]["mask"], painted(faces[7].parts, ORDERS["official"].split()))
    assert source[0]["image"].shape == (96, 96, 3)
    assert source.read_reduced(0, 48)["image"].shape == (48, 48, 3)


def test_split_is_small_and_picklable(written):
    split = load(written[0], "train")
    content = pickle.dumps(split)
    assert len(content) < 2000
    np.testing.assert_array_equal(pickle.loads(content).read_mask(1), split.read_mask(1))  # noqa: S301 - our own bytes


def test_faces_without_photo_or_parts_are_problems_of_their_split(download):
    (download / "CelebA-HQ-img" / "2000.jpg").unlink()
    shutil.rmtree(annotations(download, 4001))
    train, test = load(download, "train"), load(download, "test")
    assert train.names == ("00000", "29999")
    assert [(p.name, p.reason) for p in train.problems] == [("02000", "does not exist, but its parts do")]
    assert train.problems[0].path.endswith("CelebA-HQ-img/2000.jpg")
    assert test.names == ("01999",)
    assert [p.name for p in test.problems] == ["04001"]
    assert "has no part in" in test.problems[0].reason
    assert [p.name for p in load(download).problems] == ["02000", "04001"]


def test_faces_of_no_split_are_problems_of_the_first(download):
    mapping, partition = download / "CelebA-HQ-to-CelebA-mapping.txt", download / "list_eval_partition.txt"
    mapping.write_text("".join(line for line in mapping.open() if not line.startswith("7 ")))
    partition.write_text(partition.read_text().replace(f"{202599 - 3 * 1999:06d}.jpg", "000002.jpg"))
    train = load(download, "train")
    assert [(p.name, p.reason) for p in train.problems] == [
        ("00007", "is not in 'CelebA-HQ-to-CelebA-mapping.txt'"),
        ("01999", "has the face '196602.jpg', which is not in 'list_eval_partition.txt'"),
    ]
    assert len(train.names) == 3
    assert load(download, "test").names == ("04001",)
    assert load(download, "test").problems == ()
    assert len(load(download, "all").names) == len(FACES)
    with pytest.raises(UserError, match="holds no face of the split 'val'"):
        load(download, "val")


@pytest.mark.parametrize(
    "name",
    [
        "00000_beard.png",
        "00000_skin.PNG",
        "00000_skin.jpg",
        "0000_skin.png",
        "000000_skin.png",
        "-0001_skin.png",
        "0000²_skin.png",
        "٠٠٠٠٠_skin.png",
        "02000_skin.png",
        "skin.png",
        "_skin.png",
        "00000_skin.png.part",
        "00000_..\\skin.png",
        "new\nline\x1b[31m_skin.png",
        "\udcff_skin.png",
    ],
)
def test_stray_files_are_reported_once_and_change_nothing(download, name):
    (annotations(download, 0) / name).write_bytes(b"x")
    split = load(download, "train")
    assert len(split.names) == 3
    assert split.parts.tolist() == load(download).parts[[0, 3, 5]].tolist()
    (problem,) = split.problems
    assert problem.path.isprintable()
    assert problem.name.isprintable()
    assert problem.path.startswith(str(annotations(download, 0)))
    assert load(download, "val").problems == load(download, "test").problems == ()


def test_stray_folders_and_photos(download):
    for name in ("15x", "00", "50", "٣"):
        (download / "CelebAMask-HQ-mask-anno" / name).mkdir()
    for name in ("007.jpg", "3.png", "x.jpg", "1e3.jpg", "100000.jpg", "٣.jpg", ".jpg", "3.jpg.jpg"):
        (download / "CelebA-HQ-img" / name).write_bytes(b"x")
    (download / "CelebA-HQ-img" / ".DS_Store").write_bytes(b"x")
    split = load(download)
    assert len(split.names) == len(FACES)
    strays = {"007.jpg", "3.png", "x.jpg", "1e3.jpg", "100000.jpg", "٣.jpg", "3.jpg.jpg", "15x", "00", "50", "٣"}
    assert {p.name for p in split.problems} == strays
    assert len(split.problems) == len(strays)


def test_missing_and_black_parts_are_absent(download, written):
    parts = dict(written[1][0].parts)
    (annotations(download, 0) / "00000_nose.png").unlink()
    write_part(download, 0, "hair", np.zeros((48, 48), bool))
    write_part(download, 0, "hat", np.zeros((48, 48), bool))
    del parts["nose"], parts["hair"]
    np.testing.assert_array_equal(load(download).read_mask(0), painted(parts, ORDERS["official"].split()))


def test_a_face_whose_parts_are_black_is_background(download):
    shutil.rmtree(annotations(download, 4001))
    write_part(download, 4001, "skin", np.zeros((5, 7), bool))
    mask = load(download).read_mask(4)
    np.testing.assert_array_equal(mask, np.zeros((5, 7), np.uint8))


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA"])
def test_parts_in_other_modes_paint_the_same(download, written, mode):
    for path in annotations(download, 0).glob("00000_*.png"):
        with Image.open(path) as part:
            part.convert(mode).save(path)
    expected = painted(written[1][0].parts, ORDERS["official"].split())
    np.testing.assert_array_equal(load(download).read_mask(0), expected)


def test_faint_pixels_count(download):
    shutil.rmtree(annotations(download, 4001))
    write_part(download, 4001, "skin", np.zeros((1, 2), bool))
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(annotations(download, 4001) / "04001_skin.png")
    assert load(download).read_mask(4).tolist() == [[0, labels.CELEBAMASK["skin"]]]


def spoil_size(path):
    with Image.open(path) as part:
        part.resize((24, 48)).save(path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.write_bytes(b""), "is not a readable image"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "is damaged and cannot be decoded"),
        (
            spoil_size,
            "has 24 x 48 pixels, but '00000_skin.png' of the same face has 48 x 48: they must be equal, replace",
        ),
        (lambda path: path.unlink(), "does not exist"),
    ],
)
def test_a_broken_part_is_named(download, spoil, sentence):
    split = load(download)
    spoil(annotations(download, 0) / "00000_hair.png")
    with pytest.raises(UserError, match=rf"0/00000_hair\.png' {sentence}"):
        split.read_mask(0)
    split.read_mask(1)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("CelebA-HQ-to-CelebA-mapping.txt", "idx orig_idx orig_file\n0 1\n", "line 2 of .* is not a new face"),
        ("CelebA-HQ-to-CelebA-mapping.txt", "0 1 a.jpg\n\n0 2 b.jpg\n", "line 3 of .* is not a new face"),
        ("CelebA-HQ-to-CelebA-mapping.txt", "9" * 5000 + " 1 a.jpg\n", "line 1 of .* is not a new face"),
        ("CelebA-HQ-to-CelebA-mapping.txt", "-1 1 a.jpg\n", "line 1 of .* is not a new face"),
        ("list_eval_partition.txt", "a.jpg 3\n", "line 1 of .* is not 'FILE 0', 'FILE 1' or 'FILE 2'"),
        ("list_eval_partition.txt", "a.jpg 0\nb.jpg\n", "line 2 of .* is not 'FILE 0'"),
        ("list_eval_partition.txt", b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_malformed_index_files_are_named(download, file, text, sentence):
    (download / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=sentence) as caught:
        load(download, "train")
    assert file in str(caught.value)


def test_index_files_with_windows_lines_and_more_columns(download):
    mapping, partition = download / "CelebA-HQ-to-CelebA-mapping.txt", download / "list_eval_partition.txt"
    wide = "\r\n".join(f"{line}  0be7e162  d76ed3e8" for line in mapping.read_text().splitlines())
    mapping.write_bytes(b"\xef\xbb\xbf" + wide.encode())
    partition.write_bytes(partition.read_bytes().replace(b"\n", b"\r\n"))
    assert load(download, "test").names == ("01999", "04001")
    assert load(download, "train").problems == ()
