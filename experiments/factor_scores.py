"""Does each subspace of a code know the factors of its own part? MIG, DCI and FactorVAE score on synthetic faces.

    python experiments/factor_scores.py --model MODEL [--faces 1000] [--sets 60] [--set-size 50] [--shuffles 5]
        [--seed 0] [--json FILE]

MODEL is a workdir, an exported model or a name that `l2s models` lists, of a system with a codec. The faces are drawn
with known factors, none of which the model saw. Factors that belong to a region (REGIONS) of which the model has a
subspace are scored, beside chance (factors shuffled) and beside the same model with the encoder's weights random. For
the FactorVAE score the factors of one region are fixed together. The table says, for every factor, which subspace
predicts it best on unseen faces (R^2 of ridge regression), and whether that is the one of the factor's region. A
subspace is what `descriptors` tells of it, which leaves out where its region lies.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import numpy as np

from input_pipeline.errors import UserError, script
from input_pipeline.labels import CELEBAMASK, LabelSet, remap
from input_pipeline.synthetic import Factors, render, rng, sample_factors
from l2s_jax.inference.model import load_model
from l2s_jax.layers.slices import descriptors
from l2s_jax.metrics import factors as scores
from l2s_jax.pixels import from_bytes
from l2s_jax.types import System

BATCH = 20
REGIONS = {
    "skin": "melanin skin_warmth skin_redness freckles jaw_width jaw_angle chin_length chin_width cheekbones "
    "cheek_fullness forehead_height eye_depth eye_bags beard",
    "l_eye": "eye_size eye_height eye_spacing eye_tilt iris_tone eye_open gaze_x gaze_y",
    "l_brow": "brow_height brow_thickness brow_arch brow_slant brow_length brow_tone brow_raise",
    "nose": "nose_length nose_width nose_bridge nose_root nose_tip",
    "l_lip": "mouth_width upper_lip lower_lip mouth_curve lip_tone smile mouth_open makeup",
    "l_ear": "ear_size ear_angle",
    "hair": "hair_tone hair_warmth hair_curl hairline_shape bald hair_length hair_growth hair_volume hair_parting "
    "hair_tuck fringe hair_dye",
    "eye_g": "glasses",
    "hat": "hat",
    "ear_r": "earrings",
    "neck_l": "necklace",
    "cloth": "cloth_style cloth_hue cloth_tone",
    "background": "background_style background_hue background_tone",
}
"""Factors by the class of CELEBAMASK that shows them (one side stands for both)."""
EVERYWHERE = (
    "masculinity age face_width philtrum yaw pitch roll shift_x shift_y scale light_side light_height light_warmth "
    "light_contrast exposure occluder sensor_noise blur"
)
"""Factors that show in several regions. Left out: those of things that fewer than one face in ten wears or holds (their
style, place and colour), moles, what shaves a beard, and the fold of the lids, which lies between two regions."""


def home_slices(label_set: LabelSet, classes: Iterable[int]) -> dict[str, int | None]:
    """Return by factor which slice is that of its region, None if no single one is."""
    table, slices = remap(CELEBAMASK, label_set), {label: k for k, label in enumerate(classes)}
    homes = {
        name: slices.get(int(table[CELEBAMASK[region]])) for region, names in REGIONS.items() for name in names.split()
    }
    return homes | dict.fromkeys(EVERYWHERE.split())


def faces_of(key: int, drawn: Iterable[Factors], size: int) -> Iterator[np.ndarray]:
    """Render faces, uint8 [size, size, 3] each."""
    return (render(key, index, size, factors=each)["image"] for index, each in enumerate(drawn))


def shared_factors(key: int, groups: list[list[str]], sets: int, set_size: int) -> Iterator[Factors]:
    """Draw sets of faces one after the other; in set v the factors of group v modulo len(groups) are the same."""
    for index in range(sets * set_size):
        number = index // set_size
        shared = sample_factors(key, number * set_size).named()
        held = {name: shared[name] for name in groups[number % len(groups)]}
        yield sample_factors(key, index).replace(**held)


def encoded(system: System, weights: list, images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Encode uint8 images [H, W, 3] with each of several sets of variables -> descriptors [N, K, D] each."""

    @jax.jit
    def describe(variables, batch: jax.Array) -> jax.Array:
        code = system.codec.encode(variables, batch)
        return descriptors(code.structure, code.style)

    images = iter(images)
    found = [[] for _ in weights]
    while taken := list(itertools.islice(images, BATCH)):
        batch = np.zeros((BATCH, *taken[0].shape), np.float32)
        batch[: len(taken)] = from_bytes(np.stack(taken))
        for codes, variables in zip(found, weights, strict=True):
            codes.append(np.asarray(describe(variables, batch))[: len(taken)])
    return [np.concatenate(codes) for codes in found]


def check_sizes(groups: int, faces: int, sets: int, set_size: int, shuffles: int) -> None:
    """Raise a UserError unless the scores can be computed of so many faces and sets."""
    if faces < 40 or set_size < 2 or shuffles < 1 or sets < 2 or sets % (2 * groups):
        raise UserError(
            f"take 40 faces or more, a multiple of {2 * groups} sets (half of them train, and {groups} regions take "
            "turns) of two faces or more, and at least one shuffle"
        )


