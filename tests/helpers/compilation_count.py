"""Count what XLA compiles."""

import collections

import jax


class CompilationCount:
    """Context manager: how often XLA has compiled inside, by the name of the program.

    It listens to JAX's own events: log messages depend on the level that a command left behind.
    """

    EVENT = "/jax/core/compile/backend_compile_duration"

    def __init__(self):
        self.programs = collections.Counter()

    @property
    def count(self) -> int:
        return self.programs.total()

    def _hear(self, event: str, seconds: float, fun_name: str = "", **_) -> None:
        if event == self.EVENT:
            self.programs[fun_name] += 1

    def __enter__(self):
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self._hear)
