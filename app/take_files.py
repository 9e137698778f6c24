"""The files of one take: made under the next free number, written, measured, closed whole."""

import contextlib
import logging
import math
import re
import tempfile
from pathlib import Path
from typing import IO

from app.take_values import TakeOptions, TakePaths, safe_name, take_paths
from engine.errors import SinkError
from engine.sinks.annotated_video import LIVE_ENCODING, AnnotatedVideoSink
from engine.sinks.csv_file import CsvSink, csv_field, iso_time
from engine.sinks.sidecar import ClockPoint, Marker, Sidecar, write_sidecar
from engine.sinks.sink import Sink, write_failure
from engine.skeleton import Skeleton
from engine.sources import SourceInfo
from engine.structures import Result

LOGGER = logging.getLogger(__name__)

RESERVE_BYTES = 256 * 1024
"""Kept free on the disk, so that the sidecar can still say that the disk is full."""
MAX_GAP_S = 1.0
"""A file whose time jumps further ahead than this, and than three frames, was sought."""
UNKNOWN_RATE = 30.0


class TakeFiles:
    """All files of one take, open.

    Args:
        options: what is written, and where.
        skeleton: of the people.
        info: of the source.

    Raises:
        SinkError: the folder or a file cannot be made.
    """

    def __init__(self, options: TakeOptions, skeleton: Skeleton, info: SourceInfo) -> None:
        self.rows = 0
        self._options, self._skeleton = options, skeleton
        self._videos: dict[str, AnnotatedVideoSink] = {}
        self._markers: IO[bytes] | None = None
        self._reserve: IO[bytes] | None = None
        _make_folder(options.folder)
        self.number, self._csv = _claim_number(options, skeleton, wall_time=info.live)
        self.paths: TakePaths = take_paths(options, self.number)
        try:
            self._reserve = _reserve_space(options.folder)
            for name, path in (("annotated", self.paths.annotated_video), ("clean", self.paths.clean_video)):
                if path is not None:
                    self._videos[name] = AnnotatedVideoSink(
                        path, skeleton, info, annotate=name == "annotated", encoding=LIVE_ENCODING
                    )
        except SinkError:
            self.close()
            raise

    def write_rows(self, result: Result) -> None:
        """Write the rows of one result.

        Raises:
            SinkError: they cannot be written, or the result is of another skeleton.
        """
        count = self._skeleton.count
        if any(len(person.keypoints) != count for person in result.people):
            raise SinkError(
                f"a take has one skeleton, here {self._skeleton.name!r} of {count} keypoints, and the model "
                "was changed for one with other keypoints; start a new take"
            )
        self._csv.write(result)
        self.rows += count_rows(result, self._options, self._skeleton)

    def offer_picture(self, result: Result, video_s: float) -> list[str]:
        """Offer a frame to the videos; return the names of those whose encoder is behind.

        Raises:
            SinkError: an earlier frame could not be written.
        """
        return [name for name, video in self._videos.items() if not video.offer(result, video_s)]

    @property
    def videos(self) -> list[str]:
        """Names of the videos that are written."""
        return list(self._videos)

    def write_marker(self, marker: Marker) -> None:
        """Write one row of the markers' file, which begins with the first.

        Raises:
            SinkError: it cannot be written.
        """
        path = self.paths.markers
        time_s = "" if marker.time_s is None else f"{marker.time_s:z.6f}"
        frame = "" if marker.frame is None else marker.frame
        row = f"{time_s},{frame},{iso_time(marker.wall_time.timestamp())},{csv_field(marker.label)}\r\n"
        try:
            if self._markers is None:
                self._markers = path.open("xb", buffering=0)
                self._markers.write(b"time_s,frame,wall_time,label\r\n")
            self._markers.write(row.encode())
        except OSError as error:
            raise write_failure(path, error) from error

    def write_sidecar(self, sidecar: Sidecar) -> None:
        """Write the sidecar; one that tells of a failure may use the space kept for it.

        Raises:
            SinkError: it cannot be written.
        """
        if sidecar.status != "recording":
            self._free_reserve()
        write_sidecar(self.paths.sidecar, sidecar)

    def measure(self) -> int:
        """Return the bytes of all files.

        Raises:
            SinkError: a file was taken away.
        """
        total = 0
        for path in self.paths.all:
            try:
                total += path.stat().st_size
            except FileNotFoundError as error:
                if path in (self.paths.sidecar, self.paths.markers):
                    continue
                raise SinkError(f"{path} was removed while it was recorded; start a new take") from error
            except OSError as error:
                raise write_failure(path, error) from error
        return total

    def close(self) -> SinkError | None:
        """Finish all files but the sidecar; return the first failure, the others are logged."""
        failures = []
        sinks: list[Sink] = [self._csv, *self._videos.values()]
        for sink in sinks:
            try:
                sink.close()
            except SinkError as error:
                failures.append(error)
        if self._markers is not None:
            self._markers.close()
        for failure in failures[1:]:
            LOGGER.warning("%s", failure)
        return failures[0] if failures else None

    def release(self) -> None:
        """Give back the reserved space; the last call."""
        self._free_reserve()

    def _free_reserve(self) -> None:
        if self._reserve is not None:
            with contextlib.suppress(OSError):
                self._reserve.close()
            self._reserve = None


