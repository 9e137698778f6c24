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
STEP_LOOKS = 20
"""How often a step waits so long for a live source's next frame."""
SCRUB_S = 0.3
"""While one place after another is jumped to, a picture is shown at least this often."""
FAR_STEPS = 30
"""Steps back beyond what is kept that are counted frame by frame; more are taken by the mean frame rate."""

OUTSIDE = "the region lies outside this picture, so nobody is followed; draw another, or remove it"

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
    heatmap_wanted: whether results carry heatmaps. lost: frames of a live source that newer ones replaced
    while frames were wanted.
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
        self._told: set[str] = set()
        self._away = False
        self._position_s = 0.0
        self._shown_s = 0.0
        self._sequence = 0
        self.lost = 0
        self._resting = True
        self._dropped = 0

    # --- what it works with ------------------------------------------------------------------------------

    def use_source(self, source: Source, reopen: Opener) -> None:
        """Close the source in hand and take another."""
        self.close_source()
        self._told.clear()
        self._position_s, self.lost = 0.0, 0
        self._take(source, reopen)

    def close_source(self) -> None:
        """Have no source."""
        source, self.source = self.source, None
        if source is not None:
            source.close()
        self._held, self._away = None, False
        self.rest()
        self.clock.stop()
        self._history.clear()
        self._watch.take()

    def rest(self) -> None:
        """Want no frame for a while: what a live source drops until the next one is no loss."""
        self._resting = True

    def use_estimator(self, estimator: FrameEstimator, settings: TrackSettings) -> None:
        """Work with other models and settings from the next frame on; those in hand are closed.

        Raises:
            UsageError: the models cannot do what the settings say; they are in use with the settings before.
        """
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
                self._show_kept(kept)
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
        """Show the frame `count` on, or back where negative; a live source goes on by one."""
        assert self.source is not None
        kept = self._history.step(count)
        if kept is not None:
            self._show_kept(kept)
        elif self.source.info.live:
            if count > 0:
                self._history.to_end()
                self._step_live()
        elif count > 0:
            for _ in range(count - self._history.to_end()):
                frame = self._next_frame()
                if frame is None:
                    break
                self._follow(frame)
                if self._host.interrupted():
                    break
        elif count >= -FAR_STEPS:
            self._step_back(-count)
        else:
            self.jump(self._earlier_s(-count))

    def show_again(self) -> None:
        """Show the present result once more, as others may be left out of it now."""
        kept = self._history.step(0)
        if kept is not None:
            self._show_kept(kept)

    def jump(self, time_s: float, *, pre_roll: bool = True) -> None:
        """Go to a time of a file: open it a little before, and follow people up to it."""
        assert self.source is not None
        info = self.source.info
        if info.live:
            return
        start_s = max(0.0, time_s - PRE_ROLL_S) if pre_roll and not info.stills else time_s
        shown = self._run_up(start_s, time_s)
        if shown is not None:
            self._history.forget_before(start_s + PRE_ROLL_S / 2, keep=1)
            self._due_s(shown.result.frame)
            self._show(shown, fresh=True)

    def _step_back(self, count: int) -> None:
        """Show the frame `count` before, which is kept no more: follow people anew from before it."""
        assert self.source is not None
        stills = self.source.info.stills
        here_s, earlier_s = self._position_s, self._earlier_s(count)
        start_s = earlier_s if stills else max(0.0, earlier_s - PRE_ROLL_S)
        if self._run_up(start_s, here_s) is None:
            return
        self._history.forget_before(start_s + PRE_ROLL_S / 2, keep=count + 1)
        kept = self._history.step(-count)
        if kept is not None:
            self._show_kept(kept)
        else:
            # Large pictures: not so many can be kept.
            self.jump(earlier_s)

    def _earlier_s(self, count: int) -> float:
        """Return when about `count` frames before this one were."""
        assert self.source is not None
        return max(0.0, self._position_s - count / (self.source.info.fps or 1.0))

    def _run_up(self, start_s: float, time_s: float) -> LiveResult | None:
        """Open the file anew and follow people up to the frame shown at `time_s`, give or take half a frame.

        Returns:
            its result, or, now and then, that of the frame reached when something newer was asked; None where
            nothing is to be shown.
        """
        assert self.source is not None and self._open is not None
        self._host.break_off("the playing position was changed")
        # Opened first, so that the source in hand stays where that fails.
        source = self._open(start_s)
        self.close_source()
        self._take(source, self._open)
        slack_s = 0.5 / (source.info.fps or 1.0)
        done: LiveResult | None = None
        for frame in source:
            if done is not None:
                step_s = frame.time_s - done.result.frame.time_s
                if frame.time_s > time_s + min(slack_s, step_s / 2):
                    self._held = frame
                    break
                if self._host.interrupted():
                    return done if time.monotonic() - self._shown_s > SCRUB_S else None
            done = self._work(frame)
        return done

    def _step_live(self) -> None:
        """Show the next frame of a live source, once it comes."""
        for _ in range(STEP_LOOKS):
            frame = self._next_frame()
            if frame is not None:
                self._follow(frame)
            if frame is not None or self._away or self._host.interrupted():
                return

    # --- one frame ---------------------------------------------------------------------------------------

    def _due_s(self, frame: Frame) -> float:
        return self.clock.due_s(frame.time_s, time.monotonic())

    def _take(self, source: Source, reopen: Opener) -> None:
        self.source, self._open = source, reopen
        self._dropped = 0
        self._sequence += 1
        if self.tracker is not None:
            self.tracker.start(SequenceKind(source.info.fps, source.info.stills))

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
        self._count_lost()
        self._tell_warnings()
        if frame is None and not live:
            self._end()
        return frame

    def _count_lost(self) -> None:
        assert self.source is not None
        dropped = self.source.frames_dropped
        if not self.source.info.live:
            self.lost = dropped
        elif not self._resting:
            self.lost += dropped - self._dropped
        self._dropped, self._resting = dropped, False

    def _look_at_live_source(self) -> None:
        source: Any = self.source
        away = source.state == "reconnecting"
        if away:
            # The state first: whoever hears of the break looks at it.
            self._host.set_state("reconnecting", source.state_message)
            if not self._away:
                self._host.break_off(f"{source.info.name} was lost", lost=True)
        elif self._away:
            self._host.set_state("playing")
            self._host.say("source", "good", f"{source.info.name} is back")
        self._away = away

    def _end(self) -> None:
        """The file is over; a loop begins it again once its last frame was shown for its time."""
        assert self.source is not None
        self._host.break_off("the file came to its end")
        if not self.loop or self._position_s <= 0:
            # A single frame goes round no loop.
            self._host.set_state("ended")
            return
        step_s = 1.0 / (self.source.info.fps or 1.0)
        due_s = self.clock.due_s(self._position_s + step_s, time.monotonic())
        if self._host.wait_until(due_s):
            self.jump(0.0, pre_roll=False)

    def _follow(self, frame: Frame) -> None:
        """Work on one frame and show it."""
        self._show(self._work(frame), fresh=True)

    def _work(self, frame: Frame) -> LiveResult:
        """Follow people into one frame, and keep the result."""
        source: Any = self.source
        assert self.tracker is not None
        live = source.info.live
        captured_s = source.clock_zero_s + frame.time_s if live else time.monotonic()
        self.tracker.heatmap_wanted = self.heatmap_wanted
        self._mind_region(frame)
        result = self.tracker.update(frame, self._watch)
        done = LiveResult(result, captured_s, time.monotonic(), self._sequence)
        self._history.add(done)
        return done

    def _show(self, live: LiveResult, *, fresh: bool) -> None:
        self._position_s, self._shown_s = live.result.frame.time_s, time.monotonic()
        self._host.show(live, fresh=fresh)

    def _show_kept(self, live: LiveResult) -> None:
        """Show a result of before, which is as new as it is shown: nobody waited for it."""
        now = time.monotonic()
        self._show(replace(live, captured_s=now, done_s=now), fresh=False)

    def _tell_warnings(self) -> None:
        assert self.source is not None
        for text in self.source.warnings:
            self._warn_once("source", text)

    def _mind_region(self, frame: Frame) -> None:
        """Tell once where a region, drawn on a larger picture perhaps, leaves nobody to follow."""
        assert self.tracker is not None
        region = self.tracker.settings.estimator.region
        height, width = frame.image.shape[:2]
        if region is None or (region[0] < width and region[1] < height and min(region[2:]) >= 0):
            self._told.discard(OUTSIDE)
        else:
            self._warn_once("region", OUTSIDE)

    def _warn_once(self, key: str, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._host.say(key, "warning", text)
