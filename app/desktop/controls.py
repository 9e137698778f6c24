"""The controls: every setting that matters while looking, each undoable, all usable while something loads.

The panel knows `TrackSettings` and nothing of who uses them: it shows what it is given and says when somebody
changed something.
"""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.desktop.controls_editors import ChoiceEditor
from app.desktop.controls_fields import (
    CONTROLLED,
    DEFAULTS,
    FIELDS,
    SECTIONS,
    differing,
    value_at,
    with_values,
)
from app.desktop.controls_section import SettingRow, SettingSection
from app.desktop.controls_status import LoadingStrip, SteadinessPreview
from app.desktop.controls_undo import SettingsCommand
from app.desktop.icons import icon
from engine.choices import Choice, Choices
from engine.settings import TrackSettings

DRAG_INTERVAL_MS = 50
"""Between two tellings of a setting that is being dragged."""


class ControlsPanel(QWidget):
    """Shows and changes `TrackSettings`."""

    settings_changed = Signal()
    """Somebody changed a setting, undid or redid a change; read `settings`. At most 20 times a second while a
    slider is dragged, at once otherwise."""
    download_wanted = Signal(str)
    """Somebody chose a published model that is not at hand."""
    models_wanted = Signal()
    """Somebody wants to see all models."""
    loading_cancelled = Signal()

    def __init__(self, undo_stack: QUndoStack | None = None, parent: QWidget | None = None) -> None:
        """Build the panel with the settings as they come.

        Args:
            undo_stack: where changes go; by default one of the panel's own.
            parent: as of every widget.
        """
        super().__init__(parent)
        self._settings = TrackSettings()
        self._stack = undo_stack or QUndoStack(self)
        self._timer = QTimer(self, singleShot=True, interval=DRAG_INTERVAL_MS)
        self._timer.timeout.connect(self.settings_changed)
        self._loading = LoadingStrip()
        self._loading.cancelled.connect(self.loading_cancelled)
        self._preview = SteadinessPreview()
        self._sections = {section.key: SettingSection(section) for section in SECTIONS}
        self._rows: dict[str, SettingRow] = {}
        for section in self._sections.values():
            self._rows |= section.rows
            section.changed.connect(self._on_changed)
            section.reset_wanted.connect(self._on_reset)
        self._sections["smoothing"].add_below("steadiness", self._preview)
        self._lay_out()
        for key in ("top_down_model", "bottom_up_model"):
            self._combo(key).combo.download_wanted.connect(self.download_wanted)
        self._set_plain_choices()
        self._show()

    @property
    def settings(self) -> TrackSettings:
        """What is set now."""
        return self._settings

    def set_settings(self, settings: TrackSettings) -> None:
        """Show other settings; this is nobody's change: it emits nothing and cannot be undone."""
        self._settings = settings
        self._show()

    def apply_settings(self, settings: TrackSettings, text: str) -> None:
        """Take other settings as one change that can be undone; the region stays as it is.

        Args:
            settings: for example of a preset.
            text: what an undo menu calls the change.
        """
        self._push(differing(self._settings, settings), text)

    def reset_all(self) -> None:
        """Set everything on the panel back to its default, as one change that can be undone."""
        values = {path: value_at(DEFAULTS, path) for path in CONTROLLED}
        self._push(values, self.tr("reset of all settings"))

    def undo_stack(self) -> QUndoStack:
        """Return where the changes are."""
        return self._stack

    def set_choices(self, choices: Choices) -> None:
        """Offer other modes, models, runtimes and precisions."""
        offered = {
            "mode": choices.modes,
            "top_down_model": choices.top_down_models,
            "bottom_up_model": choices.bottom_up_models,
            "runtime": choices.runtimes,
            "precision": choices.precisions,
        }
        for key, entries in offered.items():
            self._combo(key).combo.set_choices(entries)

    def set_steadiness(self, jitter_share: float, jitter_px: float, lag_ms: float) -> None:
        """Show what smoothing does at present; see `SteadinessPreview.set_steadiness`."""
        self._preview.set_steadiness(jitter_share, jitter_px, lag_ms)

    def set_loading(self, text: str | None, share: float | None = None) -> None:
        """Say what is being loaded; see `LoadingStrip.set_loading`. Every control stays usable."""
        self._loading.set_loading(text, share)

    def open_sections(self) -> list[str]:
        """Return the keys of the sections that are not folded, to be remembered."""
        return [key for key, section in self._sections.items() if section.is_open()]

    def set_open_sections(self, keys: list[str]) -> None:
        """Fold all sections but these."""
        for key, section in self._sections.items():
            section.set_open(key in keys)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        for section in self._sections.values():
            column.addWidget(section)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        manage = QPushButton(icon("download"), self.tr("More models…"))
        manage.setToolTip(self.tr("See, download and remove models"))
        manage.clicked.connect(self.models_wanted)
        self._reset_all = QPushButton(icon("reset"), self.tr("Reset all"))
        self._reset_all.setToolTip(self.tr("Set everything here back to its default; can be undone"))
        self._reset_all.clicked.connect(self.reset_all)
        buttons = QHBoxLayout()
        buttons.setContentsMargins(8, 0, 8, 8)
        buttons.setSpacing(8)
        buttons.addWidget(manage, 1)
        buttons.addWidget(self._reset_all, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self._loading)
        layout.addWidget(scroll, 1)
        layout.addLayout(buttons)
        self.setMinimumWidth(280)

    def _combo(self, key: str) -> ChoiceEditor:
        editor = self._rows[key].editor
        if not isinstance(editor, ChoiceEditor):
            raise TypeError(f"the editor of {key} must offer choices, got {type(editor).__name__}")
        return editor

    def _set_plain_choices(self) -> None:
        """Offer the filters, which are always there."""
        offered = {
            "kalman": self.tr("Kalman"), "one-euro": self.tr("One-Euro"), "none": self.tr("None"),
        }  # fmt: skip
        self._combo("smoothing_method").combo.set_choices(
            Choice(value=value, label=label, available=True, reason="") for value, label in offered.items()
        )

    def _show(self) -> None:
        for row in self._rows.values():
            row.show_settings(self._settings)
        self._reset_all.setEnabled(
            any(value_at(self._settings, path) != value_at(DEFAULTS, path) for path in CONTROLLED)
        )
        bottom_up = self._settings.estimator.mode == "bottom-up"
        unused = self.tr("Not used in bottom-up mode.") if bottom_up else ""
        for key in ("top_down_model", "find_interval"):
            self._rows[key].set_idle(unused)
        method = self._settings.tracker.smoothing.method
        unsmoothed = self.tr("Not used without smoothing.") if method == "none" else ""
        self._rows["steadiness"].set_idle(unsmoothed)

    def _on_changed(self, key: str, value: Any, drag: int) -> None:
        field = FIELDS[key]
        text = self.tr("change of “{setting}”").format(setting=self._rows[key].name)
        self._push(field.changes(self._settings, value), text, key=key, drag=drag or None)

    def _on_reset(self, key: str) -> None:
        text = self.tr("reset of “{setting}”").format(setting=self._rows[key].name)
        self._push(FIELDS[key].defaults(), text)

    def _push(self, values: Mapping[str, Any], text: str, *, key: str = "", drag: int | None = None) -> None:
        before = {path: value_at(self._settings, path) for path in values}
        if all(before[path] == value for path, value in values.items()):
            return
        self._stack.push(SettingsCommand(self._apply, before, values, text=text, key=key, drag=drag))

    def _apply(self, values: Mapping[str, Any], dragging: bool) -> None:
        self._settings = with_values(self._settings, values)
        self._show()
        if not dragging:
            self._timer.stop()
            self.settings_changed.emit()
        elif not self._timer.isActive():
            self._timer.start()
