"""Makes what takes long in a thread of its own, where only the newest wish counts."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from engine.errors import SteadyPoseError

LOGGER = logging.getLogger(__name__)

Wish = TypeVar("Wish")
Made = TypeVar("Made")


class Background(Generic[Wish, Made]):
    """One wish at a time; a newer one or `cancel` makes what the one before leads to be thrown away.

    What cannot be interrupted (a runtime that compiles, a device that opens) ends by itself.

    Args:
        make: turns a wish into something, in a thread.
        dispose: frees what nobody takes.
        changed: is called from the thread when there is something to take.
        name: of the threads.
    """

    def __init__(
        self,
        make: Callable[[Wish], Made],
        dispose: Callable[[Made], None],
        changed: Callable[[], None],
        name: str,
    ) -> None:
        self._make, self._dispose, self._changed, self._name = make, dispose, changed, name
        self._lock = threading.Lock()
        self._generation = 0
        self._wanted: Wish | None = None
        self._outcome: tuple[Wish, Made | SteadyPoseError] | None = None
        self._threads: list[threading.Thread] = []

    @property
    def wanted(self) -> Wish | None:
        """What is being made or waits to be taken, None where nothing is."""
        with self._lock:
            return self._wanted

    def ask(self, wish: Wish) -> None:
        """Begin to make something."""
        self.cancel()
        with self._lock:
            self._wanted = wish
            thread = threading.Thread(
                target=self._work, args=(wish, self._generation), name=self._name, daemon=True
            )
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def cancel(self) -> bool:
        """Give up the wish; return whether there was one."""
        with self._lock:
            pending, self._wanted = self._wanted is not None, None
            outcome, self._outcome = self._outcome, None
            self._generation += 1
        if outcome is not None and not isinstance(outcome[1], SteadyPoseError):
            self._dispose(outcome[1])
        return pending

    def take(self) -> tuple[Wish, Made | SteadyPoseError] | None:
        """Return the wish and what was made of it, or why it could not be; None where nothing is ready."""
        with self._lock:
            outcome, self._outcome = self._outcome, None
            if outcome is not None:
                self._wanted = None
            return outcome

    def close(self, patience_s: float | None = None) -> None:
        """Give up, and wait until no thread is left, each for at most `patience_s`."""
        self.cancel()
        for thread in self._threads:
            thread.join(patience_s)

    def _work(self, wish: Wish, generation: int) -> None:
        result: Made | SteadyPoseError
        try:
            result = self._make(wish)
        except SteadyPoseError as error:
            LOGGER.debug("%s: failed", self._name, exc_info=True)
            result = error
        except Exception as error:
            LOGGER.exception("%s: failed", self._name)
            result = SteadyPoseError(f"unexpected {type(error).__name__}: {error}")
        with self._lock:
            current = generation == self._generation
            if current:
                self._outcome = wish, result
        if current:
            self._changed()
        elif not isinstance(result, SteadyPoseError):
            self._dispose(result)
