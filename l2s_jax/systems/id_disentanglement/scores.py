"""The scores of Face Identity Disentanglement: pairs of unseen faces, beside answers that need no mapper.

Every answer is a code, so that one table compares them on all axes at once: the mapper's, those of the two images
themselves, the mean code, ridge regression, and, where the factors of a code can be read off, the exact one.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.ssim import ms_ssim
from l2s_jax.metrics import transfer
from l2s_jax.metrics.verification import area_under_curve
from l2s_jax.models.face_renderer import ATTRIBUTES, IDENTITY, landmarks
from l2s_jax.systems.id_disentanglement.networks import TRAINED, Networks, Variables
from l2s_jax.systems.id_disentanglement.ridge import ridge_features
from l2s_jax.systems.id_disentanglement.training import JAW
from l2s_jax.types import Batch, Scorer

NAMES = (
    "transfer.score",
    "transfer.identity_cosine",
    "transfer.landmark_pixels",
    "verification.identity_auc",
    "reconstruction.psnr",
)
"""Scores that may choose the best checkpoint."""
MAPPER = "mapper"
_PEOPLE = len(IDENTITY)
Rows = Mapping[str, np.ndarray]


def scorer(networks: Networks) -> Scorer:
    """Return the scorer of networks; its batches need `seed` alone."""
    return Scorer(
        names=NAMES,
        collect=functools.partial(_collect, networks),
        summary=_summary,
        untrained=functools.partial(_untrained, networks),
        pictures=functools.partial(_pictures, networks),
    )


def _untrained(networks: Networks, variables: Variables, rng: jax.Array) -> Variables:
    fresh = {name: networks.init(jax.random.fold_in(rng, n), name) for n, name in enumerate(TRAINED)}
    return variables | fresh


def _collect(networks: Networks, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
    """Measure all answers on pairs: row b has its own identity image and its own attribute image."""
    generator = networks.generator
    latents = networks.latents(batch["seed"])
    sources = {
        "identity_image": networks.codes(variables, latents.identity),
        "attribute_image": networks.codes(variables, latents.attributes),
    }
    images = {name: networks.draw(variables, code) for name, code in sources.items()}
    person, seen = images["identity_image"], images["attribute_image"]
    identity = networks.embed(variables, person)
    answers = {MAPPER: networks.map(variables, identity, networks.look(variables, seen)), **sources}
    answers["mean_code"] = jnp.broadcast_to(variables["codes"]["mean"][None], answers[MAPPER].shape)
    if "ridge" in variables:
        answers["ridge"] = ridge_features(identity, seen) @ variables["ridge"]["kernel"]
    known = {}
    if generator.factors is not None:
        known = {name: generator.factors(code) for name, code in sources.items()}
        exact = _joined(known["identity_image"], known["attribute_image"])
        answers["exact"] = generator.compose(exact)
    measure = functools.partial(_measure, networks, variables, person, seen, known.get("attribute_image"))
    rows = {f"{name}/{key}": value for name, code in answers.items() for key, value in measure(code).items()}
    rows |= {f"source/{name}": factors for name, factors in known.items()}
    if known:  # the same person with other attributes: what the identity networks can tell
        again = _joined(known["identity_image"], generator.factors(networks.codes(variables, latents.real)))
        again = networks.draw(variables, generator.compose(again))
        for name in _judges(variables):
            one, other = (networks.embed(variables, image, name) for image in (person, again))
            rows[f"gate/{name}"] = jnp.sum(one * other, axis=-1)
            rows[f"gate/{name}_other"] = jnp.sum(jnp.roll(one, 1, axis=0) * other, axis=-1)
    same = networks.map(variables, networks.embed(variables, seen), networks.look(variables, seen))
    same = jnp.clip(networks.draw(variables, same), -1, 1)
    rows["same/mse"] = jnp.mean(jnp.square(same - seen), axis=(1, 2, 3)) / 4
    rows["same/ms_ssim"] = ms_ssim(same, seen)
    return rows


def _judges(named: Mapping) -> list[str]:
    """Return the identity networks among the names: E_id, and the second one if there is one."""
    return [name for name in ("identity", "evaluator") if name in named]


def _joined(people: jax.Array, looks: jax.Array) -> jax.Array:
    """Return the factors of one face with the attributes of another, each [B, FACTORS]."""
    return jnp.concatenate((people[:, :_PEOPLE], looks[:, _PEOPLE:]), axis=-1)


def _measure(networks, variables, person, seen, truth, code) -> dict[str, jax.Array]:
    """Measure the answer `code` [B, W] to an identity image and an attribute image."""
    image, rows = networks.draw(variables, code), {}
    for name in _judges(variables):
        out, own, other = (networks.embed(variables, each, name) for each in (image, person, seen))
        rows[f"{name}_cosine"] = jnp.sum(out * own, axis=-1)
        rows[f"{name}_leak"] = jnp.sum(out * other, axis=-1)
        rows[f"{name}_stranger"] = jnp.sum(out * jnp.roll(own, 1, axis=0), axis=-1)
    apart = networks.points(variables, image) - networks.points(variables, seen)
    rows["landmark_pixels"] = networks.side * jnp.mean(jnp.linalg.norm(apart[:, JAW:], axis=-1), axis=-1)
    rows["code_energy"] = jnp.mean(jnp.square(networks.standardised(variables, code)), axis=-1)
    if truth is not None:
        factors = networks.generator.factors(code)
        own, other = (landmarks(f[:, :_PEOPLE], f[:, _PEOPLE:], networks.side) for f in (factors, truth))
        rows["true_landmark_pixels"] = jnp.mean(jnp.linalg.norm((own - other)[:, JAW:], axis=-1), axis=-1)
        rows["off_manifold"] = jnp.sum(jnp.square(code), axis=-1) - jnp.sum(jnp.square(factors), axis=-1)
        rows["factors"] = factors
    return rows


def _summary(rows: Rows, untrained: Rows | None) -> dict:
    """Summarise rows; the keys are explained in docs/methods/id_disentanglement.md, "Evaluation"."""
    names = dict.fromkeys(key.split("/")[0] for key in rows if key.endswith("/identity_cosine"))
    answers = {name: _answer(rows, name) for name in names}
    if untrained is not None:
        answers["untrained_mapper"] = _answer(untrained, MAPPER)
    unswapped = answers["identity_image"]["landmark_pixels"]
    for answer in answers.values():
        axes = (answer[key] for key in ("identity_cosine", "identity_leak", "landmark_pixels"))
        answer["score"] = transfer.transfer_score(*axes, unswapped)
    found = {name: answer.pop("auc") for name, answer in answers.items()}
    summary = {"transfer": answers[MAPPER], "answers": answers, "reconstruction": _reconstruction(rows)}
    judge = _judge(rows)
    summary["verification"] = {
        "identity_auc": found[MAPPER],
        "attribute_auc": area_under_curve(rows[f"{MAPPER}/{judge}_leak"], rows[f"{MAPPER}/{judge}_stranger"]),
    }
    for name in ("identity", "evaluator"):
        if f"gate/{name}" in rows:
            same, other = rows[f"gate/{name}"], rows[f"gate/{name}_other"]
            summary["verification"][f"{name}_network"] = {
                "auc": area_under_curve(same, other),
                "same_cosine": float(np.mean(same)),
                "other_cosine": float(np.mean(other)),
            }
    if f"{MAPPER}/factors" in rows:
        summary["factors"] = _factors(rows, list(names))
    return summary


def _judge(rows: Rows) -> str:
    """Return the network that verification is measured with: the one that no loss has seen, if there is one."""
    return "evaluator" if f"{MAPPER}/evaluator_cosine" in rows else "identity"


def _answer(rows: Rows, name: str) -> dict[str, float]:
    keys = [key.partition("/")[2] for key in rows if key.startswith(f"{name}/")]
    means = {key: float(np.mean(rows[f"{name}/{key}"])) for key in keys if rows[f"{name}/{key}"].ndim == 1}
    return means | {
        "auc": area_under_curve(rows[f"{name}/{_judge(rows)}_cosine"], rows[f"{name}/{_judge(rows)}_stranger"])
    }


def _reconstruction(rows: Rows) -> dict[str, float]:
    return {
        "psnr": float(np.mean(-10 * np.log10(np.maximum(rows["same/mse"], 1e-10)))),
        "ms_ssim": float(np.mean(rows["same/ms_ssim"])),
    }


def _factors(rows: Rows, names: list[str]) -> dict:
    """Correlate the factors of every answer with those of both images.

    Returns:
      `means`: by answer, of each group the mean correlation with the image it should come from, how many factors are
        above one half, and the mean absolute correlation with the other image (`_leak`); `identity`, `attributes`: by
        factor, the correlation of every answer and what leaks into that of the mapper.
    """
    found = {"means": {name: {} for name in names}}
    for group, labels in (("identity", IDENTITY), ("attributes", ATTRIBUTES)):
        part = slice(0, _PEOPLE) if group == "identity" else slice(_PEOPLE, None)
        right, wrong = "identity_image", "attribute_image"
        if group == "attributes":
            right, wrong = wrong, right
        table = {label: {} for label in labels}
        for name in names:
            out = rows[f"{name}/factors"].astype(np.float64)[:, part]
            kept, leak = (
                transfer.correlations(out, rows[f"source/{image}"].astype(np.float64)[:, part])
                for image in (right, wrong)
            )
            found["means"][name] |= {
                group: float(np.mean(kept)),
                f"{group}_above_half": int(np.sum(kept > 0.5)),
                f"{group}_leak": float(np.mean(np.abs(leak))),
            }
            for label, value, other in zip(labels, kept.tolist(), leak.tolist(), strict=True):
                table[label] |= {name: value} | ({f"{name}_leak": other} if name == MAPPER else {})
        found[group] = table
    return found


def _pictures(networks: Networks, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
    """Draw every identity (rows) with every attribute image (columns), the sources at the margins."""
    latents = networks.latents(batch["seed"][:6])
    people, looks = (
        networks.draw(variables, networks.codes(variables, z)) for z in (latents.identity, latents.attributes)
    )
    identity, attributes = networks.embed(variables, people), networks.look(variables, looks)
    rows, columns = len(people), len(looks)
    codes = networks.map(variables, jnp.repeat(identity, columns, axis=0), jnp.tile(attributes, (rows, 1)))
    faces = networks.draw(variables, codes).reshape(rows, columns, *people.shape[1:])
    top = jnp.concatenate((jnp.full_like(looks[:1], 1.0), looks))[None]
    table = jnp.concatenate((people[:, None], faces), axis=1)
    return {"Identities (left) with the attributes of other images (top)": jnp.concatenate((top, table))}
