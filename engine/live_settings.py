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

GIVEN_UP = "loading the models was given up; try again, or choose other models"


class LiveSettings:
    """Brings wishes from any thread to the player, whose thread calls `apply`.

    failure: why there are no models at all, None while there are, or some are being opened.

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
        self._current: EstimatorSettings | None = None
        self._opener = opener
        self._loader = Background(self._open, close_estimator, stir, "load models", lambda _wish: "models")
        self.failure: SteadyPoseError | None = None
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
            current, loading = self._current, self._loader.wanted
            if current is not None and not needs_models(current, settings.estimator):
                self._loader.cancel()
            elif loading is None or needs_models(loading, settings.estimator):
                self._load(settings.estimator)
            self._changed = True
        self._stir()

    def retry(self) -> None:
        """Open models again where there are none because they could not be had."""
        with self._lock:
            if self.failure is not None:
                self._load(self._wanted.estimator)

    def cancel(self) -> None:
        """Stay with the models in hand."""
        if self._loader.cancel():
            self._want_what_is_in_hand()
            with self._lock:
                if self._current is None and self._loader.wanted is None:
                    self.failure = UsageError(GIVEN_UP)
            self._stir()

    def apply(self) -> bool:
        """Give the player what is ready; return whether the next frame will look different."""
        fresh = self._take_models()
        with self._lock:
            changed, self._changed = self._changed, False
            settings, current = self._wanted, self._current
        tracker = self._player.tracker
        if changed and current is not None and tracker is not None:
            try:
                tracker.change_settings(with_models(settings, current))
            except UsageError as error:
                self._refuse(settings, tracker.settings.estimator, error)
        return changed or fresh

    def close(self, patience_s: float) -> None:
        """Wait until nothing is being opened; a runtime that compiles for longer is left to end by itself."""
        self._loader.close(patience_s)

    def _load(self, settings: EstimatorSettings) -> None:
        """Begin to open models; the lock is held."""
        self.failure = None
        self._loader.ask(settings)

    def _refuse(self, settings: TrackSettings, current: EstimatorSettings, error: UsageError) -> None:
        """Go back to the settings in use, unless models that may allow others are on their way."""
        with self._lock:
            if self._loader.wanted is not None or self._wanted is not settings:
                return
            self._wanted = settings.model_copy(update={"estimator": current})
            self._changed = True
        self._host.say("settings", "bad", str(error))
        self._stir()

    def _open(self, settings: EstimatorSettings) -> FrameEstimator:
        """Run in the loading thread: what the first frame would have to wait for is done here too."""
        stand_back(SPARE)
        estimator = self._opener(settings)
        source = self._player.source
        try:
            # Refuses here what these models cannot do, instead of at the first frame.
            estimator.change_settings(settings)
            if source is not None:
                estimator.warm_up(source.info.size)
        except BaseException:
            close_estimator(estimator)
            raise
        return estimator

    def _take_models(self) -> bool:
        with self._lock:
            outcome = self._loader.take()
            if outcome is None:
                return False
            asked, made = outcome
            if not isinstance(made, SteadyPoseError):
                # From here on, whoever asks for the same needs no others.
                self._current = asked
        if not isinstance(made, SteadyPoseError):
            self._use(made, asked)
            return True
        self._want_what_is_in_hand()
        if self._player.tracker is None:
            with self._lock:
                self.failure = made if self._loader.wanted is None else None
        else:
            self._host.say("models", "bad", str(made))
        return False

    def _use(self, made: FrameEstimator, asked: EstimatorSettings) -> None:
        wanted = with_models(self._wanted, asked)
        try:
            self._player.use_estimator(made, wanted)
        except UsageError as error:
            # Settings that came while the models were opened; those they were opened with always go.
            fitting = wanted.model_copy(update={"estimator": asked})
            assert self._player.tracker is not None
            self._player.tracker.change_settings(fitting)
            with self._lock:
                if self._loader.wanted is None:
                    self._wanted = fitting
            self._host.say("settings", "bad", str(error))

    def _want_what_is_in_hand(self) -> None:
        with self._lock:
            current = self._current
            if current is not None and self._loader.wanted is None:
                self._wanted = with_models(self._wanted, current)
                self._changed = True
