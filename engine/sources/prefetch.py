"""A thread that works a few items ahead of whoever consumes them."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

DEPTH = 4
"""Items held ready: enough to even out a slow key frame, and 25 MB at 1080p."""
WAKE_S = 0.5
"""A wait without a timeout cannot be interrupted by Ctrl-C on Windows."""


class Prefetcher(Generic[T]):
    """Iterates in a thread and hands the items on in order; an error of the iterator is raised after them.

    The thread starts with the first `next`, and has ended when `close` returns.

    Args:
        items: the iterator to run; it is not touched any more once `close` has returned.
        depth: how many items may wait.
        name: of the thread.
    """

    def __init__(self, items: Iterator[T], *, depth: int = DEPTH, name: str = "prefetch") -> None:
        self._items = items
        self._depth = depth
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._finished = False
        self._failure: Exception | None = None
        # A forgotten source must not keep the process alive.
        self._thread = threading.Thread(target=self._fill, name=name, daemon=True)

    @property
    def exhausted(self) -> bool:
        """Whether the iterator came to its end and all its items were handed on."""
        with self._changed:
            return self._finished and not self._closed and not self._ready

    @property
    def ahead(self) -> T | None:
        """The item that comes next, None where it is not ready yet; nobody waits for it."""
        with self._changed:
            return self._ready[0] if self._ready else None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            if self._closed:
                raise StopIteration
            if self._thread.ident is None:
                self._thread.start()
            while not self._ready and not self._finished:
                self._changed.wait(WAKE_S)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        raise StopIteration

    def close(self) -> None:
        """Stop the thread and wait until it has ended."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _fill(self) -> None:
        failure: Exception | None = None
        try:
            for item in self._items:
                if not self._offer(item):
                    break
        except Exception as error:  # noqa: BLE001 - top of a thread: raised again by the consumer's next
            failure = error
        with self._changed:
            self._failure = failure
            self._finished = True
            self._changed.notify_all()

    def _offer(self, item: T) -> bool:
        """Wait for a place and take it; False when closed meanwhile."""
        with self._changed:
            while len(self._ready) >= self._depth and not self._closed:
                self._changed.wait()
            if not self._closed:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._closed
