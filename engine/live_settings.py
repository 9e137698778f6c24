"""The settings wanted of a live session and the models in hand, which may be behind them for a while."""

import threading
from collections.abc import Callable

from engine.background import Background
from engine.errors import SteadyPoseError, UsageError
from engine.estimator import FrameEstimator
from engine.frame_tracker import close_estimator
from engine.live_models import name_models, needs_models, with_models
from engine.live_player import Player, PlayerHost
from engine.priority import SPARE, stand_back
from engine.settings import EstimatorSettings, TrackSettings


class LiveSettings:
    """Brings wishes from any thread to the player, whose thread calls `apply`.

    Args:
        settings: to begin with; their models start to load at once.
        player: whose models and tracker are changed.
        host: is told what went wrong.
        opener: opens models.
        stir: makes the player's thread call `apply`.
    """

    def __init__(
        self,
        settings: TrackSettings,
        player: Player,
        host: PlayerHost,
        opener: Callable[[EstimatorSettings], FrameEstimator],
        stir: Callable[[], None],
    ) -> None:
        self._wanted, self._player, self._host, self._stir = settings, player, host, stir
        self._lock = threading.Lock()
        self._changed = False
        self._opener = opener
        self._loader = Background(self._open, close_estimator, stir, "load models")
        self._loader.ask(settings.estimator)

    @property
    def wanted(self) -> TrackSettings:
        """The settings as wanted, those of models still being opened included."""
        return self._wanted

    @property
    def loading(self) -> str | None:
        """Which models are being opened, None where none are."""
        loading = self._loader.wanted
        return name_models(loading) if loading else None

    def change(self, settings: TrackSettings) -> None:
        """Want other settings; models they need are opened first, meanwhile the ones in hand go on."""
        with self._lock:
            self._wanted = settings
            current, loading = self._in_hand(), self._loader.wanted
            if current is not None and not needs_models(current, settings.estimator):
                self._loader.cancel()
            elif loading is None or needs_models(loading, settings.estimator):
                self._loader.ask(settings.estimator)
            self._changed = True
        self._stir()

    def cancel(self) -> None:
        """Stay with the models in hand."""
        if self._loader.cancel():
            self._want_what_is_in_hand()
            self._stir()

    def apply(self) -> bool:
        """Give the player what is ready; return whether the next frame will look different.

        Raises:
            SteadyPoseError: there is no model to work with.
        """
        fresh = self._take_models()
        with self._lock:
            changed, self._changed = self._changed, False
            settings, current = self._wanted, self._in_hand()
        if changed and current is not None and self._player.tracker is not None:
            try:
                self._player.tracker.change_settings(with_models(settings, current))
            except UsageError as error:
                self._host.say("settings", "bad", str(error))
        return changed or fresh

    def close(self) -> None:
        """Wait until nothing is being opened."""
        self._loader.close()

    def _open(self, settings: EstimatorSettings) -> FrameEstimator:
        """Run in the loading thread: what the first frame would have to wait for is done here too."""
        stand_back(SPARE)
        estimator = self._opener(settings)
        source = self._player.source
        if source is not None:
            estimator.warm_up(source.info.size)
        return estimator

    def _take_models(self) -> bool:
        outcome = self._loader.take()
        if outcome is None:
            return False
        asked, made = outcome
        if not isinstance(made, SteadyPoseError):
            self._player.use_estimator(made, with_models(self._wanted, asked))
            return True
        self._want_what_is_in_hand()
        if self._player.tracker is None:
            raise made
        self._host.say("models", "bad", str(made))
        return False

    def _in_hand(self) -> EstimatorSettings | None:
        tracker = self._player.tracker
        return tracker.settings.estimator if tracker else None

    def _want_what_is_in_hand(self) -> None:
        with self._lock:
            current = self._in_hand()
            if current is not None:
                self._wanted = with_models(self._wanted, current)
