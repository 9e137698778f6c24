"""A live view's engine: one source after another through the models, in threads, under somebody's hands.

Sources open in threads of their own and models in another, so that nothing waits for them; one thread plays.
Settings change between two frames, files are paused, stepped and sought, and every result goes to the sinks
and to whoever shows it. Knows no window: `wake` is called from any thread when there is news.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from engine.background import Background
from engine.errors import SteadyPoseError
from engine.estimator import FrameEstimator, open_estimator
from engine.live_numbers import NumberMeter
from engine.live_outbox import Outbox
from engine.live_player import Player
from engine.live_settings import LiveSettings
from engine.live_values import (
    LiveNumbers,
    LiveResult,
    LiveSink,
    Notice,
    SessionState,
    SessionStatus,
    SourceRequest,
)
from engine.priority import BACKGROUND, stand_back
from engine.settings import EstimatorSettings, TrackSettings
from engine.skeleton import Skeleton
from engine.sources import Source, open_source

LOGGER = logging.getLogger(__name__)

JOIN_S = 3.0
"""How long `close` waits for a source that is still opening."""


class LiveSession:
    """Follows people through the source in hand until another is opened or the session closed.

    Args:
        settings: to begin with; their models start to load at once.
        wake: is called, from any thread, whenever `status`, `take_results` or `take_notices` have news.
        opener: opens models.
    """

    def __init__(
        self,
        settings: TrackSettings | None = None,
        *,
        wake: Callable[[], None] | None = None,
        opener: Callable[[EstimatorSettings], FrameEstimator] = open_estimator,
    ) -> None:
        self.meter = NumberMeter()
        self._wake = wake or (lambda: None)
        self._changed = threading.Condition()
        self._closing = self._stirred = False
        self._state: SessionState = "empty"
        self._message = ""
        self._request: SourceRequest | None = None
        self._discard = False
        self._playing = True
        self._seek_s: float | None = None
        self._steps = 0
        self._ignored: frozenset[int] = frozenset()
        self._sinks: tuple[LiveSink, ...] = ()
        self._outbox = Outbox()
        self._position_s = 0.0
        self._player = Player(self)
        self._opener = Background(_open, _close, self._stir, "open source")
        self._settings = LiveSettings(settings or TrackSettings(), self._player, self, opener, self._stir)
        self._thread = threading.Thread(target=self._run, name="follow people", daemon=True)
        self._thread.start()

    # --- what is asked of it, from any thread ------------------------------------------------------------

    def open(self, request: SourceRequest) -> None:
        """Begin to open a source; the one in hand is closed when the new one is there, or cannot be had."""
        with self._changed:
            self._request, self._state = request, "opening"
            self._message = f"Opening {request.label}"
            self._playing, self._seek_s, self._steps = True, None, 0
        self._opener.ask(request)
        self._wake()

    def close_source(self) -> None:
        """Close the source, or give up opening one."""
        self._opener.cancel()
        with self._changed:
            self._request, self._state, self._message = None, "empty", ""
            self._discard = True
        self._stir()
        self._wake()

    def close(self) -> None:
        """End everything and wait until the session's threads are gone."""
        self._closing = True
        self._stir()
        self._thread.join()
        self._settings.close()
        self._opener.close(JOIN_S)

    def play(self) -> None:
        """Let frames follow by themselves; a file at its end begins again."""
        with self._changed:
            if self._state == "ended":
                self._seek_s = 0.0
            self._playing = True
            if self._state in ("paused", "ended"):
                self._state = "playing"
                self._player.clock.stop()
        self._stir()
        self._wake()

    def pause(self) -> None:
        """Stay at the frame shown."""
        with self._changed:
            self._stay()
        self._stir()
        self._wake()

    def step(self, count: int) -> None:
        """Pause, and go so many frames on, or back where negative; live sources only go on."""
        with self._changed:
            self._stay()
            self._steps += count
        self._stir()
        self._wake()

    def seek(self, time_s: float) -> None:
        """Show the frame at a time of a file; live sources cannot be sought and ignore it."""
        with self._changed:
            if self._state == "ended":
                self._state = "paused"
            self._seek_s, self._steps = max(0.0, time_s), 0
        self._stir()
        self._wake()

    def set_speed(self, speed: float) -> None:
        """Play files `speed` times as fast as they were taken, infinitely: as fast as it goes."""
        self._player.clock.set_speed(speed)
        self._stir()

    def set_loop(self, loop: bool) -> None:
        """Begin files again when they end."""
        self._player.loop = loop

    def set_heatmap_wanted(self, wanted: bool) -> None:
        """Let results carry their heatmaps, at some cost."""
        self._player.heatmap_wanted = wanted

    def change_settings(self, settings: TrackSettings) -> None:
        """Work with other settings from the next frame on.

        Other models are opened first; meanwhile the ones in hand go on.
        """
        self._settings.change(settings)
        self._wake()

    def cancel_loading(self) -> None:
        """Stay with the models in hand."""
        self._settings.cancel()
        self._wake()

    def ignore(self, track_ids: Iterable[int]) -> None:
        """Leave these people out of the results from now on."""
        self._ignored = frozenset(track_ids)

    def add_sink(self, sink: LiveSink) -> None:
        """Give every result from now on to `sink` too."""
        with self._changed:
            self._sinks = (*self._sinks, sink)

    def remove_sink(self, sink: LiveSink) -> None:
        """Give it no more results."""
        with self._changed:
            self._sinks = tuple(other for other in self._sinks if other is not sink)

    # --- what it tells, to any thread --------------------------------------------------------------------

    @property
    def status(self) -> SessionStatus:
        """Where the session is."""
        with self._changed:
            source = self._player.source
            return SessionStatus(
                state=self._state,
                message=self._message,
                request=self._request,
                info=source.info if source else None,
                position_s=self._position_s,
                playing=self._playing,
                loading=self._settings.loading,
                ready=self._player.tracker is not None,
                settings=self._settings.wanted,
            )

    @property
    def skeleton(self) -> Skeleton | None:
        """The keypoints of the people in the results, None before models are in hand."""
        tracker = self._player.tracker
        return tracker.skeleton if tracker else None

    def describe(self) -> dict[str, Any]:
        """Return models, choice and settings as a sidecar states them; empty before models are in hand."""
        tracker = self._player.tracker
        return tracker.describe() if tracker else {}

    def take_results(self) -> list[LiveResult]:
        """Return the results since the last call, oldest first."""
        return self._outbox.take_results()

    def take_notices(self) -> list[Notice]:
        """Return what there is to say since the last call."""
        return self._outbox.take_notices()

    def numbers(self) -> LiveNumbers:
        """Return rates, latencies and what is in use."""
        return self.meter.numbers(self._player.source, self._player.tracker, self._outbox.unshown)

    # --- the session's thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        stand_back(BACKGROUND)
        while True:
            with self._changed:
                while not self._stirred and not self._moves():
                    self._changed.wait()
                self._stirred = False
                if self._closing:
                    break
            try:
                self._turn()
            except SteadyPoseError as error:
                self._fail(str(error))
            except Exception as error:
                LOGGER.exception("the live view failed")
                self._fail(f"unexpected {type(error).__name__}: {error}")
        self.break_off("the program was closed")
        self._player.close()

    def _moves(self) -> bool:
        """Whether there is a frame to work on without being asked."""
        working = self._playing and self._state in ("playing", "reconnecting")
        return working and self._player.source is not None and self._player.tracker is not None

    def _turn(self) -> None:
        fresh = self._settings.apply()
        self._take_source()
        if fresh:
            self._show_anew()
        if self._player.source is None or self._player.tracker is None:
            return
        with self._changed:
            seek_s, self._seek_s = self._seek_s, None
            steps, self._steps = self._steps, 0
        if seek_s is not None:
            self._player.jump(seek_s)
        elif steps:
            self._player.step(steps)
        elif self._moves():
            self._player.advance()

    def _take_source(self) -> None:
        with self._changed:
            discard, self._discard = self._discard, False
        if discard:
            self.break_off("the source was closed")
            self._player.close_source()
        outcome = self._opener.take()
        if outcome is None:
            return
        request, source = outcome
        if isinstance(source, SteadyPoseError):
            self._fail(str(source))
            return
        self.break_off("another source was opened")
        self._player.use_source(source, lambda start_s: _open(request, start_s))
        self._outbox.unshown = 0
        self.meter.reset()
        self.set_state("playing" if self._playing else "paused")

    def _show_anew(self) -> None:
        """Work on a still picture again: who turns a knob wants to see what it does."""
        with self._changed:
            still = self._state in ("paused", "ended") and not self._sinks and self._seek_s is None
            if still and self._player.source is not None:
                self._seek_s = self._position_s
        self._wake()

    # --- what the player tells ---------------------------------------------------------------------------

    def wait_until(self, due_s: float) -> bool:
        """See `PlayerHost`."""
        with self._changed:
            while (left_s := due_s - time.monotonic()) > 0:
                if self._stirred:
                    return False
                self._changed.wait(left_s)
            return True

    def interrupted(self) -> bool:
        """See `PlayerHost`."""
        return self._closing or self._seek_s is not None or self._discard or self._opener.wanted is not None

    def show(self, live: LiveResult, *, fresh: bool) -> None:
        """See `PlayerHost`."""
        if self._ignored:
            people = tuple(p for p in live.result.people if p.track_id not in self._ignored)
            live = replace(live, result=replace(live.result, people=people))
        if fresh:
            self.meter.add_result(live)
            for sink in self._sinks:
                sink.write(live)
        with self._changed:
            self._position_s = live.result.frame.time_s
        self._outbox.put_result(live)
        self._wake()

    def break_off(self, reason: str, *, lost: bool = False) -> None:
        """See `PlayerHost`."""
        for sink in self._sinks:
            sink.break_off(reason, lost=lost)

    def set_state(self, state: SessionState, message: str = "") -> None:
        """See `PlayerHost`; while a source is being opened, the one before has no say any more."""
        with self._changed:
            if self._opener.wanted is not None:
                return
            self._state, self._message = state, message
            if state == "ended":
                self._playing = False
        self._wake()

    def say(self, key: str, role: Literal["info", "warning", "bad", "good"], text: str) -> None:
        """See `PlayerHost`."""
        self._outbox.put_notice(Notice(key, role, text))
        self._wake()

    # --- small things ---------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.break_off(text)
        self._player.close_source()
        self.set_state("failed", text)

    def _stay(self) -> None:
        self._playing = False
        if self._state in ("playing", "ended"):
            self._state = "paused"

    def _stir(self) -> None:
        """Let the session's thread look at what was asked of it."""
        with self._changed:
            self._stirred = True
            self._changed.notify_all()


def _open(request: SourceRequest, start_s: float = 0.0) -> Source:
    return open_source(
        request.spec,
        fps=request.fps,
        stills=request.stills,
        start_s=start_s,
        camera_mode=request.camera_mode,
        as_camera=request.as_camera,
    )


def _close(source: Source) -> None:
    source.close()
