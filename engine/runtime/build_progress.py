"""How far the building of a plan is, and how it is stopped.

TensorRT calls an IProgressMonitor from its own threads; what a callback raises there would end the process.
So the build runs in a thread, callbacks only take notes, and whoever waits for it looks at the notes: Ctrl-C
reaches the waiting thread, which asks the build to stop at its next step.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

OnProgress = Callable[[float, str], None]
"""Told the share done, 0 to 1 and never falling, and what is being done, in the thread that asked; what it
raises, Ctrl-C too, ends the build."""

LOOK_S = 0.1
"""How often the waiting thread looks."""

T = TypeVar("T")


class BuildProgress:
    """Notes of a build. share: done so far; cancelled: whether the build has been asked to stop."""

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._phases: dict[str, list[Any]] = {}
        self._built = 0.0
        self._before = 0.0
        self._phase = ""
        self.share = 0.0
        self.cancelled = False

    def say(self, share: float, what: str) -> None:
        """Tell of work outside TensorRT; what TensorRT does after it fills the rest."""
        self.share = self._before = max(self.share, share)
        if self._on_progress is not None:
            self._on_progress(self.share, what)

    def look(self) -> None:
        """Tell of what TensorRT has noted."""
        with self._lock:
            built, phase = self._built, self._phase
        self.share = max(self.share, self._before + (1.0 - self._before) * built)
        if self._on_progress is not None and phase:
            self._on_progress(self.share, phase)

    def cancel(self) -> None:
        """Ask the build to stop at its next step."""
        self.cancelled = True

    def start_phase(self, name: str, parent: str | None, steps: int) -> None:
        """Note that a phase begins, within a step of another one or by itself."""
        with self._lock:
            self._phases[name] = [parent, max(1, steps), 0]
            if parent is None:
                self._phase = name[:1].lower() + name[1:]

    def finish_step(self, name: str, step: int) -> bool:
        """Note that a step is done; return whether the build shall go on."""
        with self._lock:
            if name in self._phases:
                self._phases[name][2] = step + 1
            self._built = max(
                [self._built, *(self._done(n) for n, p in self._phases.items() if p[0] is None)]
            )
        return not self.cancelled

    def finish_phase(self, name: str) -> None:
        """Note that a phase is over."""
        with self._lock:
            self._phases.pop(name, None)

    def monitor(self, module: Any) -> Any:
        """Return an IProgressMonitor of a package that writes here; keep it until the build is over."""
        notes = self

        class Monitor(module.IProgressMonitor):
            """Passes on."""

            def __init__(self) -> None:
                module.IProgressMonitor.__init__(self)

            def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
                """See `start_phase`."""
                notes.start_phase(phase_name, parent_phase, num_steps)

            def step_complete(self, phase_name: str, step: int) -> bool:
                """See `finish_step`."""
                return notes.finish_step(phase_name, step)

            def phase_finish(self, phase_name: str) -> None:
                """See `finish_phase`."""
                notes.finish_phase(phase_name)

        return Monitor()

    def _done(self, name: str) -> float:
        """Return the share of a phase that is done, with the share of the step at hand by its own phases."""
        _, steps, done = self._phases[name]
        inner = max((self._done(n) for n, p in self._phases.items() if p[0] == name), default=0.0)
        return float(min(1.0, (done + inner) / steps))


def run_cancellable(build: Callable[[], T], progress: BuildProgress) -> T:
    """Run a build in a thread and tell of its progress here; whatever is raised here ends it.

    Raises:
        whatever `build` raises, and whatever progress raises once the build has stopped.
    """
    results: list[T] = []
    errors: list[Exception] = []
    over = threading.Event()

    def run() -> None:
        try:
            results.append(build())
        except Exception as error:  # noqa: BLE001 - top of a thread: raised again below
            errors.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=run, name="plan-build", daemon=True)
    thread.start()
    try:
        # Not Thread.join with a timeout: Ctrl-C in it leaves the thread among those that are alive.
        while not over.wait(LOOK_S):
            progress.look()
    except BaseException:
        progress.cancel()
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]
    return results[0]
