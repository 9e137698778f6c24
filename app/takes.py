"""Records numbered takes of a live view, without ever slowing it.

A take is ``NAME-take-003.csv`` with its sidecar and, as asked for, videos with and without the people drawn
on them and a file of markers. The files are written as results come: a program killed at any moment leaves
whole rows and videos that play up to the last second.
"""

from collections.abc import Mapping

from app.take_thread import Describe, Take
from app.take_values import TakeOptions, TakePaths, TakeState, TakeStatus
from engine.errors import UsageError
from engine.live_values import LiveResult
from engine.skeleton import Skeleton
from engine.sources import SourceInfo

__all__ = ["Describe", "Recorder", "TakeOptions", "TakePaths", "TakeState", "TakeStatus"]


class Recorder:
    """Makes one take after another. No method but `wait` and `close` waits for anything.

    All methods are called from one thread, `write` and `status` from any.
    """

    def __init__(self) -> None:
        self._take: Take | None = None
        self._finishing: list[Take] = []
        self._names: dict[int, str] = {}

    @property
    def recording(self) -> bool:
        """Whether results are recorded now."""
        take = self._take
        return take is not None and take.open

    @property
    def status(self) -> TakeStatus | None:
        """How the newest take goes or went; None before the first."""
        take = self._take
        return None if take is None else take.status

    def start(self, options: TakeOptions, skeleton: Skeleton, info: SourceInfo, describe: Describe) -> None:
        """Begin a take; its files are made in its own thread, and `status` tells when they cannot be.

        Args:
            options: what is recorded, and where.
            skeleton: of the people in the results.
            info: of the source.
            describe: returns models, choice and settings in use as `Pipeline.describe` does, and, where there
                are any, `warnings` of the source; or nothing while no model is in hand. It is called about
                twice a second in the take's thread.

        Raises:
            UsageError: a take is being recorded.
        """
        if self.recording:
            raise UsageError("a take is being recorded already; stop it first")
        if self._take is not None:
            self._finishing = [take for take in (*self._finishing, self._take) if not take.wait(0)]
        self._take = Take(options, skeleton, info, describe, self._names)

    def write(self, result: LiveResult) -> None:
        """Record one result if a take is open; what there is no room for is counted as lost."""
        take = self._take
        if take is not None:
            take.write(result.result)

    def mark(self, text: str = "") -> None:
        """Set a marker at the newest frame, with the present wall time; nothing happens between takes."""
        if self._take is not None:
            self._take.mark(text)

    def set_names(self, names: Mapping[int, str]) -> None:
        """Tell people's names by track id, for the sidecars of this take and of later ones."""
        self._names = dict(names)
        if self._take is not None and self._take.open:
            self._take.set_names(names)

    def stop(self) -> None:
        """End the take; its files are finished in its thread."""
        if self._take is not None:
            self._take.stop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the files of the newest take are finished; return whether they are."""
        return self._take is None or self._take.wait(timeout_s)

    def close(self) -> None:
        """End the take and wait until all files are finished; safe to call more than once."""
        self.stop()
        for take in (*self._finishing, self._take):
            if take is not None:
                take.wait(None)
        self._finishing = []