def measure(where: str, faces: int, sets: int, set_size: int, shuffles: int, seed: int) -> dict:
    """Return `encoders` {name: scores}, `factors`, `homes` (index of each factor's subspace or None), `subspaces`."""
    model = load_model(where)
    system, size = model.system, model.config.image_size
    if system.codec is None:
        raise UserError(f"'{where}' is a pure parser and has no codes: name a model of an autoencoder")
    homes = home_slices(system.label_set, system.codec.classes)
    scored = [name for name, home in homes.items() if home is not None]
    present = sorted({homes[name] for name in scored})
    groups = [[name for name in scored if homes[name] == home] for home in present]
    if len(groups) < 2:
        raise UserError(f"'{where}' has fewer than two subspaces of regions with factors: there is nothing to compare")
    check_sizes(len(groups), faces, sets, set_size, shuffles)
    stream, stream_of_sets = (rng.fold(seed, name) for name in ("factor scores", "factor scores of sets"))
    fresh = system.variables(jax.jit(system.init)(jax.random.key(seed)))
    weights = {"trained": model.variables, "random encoder": fresh}
    drawn = [sample_factors(stream, index) for index in range(faces)]
    drawn_in_sets = shared_factors(stream_of_sets, groups, sets, set_size)
    codes = encoded(system, list(weights.values()), faces_of(stream, drawn, size))
    shared = encoded(system, list(weights.values()), faces_of(stream_of_sets, drawn_in_sets, size))
    values = np.array([[each.named()[name] for name in homes] for each in drawn])
    column = {name: at for at, name in enumerate(homes)}
    known, owner = values[:, [column[name] for name in scored]], np.array([present.index(homes[n]) for n in scored])
    found = {}
    for name, own, in_sets in zip(weights, codes, shared, strict=True):
        draws = np.random.default_rng(seed)
        in_sets = in_sets.reshape(sets, set_size, *own.shape[1:])
        votes = scores.factor_vae(in_sets, np.arange(sets) % len(groups), own, draws, shuffles)
        found[name] = scores.table(own, known, owner, draws, shuffles) | {"factor_vae": votes}
        found[name]["r2"] = scores.held_out(own, values)[1].tolist()  # of all factors, also those of no region
    subspaces = [system.label_set.names[label] for label in system.codec.classes]
    return {"encoders": found, "factors": list(homes), "homes": list(homes.values()), "subspaces": subspaces}


def lines(found: dict) -> Iterator[str]:
    """Yield what to print."""
    rows = {
        "MIG": lambda each: each["mig"],
        "DCI disentanglement, by region": lambda each: each["dci_grouped"]["disentanglement"],
        "DCI completeness, by region": lambda each: each["dci_grouped"]["completeness"],
        "DCI disentanglement, by factor": lambda each: each["dci"]["disentanglement"],
        "DCI completeness, by factor": lambda each: each["dci"]["completeness"],
        "DCI informativeness (R^2)": lambda each: each["informativeness"],
        "FactorVAE score, by region": lambda each: each["factor_vae"],
    }
    encoders, names = found["encoders"], found["subspaces"]
    yield " " * 32 + "".join(f"{name:>16} {'chance':>7}" for name in encoders)
    for title, pick in rows.items():
        cells = ((pick(each)["value"], pick(each)["chance"]) for each in encoders.values())
        yield f"{title:32}" + "".join(f"{_number(value):>16} {_number(chance):>7}" for value, chance in cells)
    yield f"(FactorVAE score: at most {encoders['trained']['factor_vae']['ceiling']:.3f})"
    yield ""
    r2, noise = np.array(encoders["trained"]["r2"]), encoders["trained"]["r2_null_max"]
    yield f"{'factor':17}{'region':17}{'best subspace':17}{'R^2':>7}{'own R^2':>9}"
    right = known = 0
    for column, (factor, home) in enumerate(zip(found["factors"], found["homes"], strict=True)):
        best = int(r2[:, column].argmax())
        if r2[best, column] <= noise:
            yield f"{factor:17}{_region(home, names):17}{'none knows it':17}{r2[best, column]:7.3f}"
            continue
        mark = "" if home is None else "  right" if best == home else "  WRONG"
        right, known = right + (best == home), known + (home is not None)
        own = "" if home is None else f"{r2[home, column]:9.3f}"
        yield f"{factor:17}{_region(home, names):17}{names[best]:17}{r2[best, column]:7.3f}{own}{mark}"
    yield f"known best to the subspace of their region: {right} of {known} factors"
    yield f"(without those that none knows: no R^2 is above {noise:.3f}, the largest with factors shuffled)"


def _region(home: int | None, names: list[str]) -> str:
    return "-" if home is None else names[home]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a workdir, an exported model or a name")
    parser.add_argument("--faces", type=int, default=1000, help="half fit, half judge (%(default)s)")
    parser.add_argument("--sets", type=int, default=60, help="sets of the FactorVAE score (%(default)s)")
    parser.add_argument("--set-size", type=int, default=50, help="faces in a set (%(default)s)")
    parser.add_argument("--shuffles", type=int, default=5, help="draws of chance (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of faces, shuffles and random weights (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the scores here")
    args = parser.parse_args()
    try:
        found = measure(args.model, args.faces, args.sets, args.set_size, args.shuffles, args.seed)
    except UserError as error:
        parser.error(str(error))
    print("\n".join(lines(found)))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
