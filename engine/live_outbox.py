"""What waits to be shown: results and sentences, put in by one thread and taken out by another."""

import threading
from collections import deque

from engine.live_values import LiveResult, Notice

WAITING_RESULTS = 8
"""Results that may wait to be shown; older ones are dropped and counted."""
WAITING_NOTICES = 50


class Outbox:
    """Two bounded queues; what does not fit pushes out the oldest. unshown: results pushed out so far."""

    def __init__(self) -> None:
        self.unshown = 0
        self._lock = threading.Lock()
        self._results: deque[LiveResult] = deque(maxlen=WAITING_RESULTS)
        self._notices: deque[Notice] = deque(maxlen=WAITING_NOTICES)

    def put_result(self, live: LiveResult) -> None:
        """Let a result wait."""
        with self._lock:
            self.unshown += len(self._results) == WAITING_RESULTS
            self._results.append(live)

    def put_notice(self, notice: Notice) -> None:
        """Let a sentence wait."""
        with self._lock:
            self._notices.append(notice)

    def take_results(self) -> list[LiveResult]:
        """Return the results since the last call, oldest first."""
        with self._lock:
            results = list(self._results)
            self._results.clear()
            return results

    def take_notices(self) -> list[Notice]:
        """Return what there is to say since the last call, oldest first."""
        with self._lock:
            notices = list(self._notices)
            self._notices.clear()
            return notices
