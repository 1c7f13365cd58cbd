"""The persistent compilation cache: where it is, that a second process finds it, and that its faults are no errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from PIL import Image

from l2s_jax.training import compilation
from tests.helpers import fake_system

COMMAND = """
import collections, sys
from jax import monitoring
from l2s_jax import cli
counts = collections.Counter()
monitoring.register_event_listener(lambda event, **_: counts.update([event.rpartition('/')[2]]))
code = cli.main(sys.argv[1:])
print('found', counts['cache_hits'], 'written', counts['cache_misses'])
sys.exit(code)
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The settings of JAX as a user has them, with `tmp_path` as home; restored at the end."""
    names = ("enable_compilation_cache", "compilation_cache_dir", "compilation_cache_max_size")
    names = [f"jax_{name}" for name in (*names, "persistent_cache_min_compile_time_secs")]
    before = {name: getattr(jax.config, name) for name in names}
    for name in ("XDG_CACHE_HOME", *map(str.upper, names)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", True)
    yield jax.config
    for name, value in before.items():
        jax.config.update(name, value)


def test_programs_go_to_the_cache_folder_of_the_user(settings, tmp_path, monkeypatch):
    compilation.enable_compilation_cache()
    assert settings.jax_compilation_cache_dir == str(tmp_path / ".cache" / "l2s_jax" / "xla")
    assert settings.jax_compilation_cache_max_size == compilation.LARGEST
    assert settings.jax_persistent_cache_min_compile_time_secs == compilation.SHORTEST
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    compilation.enable_compilation_cache()
    assert settings.jax_compilation_cache_dir == str(tmp_path / "other" / "l2s_jax" / "xla")


@pytest.mark.parametrize("switch", ["off", "a folder of the user's choice", "a file in its place"])
def test_no_folder_is_made_where_none_is_wanted_or_possible(settings, tmp_path, monkeypatch, switch):
    if switch == "off":
        jax.config.update("jax_enable_compilation_cache", False)
    elif switch == "a file in its place":
        (tmp_path / ".cache").write_text("")
    else:
        monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "chosen"))  # which JAX itself has read
    before = settings.jax_compilation_cache_dir, settings.jax_compilation_cache_max_size
    compilation.enable_compilation_cache()
    assert (settings.jax_compilation_cache_dir, settings.jax_compilation_cache_max_size) == before
    assert not (tmp_path / ".cache").is_dir()


def test_unfinished_programs_are_removed(settings, tmp_path):
    folder = tmp_path / ".cache" / "l2s_jax" / "xla"
    folder.mkdir(parents=True)
    for name in ("whole-cache", "whole-atime", "half-cache"):
        (folder / name).write_bytes(b"12345678")
    compilation.enable_compilation_cache()
    assert sorted(path.name for path in folder.glob("*-*")) == ["whole-atime", "whole-cache"]


def test_another_process_compiles_the_damaged_program_and_no_other(tmp_path):
    """`l2s parse` in cold processes: two at once, then one that finds one of their programs damaged."""
    image, _ = fake_system.painted(40, 30)
    Image.fromarray(image).save(tmp_path / "photo.png")
    variables = {name: text for name, text in os.environ.items() if not name.startswith(("JAX_", "XDG_"))}
    variables |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path)}
    variables["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"  # keep programs that compile in no time, too

    def start(out: str) -> subprocess.Popen:
        argv = ["parse", "photo.png", "--out", out, "--model", "l2s-synthetic", "--by", "light"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", COMMAND, *argv], cwd=tmp_path, env=variables, **pipes)

    def finish(process: subprocess.Popen) -> tuple[int, int]:
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        return tuple(map(int, re.search(r"found (\d+) written (\d+)", out).groups()))

    both = [start("a"), start("b")]
    assert sum(written for _, written in map(finish, both)) >= 1
    programs = list(tmp_path.rglob("*-cache"))
    largest = max(programs, key=lambda program: program.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:1000])
    assert finish(start("c")) == (len(programs) - 1, 1)
    assert len({Path(tmp_path, out, "photo_labels.png").read_bytes() for out in "abc"}) == 1
