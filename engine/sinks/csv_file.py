"""Results as CSV: one row per person and frame, or per keypoint, complete at any moment.

RFC 4180, UTF-8, one header row, no comment lines. Coordinates are pixels of the frame with the origin at the
centre of the top-left pixel. A missing value is an empty field.
"""

import contextlib
import csv
import io
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import SinkError
from engine.sinks.sink import write_failure
from engine.skeleton import Skeleton
from engine.structures import KeypointState, Result, TrackedPerson

STATE_NAMES = {int(state): state.name.lower() for state in KeypointState}
"""How each state stands in the file."""
_END = "\r\n"


def column_names(
    skeleton: Skeleton, *, raw: bool = False, long: bool = False, wall_time: bool = False
) -> list[str]:
    """Return the names in the header row, in order."""
    names = ["frame", "time_s"] + (["wall_time"] if wall_time else []) + ["track_id"]
    if long:
        return names + ["keypoint", "x", "y", "score", "state"] + (["raw_x", "raw_y"] if raw else [])
    names += ["score", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"]
    parts = ["x", "y", "score", "state"] + (["raw_x", "raw_y"] if raw else [])
    return names + [f"{keypoint}_{part}" for keypoint in skeleton.keypoints for part in parts]


def describe_columns(*, raw: bool = False, long: bool = False, wall_time: bool = False) -> dict[str, str]:
    """Return what each column holds, in words; ``KEYPOINT`` stands for the name of each keypoint."""
    legend = {
        "frame": "position in the source from 0, frames that could not be read included",
        "time_s": "seconds since the beginning of the video stream, from its timestamps",
    }
    if wall_time:
        legend["frame"] = "position in the source from 0, frames that were dropped included"
        legend["time_s"] = "seconds since the source was opened, when the frame was captured"
        legend["wall_time"] = "when the frame was captured, ISO 8601, UTC"
    legend["track_id"] = "number of the person, the same in all frames"
    prefix = "" if long else "KEYPOINT_"
    if long:
        legend["keypoint"] = "name of the keypoint"
    else:
        legend["score"] = "score of the person, 0 to 1"
        legend |= {f"bbox_{side}": "box around the person, px" for side in ("x1", "y1", "x2", "y2")}
    legend |= {
        f"{prefix}x": "keypoint, px from the left, smoothed",
        f"{prefix}y": "keypoint, px from the top, smoothed",
        f"{prefix}score": "score of the keypoint, 0 to 1",
        f"{prefix}state": "measured: seen in this frame; predicted: not seen, continued from before; "
        "outlier: seen too far from where it must be, so predicted; swapped: measured, but left and right "
        "look exchanged; filled: not seen, interpolated afterwards; missing: unknown, x and y are empty",
    }
    if raw:
        legend[f"{prefix}raw_x"] = "keypoint as found in this frame, before smoothing, px from the left"
        legend[f"{prefix}raw_y"] = "keypoint as found in this frame, before smoothing, px from the top"
    return legend


class CsvSink:
    """Writes each result as it comes: the rows of a frame reach the operating system in one piece.

    A process killed at any moment leaves whole rows behind, and so does a full disk: a row that fits in part
    is taken back.

    Args:
        path: file to write; its folder must exist.
        skeleton: of the people in the results.
        raw: add the unsmoothed coordinates.
        keep_empty: write a row for a frame without people too.
        long: one row per keypoint.
        wall_time: add the time of capture.
        overwrite: replace a file that exists.

    Raises:
        SinkError: the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        skeleton: Skeleton,
        *,
        raw: bool = False,
        keep_empty: bool = False,
        long: bool = False,
        wall_time: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self._skeleton = skeleton
        self._raw, self._keep_empty, self._long, self._wall_time = raw, keep_empty, long, wall_time
        self._names = [csv_field(name) for name in skeleton.keypoints]
        header = column_names(skeleton, raw=raw, long=long, wall_time=wall_time)
        # An empty row has a comma less than there are columns, and those before track_id are filled.
        self._empty_tail = "," * (len(header) - (3 if wall_time else 2))
        self._size = 0
        try:
            # Unbuffered: nothing waits in the process, and a failure belongs to the rows that caused it.
            self._file = path.open("wb" if overwrite else "xb", buffering=0)
        except OSError as error:
            raise write_failure(path, error) from error
        try:
            self._append(",".join(csv_field(name) for name in header) + _END)
        except SinkError:
            self._file.close()
            raise

    def write(self, result: Result) -> None:
        """Write the rows of one frame; see `write_people`."""
        frame = result.frame
        self.write_people(frame.index, frame.time_s, frame.wall_time, result.people)

    def write_people(
        self, index: int, time_s: float, wall_time: float | None, people: Sequence[TrackedPerson]
    ) -> None:
        """Write the rows of the frame at `index`, seen at `time_s` seconds, `wall_time` since the epoch.

        Raises:
            SinkError: they could not be written; the file ends with the frame before.
            ValueError: a person has another number of keypoints than the skeleton, or the sink is closed.
        """
        start = f"{index},{time_s:z.6f}"
        if self._wall_time:
            start += f",{iso_time(wall_time)}"
        if people:
            make_rows = self._long_rows if self._long else self._wide_row
            self._append("".join(make_rows(start, person) for person in people))
        elif self._keep_empty:
            self._append(start + self._empty_tail + _END)

    def close(self) -> None:
        """Close the file; safe to call more than once.

        Raises:
            SinkError: the system reports only now that something could not be written.
        """
        try:
            self._file.close()
        except OSError as error:
            raise write_failure(self.path, error) from error

    def _wide_row(self, start: str, person: TrackedPerson) -> str:
        box = ",".join(_px(value) for value in person.bbox.tolist())
        keypoints = ",".join(self._keypoint_fields(person))
        return f"{start},{person.track_id},{_score(person.score)},{box},{keypoints}{_END}"

    def _long_rows(self, start: str, person: TrackedPerson) -> str:
        start = f"{start},{person.track_id}"
        fields = zip(self._names, self._keypoint_fields(person))
        return "".join(f"{start},{name},{values}{_END}" for name, values in fields)

    def _keypoint_fields(self, person: TrackedPerson) -> list[str]:
        count = self._skeleton.count
        if person.keypoints.shape != (count, 2):
            raise ValueError(
                f"keypoints must have shape ({count}, 2) for skeleton {self._skeleton.name!r}, "
                f"got {person.keypoints.shape}"
            )
        values = zip(person.keypoints.tolist(), person.scores.tolist(), person.state.tolist())
        fields = [
            f"{_px(x)},{_px(y)},{_score(score)},{STATE_NAMES[state]}" for (x, y), score, state in values
        ]
        if not self._raw:
            return fields
        raw: Sequence[Sequence[float]] = person.raw_keypoints.tolist()
        return [f"{field},{_px(x)},{_px(y)}" for field, (x, y) in zip(fields, raw)]

    def _append(self, text: str) -> None:
        data = memoryview(text.encode())
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError as error:
            # What is no regular file (a pipe, a device) cannot be cut back.
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
                self._file.seek(self._size)
            raise write_failure(self.path, error) from error
        self._size += written


def _px(value: float) -> str:
    """Return a number with three decimals and no "-0.000", or nothing where it is missing."""
    return f"{value:z.3f}" if math.isfinite(value) else ""


def _score(value: float) -> str:
    return f"{value:z.4f}" if math.isfinite(value) else ""


def iso_time(wall_time: float | None) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC, or nothing where there are none."""
    if wall_time is None:
        return ""
    return datetime.fromtimestamp(wall_time, UTC).isoformat(timespec="milliseconds")


def csv_field(text: str) -> str:
    """Return a text quoted where CSV needs it."""
    line = io.StringIO()
    # The writer quotes a break only if it is one of the ends of line that it knows.
    csv.writer(line, lineterminator=_END).writerow([text])
    return line.getvalue().removesuffix(_END)
