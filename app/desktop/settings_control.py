"""Connects the settings panels with the session: what is turned takes effect while people are followed."""

from PySide6.QtCore import QObject, QTimer, Signal

from app.desktop.controls import ControlsPanel
from app.desktop.models_panel import ModelsPanel
from app.desktop.preferences import Preferences
from app.desktop.preset_bar import PresetBar
from app.desktop.preset_control import PresetControl
from app.desktop.presets import Preset, shown_name
from app.desktop.session import Session
from engine.background import Background
from engine.choices import Choices, list_choices
from engine.errors import SteadyPoseError
from engine.live_models import needs_models, with_models
from engine.live_values import LiveResult
from engine.metrics.steadiness import Steadiness, SteadinessMeter
from engine.settings import EstimatorSettings, TrackSettings
from engine.skeleton import Skeleton

STEADINESS_MS = 500
PRESETS_FILE = "presets.json"

Region = tuple[float, float, float, float]
"""xyxy frame px."""


class SettingsControl(QObject):
    """Settings go from the panels to the session, what came of them comes back.

    Signals:
        told: (role, sentence). models_wanted: somebody wants to see the models. settled: the settings as
        wanted are others now.
    """

    told = Signal(str, str)
    models_wanted = Signal()
    settled = Signal()
    _listed = Signal()
    _gauged = Signal()

    def __init__(
        self,
        session: Session,
        controls: ControlsPanel,
        presets: PresetBar,
        models: ModelsPanel,
        preferences: Preferences,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._controls, self._presets, self._models = session, controls, presets, models
        self._preferences = preferences
        self._meter = SteadinessMeter()
        self._sequence = -1
        self._fixed: Skeleton | None = None
        self._lister = Background(_list, lambda _: None, self._listed.emit, "list choices")
        self._listed.connect(self._show_choices)
        self._gauge: Background[SteadinessMeter, Steadiness] = Background(
            SteadinessMeter.measure, lambda _: None, self._gauged.emit, "measure steadiness"
        )
        self._gauged.connect(self._show_steadiness)
        controls.set_settings(session.status.settings)
        controls.settings_changed.connect(self._change)
        controls.loading_cancelled.connect(self._cancel_loading)
        controls.download_wanted.connect(self._download)
        controls.models_wanted.connect(self.models_wanted)
        path = preferences.folder / PRESETS_FILE
        self._preset_control = PresetControl(presets, path, lambda: self.settings, self)
        self._preset_control.chosen.connect(self._choose_preset)
        self._preset_control.told.connect(self.told)
        models.models_changed.connect(self._list_choices)
        models.use_wanted.connect(self._use_model)
        session.status_changed.connect(self._follow_status)
        # Models can fail so soon that the status looks as before; the notice is there in any case.
        session.noticed.connect(self._follow_status)
        session.result_followed.connect(self._measure)
        self._timer = QTimer(self, interval=STEADINESS_MS)
        self._timer.timeout.connect(self._measure_steadiness)
        self._timer.start()
        presets.show_settings(self.settings)
        self._list_choices()

    @property
    def settings(self) -> TrackSettings:
        """The settings as wanted."""
        return self._controls.settings

    def close(self) -> None:
        """Wait until nothing works in the background."""
        self._timer.stop()
        self._lister.close()
        self._preset_control.close()
        self._gauge.close()

    def set_region(self, region: Region | None) -> None:
        """Follow only people in a part of the frame, xyxy frame px, or everywhere."""
        settings = self._controls.settings
        if settings.estimator.region != region:
            estimator = settings.estimator.model_copy(update={"region": region})
            self._controls.set_settings(settings.model_copy(update={"estimator": estimator}))
            self._change()

    def fix_skeleton(self, skeleton: Skeleton | None) -> None:
        """Offer only models with these keypoints, as a take is being written; None offers all again."""
        self._fixed = skeleton
        self._list_choices()

    # --- what somebody does ------------------------------------------------------------------------------

    def _change(self) -> None:
        settings, before = self._controls.settings, self._session.live.status.settings
        self._session.live.change_settings(settings)
        self._preferences.settings = settings
        self._presets.show_settings(settings)
        if needs_models(before.estimator, settings.estimator):
            self._list_choices()
        self.settled.emit()

    def _cancel_loading(self) -> None:
        if self._session.live.status.ready:
            self._session.live.cancel_loading()
        else:
            self.told.emit(
                "warning", self.tr("There are no other models to stay with; choose others instead")
            )

    def _choose_preset(self, preset: Preset) -> None:
        self._controls.apply_settings(preset.settings, shown_name(preset))

    def _download(self, name: str) -> None:
        self.models_wanted.emit()
        self._models.start_download(name)
        self._models.reveal(name)

    def _use_model(self, name: str, kind: str) -> None:
        field = "top_down_model" if kind == "top-down" else "bottom_up_model"
        settings = self._controls.settings
        estimator = settings.estimator.model_copy(update={field: name})
        text = self.tr("Use {}").format(name)
        self._controls.apply_settings(settings.model_copy(update={"estimator": estimator}), text)

    # --- what comes back ---------------------------------------------------------------------------------

    def _follow_status(self) -> None:
        status = self._session.live.status
        self._controls.set_loading(status.loading)
        shown = self._controls.settings
        if needs_models(shown.estimator, status.settings.estimator):
            # The models asked for could not be had, or were not waited for.
            settings = with_models(shown, status.settings.estimator)
            self._controls.set_settings(settings)
            self._preferences.settings = settings
            self._presets.show_settings(settings)
            self._list_choices()
            self.settled.emit()

    def _measure(self, live: LiveResult) -> None:
        if live.sequence != self._sequence:
            self._sequence = live.sequence
            self._meter = SteadinessMeter()
        self._meter.add(live.result)

    def _measure_steadiness(self) -> None:
        if self._controls.isVisible() and self._gauge.wanted is None:
            self._gauge.ask(self._meter)

    def _show_steadiness(self) -> None:
        outcome = self._gauge.take()
        if outcome is not None and outcome[0] is self._meter and isinstance(outcome[1], Steadiness):
            found = outcome[1]
            self._controls.set_steadiness(found.jitter_share, found.jitter_px, found.lag_ms)

    def _list_choices(self) -> None:
        self._lister.ask((self._controls.settings.estimator, self._fixed))

    def _show_choices(self) -> None:
        outcome = self._lister.take()
        if outcome is None:
            return
        choices = outcome[1]
        if isinstance(choices, SteadyPoseError):
            self.told.emit("bad", str(choices))
        else:
            self._controls.set_choices(choices)


def _list(wish: tuple[EstimatorSettings, Skeleton | None]) -> Choices:
    settings, skeleton = wish
    return list_choices(settings, skeleton=skeleton)
