"""A live view's engine: one source after another through the models, in threads, under somebody's hands.

Sources open in threads of their own and models in another, so that nothing waits for them; one thread plays.
Settings change between two frames, files are paused, stepped and sought, and every result goes to the sinks
and to whoever shows it. Knows no window: `wake` is called from any thread when there is news.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from engine.errors import SteadyPoseError
from engine.estimator import FrameEstimator, open_estimator
from engine.live_numbers import NumberMeter
from engine.live_outbox import Outbox
from engine.live_player import Player
from engine.live_settings import LiveSettings
from engine.live_sources import SourceOpener, open_request
from engine.live_state import LiveState
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

LOGGER = logging.getLogger(__name__)

LOAD_JOIN_S = 10.0
"""How long `close` waits for models that are still being opened."""


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
        self._state = LiveState()
        self._closing = self._discard = self._lacks_models = self._anew = self._again = False
        self._outbox = Outbox()
        self._player = Player(self)
        self._opener = SourceOpener(self._state.stir)
        self._settings = LiveSettings(
            settings or TrackSettings(), self._player, self, opener, self._state.stir
        )
        self._thread = threading.Thread(target=self._run, name="follow people", daemon=True)
        self._thread.start()

    # --- what is asked of it, from any thread ------------------------------------------------------------

    def open(self, request: SourceRequest, *, paused: bool = False) -> None:
        """Begin to open a source; the one in hand is closed when the new one is there, or cannot be had.

        Args:
            request: the source; where the one in hand is of the same device, it is let go first.
            paused: show nothing of it before `play`.
        """
        with self._state.changed:
            self._state.open(request, paused=paused)
            self._lacks_models = False
            self._discard |= self._opener.is_held(request)
            self._opener.ask(request)
        self._settings.retry()
        self._stir()

    def close_source(self) -> None:
        """Close the source, or give up opening one."""
        with self._state.changed:
            self._opener.cancel()
            self._state.close()
            self._discard = True
        self._stir()

    def close(self) -> None:
        """End everything and wait until the session's threads are gone."""
        self._closing = True
        self._state.stir()
        self._thread.join()
        self._settings.close(LOAD_JOIN_S)
        self._opener.close()

    def play(self) -> None:
        """Let frames follow by themselves; a file at its end begins again."""
        if self._state.play():
            self._player.clock.stop()
        self._stir()

    def pause(self) -> None:
        """Stay at the frame shown."""
        self._state.pause()
        self._stir()

    def step(self, count: int) -> None:
        """Pause, and go so many frames on, or back where negative; live sources only go on."""
        self._state.step(count)
        self._stir()

    def seek(self, time_s: float) -> None:
        """Show the frame at a time of a file; live sources cannot be sought and ignore it."""
        self._state.seek(time_s)
        self._stir()

    def set_speed(self, speed: float) -> None:
        """Play files `speed` times as fast as they were taken, infinitely: as fast as it goes.

        Raises:
            ValueError: the speed is not above 0.
        """
        self._player.clock.set_speed(speed)
        self._state.stir()

    def set_loop(self, loop: bool) -> None:
        """Begin files again when they end."""
        self._player.loop = loop

    def set_heatmap_wanted(self, wanted: bool) -> None:
        """Let results carry their heatmaps, at some cost."""
        self._anew |= wanted and not self._player.heatmap_wanted
        self._player.heatmap_wanted = wanted
        self._state.stir()

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
        """Leave these people out of the results from now on, until people are met anew."""
        if self._outbox.ignore(track_ids):
            self._again = True
            self._state.stir()

    def add_sink(self, sink: LiveSink) -> None:
        """Give every result from now on to `sink` too, once."""
        self._outbox.add_sink(sink)

    def remove_sink(self, sink: LiveSink) -> None:
        """Give it no more results."""
        self._outbox.remove_sink(sink)

    # --- what it tells, to any thread --------------------------------------------------------------------

    @property
    def status(self) -> SessionStatus:
        """Where the session is."""
        state = self._state
        with state.changed:
            source = self._player.source
            return SessionStatus(
                state=state.state,
                message=state.message,
                request=state.request,
                info=source.info if source else None,
                position_s=state.position_s,
                playing=state.playing,
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
        player = self._player
        return self.meter.numbers(
            player.source, player.tracker, lost=player.lost, unshown=self._outbox.unshown
        )

    # --- the session's thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        stand_back(BACKGROUND)
        state = self._state
        while True:
            with state.changed:
                while not (state.stirred or self._moves()):
                    state.changed.wait()
                state.calm()
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
        return self._state.moves and self._player.source is not None and self._player.tracker is not None

    def _turn(self) -> None:
        fresh = self._settings.apply()
        self._take_source()
        self._mind_models()
        if not self._moves():
            self._player.rest()
        if self._state.opening or self._player.source is None or self._player.tracker is None:
            return
        # Who turns a knob at a still picture wants to see what it does.
        if (fresh or self._anew) and not self._outbox.has_sinks:
            self._state.show_anew()
        self._anew = False
        again, self._again = self._again, False
        move = self._state.take_move()
        if move.seek_s is not None:
            self._player.jump(move.seek_s)
        elif move.steps:
            self._player.step(move.steps)
        elif self._moves():
            self._player.advance()
        elif again:
            self._player.show_again()
        if fresh:
            self._wake()

    def _take_source(self) -> None:
        with self._state.changed:
            discard, self._discard = self._discard, False
        if discard:
            self.break_off("the source was closed")
            self._close_in_hand()
        outcome = self._opener.take()
        if outcome is None:
            return
        request, source = outcome
        wanted = self._state.arrive(request)
        if isinstance(source, SteadyPoseError):
            if wanted:
                self._fail(str(source))
        elif not wanted:
            source.close()
        else:
            self.break_off("another source was opened")
            self._close_in_hand()
            self._opener.hold(request)
            self._player.use_source(source, lambda start_s: open_request(request, start_s))
            self._outbox.unshown = 0
            self.meter.reset()
            self._state.begin()
            self._wake()

    def _mind_models(self) -> None:
        """Fail where there are no models, and begin again once there are."""
        failure, there = self._settings.failure, self._player.tracker is not None
        if not there and failure is not None:
            if not self._state.opening and not (self._lacks_models and self._player.source is None):
                self._fail(str(failure))
                self._lacks_models = True
        elif there and self._lacks_models:
            self._lacks_models = False
            status = self.status
            if status.state == "failed" and status.request is not None:
                self.open(status.request)
            elif status.state == "failed":
                self.close_source()
            self._wake()

    # --- what the player tells ---------------------------------------------------------------------------

    def wait_until(self, due_s: float) -> bool:
        """See `PlayerHost`."""
        with self._state.changed:
            while (left_s := due_s - time.monotonic()) > 0:
                if self._state.stirred:
                    return False
                self._state.changed.wait(left_s)
            return True

    def interrupted(self) -> bool:
        """See `PlayerHost`."""
        return self._closing or self._discard or self._state.sought or self._state.opening

    def show(self, live: LiveResult, *, fresh: bool) -> None:
        """See `PlayerHost`."""
        if fresh:
            self.meter.add_result(live)
        self._state.show(live.result.frame.time_s)
        self._outbox.put_result(live, fresh=fresh)
        self._wake()

    def break_off(self, reason: str, *, lost: bool = False) -> None:
        """See `PlayerHost`."""
        self._outbox.break_off(reason, lost=lost)

    def set_state(self, state: SessionState, message: str = "") -> None:
        """See `PlayerHost`; what somebody asked for meanwhile counts more."""
        if self._state.change(state, message):
            self._wake()

    def say(self, key: str, role: Literal["info", "warning", "bad", "good"], text: str) -> None:
        """See `PlayerHost`."""
        self._outbox.put_notice(Notice(key, role, text))
        self._wake()

    # --- small things ---------------------------------------------------------------------------------------

    def _fail(self, text: str) -> None:
        self.break_off(text)
        self._close_in_hand()
        self.set_state("failed", text)

    def _close_in_hand(self) -> None:
        self._player.close_source()
        self._state.shown = False
        self._opener.hold(None)

    def _stir(self) -> None:
        self._state.stir()
        self._wake()
