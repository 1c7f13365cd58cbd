"""What survives what? Faults that are done to real trainings, by name; each returns what it saw or raises `Broken`."""

from experiments.faults.not_finite import not_finite
from experiments.faults.stops import terminated, two_trainings, worker_killed
from experiments.faults.storage import damaged, full_disk, vanished

FAULTS = {
    "SIGTERM": terminated,
    "full disk": full_disk,
    "NaN in a batch": not_finite,
    "a photo vanishes": vanished,
    "a worker killed": worker_killed,
    "two trainings in a workdir": two_trainings,
    "checkpoints damaged": damaged,
}
