import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from input_pipeline.images.augment import Augment
from l2s_jax import config as configs
from l2s_jax.commands.config_flags import read_cli

CONFIG_FILE = '''"""A card.

Command: l2s train --config small
"""

from l2s_jax import config as configs
from l2s_jax.commands.config_flags import read_cli


def get_config():
    config = configs.base()
    config.train.steps = 20
    with config.unlocked():
        config.model = {"widths": [8, 16], "note": None, "style": {"size": 4}}
    return config
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with configs/small.py."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "small.py").write_text(CONFIG_FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, text):
    path = folder / "configs" / "broken.py"
    path.write_text(text)
    return str(path)


def test_load_by_name_and_by_path(folder):
    assert configs.load("small") == configs.load("configs/small.py") == configs.load(str(folder / "configs/small.py"))
    assert configs.load("small").train.steps == 20
    assert configs.load("small").is_locked


def test_overrides_take_the_type_of_the_default(folder):
    config = configs.load(
        "small",
        [
            "train.steps=1_000",
            "train.max_minutes=3",
            "data.cache=True",
            "data.train=folder:a=b?val",
            "model.widths=[4, [5, 6]]",
            "model.style.size=-7",
            "train.steps=11",
        ],
    )
    assert config.train.steps == 11
    assert (config.train.max_minutes, type(config.train.max_minutes)) == (3.0, float)
    assert config.data.cache is True
    assert config.data.train == "folder:a=b?val"
    assert config.model.widths == (4, (5, 6))
    assert config.model.style.size == -7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batchsize=3", r"unknown field 'data.batchsize' \(did you mean 'data.batch_size'\?\)"),
        ("xyzzy=3", "unknown field 'xyzzy'$"),
        (
            "data=3",
            "'data' is a group of fields; set one inside: data.augment, data.balance, data.batch_size,",
        ),
        ("train.steps", "override 'train.steps' must read FIELD=VALUE"),
        ("train.steps=1.5", "train.steps=1.5 must be a whole number, like 20"),
        ("train.steps=true", "train.steps=true must be a whole number"),
        ("train.max_minutes=soon", "train.max_minutes=soon must be a number, like 0.0"),
        ("data.cache=1", "data.cache=1 must be true or false, like false"),
        ("model.widths=8", r"model.widths=8 must be a list in \[\], like \[8, 16\]"),
        ("model.widths=[8", r"model.widths=\[8 must be a list in \[\]"),
        ("train.steps=0", "train.steps=0 must be at least 1"),
        ("train.max_minutes=nan", "train.max_minutes=nan must be at least 0"),
        ("data.threads=0", "data.threads=0 must be at least 1"),
        ("data.blobs=-1", "data.blobs=-1 must be at least 0"),
        ("data.balance=1.5", "data.balance=1.5 must be at most 1.0"),
        ("data.framing=eyes", "data.framing='eyes' must be one of: whole, face, face_inside, aligned"),
        ("parallel.mode=tpu", "parallel.mode='tpu' must be one of: jit, pmap, shard_map"),
        ("system=segface", "the system of a config is not an option: take a config of segface"),
        ("seed=" + "9" * 5000, r"seed=9+\.\.\. must be a whole number"),
        ("train.steps=99999999999", "train.steps=99999999999 must be at most 2147483647"),
        ("model.note=" + "[" * 5000, r"model.note=\[+\.\.\. must be a list"),
        ("x" * 5000 + "=3", r"unknown field 'x+\.\.\.'$"),
        ("data.train=" + "x" * 5000, r"data.train=x+\.\.\. is longer than 1024 characters"),
        ("data.framing=" + "x" * 1000, r"data.framing='x+\.\.\.' must be one of"),
        ("data.augment.flip=2", r"augment.*flip.*2.* from 0 to 1"),
        ("train.profile_step=21", "train.profile_step=21 comes after the last step, train.steps=20"),
        ("precision.compute=float16", "precision.compute='float16' must be one of: float32, bfloat16"),
        ("train.export=final", "train.export='final' must be one of: best, last"),
    ],
)
def test_wrong_overrides_are_explained(folder, override, message):
    with pytest.raises(UserError, match=message) as refusal:
        configs.load("small", [override])
    assert len(str(refusal.value)) < 500


def test_nothing_in_an_override_is_executed(folder):
    with pytest.raises(UserError):
        configs.load("small", ["model.widths=__import__('os').abort()"])


def test_the_wheel_holds_weights_pages_and_the_configs_and_finds_them(tmp_path, monkeypatch):
    """Also where data files of a wheel end up nobody knows where: `pip install --user`, `--target`, `--prefix`."""
    root = Path(configs.__file__).parents[2]
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (tmp_path / "elsewhere").mkdir()
    words = "from l2s_jax import config; print(config.__file__, *config.names(), config.load('demo').system)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "lib")}
    found = subprocess.run(
        [sys.executable, "-c", words], cwd=tmp_path / "elsewhere", env=environment, check=True, capture_output=True
    )
    file, *names, system = found.stdout.decode().split()
    assert file.startswith(str(tmp_path / "lib"))
    assert names == sorted(path.stem for path in (root / "configs").glob("*.py"))
    assert system == "latents2segments"
    data = [path for path in (root / "l2s_jax").rglob("*.*") if path.suffix not in (".py", ".pyc")]
    assert {".safetensors", ".json", ".html", ".js", ".jinja"} == {path.suffix for path in data}
    for path in data:
        assert (tmp_path / "lib" / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_shipped_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.load("demo").system == "latents2segments"
    for name, path in configs.shipped().items():
        assert configs.find(name) == path
        assert configs.validate(configs.load(name)) is None
        assert not configs.is_local(name)


def test_a_config_of_the_working_directory_comes_first_and_the_demo_stays(folder):
    (folder / "configs" / "demo.py").write_text(CONFIG_FILE)
    (folder / "configs" / "urls.py").write_text("patterns = []\n")  # of another project
    assert configs.load("demo").train.steps == 20
    assert configs.is_local("demo")
    assert configs.is_local("small")
    assert not configs.is_local("svc_mini")
    assert configs.load(configs.shipped_file("demo")).train.steps == 300
    assert configs.names().keys() == configs.shipped().keys() | {"small"}


def test_unknown_names_are_suggested_and_listed(folder):
    with pytest.raises(UserError, match=r"unknown config 'smal' \(did you mean 'small'\?\); there are: demo, "):
        configs.load("smal")
    with pytest.raises(UserError, match=r"config file other/x.py does not exist"):
        configs.load("other/x.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:", r"broken.py, line 1: invalid syntax"),
        ("x = 1", r"broken.py has no function get_config\(\)"),
        (
            "from l2s_jax import config as c\ndef get_config():\n    config = c.base()\n    config.data.batchsize = 3",
            r'broken.py, line 4: Key "batchsize" does not [^\n]* Did you mean "batch_size" instead of "batchsize"\?$',
        ),
        (
            "from l2s_jax import config as c\ndef get_config():\n    config = c.base()\n    config.seed = 'a'",
            r"broken.py, line 4: Could not override field 'seed'",
        ),
    ],
)
def test_broken_config_files_are_explained(folder, text, message):
    with pytest.raises(UserError, match=message):
        configs.load(write(folder, text))


@pytest.mark.parametrize("name", ["small.py", "small.json"])
def test_a_byte_order_mark_is_no_part_of_a_file(folder, name):
    """Editors of Windows put one in front."""
    configs.save(configs.load("small"), folder / "small.json")
    path = folder / ("configs" if name.endswith(".py") else ".") / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert configs.load(str(path)) == configs.load("small")


def test_json_round_trip_is_exact(folder):
    config = configs.load("small", ["train.max_minutes=3", "model.widths=[1, [2, 3]]"])
    configs.save(config, folder / "config.json")
    for again in (configs.from_json(folder / "config.json"), configs.load("./config.json")):
        assert configs.flatten(again) == configs.flatten(config)
        assert [type(x) for x in configs.flatten(again).values()] == [type(x) for x in configs.flatten(config).values()]
        assert again.is_locked
    assert configs.from_json(json.loads((folder / "config.json").read_text())) == config
    assert not list(folder.glob(".*"))


def test_a_config_saved_before_a_field_existed_has_its_default(folder):
    content = json.loads(configs.load("small").to_json())
    del content["data"]["blobs"], content["data"]["framing"]
    (folder / "config.json").write_text(json.dumps(content))
    assert configs.load("./config.json") == configs.load("small")


def test_files_may_begin_with_a_byte_order_mark(folder):
    content = configs.load("small").to_json()
    (folder / "config.json").write_text(content, "utf-8-sig")
    (folder / "configs" / "small.py").write_text(CONFIG_FILE, "utf-8-sig")
    assert configs.load("./config.json") == configs.load("small")


def test_an_unlocked_config_file_is_held_against_its_system_too(folder):
    lines = ("from l2s_jax.config import default", "def get_config():", "    config = default('segface').unlock()")
    path = write(folder, "\n".join((*lines, "    config.train.stepps = 3", "    return config")))
    with pytest.raises(UserError, match=r"unknown field 'train.stepps' \(did you mean 'steps'\?\)"):
        configs.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(("{", "Expecting"), ("[]", "it is no JSON object"), ("[" * 100_000, "recursion")),
        *(('{"seed": ' + "9" * 5000 + "}", "4300 digits"), (" " * (4 * 2**20) + "{}", "longer than 4194304 bytes")),
    ],
)
def test_json_that_is_no_config(folder, text, message):
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        configs.from_json(folder / "config.json")
    with pytest.raises(UserError, match=r"none.json' does not exist: restore it, or start a new workdir"):
        configs.from_json(folder / "none.json")


def test_save_where_nothing_can_be_written(folder):
    with pytest.raises(UserError, match="cannot write"):
        configs.save(configs.load("small"), folder / "none" / "config.json")


def test_default_joins_the_loop_and_the_system():
    config = configs.default("latents2segments")
    assert config.system == "latents2segments"
    assert config.train.log_every == configs.base().train.log_every
    assert config.model
    assert config.is_locked
    with pytest.raises(AttributeError, match="batch_size"):
        config.data.batchsize = 3
    with pytest.raises(UserError, match="unknown system 'latents'"):
        configs.default("latents")


def test_every_field_has_a_comment():
    lines = re.findall(r"^    config\.[\w.]+ = (?!ConfigDict).*", inspect.getsource(configs.base), re.MULTILINE)
    augment = configs.base().data.augment
    assert len(lines) == len(configs.flatten(configs.base())) - len(augment)
    assert [line for line in lines if "  # " not in line] == []
    explained = " ".join(re.findall(r"^ +([\w, ]+): ", Augment.__doc__, re.MULTILINE)).replace(",", "").split()
    assert set(augment) <= set(explained)


def test_flatten_names_nested_fields():
    assert configs.flatten(ConfigDict({"b": {"x": 1, "a": (2,)}, "a": None})) == {"a": None, "b.a": (2,), "b.x": 1}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["train", "--config", "a", "--workdir", "d"], ("a", [], ["train", "--workdir", "d"])),
        (["--config=a", "--config.x.y=3"], ("a", ["x.y=3"], [])),
        (["--config", "a", "--config.x.y", "3", "--config.z=a=b", "v"], ("a", ["x.y=3", "z=a=b"], ["v"])),
        (["--config.x", "-3"], (None, ["x=-3"], [])),
        (["--configs", "q"], (None, [], ["--configs", "q"])),
        (["--config.x="], (None, ["x="], [])),
    ],
)
def test_read_cli(argv, expected):
    assert read_cli(argv) == expected


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--config"], "--config needs a value"),
        (["--config.a.b", "--workdir", "d"], "--config.a.b needs a value: --config.a.b=VALUE"),
        (["--config", "a", "--config=b"], r"--config is given twice \('a' and 'b'\)"),
    ],
)
def test_read_cli_faults(argv, message):
    with pytest.raises(UserError, match=message):
        read_cli(argv)


def test_a_saved_config_that_is_older_than_a_field_of_its_system_takes_the_default(tmp_path):
    saved = json.loads(configs.default("latents2segments").to_json())
    del saved["optim"]["encoder"]["clip_norm"], saved["data"]["blobs"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(saved))
    loaded = configs.load(str(path))
    assert loaded.optim.encoder.clip_norm == configs.default("latents2segments").optim.encoder.clip_norm
    assert loaded.data.blobs == 0


@pytest.mark.parametrize(
    "value",
    [
        "[10,64]",
        '[["a","b"]]',
        '[[5,{"a":1}]]',
        "[[10,64],[20]]",
        '[{"a":1}]',
        "[[null,64]]",
        "[[10,64.0]]",
        "[[9,8],[9,4]]",
    ],
)
def test_a_resolution_schedule_that_is_no_list_of_pairs(value):
    with pytest.raises(UserError, match=r"data\.resolution_schedule=.* must be pairs \[step, side\]"):
        configs.load("segface_mini", [f"data.resolution_schedule={value}"])


def test_fields_that_only_fit_together():
    with pytest.raises(
        UserError, match=r"data\.resolution_schedule ends at step 5000 and the training at train\.steps=2000"
    ):
        configs.load("segface_mini", ["train.steps=2000"])
    with pytest.raises(UserError, match=r"set train\.eval_every above 0"):
        configs.load("demo", ["train.patience=3", "train.eval_every=0"])


def test_saved_configs_keep_their_meaning_when_fields_are_renamed():
    saved = configs.load("demo").to_dict()
    saved["data"]["smaller_first"] = saved["data"].pop("resolution_schedule")
    saved["data"]["mend_sides"] = not saved["data"].pop("fix_left_right")
    found = configs.from_json(saved)
    assert found.data.fix_left_right is saved["data"]["mend_sides"]
    assert found.data.resolution_schedule == ()
    saved = configs.load("identity_synthetic").to_dict()
    saved["model"]["persons"] = saved["model"].pop("people") + 1
    assert configs.from_json(saved).model.people == saved["model"]["persons"]
