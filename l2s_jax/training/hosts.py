"""Several processes as one run: they start together, agree on what they do, and end together.

JAX's coordination service carries it: its heartbeats tell who lives, and who leaves sets a key that says why.
It runs in process 0, which therefore leaves last.
"""

import contextlib
import ctypes
import hashlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jax
from jax._src.distributed import global_state  # the service's client has no public name
from ml_collections import ConfigDict

import input_pipeline
import l2s_jax
from input_pipeline.errors import UserError, clipped, printable
from l2s_jax import config as configs
from l2s_jax.training import checkpoints, exchange
from l2s_jax.training import workdir as layout

HEARTBEAT_SECONDS = 10
"""A process that was silent for so long is gone."""
GRACE_SECONDS = 5
"""What a process has to end by itself after the run has ended elsewhere: it may hang in a collective operation."""
JOIN_SECONDS = 300

_FIRST, _AGREED, _LEFT = "l2s_jax/first", "l2s_jax/agreed", "l2s_jax/left/"


@contextlib.contextmanager
def joined(
    workdir: Path, coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> Iterator[None]:
    """Join the other processes of a run; what ends one of them in the block ends all, soon and with a sentence.

    Args:
      workdir: of the run, to say where it resumes.
      coordinator: HOST:PORT where process 0 listens; None = JAX asks Slurm, Open MPI, Kubernetes or the TPU's host.
      processes, process: how many there are and which this one is, from 0; None = as above.

    Raises:
      UserError: they cannot be joined, or another process stopped or is gone.
    """
    # Without it JAX aborts all processes when one is gone, with a stack trace.
    jax.config.update("jax_enable_recoverability", True)
    watch = _Watch(workdir)
    try:
        if process == 0:
            _check_free(coordinator)
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"cannot join the other processes ({clipped(error, 200)}); name them: --coordinator HOST:PORT "
            "--processes N --process I"
        ) from error
    watch.begin()
    try:
        yield
    except BaseException as error:
        verdict = watch.verdict(error)
        watch.leave(_sentence(error))
        if verdict:
            raise UserError(verdict) from error
        raise
    watch.leave("")


def agree(config: ConfigDict) -> None:
    """Check that all processes have the same config, code and number of devices, before any of them goes on.

    Raises:
      UserError: this one differs from process 0; names the first field that does.
    """
    here = configs.flatten(config)
    here |= {"the code": code(), "the version of jax": jax.__version__, "devices": jax.local_device_count()}
    if global_state.process_id == 0:
        global_state.client.key_value_set(_FIRST, json.dumps(here))
    there = json.loads(global_state.client.blocking_key_value_get(_FIRST, JOIN_SECONDS * 1000))
    for field in {**here, **there}:
        ours, first = (json.dumps(each.get(field)) for each in (here, there))
        if ours != first:
            raise UserError(
                f"{field} is {clipped(ours)} here and {clipped(first)} in process 0; start all with the same command "
                "and the same installation"
            )
    global_state.client.wait_at_barrier(_AGREED, JOIN_SECONDS * 1000)
    exchange.barrier(_AGREED)  # Gloo connects at the first collective operation, for which it waits half a minute only


class _Watch:
    """A thread that ends this process when the run has ended elsewhere."""

    def __init__(self, workdir: Path):
        self._workdir = workdir
        self._lock = threading.Lock()  # either this process ends the run or another one
        self._leaving, self._verdict = False, ""
        self._judged, self._left = threading.Event(), threading.Event()
        self._members: dict[int, int] = {}  # number of a process -> its incarnation
        # A client that does not reach the service aborts the process, and takes no callback of Python in its place.
        self._on_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._aborted)
        ctypes.CDLL(None).signal(signal.SIGABRT, self._on_abort)
        self._thread = threading.Thread(target=self._run, name="hosts", daemon=True)

    def begin(self) -> None:
        """Begin to watch, when all have joined."""
        self._client, self._me, self._count = global_state.client, global_state.process_id, global_state.num_processes
        self._members = self._live()
        self._thread.start()

    def verdict(self, error: BaseException) -> str:
        """Return why the run has ended elsewhere, or "" if this process ends it, with `error`."""
        # Perhaps a collective operation, which fails at once; JAX makes a ValueError of some of Gloo's errors.
        if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            self._judged.wait(HEARTBEAT_SECONDS + GRACE_SECONDS)
        with self._lock:
            self._leaving = True
            return self._verdict

    def leave(self, why: str) -> None:
        """Leave the run; `why` is told to the others and ends them, unless it is empty."""
        with self._lock:
            self._leaving = True
        if not self._verdict:
            self._part(why)
        self._left.set()
        self._thread.join()  # Python must not end while it is in JAX
        ctypes.CDLL(None).signal(signal.SIGABRT, None)

    def _live(self) -> dict[int, int]:
        """Return the processes that live; each of them must call it."""
        return self._client.get_live_nodes([*range(self._count)])

    def _run(self) -> None:
        while not self._left.wait(1):
            try:
                live = self._live()
                left = {int(key.removeprefix(_LEFT)): why for key, why in self._client.key_value_dir_get(_LEFT)}
            except jax.errors.JaxRuntimeError:  # no longer connected: this process has left
                return
            verdict = next((f"process {each} of {self._count} stopped: {why}" for each, why in left.items() if why), "")
            gone = [each for each in self._members if each not in left and live.get(each) != self._members[each]]
            with self._lock:
                if self._leaving or not (verdict or gone):
                    continue
                self._verdict = verdict or self._gone(gone[0])
            self._judged.set()
            self._part("")
            if not self._left.wait(GRACE_SECONDS):
                self._end(self._verdict)

    def _part(self, why: str) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(f"{_LEFT}{self._me}", why)
            while self._me == 0 and len(self._live()) > 1:
                self._left.wait(0.1)
            jax.distributed.shutdown()

    def _gone(self, process: int) -> str:
        saved = checkpoints.checkpoints(self._workdir / layout.LATEST)
        where = f"resumes from step {int(saved[0].name)}" if saved else "begins anew, for nothing was saved"
        return f"process {process} of {self._count} is gone; the same command {where}"

    def _aborted(self, number: int) -> None:
        """End with a sentence if process 0 is gone or did not come; any other abort takes its course."""
        address = global_state.coordinator_address
        if not self._members:
            self._end(f"not all processes came to {address} within {JOIN_SECONDS} seconds; start them all")
        try:
            socket.create_connection(address.rsplit(":", 1), timeout=GRACE_SECONDS).close()
        except OSError:
            self._end(self._gone(0))

    def _end(self, sentence: str) -> None:
        """End the process from any thread; the main one may hang."""
        for worker in multiprocessing.active_children():
            worker.terminate()
        print(f"l2s: {printable(sentence)}", file=sys.stderr, flush=True)
        os._exit(2)


def _sentence(error: BaseException) -> str:
    """Return what the other processes are told of an error."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__} {clipped(text, 300)}".strip()


def _check_free(coordinator: str) -> None:
    """Raise OSError if the port is taken: JAX would crash."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("", int(coordinator.rpartition(":")[2])))


def code() -> str:
    """Return a digest of the source code of both packages."""
    digest = hashlib.sha256()
    for package in (input_pipeline, l2s_jax):
        for file in sorted(Path(package.__file__).parent.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
