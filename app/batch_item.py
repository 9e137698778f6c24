"""What a queue of files is asked for and what it tells: options, the state of each file, the whole."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from app.inputs import TrackInput
from app.progress import RateMeter, second_share
from app.recording import WriteOptions
from app.second_pass import Step
from engine.settings import SmoothingSettings, TrackSettings
from engine.stopping import Stop

ItemState = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
QueueState = Literal["idle", "running", "paused"]


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How the files of a queue are done; a change counts for those that begin after it.

    settings: of the engine. out: folder of the results, None puts them beside each file. write: what is in
    the CSV, and what is written beside it. video: with an annotated video. fps: frame rate of image folders;
    stills: their images are independent pictures. plots: with the report and its plots. skip_done: leave
    alone what is complete, see `app.resume`. fill_gap_s, min_track_s: of the second pass, seconds, in the
    place of those in `settings`.
    """

    settings: TrackSettings = field(default_factory=TrackSettings)
    out: Path | None = None
    write: WriteOptions = field(default_factory=WriteOptions)
    video: bool = False
    fps: float = 30.0
    stills: bool = False
    plots: bool = False
    skip_done: bool = False
    fill_gap_s: float = SmoothingSettings().fill_gap_s
    min_track_s: float = SmoothingSettings().min_track_s

    @property
    def second_share(self) -> float:
        """Of the work on a file, what the second pass counts; 0 where there is none."""
        return second_share(offline=self.write.offline, video=self.video)

    @property
    def asked_settings(self) -> TrackSettings:
        """The settings of the engine, those of the second pass included where there is one."""
        if not self.write.offline:
            return self.settings
        tracker = self.settings.tracker
        twice = {"fill_gap_s": self.fill_gap_s, "min_track_s": self.min_track_s}
        smoothing = tracker.smoothing.model_copy(update=twice)
        return self.settings.model_copy(
            update={"tracker": tracker.model_copy(update={"smoothing": smoothing})}
        )


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One file or image folder of a queue, as it stands.

    key: its number, never given twice. frames: done so far; total: as the file states it, None where it does
    not. fps: frames per second lately, 0 where not known. eta_s: seconds left, None where not known.
    message: what came of it, or why it failed. warnings: sentences about the file. outputs: the files that it
    wrote or is writing. overwritable: it failed only since its results exist already. done_before: it is done
    since an earlier run had done it. step: of the second pass, where that is at work; step_share: how much of
    that step is done, 0 to 1.
    """

    key: int
    path: Path
    state: ItemState
    frames: int = 0
    total: int | None = None
    fps: float = 0.0
    eta_s: float | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()
    overwritable: bool = False
    done_before: bool = False
    step: Step | None = None
    step_share: float = 0.0

    @property
    def name(self) -> str:
        """The file's or folder's own name."""
        return self.path.name or str(self.path)

    @property
    def share(self) -> float | None:
        """Share done of the pass at hand, 0 to 1; None where it runs and its length is not known."""
        if self.state == "done":
            return 1.0
        if self.step is not None:
            return self.step_share
        if self.state in ("running", "paused") and self.total is None:
            return None
        return min(self.frames / self.total, 1.0) if self.total else 0.0


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """A whole queue as it stands: numbers of items, share done by size, seconds left where known.

    done_before: how many of those that are done an earlier run had done.
    """

    state: QueueState
    items: int
    done: int
    failed: int
    cancelled: int
    waiting: int
    share: float
    eta_s: float | None
    done_before: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """An item while the queue works on it; touched only by who holds the queue's lock.

    source: None where the path is no input. size: bytes. written: files that earlier
    tries of this item made, which it may replace. overwrite: it may replace any. stop: end after the frame at
    hand. gate: knows how long the present try was paused. seconds: of work, pauses left out. second_share: of
    the work on it, what a second pass counts; 0 where there is none.
    """

    key: int
    path: Path
    source: TrackInput | None = None
    size: int = 1
    state: ItemState = "waiting"
    message: str = ""
    frames: int = 0
    total: int | None = None
    fps: float = 0.0
    warnings: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()
    written: set[Path] = field(default_factory=set)
    overwrite: bool = False
    overwritable: bool = False
    done_before: bool = False
    stop: bool = False
    seconds: float = 0.0
    gate: Stop | None = None
    second_share: float = 0.0
    step: Step | None = None
    step_share: float = 0.0
    _begin_s: float = 0.0
    _meter: RateMeter = field(default_factory=RateMeter)

    def begin(
        self, total: int | None, outputs: Iterable[Path], gate: Stop, *, second_share: float = 0.0
    ) -> None:
        """Note that frames are about to come."""
        self.total, self.outputs, self.gate = total, tuple(outputs), gate
        self.second_share = second_share
        self.written.update(self.outputs)
        self._begin_s = time.monotonic()
        self._meter = RateMeter(self._worked_s)

    def advance(self, frames: int) -> None:
        """Note that so many frames are done in all."""
        self.frames, self.seconds = frames, self._worked_s()
        self.fps = self._meter.update(frames)

    def smooth_again(self, step: Step, share: float) -> None:
        """Note how far the second pass is."""
        self.step, self.step_share, self.seconds, self.fps = step, share, self._worked_s(), 0.0

    def end(self, state: ItemState, message: str) -> None:
        """Note how it ended."""
        if self.gate is not None:
            self.seconds = self._worked_s()
        self.state, self.message, self.fps, self.gate, self.step = state, message, 0.0, None, None

    def wait_again(self, *, overwrite: bool) -> None:
        """Forget how it ended."""
        self.state, self.message, self.warnings, self.overwrite = "waiting", "", (), overwrite
        self.frames, self.total, self.seconds = 0, None, 0.0
        self.overwritable = self.done_before = self.stop = False

    def item(self, *, paused: bool) -> BatchItem:
        """Return it as it stands; one that runs shows as paused where the queue is."""
        known = self.total is not None and self.frames <= self.total and self.fps > 0
        return BatchItem(
            key=self.key,
            path=self.path,
            state="paused" if paused and self.state == "running" else self.state,
            frames=self.frames,
            total=self.total,
            fps=self.fps,
            eta_s=((self.total or 0) - self.frames) / self.fps if known else None,
            message=self.message,
            warnings=self.warnings,
            outputs=self.outputs,
            overwritable=self.overwritable,
            done_before=self.done_before,
            step=self.step,
            step_share=self.step_share,
        )

    def worked_size(self) -> float:
        """Return how many of its bytes are done."""
        if self.state == "done":
            return float(self.size)
        first = min(self.frames / self.total, 1.0) if self.total else 0.0
        second = self.step_share if self.step == "writing" else 0.0
        return self.size * ((1.0 - self.second_share) * first + self.second_share * second)

    def _worked_s(self) -> float:
        paused_s = self.gate.paused_s if self.gate else 0.0
        return time.monotonic() - self._begin_s - paused_s


def sum_up(jobs: Sequence[Job], state: QueueState) -> BatchTotals:
    """Return how a queue stands; the time left is that of its bytes at the rate of those done so far."""
    counts = {
        name: sum(job.state == name for job in jobs) for name in ("done", "failed", "cancelled", "waiting")
    }
    wanted = [job for job in jobs if job.state not in ("failed", "cancelled")]
    size, worked = sum(job.size for job in wanted), sum(job.worked_size() for job in wanted)
    seconds = sum(job.seconds for job in wanted)
    skipped = sum(job.size for job in wanted if job.done_before)
    known = state != "idle" and seconds > 0 and worked > skipped
    return BatchTotals(
        state=state,
        items=len(jobs),
        **counts,
        share=worked / size if size else 0.0,
        eta_s=(size - worked) * seconds / (worked - skipped) if known else None,
        done_before=sum(job.done_before for job in jobs),
    )
