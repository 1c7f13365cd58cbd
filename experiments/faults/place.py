"""Where trainings are disturbed, and the one left in peace that they must equal to the bit."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from PIL import Image

from experiments.faults.training import Training, check
from input_pipeline.datasets import open_source
from l2s_jax.training import checkpoints
from l2s_jax.training.checkpoints import tree_digest


@dataclasses.dataclass
class Place:
    """The folder of a campaign: its faces, the training in peace, and those that are disturbed.

    Attributes:
      root: a folder.
      steps: batches of a whole training.
      seed: of the weights, the order of the faces, and the moments of the faults.
    """

    root: Path
    steps: int
    seed: int

    def __post_init__(self):
        # A training may outlive the campaign that began it, and write: the next campaign has folders of its own.
        self.faces, self.scratch = self.root / "faces", self.root / f"scratch-{os.getpid()}"

    def clear(self) -> None:
        """Put the faces where they belong, and remove all that was disturbed."""
        for scratch in self.root.glob("scratch-*"):
            shutil.rmtree(scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True, exist_ok=True)
        write_faces(self.faces)

    def undisturbed(self) -> Training:
        """Return the training that was left in peace."""
        return self._training(self.root / "undisturbed")

    def disturbed(self) -> Training:
        """Return a training that has not been started."""
        return self._training(self.scratch / "run")

    def photo(self) -> Path:
        """Return one of the photos that all learn from."""
        return self.faces / "images" / "7.png"

    def train_in_peace(self) -> str:
        """Train the undisturbed one, from nothing."""
        training, place = self.disturbed(), self.undisturbed().workdir
        training.finish("--config.train.keep=1000")
        shutil.rmtree(place, ignore_errors=True)
        training.workdir.rename(place)
        return f"{self.steps} batches, all checkpoints kept"

    def compare(self, training: Training) -> str:
        """Check that the newest checkpoint of a training, and its history, are those of the undisturbed one."""
        step, peace = training.newest(), self.undisturbed()
        mine, wanted = (fingerprint(each.latest / f"{step:08d}") for each in (training, peace))
        check(mine == wanted, f"the state at batch {step} differs from that of the undisturbed training")
        theirs = {number: losses for number, losses in peace.losses().items() if number <= step}
        check(training.losses() == theirs, "losses differ from those of the undisturbed training")
        return f"same bits at batch {step}"

    def _training(self, workdir: Path) -> Training:
        options = [f"--config.data.train=folder:{self.faces}", f"--config.seed={self.seed}"]
        return Training(workdir, self.steps, options)


def write_faces(folder: Path) -> None:
    """Write 24 synthetic faces as a folder of images and masks."""
    source = open_source("synthetic:24", size=24)
    for kind in ("image", "mask"):
        (folder / f"{kind}s").mkdir(parents=True, exist_ok=True)
        for number in range(len(source)):
            Image.fromarray(source[number][kind]).save(folder / f"{kind}s" / f"{number}.png")
    (folder / "labels.json").write_text(json.dumps({"label_set": source.label_set.name}))


def fingerprint(checkpoint: Path) -> tuple:
    """Return the digest of the arrays of a checkpoint, and its position in the data."""
    with ocp.StandardCheckpointer() as reader:
        state = reader.restore(checkpoint / "state")
    bits = jax.tree.map(
        lambda leaf: jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf,
        state,
    )
    return tree_digest(bits), json.loads((checkpoint / checkpoints.META).read_text())["loader"]
