"""One take in a thread of its own: rows first, then pictures as the encoders follow; nobody waits for it."""

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.summary import Summary, build_sidecar
from app.take_files import TakeFiles, VideoClock, count_rows
from app.take_values import TakeOptions, TakeStatus
from engine.errors import SinkError, SteadyPoseError
from engine.priority import BACKGROUND, stand_back
from engine.sinks.csv_file import describe_columns
from engine.sinks.sidecar import Change, Marker, Status
from engine.skeleton import Skeleton
from engine.sources import SourceInfo
from engine.structures import Frame, Result

LOGGER = logging.getLogger(__name__)

Describe = Callable[[], Mapping[str, Any]]

ROWS_WAITING = 1000
"""Results that may wait for the disk: half a minute."""
PICTURES_WAITING = 8
"""Results that wait with their picture; later ones wait without, as pictures are large."""
MEASURE_S = 0.5
"""Between two looks at the files' sizes and at the settings."""
SIDECAR_S = 5.0
"""Between two sidecars."""
MAX_CHANGES = 500
_NO_PICTURE = np.empty((0, 0, 3), np.uint8)


class Take:
    """Records from now on.

    Args:
        options: what, and where.
        skeleton: of the people.
        info: of the source.
        describe: returns models, choice and settings as `Pipeline.describe` does, and, where the source has
            any, `warnings`; or nothing while no model is in hand. Called in the take's thread, about twice a
            second.
        names: of people, by track id.
    """

    def __init__(
        self,
        options: TakeOptions,
        skeleton: Skeleton,
        info: SourceInfo,
        describe: Describe,
        names: Mapping[int, str],
    ) -> None:
        self._options, self._skeleton, self._info, self._describe = options, skeleton, info, describe
        self._has_video = options.annotated_video or options.clean_video
        self._changed = threading.Condition()
        # Under the lock: what is waiting, what is lost, and how it goes.
        self._waiting: deque[tuple[Result, bool]] = deque()
        self._pictures_waiting = 0
        self._new_markers: deque[Marker] = deque()
        self._names = dict(names)
        self._last: tuple[int, float] | None = None
        self._ended = False
        self._lost: Counter[str] = Counter()
        self._status = TakeStatus(number=None, state="recording")
        # Of the thread alone.
        self._summary, self._clock = Summary(), VideoClock(info)
        self._markers: list[Marker] = []
        self._changes: list[Change] = []
        self._first_description: Mapping[str, Any] = {}
        self._description: Mapping[str, Any] = {"models": (), "choice": {}, "settings": {}}
        self._frames_dropped = 0
        self._last_written: Frame | None = None
        self._thread = threading.Thread(target=self._work, name="record take", daemon=True)
        self._begin_s = time.monotonic()
        self._thread.start()

    @property
    def status(self) -> TakeStatus:
        """How it goes now."""
        with self._changed:
            return replace(
                self._status,
                lost_rows=self._lost["rows"],
                lost_video_frames=self._lost["video frames"],
                markers=len(self._markers) + len(self._new_markers),
            )

    @property
    def open(self) -> bool:
        """Whether results are still taken."""
        return not self._ended

    def write(self, result: Result) -> None:
        """Take one result; the same frame again is not recorded twice."""
        frame = result.frame
        with self._changed:
            if self._ended or self._last == (frame.index, frame.time_s):
                return
            self._last = frame.index, frame.time_s
            if len(self._waiting) >= ROWS_WAITING:
                self._lost["rows"] += count_rows(result, self._options, self._skeleton)
                self._lost["video frames"] += self._has_video
                return
            pictured = self._has_video and self._pictures_waiting < PICTURES_WAITING
            if not pictured:
                result = replace(result, frame=replace(frame, image=_NO_PICTURE), heatmap=None)
            self._pictures_waiting += pictured
            self._waiting.append((result, pictured))
            self._changed.notify_all()

    def mark(self, text: str) -> None:
        """Mark the newest frame."""
        now = datetime.now(UTC)
        with self._changed:
            if self._ended:
                return
            index, time_s = self._last or (None, None)
            self._new_markers.append(Marker(time_s=time_s, frame=index, wall_time=now, label=text))
            self._changed.notify_all()

    def set_names(self, names: Mapping[int, str]) -> None:
        """Give people their names."""
        with self._changed:
            self._names = dict(names)

    def stop(self) -> None:
        """Ask for the end; what is waiting is still written."""
        with self._changed:
            if not self._ended:
                self._ended = True
                self._status = replace(self._status, state="finishing")
                self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for the files to be closed; return whether they are."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        """Run in the thread: record, then close everything whatever happened."""
        files, failure = None, None
        stand_back(BACKGROUND)
        try:
            self._description = self._first_description = self._describe() or self._description
            files = TakeFiles(self._options, self._skeleton, self._info)
            self._update(number=files.number, paths=files.paths)
            self._write_sidecar(files, "recording")
            self._record(files)
        except SteadyPoseError as error:
            failure = error
        except Exception as error:
            LOGGER.exception("a take ended unexpectedly")
            failure = SinkError(f"the take ended: {error}")
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._status = replace(self._status, state="finishing", message=str(failure or ""))
        self._finish(files, failure)

    def _record(self, files: TakeFiles) -> None:
        measured = saved = time.monotonic()
        while True:
            item = self._next()
            if item is not None:
                self._write(files, *item)
            self._write_markers(files)
            if self._drained():
                return
            now = time.monotonic()
            if now - measured >= MEASURE_S:
                measured = now
                self._update(bytes=files.measure())
                self._notice_changes()
                if now - saved >= SIDECAR_S:
                    saved = now
                    self._write_sidecar(files, "recording")

    def _next(self) -> tuple[Result, bool] | None:
        """Wait for a result, a marker, the end, or the time to measure."""
        with self._changed:
            if not (self._waiting or self._new_markers or self._ended):
                self._changed.wait(MEASURE_S)
            if not self._waiting:
                return None
            result, pictured = self._waiting.popleft()
            self._pictures_waiting -= pictured
            return result, pictured

    def _drained(self) -> bool:
        with self._changed:
            return self._ended and not (self._waiting or self._new_markers)

    def _write(self, files: TakeFiles, result: Result, pictured: bool) -> None:
        began = time.perf_counter()
        files.write_rows(result)
        video_s = self._clock.place(result.frame.time_s)
        behind = files.offer_picture(result, video_s) if pictured else files.videos
        self._summary.add(result, (time.perf_counter() - began) * 1e3)
        if self._last_written is not None:
            self._frames_dropped += max(0, result.frame.index - self._last_written.index - 1)
        self._last_written = replace(result.frame, image=_NO_PICTURE)
        with self._changed:
            for name in behind:
                self._lost[f"{name} video frames"] += 1
            self._lost["video frames"] += bool(behind)
            self._status = replace(
                self._status,
                seconds=self._clock.length_s,
                rows=files.rows,
                frames=self._summary.totals.frames,
            )

    def _write_markers(self, files: TakeFiles) -> None:
        while True:
            with self._changed:
                if not self._new_markers:
                    return
                marker = self._new_markers[0]
            files.write_marker(marker)
            with self._changed:
                self._markers.append(self._new_markers.popleft())

    def _notice_changes(self) -> None:
        before, self._description = self._description, self._describe() or self._description
        old, new = _flatten(before["settings"]), _flatten(self._description["settings"])
        settings = {name: value for name, value in new.items() if name not in old or old[name] != value}
        models = tuple(self._description["models"])
        other_models = models != tuple(before["models"])
        if (settings or other_models) and len(self._changes) < MAX_CHANGES:
            time_s = 0.0 if self._last_written is None else self._last_written.time_s
            self._changes.append(
                Change(time_s=time_s, settings=settings, models=models if other_models else None)
            )

    def _write_sidecar(self, files: TakeFiles, status: Status, error: SteadyPoseError | None = None) -> None:
        with self._changed:
            names, lost = dict(self._names), {cause: count for cause, count in self._lost.items() if count}
        self._summary.seconds = time.monotonic() - self._begin_s
        description = {**self._first_description, "choice": self._description["choice"]}
        warnings = list(self._description.get("warnings", ()))
        if (jumps := len(self._clock.points) - 1) > 0:
            warnings.append(f"time_s jumps {jumps} times, where the source was sought or began again")
        options = self._options
        sidecar = build_sidecar(
            self._summary,
            status,
            error,
            info=self._info,
            skeleton=self._skeleton,
            description=description,
            frames_read=self._summary.totals.frames,
            frames_dropped=self._frames_dropped,
            columns=describe_columns(raw=options.raw, long=options.long, wall_time=self._info.live),
            warnings=warnings,
            names=names,
            markers=tuple(self._markers),
            video_clock=tuple(self._clock.points),
            changes=tuple(self._changes),
            lost=lost,
        )
        files.write_sidecar(sidecar)

    def _finish(self, files: TakeFiles | None, failure: SteadyPoseError | None) -> None:
        try:
            if files is not None:
                failure = _first(failure, files.close())
                self._write_sidecar(files, "failed" if failure else "complete", failure)
        except SteadyPoseError as error:
            failure = _first(failure, error)
        except Exception as error:
            LOGGER.exception("a take could not be finished")
            failure = _first(failure, SinkError(f"the take could not be finished: {error}"))
        finally:
            if files is not None:
                files.release()
                with contextlib.suppress(SinkError):
                    self._update(bytes=files.measure())
        if failure is None:
            self._update(state="done")
        else:
            self._update(state="failed", message=str(failure))

    def _update(self, **values: Any) -> None:
        with self._changed:
            self._status = replace(self._status, **values)


def _first(failure: SteadyPoseError | None, other: SteadyPoseError | None) -> SteadyPoseError | None:
    """Return what happened first; the other is logged."""
    if failure is not None and other is not None:
        LOGGER.warning("%s", other)
    return failure or other


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