class VideoClock:
    """Puts the frames of a take one after another, from 0 on.

    A live source's gaps stay. Where a file was sought or began again, the video goes on without a gap, and
    `points` says where.
    """

    def __init__(self, info: SourceInfo) -> None:
        self.points: list[ClockPoint] = []
        self.length_s = 0.0
        self._last_s = -math.inf
        self._step_s = 1 / (info.fps or UNKNOWN_RATE)
        self._longest_gap_s = math.inf if info.live else max(MAX_GAP_S, 3 * self._step_s)

    def place(self, time_s: float) -> float:
        """Return the video's time of the next frame, of which `time_s` is the source's."""
        if not self.points:
            self.points.append(ClockPoint(video_s=0.0, time_s=time_s))
        elif not 0 < time_s - self._last_s <= self._longest_gap_s:
            self.points.append(ClockPoint(video_s=self.length_s + self._step_s, time_s=time_s))
        self._last_s = time_s
        self.length_s = self.points[-1].video_s + time_s - self.points[-1].time_s
        return self.length_s


def count_rows(result: Result, options: TakeOptions, skeleton: Skeleton) -> int:
    """Return how many rows a result makes."""
    if not result.people:
        return int(options.keep_empty)
    return len(result.people) * (skeleton.count if options.long else 1)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"the folder {folder} cannot be made: {error.strerror or error}; choose another folder"
        ) from error


def _claim_number(options: TakeOptions, skeleton: Skeleton, *, wall_time: bool) -> tuple[int, CsvSink]:
    """Make the CSV under the first number above all that are there; whoever made the file has the number."""
    pattern = re.compile(re.escape(safe_name(options.name)) + r"-take-(\d+)\.", re.IGNORECASE)
    try:
        taken = [int(match[1]) for entry in options.folder.iterdir() if (match := pattern.match(entry.name))]
    except OSError as error:
        raise write_failure(options.folder, error) from error
    number = max(taken, default=0)
    while True:
        number += 1
        try:
            return number, CsvSink(
                take_paths(options, number).csv,
                skeleton,
                raw=options.raw,
                keep_empty=options.keep_empty,
                long=options.long,
                wall_time=wall_time,
            )
        except SinkError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise


def _reserve_space(folder: Path) -> IO[bytes]:
    """Return a file without a name that goes with this process, however that ends."""
    try:
        reserve = tempfile.TemporaryFile(  # noqa: SIM115 - open as long as the take
            dir=folder, prefix=".steadypose-", buffering=0
        )
    except OSError as error:
        raise write_failure(folder, error) from error
    try:
        reserve.write(bytes(RESERVE_BYTES))
    except OSError as error:
        reserve.close()
        raise write_failure(folder, error) from error
    return reserve
