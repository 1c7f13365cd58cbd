"""Files that fail a training: a disk that is full, a photo that vanishes, checkpoints that are damaged."""

import resource

from experiments.faults.place import Place, write_faces
from experiments.faults.training import EVERY, check, ended
from l2s_jax.training import checkpoints


def full_disk(place: Place) -> str:
    """Files cannot grow beyond 20 kB, as on a full disk: the checkpoint fails while it is written."""
    run = place.disturbed()
    run.finish(steps=EVERY)
    process = run.start(steps=3 * EVERY)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    _, sentence = ended(process, 2)
    check("cannot write checkpoint" in sentence, sentence)
    check([path.name for path in run.latest.iterdir()] == [f"{EVERY:08d}"], "something half-written is left")
    run.finish(steps=3 * EVERY)
    return f"one sentence, nothing half-written; {place.compare(run)}"


def vanished(place: Place) -> str:
    """A photo of the training data is deleted while the training runs, and comes back."""
    run = place.disturbed()
    run.harmed(lambda process: place.photo().unlink(), str(place.photo()))
    write_faces(place.faces)
    run.finish(steps=run.newest() + EVERY)
    return f"the file is named; {place.compare(run)}"


def damaged(place: Place) -> str:
    """The newest checkpoint is cut short, then one bit of another is turned over."""
    run = place.disturbed()
    run.finish(steps=2 * EVERY)
    for harm in (lambda content: content[:100], lambda content: bytes([content[0] ^ 1]) + content[1:]):
        newest = checkpoints.checkpoints(run.latest)[0]
        file = max(newest.rglob("d/*"), key=lambda path: path.stat().st_size)
        file.write_bytes(harm(file.read_bytes()))
        step = int(newest.name)
        out = run.finish(steps=step + EVERY).replace("\n", " ")
        check(f"{newest.name} is damaged" in out and f"resuming at step {step - EVERY} " in out, out[:500])
    return f"said so, twice, and the one before was used; {place.compare(run)}"
