"""Plays the source in hand through the models, in the session's thread: next frame, step, jump.

All of this runs in one thread. What reaches others (results, states, sentences) goes through the host.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Protocol

from engine.estimator import FrameEstimator
from engine.frame_tracker import FrameTracker, SequenceKind, close_estimator
from engine.live_playback import History, PlayClock
from engine.live_values import LiveResult, SessionState
from engine.settings import TrackSettings
from engine.sources import Source
from engine.structures import Frame
from engine.timing import Stopwatch

PRE_ROLL_S = 0.5
"""How long people are followed before a frame that was jumped to: they need to be seen for a moment."""
LOOK_S = 0.1
"""How long a live source is waited for before commands and its state are looked at again."""

Opener = Callable[[float], Source]
"""Opens the source in hand anew, from so many seconds on."""


class PlayerHost(Protocol):
    """What a player tells, and asks."""

    def wait_until(self, due_s: float) -> bool:
        """Wait for a time of `time.monotonic()`; return whether it came before anything was asked."""
        ...

    def interrupted(self) -> bool:
        """Whether to give up what takes long, as something newer was asked."""
        ...

    def show(self, live: LiveResult, *, fresh: bool) -> None:
        """Hand out a result; a fresh one is computed just now, and shown for the first time."""
        ...

    def break_off(self, reason: str, *, lost: bool = False) -> None:
        """What follows does not continue what was before."""
        ...

    def set_state(self, state: SessionState, message: str = "") -> None:
        """Be in another state."""
        ...

    def say(self, key: str, role: Literal["info", "warning", "bad", "good"], text: str) -> None:
        """Tell people."""
        ...


class Player:
    """The source, the models and the place in the source; used by one thread.

    source: in hand, None without one. tracker: None until models are in hand. loop: begin files again.
    heatmap_wanted: whether results carry heatmaps.
    """

    def __init__(self, host: PlayerHost) -> None:
        self.source: Source | None = None
        self.tracker: FrameTracker | None = None
        self.loop = self.heatmap_wanted = False
        self.clock = PlayClock()
        self._host = host
        self._open: Opener | None = None
        self._history = History()
        self._held: Frame | None = None
        self._watch = Stopwatch()
        self._told = 0
        self._lost = False
        self._position_s = 0.0
        self._sequence = 0

    # --- what it works with ------------------------------------------------------------------------------

    def use_source(self, source: Source, reopen: Opener) -> None:
        """Close the source in hand and take another."""
        self.close_source()
        self.source, self._open = source, reopen
        self._sequence += 1
        if self.tracker is not None:
            self.tracker.start(SequenceKind(source.info.fps, source.info.stills))

    def close_source(self) -> None:
        """Have no source."""
        source, self.source = self.source, None
        if source is not None:
            source.close()
        self._held, self._told, self._lost = None, 0, False
        self.clock.stop()
        self._history.clear()
        self._watch.take()

    def use_estimator(self, estimator: FrameEstimator, settings: TrackSettings) -> None:
        """Work with other models and settings from the next frame on; those in hand are closed."""
        if self.tracker is None:
            info = self.source.info if self.source else None
            kind = SequenceKind(info.fps, info.stills) if info else SequenceKind()
            self.tracker = FrameTracker(estimator, settings, kind)
            return
        if estimator.skeleton.keypoints != self.tracker.skeleton.keypoints:
            self._host.break_off("the models in use have other keypoints now")
            self._history.clear()
            self._sequence += 1
        close_estimator(self.tracker.change_estimator(estimator))
        self.tracker.change_settings(settings)

    def close(self) -> None:
        """Free source and models."""
        self.close_source()
        if self.tracker is not None:
            close_estimator(self.tracker.estimator)

    # --- going on ----------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Show the next frame when it is due; return early when something is asked meanwhile."""
        assert self.source is not None
        kept = None if self._history.at_end else self._history.step(1)
        if kept is not None:
            # Stepped back before: what was shown then comes first, at its own pace.
            if self._host.wait_until(self._due_s(kept.result.frame)):
                now = time.monotonic()
                self._show(replace(kept, captured_s=now, done_s=now), fresh=False)
            else:
                self._history.step(-1)
            return
        frame = self._next_frame()
        if frame is None:
            return
        if not self.source.info.live and not self._host.wait_until(self._due_s(frame)):
            self._held = frame
            return
        self._follow(frame)

    def step(self, count: int) -> None:
        """Show the frame `count` on, or back where negative; a live source only goes on."""
        assert self.source is not None
        kept = self._history.step(count)
        if kept is not None:
            self._show(kept, fresh=False)
        elif count > 0:
            self._history.to_end()
            frame = self._next_frame()
            if frame is not None:
                self._follow(frame)
        elif not self.source.info.live:
            self.jump(max(0.0, self._position_s + count / (self.source.info.fps or 1.0)))

    def jump(self, time_s: float, *, pre_roll: bool = True) -> None:
        """Go to a time of a file: open it a little before, and follow people up to it."""
        assert self.source is not None and self._open is not None and self.tracker is not None
        info = self.source.info
        if info.live:
            return
        self._host.break_off("the playing position was changed")
        start_s = max(0.0, time_s - PRE_ROLL_S) if pre_roll and not info.stills else time_s
        self.use_source(self._open(start_s), self._open)
        wanted_s = time_s - 0.5 / (info.fps or 1.0)
        last: Frame | None = None
        for frame in self.source:
            if last is not None:
                self.tracker.update(last)
            last = frame
            if frame.time_s >= wanted_s:
                break
            if self._host.interrupted():
                return
        if last is not None:
            self._follow(last)

    # --- one frame ---------------------------------------------------------------------------------------

    def _due_s(self, frame: Frame) -> float:
        return self.clock.due_s(frame.time_s, time.monotonic())

    def _next_frame(self) -> Frame | None:
        """Return the next frame, None where there is none now."""
        source: Any = self.source
        held, self._held = self._held, None
        if held is not None:
            return held
        live = source.info.live
        with self._watch.stage("decode_source"):
            frame: Frame | None = source.next_within(LOOK_S) if live else next(source, None)
        if live:
            self._look_at_live_source()
        self._tell_warnings()
        if frame is None and not live:
            self._end()
        return frame

    def _look_at_live_source(self) -> None:
        source: Any = self.source
        lost = source.state == "reconnecting"
        if lost and not self._lost:
            self._host.break_off(f"{source.info.name} was lost", lost=True)
            self._host.set_state("reconnecting", source.state_message)
        elif self._lost and not lost:
            self._host.set_state("playing")
            self._host.say("source", "good", f"{source.info.name} is back")
        self._lost = lost

    def _end(self) -> None:
        """The file is over."""
        assert self.source is not None
        self._host.break_off("the file came to its end")
        if self.loop and self._history.at_end:
            self.jump(0.0, pre_roll=False)
        else:
            self._host.set_state("ended")

    def _follow(self, frame: Frame) -> None:
        """Work on one frame and show it."""
        source: Any = self.source
        assert self.tracker is not None
        live = source.info.live
        captured_s = source.clock_zero_s + frame.time_s if live else time.monotonic()
        self.tracker.heatmap_wanted = self.heatmap_wanted
        result = self.tracker.update(frame, self._watch)
        done = LiveResult(result, captured_s, time.monotonic(), self._sequence)
        self._history.add(done)
        self._show(done, fresh=True)

    def _show(self, live: LiveResult, *, fresh: bool) -> None:
        self._position_s = live.result.frame.time_s
        self._host.show(live, fresh=fresh)

    def _tell_warnings(self) -> None:
        assert self.source is not None
        warnings = self.source.warnings
        for text in warnings[self._told :]:
            self._host.say("source", "warning", text)
        self._told = len(warnings)
