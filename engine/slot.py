"""The one place between a thread that makes things and one that uses them: it keeps the newest."""

import threading
import time
from typing import Generic, TypeVar

T = TypeVar("T")

WAKE_S = 0.5
"""A wait without a timeout cannot be interrupted by Ctrl-C on Windows."""


class Slot(Generic[T]):
    """Holds the newest item until it is taken; safe from any number of threads.

    An item that is put before the last was taken replaces it, so that whoever takes is never behind. After
    `close`, an item still waiting can be taken, and nothing more can be put.
    """

    def __init__(self) -> None:
        self._items: list[T] = []
        self._closed = False
        self._changed = threading.Condition()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        with self._changed:
            return self._closed

    def put(self, item: T) -> bool:
        """Leave an item, in place of one that waits; a closed slot takes none.

        Returns:
            Whether an item that nobody had taken was overwritten.
        """
        with self._changed:
            if self._closed:
                return False
            overwritten = bool(self._items)
            self._items = [item]
            self._changed.notify()
            return overwritten

    def take(self, timeout_s: float | None = None) -> T | None:
        """Take the item, waiting for one if there is none.

        Args:
            timeout_s: seconds to wait at most, 0 for not at all, None for ever.

        Returns:
            The item; None when time is up, or the slot is empty and closed.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._items and not self._closed:
                left_s = WAKE_S if deadline_s is None else deadline_s - time.monotonic()
                if left_s <= 0:
                    return None
                self._changed.wait(min(left_s, WAKE_S))
            return self._items.pop() if self._items else None

    def clear(self) -> None:
        """Throw away an item that waits."""
        with self._changed:
            self._items = []

    def close(self) -> None:
        """Take nothing more and wake whoever waits; may be called more than once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
