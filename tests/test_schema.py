"""Configs and descriptions of models from anybody: each is loaded, or refused in one short sentence, soon."""

import copy
import json
import random
import time

import jax
import pytest

from input_pipeline import licences
from input_pipeline.errors import UserError
from l2s_jax import bundle, schema, systems
from l2s_jax import config as configs
from l2s_jax.inference import model as trained
from l2s_jax.recipe import describe
from tests.helpers import tiny_l2s, tiny_segface, tiny_subspaces, tiny_svc

TINY = {
    "independent_subspaces": tiny_subspaces,
    "latents2segments": tiny_l2s,
    "segface": tiny_segface,
    "structure_via_consensus": tiny_svc,
}
HOSTILE = (
    *(None, True, False, 0, 1, -1, 3, 7, 64, 2**20, 2**31, -(2**70), 10**400, 0.5, -2.0, 1e300, float("nan")),
    *("", "x", "none", "x" * 5000, "\x1b[2J\n", "../../etc", "published"),
    *(
        [],
        [1],
        [0],
        [[1, 2]],
        [2] * 5,
        [64] * 60,
        [1] * 5000,
        ["a"],
        [None],
        [[[[[[[[[[1]]]]]]]]]],
        [1e300],
        [{"a": 1}],
    ),
    *({}, {"a": 1}, {"a.b": {"__class__": 3}}),
)
NAMES = ("__class__", "a.b", "items", "lock", "_fields", "steps", "", "x" * 3000, "\x1b[2J", "système")
WORDS = (
    *(
        "",
        "none",
        "exact",
        "published",
        "residual",
        "pyramid",
        "steps",
        "linear",
        "cosine",
        "adam",
        "adamw",
        "bfloat16",
    ),
    *("tiny_swin", "tiny_resnet", "tiny_mobilenet", "celebamask", "l2s_regions", "lapa", "skin_hair", "teacher"),
    *("hard", "soft", "classes", "components", "clean"),
)
BUILT = ("model", "image_size", "label_set", "precision", "schedule")
"""Fields that decide which networks are built."""
SECONDS = 10.0
"""Of processor time, for one mutant; compiling nothing."""


def damaged(plain: dict, rng: random.Random) -> dict:
    """A copy with one to three places of another kind, size or name."""
    plain = copy.deepcopy(plain)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        node, name = plain, rng.choice(sorted(plain))
        while isinstance(node[name], dict) and node[name] and rng.random() < 0.9:
            node = node[name]
            name = rng.choice(sorted(node))
        match rng.choice(("value", "value", "value", "value", "scale", "repeat", "delete", "rename", "add")):
            case "value":
                node[name] = copy.deepcopy(rng.choice(HOSTILE))
            case "scale" if isinstance(node[name], int | float):
                node[name] *= rng.choice((-1, 2, 1000))
            case "repeat" if isinstance(node[name], list):
                node[name] = node[name] * rng.choice((0, 2, 30))
            case "rename":
                node[rng.choice(NAMES)] = node.pop(name)
            case "add":
                node[rng.choice(NAMES)] = copy.deepcopy(rng.choice(HOSTILE))
            case _:
                del node[name]
    return plain


def admitted(plain: dict, ranges: schema.Ranges, rng: random.Random) -> dict:
    """A copy with one to three other values that the schema admits: what is left to the checks of the systems."""
    config = configs.from_json(plain).unlock()
    fields = {
        name: value for name, value in configs.flatten(config).items() if not name.startswith(("data.", "system"))
    }
    chosen = rng.sample(sorted(fields), rng.choice((1, 1, 2, 3)))
    changed = {name: _admitted(fields[name], schema.limits(name, ranges), rng) for name in chosen}
    with config.ignore_type():
        config.update_from_flattened_dict(changed)
    return json.loads(config.to_json())


def _admitted(value, limits, rng: random.Random):
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return rng.choice(limits.words if isinstance(limits, schema.OneOf) else WORDS)
    least, most = limits or (-schema.MOST, schema.MOST)
    if isinstance(value, int):
        return min(most, max(least, rng.choice((least, least + 1, most, most - 1, 2, 3, 4, 8, 16, 96, value * 2))))
    if isinstance(value, float):
        return rng.choice((least, most, (least + most) / 2, 1e-30 if least <= 0 else most, value))
    first = value[0] if value else least
    some = tuple(_admitted(first, limits, rng) for _ in range(rng.choice((1, 2, 3, schema.MOST_ENTRIES))))
    return rng.choice(
        ((), value[:-1], value * 2, (*value, first), some, tuple(_admitted(v, limits, rng) for v in value))
    )


def mutants(name: str, kind: str, count: int):
    """`count` reproducible configs of the system `name`."""
    plain = json.loads(TINY[name].config().to_json())
    rng = random.Random(f"{name} {kind}")
    ranges = configs.RANGES | systems.ranges(name)
    for _ in range(count):
        yield damaged(plain, rng) if kind == "damaged" else admitted(plain, ranges, rng)


def taken(load) -> bool:
    """Whether `load()` succeeds; what it refuses, it refuses soon and in a short sentence."""
    start, sentence = time.process_time(), ""
    try:
        load()
    except UserError as error:
        sentence = str(error)
    assert time.process_time() - start < SECONDS
    assert len(sentence) < 400, sentence
    return not sentence


