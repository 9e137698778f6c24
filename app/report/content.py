"""What a report says: every person of a recording measured, in pixels or in metres."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.errors import UsageError
from engine.metrics.kinematics import gap_limit_s, usual_step_s
from engine.metrics.people import PersonMotion, PersonSummary, measure_person, summarise_person
from engine.metrics.scale import Scale, scale_by_height, scale_by_points
from engine.sinks.results_file import ResultsFile
from engine.sinks.results_rows import NOBODY, RowBlock

Facing = Literal["auto", "left", "right"]
_DIRECTIONS: Mapping[Facing, int | None] = {"auto": None, "left": -1, "right": 1}


@dataclass(frozen=True, slots=True)
class TwoPoints:
    """Two points of the frame, px, and the metres between them."""

    first: tuple[float, float]
    second: tuple[float, float]
    metres: float


@dataclass(frozen=True, slots=True)
class KnownHeight:
    """The body height of one person."""

    track_id: int
    metres: float


ScaleChoice = TwoPoints | KnownHeight | None


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """scale: None leaves pixels. facing: of everybody; auto finds it by walking. plots: write them too."""

    scale: ScaleChoice = None
    facing: Facing = "auto"
    plots: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """A recording measured. people and summaries: by ascending track id; step_s: usual one, NaN unknown."""

    results: ResultsFile
    people: tuple[PersonMotion, ...]
    summaries: tuple[PersonSummary, ...]
    scale: Scale | None
    step_s: float

    @property
    def unit(self) -> str:
        """Of lengths: px or m."""
        return "m" if self.scale else "px"

    @property
    def metre(self) -> float:
        """What lengths and speeds in px are multiplied with."""
        return self.scale.metres_per_px if self.scale else 1.0

    @property
    def end_s(self) -> float:
        """Where time ends: the source's duration, or the last row where that is later."""
        last_s = max((float(person.times_s[-1]) for person in self.people), default=0.0)
        return max(last_s, self.results.sidecar.source.duration_s or 0.0)

    @property
    def start_s(self) -> float:
        """Where time begins: 0, or the first row where that is earlier."""
        return min([0.0, *(float(person.times_s[0]) for person in self.people)])

    def label(self, track_id: int) -> str:
        """Return what a person is called."""
        return self.results.sidecar.names.get(track_id) or f"Person {track_id}"


def parse_scale_points(text: str) -> TwoPoints:
    """Read ``x1,y1,x2,y2=METRES``.

    Raises:
        UsageError: it is not that.
    """
    points, equals, metres = text.partition("=")
    try:
        numbers = [float(number) for number in points.split(",")]
        x1, y1, x2, y2 = numbers
        distance = float(metres)
    except ValueError:
        numbers = []
    if not equals or not numbers or not all(map(math.isfinite, numbers)):
        raise UsageError(
            "--scale-points must be two points in pixels and their distance in metres, such as "
            f"120,700,980,705=4.5, got {text!r}"
        )
    return TwoPoints((x1, y1), (x2, y2), distance)


def parse_height(text: str) -> KnownHeight:
    """Read ``ID=METRES``.

    Raises:
        UsageError: it is not that.
    """
    track_id, _, metres = text.partition("=")
    try:
        return KnownHeight(int(track_id), float(metres))
    except ValueError:
        raise UsageError(
            f"--height must be a person's number and height in metres, such as 2=1.78, got {text!r}"
        ) from None


def choose_scale(points: str | None, height: str | None) -> ScaleChoice:
    """Read the two options of the command line, of which one may be given.

    Raises:
        UsageError: both are given, or one is not what it must be.
    """
    if points is not None and height is not None:
        raise UsageError("--scale-points and --height exclude each other; give one of them")
    if points is not None:
        return parse_scale_points(points)
    return None if height is None else parse_height(height)


def measure(results: ResultsFile, options: ReportOptions) -> Report:
    """Measure everybody in a recording; all of its rows are held meanwhile.

    Raises:
        SourceError: a row of the CSV is damaged.
        UsageError: the scale is impossible, its person is not in the recording, the source was not a video,
            or times do not ascend.
    """
    if results.sidecar.source.stills:
        raise UsageError(
            f"{results.path} holds independent pictures, in which there is no motion to report; "
            "track the folder without --stills if they are one sequence"
        )
    rows = results.load()
    rows = rows.take(rows.track_ids != NOBODY)
    step_s = usual_step_s(rows.times_s)
    tracks = {int(track): rows.take(rows.track_ids == track) for track in np.unique(rows.track_ids)}
    scale = _scale(results, tracks, options.scale)
    people = tuple(
        _measure_track(results, track, block, gap_limit_s(step_s), _DIRECTIONS[options.facing])
        for track, block in tracks.items()
    )
    summaries = tuple(summarise_person(person, step_s=step_s) for person in people)
    return Report(results, people, summaries, scale, step_s)


def _measure_track(
    results: ResultsFile, track_id: int, block: RowBlock, gap_s: float, facing: int | None
) -> PersonMotion:
    if (np.diff(block.times_s) <= 0).any():
        raise UsageError(
            f"{results.path} has frames whose times do not ascend: there are no speeds to report"
        )
    return measure_person(
        track_id,
        block.frames,
        block.times_s,
        block.keypoints,
        block.states,
        results.skeleton,
        gap_s=gap_s,
        facing=facing,
    )


def _scale(results: ResultsFile, tracks: Mapping[int, RowBlock], choice: ScaleChoice) -> Scale | None:
    if isinstance(choice, TwoPoints):
        return scale_by_points(choice.first, choice.second, choice.metres, size=results.size)
    if choice is None:
        return None
    if choice.track_id not in tracks:
        has = f"it has {', '.join(map(str, tracks))}" if tracks else "there is nobody in it"
        raise UsageError(f"{results.path} has no track {choice.track_id} to take a height from; {has}")
    block = tracks[choice.track_id]
    return scale_by_height(
        block.keypoints, block.states, results.skeleton, choice.metres, label=f"person {choice.track_id}"
    )
