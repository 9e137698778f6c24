"""Where results and sentences go: to sinks at once, and into queues for whoever shows them."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from engine.live_values import LiveResult, LiveSink, Notice

WAITING_RESULTS = 8
"""Results that may wait to be shown; older ones are dropped and counted."""
WAITING_NOTICES = 50


class Outbox:
    """Sinks, and two bounded queues; what does not fit pushes out the oldest.

    Put into by one thread, read by another; sinks and who is ignored change from any.

    unshown: results pushed out so far.
    """

    def __init__(self) -> None:
        self.unshown = 0
        self._lock = threading.Lock()
        self._results: deque[LiveResult] = deque(maxlen=WAITING_RESULTS)
        self._notices: deque[Notice] = deque(maxlen=WAITING_NOTICES)
        self._sinks: tuple[LiveSink, ...] = ()
        self._sequence = 0
        self._ignored: tuple[int, frozenset[int]] = (0, frozenset())

    @property
    def has_sinks(self) -> bool:
        """Whether results are written anywhere."""
        return bool(self._sinks)

    def add_sink(self, sink: LiveSink) -> None:
        """Give every fresh result from now on to `sink` too, once."""
        with self._lock:
            self._sinks = (*(other for other in self._sinks if other is not sink), sink)

    def remove_sink(self, sink: LiveSink) -> None:
        """Give it no more results."""
        with self._lock:
            self._sinks = tuple(other for other in self._sinks if other is not sink)

    def ignore(self, track_ids: Iterable[int]) -> bool:
        """Leave these people out until people are met anew; return whether that is something new."""
        wanted = frozenset(track_ids)
        with self._lock:
            changed = wanted != self._ignored[1]
            self._ignored = self._sequence, wanted
            return changed

    def put_result(self, live: LiveResult, *, fresh: bool) -> None:
        """Give a result to the sinks if it is fresh, and let it wait to be shown."""
        with self._lock:
            sequence, ignored = self._ignored
            sinks = self._sinks if fresh else ()
        if ignored and sequence == live.sequence:
            people = tuple(person for person in live.result.people if person.track_id not in ignored)
            live = replace(live, result=replace(live.result, people=people))
        for sink in sinks:
            sink.write(live)
        with self._lock:
            self._sequence = live.sequence
            self.unshown += len(self._results) == WAITING_RESULTS
            self._results.append(live)

    def break_off(self, reason: str, *, lost: bool) -> None:
        """Tell the sinks that what follows does not continue what was before."""
        for sink in self._sinks:
            sink.break_off(reason, lost=lost)

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
