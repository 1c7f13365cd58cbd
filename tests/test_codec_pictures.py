"""Pictures of the report that are decoded from mixed codes, against codes mixed by hand."""

import jax
import numpy as np
import pytest

from l2s_jax import codec_pictures, systems
from l2s_jax.pixels import to_bytes
from tests.helpers import fake_system, tiny_l2s

FACES, PARTS = 4, 6


@pytest.fixture(scope="module")
def sliced():
    """The codec of Latents2Segments as it is drawn, whose slices have styles of their own, and its variables."""
    system = systems.build(tiny_l2s.quiet())
    return system.codec, system.variables(jax.jit(system.init)(jax.random.key(0)))


@pytest.fixture(scope="module")
def image():
    return tiny_l2s.faces(FACES)["image"]


@pytest.fixture(scope="module")
def made(sliced, image):
    return codec_pictures.pictures(*sliced, image)


@pytest.fixture(scope="module")
def decode(sliced, image):
    """Decodes the first face with the slices `structure` and `style` say: lists of faces, one for each slice."""
    codec, variables = sliced
    code = jax.jit(codec.encode)(variables, image)
    function = jax.jit(codec.decode)

    def by_hand(structure, style):
        parts = np.arange(PARTS)
        one = code.replace(structure=code.structure[structure, parts][None], style=code.style[style, parts][None])
        return to_bytes(function(variables, one).image)[0]

    return by_hand


def assert_same(found, expected):
    """Equal but for the rounding of sums in another order: one grey level."""
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=1)


def test_corners_of_the_triangle_are_the_reconstructions(made):
    for place, face in ((0, 0), (6, 1), (9, 2)):
        assert_same(made["triangle"][place], made["reconstruction"][face])
    assert np.ptp(made["reconstruction"].astype(int), axis=0).max() > 20, "faces that differ"


def test_pictures_between_have_whole_parts_of_the_faces_they_name(made, decode):
    assert made["triangle"].dtype == made["triangle_donors"].dtype == np.uint8
    for place in range(10):
        donors = made["triangle_donors"][place]
        assert_same(made["triangle"][place], decode(donors, donors))


def test_a_traversal_ends_at_the_slice_of_the_other_face(made, decode):
    np.testing.assert_allclose(made["traversal_positions"], np.arange(7) / 3, rtol=1e-6)
    assert made["traversals"].shape == (PARTS, 7, tiny_l2s.SIZE, tiny_l2s.SIZE, 3)
    for part in range(PARTS):
        assert_same(made["traversals"][part, 0], made["reconstruction"][0])
        for frame, face in ((3, 1), (6, 2)):
            donors = np.where(np.arange(PARTS) == part, face, 0)
            assert_same(made["traversals"][part, frame], decode(donors, donors))


def test_swaps_take_the_structure_and_leave_the_style(made, decode):
    for part in range(PARTS):
        own = np.zeros(PARTS, int)
        assert_same(made["swaps"][0, part], decode(np.where(np.arange(PARTS) == part, 1, own), own))


def test_a_style_that_all_slices_share_stays_in_traversals_and_is_mixed_in_the_triangle():
    """The fake decoder paints the style, the mean colour of the face, and nothing else."""
    codec = fake_system.build(fake_system.fake_config()).codec
    colours = np.array([-0.75, 0.0, 0.75, 0.25], np.float32)
    image = np.broadcast_to(colours[:, None, None, None], (4, fake_system.SIDE, fake_system.SIDE, 3))
    made = codec_pictures.pictures(codec, fake_system.variables(), image)
    assert (made["traversals"] == to_bytes(colours[0])).all()
    assert (made["swaps"] == to_bytes(colours)[:, None, None, None, None]).all()
    shares = np.stack([(made["triangle_donors"] == face).mean(1) for face in range(3)], axis=1)
    assert_same(made["triangle"][:, 0, 0, 0], to_bytes(shares @ colours[:3]))


@pytest.mark.parametrize(
    ("faces", "more"), [(1, set()), (2, {"traversals", "traversal_positions"}), (3, {"triangle", "triangle_donors"})]
)
def test_few_faces_make_fewer_pictures(faces, more):
    codec = fake_system.build(fake_system.fake_config()).codec
    small = np.zeros((faces, fake_system.SIDE, fake_system.SIDE, 3), np.float32)
    made = codec_pictures.pictures(codec, fake_system.variables(), small)
    assert {"reconstruction", "regions", "swaps"} | more <= set(made)
    assert ("triangle" in made) == (faces > 2)
    assert len(made.get("traversal_positions", ())) == {1: 0, 2: 4, 3: 7}[faces]
