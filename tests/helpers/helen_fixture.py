"""A small Helen download of procedural faces, file for file as the real one lies on disk."""

from PIL import Image

from input_pipeline.labels import HELEN
from tests.helpers.faces_fixture import Face, face

FACES = {"train": ("100032540_1", "10405146_1"), "test": ("30844800_1",)}
"""Names by split."""


def line_of(name: str, drawn: Face) -> str:
    """The line of a face in landmarks.txt: at twice the size of the photo."""
    return " ".join([*(f"{2 * number:.6f}" for number in drawn.landmarks.ravel()), name])


def write_helen(root) -> dict[str, Face]:
    """Writes `root`/helen; the faces by name."""
    faces, lines = {}, []
    for split, names in FACES.items():
        folder = root / "helen" / split
        folder.mkdir(parents=True)
        for name in names:
            drawn = faces[name] = face(10 + len(faces), HELEN)
            (folder / f"{name}_image.jpg").write_bytes(drawn.jpeg())
            Image.fromarray(drawn.mask).save(folder / f"{name}_label.png")
            Image.fromarray(drawn.image // 2).save(folder / f"{name}_viz.jpg")
            lines.append(line_of(name, drawn))
    (root / "helen" / "landmarks.txt").write_text("\n".join(lines) + "\n")
    return faces
