"""Makes what takes long in a thread of its own, where only the newest wish counts."""

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from engine.errors import SteadyPoseError

LOGGER = logging.getLogger(__name__)

PATIENCE_S = 3.0
"""How long a wish waits for the one before it that needs the same."""

Wish = TypeVar("Wish")
Made = TypeVar("Made")


class Background(Generic[Wish, Made]):
    """One wish at a time; a newer one or `cancel` makes what the one before leads to be thrown away.

    What cannot be interrupted (a runtime that compiles, a device that opens) ends by itself. No method but
    `close` waits for anything.

    Args:
        make: turns a wish into something, in a thread.
        dispose: frees what nobody takes, in a thread.
        changed: is called from the thread when there is something to take.
        name: of the threads.
        needs: what a wish needs for itself, None for nothing. Of two wishes that need the same, the second is
            begun when the first has ended and what it led to is gone, or after `PATIENCE_S`; many wishes in
            a moment thus come down to the first and the last.
    """

    def __init__(
        self,
        make: Callable[[Wish], Made],
        dispose: Callable[[Made], None],
        changed: Callable[[], None],
        name: str,
        needs: Callable[[Wish], Hashable] = lambda _wish: None,
    ) -> None:
        self._make, self._dispose, self._changed, self._name = make, dispose, changed, name
        self._needs = needs
        self._lock = threading.Lock()
        self._generation = 0
        self._wanted: Wish | None = None
        self._outcome: tuple[Wish, Made | SteadyPoseError] | None = None
        self._threads: list[threading.Thread] = []
        self._last: dict[Hashable, threading.Thread] = {}

    @property
    def wanted(self) -> Wish | None:
        """What is being made or waits to be taken, None where nothing is."""
        with self._lock:
            return self._wanted

    def ask(self, wish: Wish) -> None:
        """Begin to make something."""
        with self._lock:
            self._give_up()
            self._wanted = wish
            need = self._needs(wish)
            before = None if need is None else self._last.get(need)
            self._start(need, self._work, wish, self._generation, before)

    def cancel(self) -> bool:
        """Give up the wish; return whether there was one."""
        with self._lock:
            pending = self._wanted is not None
            self._give_up()
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
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(patience_s)

    def _give_up(self) -> None:
        """Forget the wish and what was made of it; the lock is held."""
        outcome, self._outcome, self._wanted = self._outcome, None, None
        self._generation += 1
        if outcome is not None and not isinstance(outcome[1], SteadyPoseError):
            self._start(self._needs(outcome[0]), self._dispose, outcome[1])

    def _start(self, need: Hashable, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=self._name, daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        self._last = {key: other for key, other in self._last.items() if other.is_alive()}
        if need is not None:
            self._last[need] = thread
        thread.start()

    def _is_current(self, generation: int) -> bool:
        with self._lock:
            return generation == self._generation

    def _work(self, wish: Wish, generation: int, before: threading.Thread | None) -> None:
        if before is not None:
            before.join(PATIENCE_S)
        if not self._is_current(generation):
            return
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
