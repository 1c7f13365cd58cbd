"""Masks with a lossy coding are refused, whatever they are called, by every reader; coloured drawings are cleaned."""

import io

import numpy as np
import pillow_heif
import pytest
from etils import epath
from PIL import Image

from input_pipeline import datasets, labels
from input_pipeline.audit import issues
from input_pipeline.audit.scan import scan
from input_pipeline.errors import UserError
from input_pipeline.images.decode import Encoded, read_drawing, read_mask
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.source import LayoutSource
from input_pipeline.readers.records import shards
from input_pipeline.readers.records.prepare import open_data, prepare
from input_pipeline.readers.records.shards import read_face
from input_pipeline.readers.records.source import RecordsSource
from tests.helpers.celebamask_fixture import write_celebamask_hq
from tests.helpers.faces_fixture import face
from tests.helpers.fasseg_fixture import colored, write_fasseg
from tests.helpers.helen_fixture import write_helen
from tests.helpers.l2s_folders_fixture import write_l2s_folders
from tests.helpers.lapa_fixture import write_lapa

PILLOW = {  # name: (what it is called, format, options of Pillow)
    "jpeg": ("JPEG", "JPEG", {"quality": 100}),
    "webp": ("lossy WebP", "WEBP", {"quality": 100}),
    "webp with metadata": ("lossy WebP", "WEBP", {"quality": 100, "exif": b"Exif\0\0", "icc_profile": b"odd"}),
    "webp animation": ("lossy WebP", "WEBP", {"save_all": True, "append_images": [Image.new("RGB", (48, 48))]}),
    "tiff of jpeg": ("JPEG", "TIFF", {"compression": "jpeg"}),
    "avif": ("AVIF", "AVIF", {}),
}
EXACT = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
    "tiff": ("TIFF", {}),
    "tiff deflate": ("TIFF", {"compression": "tiff_deflate"}),
}


def encoded(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg_over(path) -> None:
    """Puts JPEG data in the place of a picture, under the old name; grey and palettes become grey."""
    image = Image.open(path)
    path.write_bytes(encoded(image if image.mode == "RGB" else Image.fromarray(np.asarray(image)), "JPEG", quality=95))


MASK = face(0, labels.LAPA).mask


@pytest.mark.parametrize("case", PILLOW)
def test_lossy_coding_is_refused(case):
    title, form, options = PILLOW[case]
    mode = "L" if form in ("JPEG", "TIFF") and title == "JPEG" else "RGB"
    content = Encoded("m.png", encoded(Image.fromarray(MASK).convert(mode), form, **options))
    for read in (read_mask, lambda picture: read_drawing(picture, exact=True)):
        with pytest.raises(
            UserError, match=rf"^'m\.png' holds {title} data, whose coding changes class ids: save .* PNG"
        ):
            read(content)
    assert read_drawing(content, exact=False).coding == title


def test_heic_is_refused():
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(MASK)).save(file)
    with pytest.raises(UserError, match="holds HEIC data"):
        read_mask(Encoded("m.png", file.getvalue()))


def test_jpeg_2000_is_refused():
    with pytest.raises(UserError, match=r"is not a readable image: save it as a palette or 8-bit grey PNG"):
        read_mask(Encoded("m.png", encoded(Image.fromarray(MASK), "JPEG2000")))


@pytest.mark.parametrize("case", EXACT)
def test_exact_coding_is_read_exactly(case):
    form, options = EXACT[case]
    content = Encoded("m", encoded(Image.fromarray(MASK), form, **options))
    np.testing.assert_array_equal(read_mask(content), MASK)


@pytest.mark.parametrize("options", [{}, {"exif": b"Exif\0\0", "icc_profile": b"odd"}])
def test_lossless_webp_is_an_exact_drawing(options):
    drawn = colored(face(0, labels.FASSEG).mask)
    content = Encoded("m", encoded(Image.fromarray(drawn), "WEBP", lossless=True, **options))
    np.testing.assert_array_equal(read_drawing(content, exact=True).pixels, drawn)


