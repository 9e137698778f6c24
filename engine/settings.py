"""Every setting of the engine, once, with its unit and its default.

The command line, the window and the Python API build these; unknown or impossible values are refused by
pydantic with the field's name.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RuntimeName = Literal[
    "auto",
    "tensorrt",
    "tensorrt-rtx",
    "openvino",
    "onnxruntime",
    "onnxruntime-cuda",
    "onnxruntime-coreml",
    "onnxruntime-directml",
]
Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
Mode = Literal["auto", "top-down", "bottom-up"]
VideoDecoder = Literal["auto", "software", "nvdec"]
SmoothingMethod = Literal["kalman", "one-euro", "none"]


class Settings(BaseModel):
    """Base of all settings: immutable, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SmoothingSettings(Settings):
    """How keypoints are smoothed through time."""

    method: SmoothingMethod = "kalman"
    """Filter of each keypoint."""
    measurement_noise: float = Field(0.03, gt=0)
    """Standard deviation of a keypoint of score 1, in person sizes (square roots of the box area); the
    default is what the bundled networks need on the demo clip."""
    acceleration_noise: float = Field(0.7, gt=0)
    """How far a velocity drifts within a second, person sizes per second; more where motion surprises."""
    gate: float = Field(5.0, gt=0)
    """A measurement further than this many standard deviations from its prediction is an outlier."""
    coast_s: float = Field(0.4, ge=0)
    """How long an unseen keypoint is predicted before it is missing."""
    min_keypoint_score: float = Field(0.2, ge=0, le=1)
    """A keypoint scored below this counts as unseen."""
    fill_gap_s: float = Field(0.5, ge=0)
    """Offline, a keypoint unseen for at most this long is interpolated; longer gaps stay missing."""
    min_track_s: float = Field(0.3, ge=0)
    """Offline, a track that lasts shorter is dropped, unless the recording begins or ends in it."""
    one_euro_cutoff_hz: float = Field(2.0, gt=0)
    """Cutoff of the One-Euro filter at rest: lower is steadier."""
    one_euro_speed_gain: float = Field(5.0, ge=0)
    """Hz that its cutoff gains per person size and second of speed: higher lags less."""


class TrackerSettings(Settings):
    """How people are followed through time."""

    min_person_score: float = Field(0.4, ge=0, le=1)
    """A person scored below this starts no track."""
    min_similarity: float = Field(0.2, ge=0, le=1)
    """Gate on the mix of OKS and box IoU below which a person and a track never match."""
    oks_weight: float = Field(0.7, ge=0, le=1)
    """Share of OKS in that mix; the rest is box IoU."""
    confirm_s: float = Field(0.12, ge=0)
    """How long a tentative track must be seen before it is shown."""
    keep_alive_s: float = Field(1.5, ge=0)
    """How long a lost track is followed on where it is expected."""
    keep_reid_s: float = Field(10.0, ge=0)
    """How long people out of sight are remembered by their clothes, to get the same id again; 0 for not."""
    camera_motion: bool = True
    """Measure how the camera moves and take that out of the motion of the people."""
    max_people: int = Field(50, gt=0)
    """At most this many tracks at once."""
    appearance_weight: float = Field(0.8, ge=0, le=1)
    """How much quite other clothes take from a match where pose is ambiguous; 0 ignores them."""
    sure_find_score: float = Field(0.5, ge=0, le=1)
    """Somebody the finder scores so high is confirmed by one of its runs, others need two."""
    sure_score: float = Field(0.45, ge=0, le=1)
    """A track whose mean score is below this is dropped once the finder misses it too often."""
    max_missed_finds: int = Field(3, gt=0)
    """How many finder runs in a row may miss such a track."""
    smoothing: SmoothingSettings = SmoothingSettings()


class EstimatorSettings(Settings):
    """How people are found in a frame."""

    mode: Mode = "auto"
    """auto: top-down with the bottom-up finder, with intervals that hold the frame rate on this machine."""
    top_down_model: str = "default-top-down"
    """Zoo name or path."""
    bottom_up_model: str = "default-bottom-up"
    """Zoo name or path; also the finder of top-down."""
    runtime: RuntimeName = "auto"
    """What runs the networks; auto takes the fastest that is installed."""
    precision: Precision = "auto"
    """Arithmetic of the networks; auto takes INT8 where the model has such a file."""
    threads: int = Field(0, ge=0)
    """Threads of the runtime, 0 for all cores."""
    find_interval_s: float | None = Field(None, ge=0)
    """Seconds between finder runs; None: `auto` measures, `top-down` takes 0.5; 0: on every frame."""
    finder_short_side: int | None = Field(None, gt=0)
    """Shorter side of the frame in bottom-up and finder, px, rounded up to 32; None takes the model's."""
    finder_scales: tuple[float, ...] = Field((1.0, 0.5), min_length=1)
    """The finder looks at the frame in each of these shares of its short side: small networks know people of
    some sizes only, and the half scale is where those are found who fill the frame."""
    finder_min_score: float = Field(0.2, ge=0, le=1)
    """Weakest of the finder's people who get a crop; below `min_person_score`, since the crop has the last
    word on who is a person."""
    finder_doubt_score: float = Field(0.6, ge=0, le=1)
    """What the crop of somebody whom the finder scores below `min_person_score` must score to be kept."""
    finder_min_peak_score: float | None = Field(None, ge=0, le=1)
    """Weakest peak that the finder groups; None takes `min_peak_score`."""
    max_people: int = Field(30, gt=0)
    """At most this many people per frame."""
    min_person_score: float = Field(0.25, ge=0, le=1)
    """Weaker people are dropped before tracking."""
    min_keypoint_score: float = Field(0.2, ge=0, le=1)
    """Weaker keypoints have no say in a top-down person's box."""
    min_peak_score: float | None = Field(None, ge=0, le=1)
    """Weaker bottom-up peaks are not grouped; None takes the model's own."""
    duplicate_oks: float = Field(0.7, gt=0, le=1)
    """Of two people more alike than this the weaker is dropped."""
    region: tuple[float, float, float, float] | None = None
    """Only people whose box has its centre in here are followed: xyxy frame px; None is the whole frame."""
    flip_test: bool = False
    """Average with the mirrored input: twice as slow, a little more accurate."""


class TrackSettings(Settings):
    """All settings of one run of `engine.track`."""

    estimator: EstimatorSettings = EstimatorSettings()
    tracker: TrackerSettings = TrackerSettings()