@pytest.mark.parametrize(
    ("kind", "count", "traces"),
    [("damaged", 150, 3), ("admitted", 60, 3)],
)
@pytest.mark.parametrize("name", TINY)
def test_any_saved_config_is_loaded_or_refused(name, kind, count, traces, tmp_path):
    file, traced, counts = tmp_path / "config.json", set(), [0, 0]

    def load():
        config = configs.load(file)
        system = systems.build(config)
        networks = json.dumps([config[field] for field in BUILT if field in config], default=str)
        if networks not in traced and len(traced) < traces:  # tracing takes most of the time
            traced.add(networks)
            jax.eval_shape(lambda: system.variables(system.init(jax.random.key(config.seed))))

    for plain in mutants(name, kind, count):
        file.write_text(json.dumps(plain))
        counts[taken(load)] += 1
    assert min(counts) >= 3  # neither is everything refused nor everything taken


@pytest.mark.parametrize("name", TINY)
def test_any_description_of_a_model_is_loaded_or_refused(name, tmp_path):
    config = TINY[name].config()
    folder = tmp_path / "model"
    bundle.save(folder, {}, describe(config, systems.build(config), "tiny", 1, {"synthetic:4": licences.OURS}))
    content, rng = json.loads((folder / bundle.JSON_FILE).read_text()), random.Random(name)
    counts = [0, 0]

    def load():
        model = bundle.load(folder)
        systems.build(trained.stored_config(model))

    for _ in range(150):
        (folder / bundle.JSON_FILE).write_text(json.dumps(damaged(content, rng)))
        counts[taken(load)] += 1
    assert min(counts) > 5


@pytest.mark.parametrize("name", TINY)
def test_every_number_has_a_range(name):
    config, ranges = configs.default(name), configs.RANGES | systems.ranges(name)
    for field, value in configs.flatten(config).items():
        kind = type(value[0]) if isinstance(value, tuple) and value else type(value)
        if kind in (int, float) or (kind is tuple and field != "data.resolution_schedule"):
            limits = schema.limits(field, ranges)
            assert limits is not None, field
            values = value if isinstance(value, tuple) else (value,)
            assert limits is str or all(limits.least <= v <= limits.most for v in values), field


def test_every_range_is_of_a_field():
    for name in TINY:
        fields = configs.flatten(configs.default(name))
        for field in configs.RANGES | systems.ranges(name):
            assert any(known == field or known.startswith(f"{field}.") for known in fields), field


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"data": 3}, "^data=3 must be a group of fields$"),
        ({"data": {"batch_sise": 3}}, r"^unknown field 'data.batch_sise' \(did you mean 'batch_size'\?\)$"),
        ({"data": {"__class__": 3}}, "^unknown field 'data.__class__'"),
        ({"data": {"batch_size": 3.0}}, "^data.batch_size=3.0 must be a whole number$"),
        ({"data": {"batch_size": True}}, "^data.batch_size=True must be a whole number$"),
        ({"data": {"cache": 1}}, "^data.cache=1 must be true or false$"),
        ({"data": {"train": None}}, "^data.train=None must be a text$"),
        ({"data": {"train": "x" * 2000}}, r"^data.train=x+\.\.\. is longer than 1024 characters$"),
        ({"train": {"max_minutes": float("inf")}}, "^train.max_minutes=inf must be at most"),
        ({"model": {"slices": 4}}, "^model.slices=4 must be a list$"),
        ({"model": {"slices": [4, "a"]}}, "^model.slices=a must be a whole number$"),
        ({"model": {"slices": [1] * 65}}, "^model.slices has 65 entries: at most 64 make sense$"),
        ({"model": {"style": 10**9}}, "^model.style=1000000000 must be at most 16384$"),
        ({"model": {"architecture": "vgg"}}, "^model.architecture='vgg' must be one of: sliced, published$"),
        ({"model": {"architecture": 3}}, "^model.architecture=3 must be a text$"),
        ({"optim": {"encoder": {"name": "sgd"}}}, "^optim.encoder.name='sgd' must be one of: adam, adamw$"),
        ({"optim": {"encoder": {"milestones": [[1]]}}}, r"^optim.encoder.milestones=\[1\] must be a whole number$"),
    ],
)
def test_the_first_wrong_field_is_named(content, sentence):
    with pytest.raises(UserError, match=sentence):
        configs.from_json({"system": "latents2segments"} | content)


def test_whole_numbers_are_numbers_and_lists_are_tuples():
    config = configs.from_json({"system": "segface", "optim": {"ema": 1}, "loss": {"pixel_shares": [1, 2.5]}})
    assert (config.optim.ema, type(config.optim.ema)) == (1.0, float)
    assert config.loss.pixel_shares == (1.0, 2.5)
    assert config.model == configs.default("segface").model


@pytest.mark.parametrize("name", ["__class__", "a.b", "items", "", "1a"])
def test_systems_that_are_not_registered_have_plain_fields(name):
    content = {"system": "toy", "model": {"noise": 0.1, "widths": [1, [2]]}}
    assert configs.from_json(content).model.widths == (1, (2,))
    with pytest.raises(UserError, match="cannot be the name of a field"):
        configs.from_json(content | {"extra": {name: 1}})