def write_folder(root):
    for kind, pixels in (("images", face(0, labels.LAPA).image), ("masks", MASK)):
        (root / kind).mkdir()
        Image.fromarray(pixels).save(root / kind / "a.png")
    (root / "labels.json").write_text('{"label_set": "lapa"}')


def write_facesynthetics(root):
    drawn = face(0, labels.FACESYNTHETICS)
    Image.fromarray(drawn.image).save(root / "000000.png")
    Image.fromarray(drawn.mask).save(root / "000000_seg.png")
    (root / "000000_ldmks.txt").write_text("1 2\n" * 70)


READERS = {  # layout: (how a download is written, split, the first face's mask or one of its parts)
    "folder": (write_folder, "", "masks/a.png"),
    "lapa": (write_lapa, "train", "LaPa/train/labels/112335_0.png"),
    "helen": (write_helen, "train", "helen/train/100032540_1_label.png"),
    "facesynthetics": (write_facesynthetics, "", "000000_seg.png"),
    "celebamask_hq": (write_celebamask_hq, "train", "CelebAMask-HQ/CelebAMask-HQ-mask-anno/0/00000_skin.png"),
}


@pytest.mark.parametrize("name", READERS)
def test_every_layout_refuses_jpeg_masks_and_the_check_names_them(tmp_path, name):
    write, split, mask = READERS[name]
    write(tmp_path)
    jpeg_over(tmp_path / mask)
    raw = downloads.get(name)[0].open(epath.Path(tmp_path), split, None)
    sentence = f"'{tmp_path / mask}' holds JPEG data, whose coding changes class ids"
    index = next(k for k in range(len(raw.names)) if raw.names[k] in mask)
    with pytest.raises(UserError, match=sentence):
        LayoutSource(raw)[index]
    assert sentence in read_face(raw, index, None).reason  # what `l2s data prepare` writes down
    source = datasets.open_source(f"{name}:{tmp_path}" + (f"?{split}" if split else ""), strict=False)
    (found,) = (
        f for f in issues.inspect({"": issues.ScannedSplit(source, scan(source, jobs=1))}) if f.kind == "broken"
    )
    assert (found.name, found.detail[: len(sentence)]) == (raw.names[index], sentence)


def test_records_with_a_jpeg_mask_are_refused(tmp_path, monkeypatch):
    """As somebody else's writer may make them."""
    (tmp_path / "raw").mkdir()
    write_folder(tmp_path / "raw")
    monkeypatch.setattr(shards, "png", lambda pixels: encoded(Image.fromarray(pixels), "JPEG"))
    prepare(open_data(str(tmp_path / "raw"), "folder"), tmp_path / "records", jobs=1)
    with pytest.raises(UserError, match=r"mask of a in .* holds JPEG data"):
        RecordsSource(tmp_path / "records")[0]


@pytest.mark.parametrize("name", ["frontal02", "frontal03"])
def test_fasseg_blends_stay_readable(tmp_path, name):
    """frontal03 is published as JPEG; the other sets may be converted."""
    faces = write_fasseg(tmp_path, name)
    for path in tmp_path.rglob("*.bmp"):
        jpeg_over(path)
    split = "" if name == "frontal03" else "train"
    raw = downloads.get("fasseg")[0].open(epath.Path(tmp_path), split, None)
    folder = "Original" if name == "frontal03" else "Train_RGB"
    for index, stem in enumerate(raw.names):
        assert (raw.read_mask(index) == faces[f"{folder}/{stem}"].mask).mean() > 0.97


def test_region_folders_of_jpeg_named_png(tmp_path):
    """What counts as black depends on the coding, which the name does not tell."""
    faces = write_l2s_folders(tmp_path, masks=True)
    for path in (tmp_path / "test").rglob("*.png"):
        jpeg_over(path)
    raw = downloads.get("l2s_folders")[0].open(epath.Path(tmp_path), "test", None)
    assert (raw.read_mask(0) == faces["27001"].mask).mean() > 0.9
