"""How true the tracks of the demo clip are: identities, and what smoothing gains and costs."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from app.truth import Match, TruePerson, TruthMatcher
from app.truth_files import read_truth
from engine.errors import UsageError
from engine.metrics.jitter import lag_s, rms_error, rms_jitter
from engine.metrics.mot import MotFigures, MotMeter
from engine.skeleton import COCO17
from engine.structures import Float, KeypointState, Result, TrackedPerson


@dataclass(frozen=True, slots=True)
class Smoothness:
    """What smoothing does to the visible keypoints of matched people, over those seen in the frame.

    Those flagged as swapped are left out: they leap to the other side and back as measured.

    jitter and error are RMS px against the truth, of the keypoints as decoded (raw) and as smoothed; lag is
    how late the smoothed and the raw ones come.
    """

    raw_jitter_px: float
    jitter_px: float
    raw_error_px: float
    error_px: float
    raw_lag_ms: float
    lag_ms: float
    frame_ms: float

    @property
    def jitter_ratio(self) -> float:
        """Smoothed jitter over raw jitter; NaN where the raw keypoints do not jitter."""
        return self.jitter_px / self.raw_jitter_px if self.raw_jitter_px > 0 else float("nan")

    @property
    def lag_frames(self) -> float:
        """How many frames smoothed keypoints come later than raw ones."""
        return (self.lag_ms - self.raw_lag_ms) / self.frame_ms


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Everything that was measured; without motmetrics `identities` is None and `why_not` tells so."""

    match: Match
    smoothness: Smoothness
    identities: MotFigures | None
    why_not: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the numbers, ready for JSON."""
        smoothness = self.smoothness
        ratios = {"jitter_ratio": smoothness.jitter_ratio, "lag_frames": smoothness.lag_frames}
        return {
            "match": _rounded(asdict(self.match) | {"recall": self.match.recall}),
            "smoothness": _rounded(asdict(smoothness) | ratios),
            "identities": _rounded(asdict(self.identities)) if self.identities else None,
        }


class AccuracyMeter:
    """Collects the results of one run over the demo clip.

    Raises:
        SourceError: the truth is missing.
    """

    def __init__(self, truth: Path) -> None:
        self._truth = read_truth(truth, COCO17)
        self._matcher = TruthMatcher(self._truth, COCO17)
        self._ids = sorted({person.track_id for people in self._truth.values() for person in people})
        self._why_not = ""
        try:
            self._mot: MotMeter | None = MotMeter(COCO17)
        except UsageError as error:
            self._mot, self._why_not = None, str(error)
        self._times_s: list[float] = []
        self._true: list[Float] = []
        self._raw: list[Float] = []
        self._smoothed: list[Float] = []

    def add(self, result: Result) -> None:
        """Count one result."""
        truths = {person.track_id: person for person in self._truth.get(result.frame.index, [])}
        matched = self._matcher.add(result.frame.index, result.people)
        if self._mot:
            # Who cannot be seen is no miss; who was found all the same is no false positive.
            counted = [true for true in truths.values() if true.countable or true.track_id in matched]
            self._mot.add(
                [true.track_id for true in counted],
                [true.keypoints for true in counted],
                [true.visibility > 0 for true in counted],
                [true.bbox for true in counted],
                result.people,
            )
        rows = [_aligned(truths.get(number), matched.get(number)) for number in self._ids]
        self._times_s.append(result.frame.time_s)
        for store, index in ((self._true, 0), (self._raw, 1), (self._smoothed, 2)):
            store.append(np.concatenate([row[index] for row in rows]))

    def measure(self) -> Accuracy:
        """Return the figures of the results so far."""
        true, raw, smoothed = (np.stack(store) for store in (self._true, self._raw, self._smoothed))
        times = np.asarray(self._times_s)
        smoothness = Smoothness(
            raw_jitter_px=float(rms_jitter(raw, true)),
            jitter_px=float(rms_jitter(smoothed, true)),
            raw_error_px=rms_error(raw, true),
            error_px=rms_error(smoothed, true),
            raw_lag_ms=1e3 * lag_s(raw, true, times),
            lag_ms=1e3 * lag_s(smoothed, true, times),
            frame_ms=1e3 * float(np.median(np.diff(times))),
        )
        identities = self._mot.figures() if self._mot else None
        return Accuracy(self._matcher.match(), smoothness, identities, self._why_not)


def accuracy_text(accuracy: Accuracy) -> str:
    """Return the figures as lines."""
    match, smoothness = accuracy.match, accuracy.smoothness
    if accuracy.identities:
        figures = accuracy.identities
        identities = f"MOTA {figures.mota:.3f}, IDF1 {figures.idf1:.3f} (motmetrics)"
    else:
        identities = f"MOTA and IDF1 not measured: {accuracy.why_not}"
    return "\n".join(
        [
            f"demo truth: {match.people} people, {100 * match.recall:.1f} % of {match.countable} found, "
            f"{match.extra} extra, {match.switches} identity switches, mean OKS {match.mean_oks:.3f}",
            identities,
            f"jitter: raw {smoothness.raw_jitter_px:.2f} px, smoothed {smoothness.jitter_px:.2f} px, "
            f"ratio {smoothness.jitter_ratio:.2f}",
            f"error: raw {smoothness.raw_error_px:.2f} px, smoothed {smoothness.error_px:.2f} px (RMS)",
            f"lag: raw {smoothness.raw_lag_ms:.1f} ms, smoothed {smoothness.lag_ms:.1f} ms, "
            f"so smoothing costs {smoothness.lag_frames:.2f} frames",
        ]
    )


def _aligned(true: TruePerson | None, person: TrackedPerson | None) -> tuple[Float, Float, Float]:
    """Return true, raw and smoothed (K, 2) keypoints, NaN where one of the three cannot be compared."""
    nothing = np.full((COCO17.count, 2), np.nan, np.float32)
    if true is None or person is None:
        return nothing, nothing, nothing
    usable = (true.visibility == 2) & np.isfinite(person.raw_keypoints).all(axis=1)
    usable &= np.isfinite(person.keypoints).all(axis=1) & (person.state != KeypointState.SWAPPED)
    rows = (true.keypoints, person.raw_keypoints, person.keypoints)
    first, second, third = (np.where(usable[:, None], row, np.nan).astype(np.float32) for row in rows)
    return first, second, third


def _rounded(values: dict[str, object]) -> dict[str, object]:
    return {
        name: (round(value, 4) if np.isfinite(value) else None) if isinstance(value, float) else value
        for name, value in values.items()
    }
