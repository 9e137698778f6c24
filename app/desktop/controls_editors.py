"""Editors of single settings, all alike from outside: `set_value`, and a signal with what somebody chose."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.desktop.controls_choices import ChoiceCombo
from app.desktop.controls_fields import SettingField

AUTO_START_S = 0.5
"""Seconds that the finder's interval begins with when `auto` is switched off."""
SLIDER_STEPS = 100
LEVEL = 8
"""Space above the steadiness slider and its label, px: they stand at the top of a tall row."""
NARROW_SPIN = 66
"""Least width of a spin box that shares its place with a check box, px."""


class EditorGuard(QObject):
    """Keeps two habits of Qt from settings: the mouse wheel changes what has no focus while a panel scrolls
    under it, and a spin box takes undo and redo for its text."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass the wheel, undo and redo on to whatever is around."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            keys = QKeySequence.StandardKey
            if event.matches(keys.Undo) or event.matches(keys.Redo):
                event.ignore()
                return True
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


class Editor(QWidget):
    """Base of all editors."""

    changed = Signal(object, int)
    """The value somebody chose, and the number of the drag it is part of, 0 for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guard = EditorGuard(self)
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(8)

    def set_value(self, value: Any) -> None:
        """Show a value; emits nothing."""
        raise NotImplementedError

    def focus_widget(self) -> QWidget:
        """Return what the label is for."""
        raise NotImplementedError

    def set_name(self, name: str) -> None:
        """Tell screen readers what is edited here."""
        self.focus_widget().setAccessibleName(name)

    def _take(self, widget: QWidget, stretch: int = 0) -> None:
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self._guard)
        self._layout.addWidget(widget, stretch)


class ChoiceEditor(Editor):
    """A `ChoiceCombo`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = ChoiceCombo()
        self._take(self.combo, 1)
        self.combo.chosen.connect(lambda value: self.changed.emit(value, 0))

    def set_value(self, value: Any) -> None:
        """Show a choice."""
        self.combo.set_value(str(value))

    def focus_widget(self) -> QWidget:
        """Return the combo box."""
        return self.combo


class _Slider(QSlider):
    """Steps of a share, with a number for each drag."""

    moved_to = Signal(int, int)

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, SLIDER_STEPS)
        self.setPageStep(SLIDER_STEPS // 10)
        self._drag = 0
        self.sliderPressed.connect(self._on_pressed)
        self.valueChanged.connect(self._on_value)

    def _on_pressed(self) -> None:
        self._drag += 1

    def _on_value(self, value: int) -> None:
        self.moved_to.emit(value, self._drag if self.isSliderDown() else 0)


class ScoreEditor(Editor):
    """A slider over scores, which it shows in per cent."""

    def __init__(self, low: float, high: float, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = _Slider()
        self._slider.setRange(round(low * SLIDER_STEPS), round(high * SLIDER_STEPS))
        self._take(self._slider, 1)
        self._shown = QLabel()
        self._shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._shown.setMinimumWidth(self._shown.fontMetrics().horizontalAdvance("100 %"))
        self._layout.addWidget(self._shown)
        self._slider.moved_to.connect(self._on_moved)

    def set_value(self, value: Any) -> None:
        """Show a score in [0, 1]."""
        with QSignalBlocker(self._slider):
            self._slider.setValue(round(value * SLIDER_STEPS))
        self._show_score(value)

    def focus_widget(self) -> QWidget:
        """Return the slider."""
        return self._slider

    def _show_score(self, value: float) -> None:
        self._shown.setText(self.tr("{score} %").format(score=f"{100 * value:.0f}"))

    def _on_moved(self, step: int, drag: int) -> None:
        self._show_score(step / SLIDER_STEPS)
        self.changed.emit(step / SLIDER_STEPS, drag)


class SteadinessEditor(Editor):
    """One slider from steady to fast."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = _Slider()
        self._slider.setAccessibleDescription(self.tr("Steady to the left, fast to the right"))
        column = QVBoxLayout()
        column.setContentsMargins(0, LEVEL, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._slider)
        ends = QHBoxLayout()
        for text, side in ((self.tr("Steady"), Qt.AlignmentFlag.AlignLeft),
                           (self.tr("Fast"), Qt.AlignmentFlag.AlignRight)):  # fmt: skip
            end = QLabel(text)
            font = end.font()
            font.setPointSizeF(font.pointSizeF() * 0.88)
            end.setFont(font)
            ends.addWidget(end, 1, side)
        column.addLayout(ends)
        self._slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._slider.installEventFilter(self._guard)
        self._layout.addLayout(column, 1)
        self._slider.moved_to.connect(lambda step, drag: self.changed.emit(step / SLIDER_STEPS, drag))

    def set_value(self, value: Any) -> None:
        """Show a share: 0 steady to 1 fast."""
        if not self._slider.isSliderDown():  # the settings it makes may read back a hair beside the hand
            with QSignalBlocker(self._slider):
                self._slider.setValue(round(value * SLIDER_STEPS))

    def focus_widget(self) -> QWidget:
        """Return the slider."""
        return self._slider


class CountEditor(Editor):
    """A whole number."""

    def __init__(self, low: int, high: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin = QSpinBox()
        self._spin.setRange(low, high)
        self._spin.setKeyboardTracking(False)
        self._take(self._spin, 1)
        self._spin.valueChanged.connect(lambda value: self.changed.emit(value, 0))

    def set_value(self, value: Any) -> None:
        """Show a number."""
        with QSignalBlocker(self._spin):
            self._spin.setValue(value)

    def focus_widget(self) -> QWidget:
        """Return the spin box."""
        return self._spin


def _seconds_box(field: SettingField) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(2)
    box.setRange(field.low, field.high)
    box.setSingleStep(field.step)
    box.setSuffix(QCoreApplication.translate("Controls", " s"))
    box.setKeyboardTracking(False)
    return box


class SecondsEditor(Editor):
    """A number of seconds."""

    def __init__(self, field: SettingField, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin = _seconds_box(field)
        self._take(self._spin, 1)
        self._spin.valueChanged.connect(lambda value: self.changed.emit(round(value, 3), 0))

    def set_value(self, value: Any) -> None:
        """Show seconds."""
        with QSignalBlocker(self._spin):
            self._spin.setValue(value)

    def focus_widget(self) -> QWidget:
        """Return the spin box."""
        return self._spin


class AutoSecondsEditor(Editor):
    """A number of seconds, or that it is measured."""

    def __init__(self, field: SettingField, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._auto = QCheckBox(self.tr("Auto"))
        self._auto.setToolTip(self.tr("Measure what this machine can hold"))
        self._spin = _seconds_box(field)
        self._spin.setMinimumWidth(NARROW_SPIN)
        self._last_s = AUTO_START_S
        self._take(self._spin, 1)
        self._take(self._auto)
        self._auto.toggled.connect(self._on_toggled)
        self._spin.valueChanged.connect(self._on_seconds)

    def set_value(self, value: Any) -> None:
        """Show seconds; None is auto."""
        with QSignalBlocker(self._auto), QSignalBlocker(self._spin):
            self._auto.setChecked(value is None)
            self._last_s = self._last_s if value is None else value
            self._spin.setValue(self._last_s)
        self._spin.setEnabled(value is not None)

    def focus_widget(self) -> QWidget:
        """Return what can be used at present."""
        return self._auto

    def set_name(self, name: str) -> None:
        """Tell screen readers what is edited here: number and box."""
        self._spin.setAccessibleName(name)
        self._auto.setAccessibleName(self.tr("{name}, automatic").format(name=name))

    def _on_toggled(self, auto: bool) -> None:
        self._spin.setEnabled(not auto)
        self.changed.emit(None if auto else self._last_s, 0)

    def _on_seconds(self, seconds: float) -> None:
        self._last_s = round(seconds, 3)
        self.changed.emit(self._last_s, 0)


class SwitchEditor(Editor):
    """On or off."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QCheckBox(self.tr("On"))
        self._take(self._box)
        self._layout.addStretch(1)
        self._box.toggled.connect(lambda on: self.changed.emit(on, 0))

    def set_value(self, value: Any) -> None:
        """Show on or off."""
        with QSignalBlocker(self._box):
            self._box.setChecked(value)

    def focus_widget(self) -> QWidget:
        """Return the check box."""
        return self._box


def make_editor(field: SettingField) -> Editor:
    """Return the editor that a row asks for."""
    makers: dict[str, Callable[[], Editor]] = {
        "choice": ChoiceEditor,
        "score": lambda: ScoreEditor(field.low, field.high),
        "count": lambda: CountEditor(round(field.low), round(field.high)),
        "seconds": lambda: SecondsEditor(field),
        "auto seconds": lambda: AutoSecondsEditor(field),
        "switch": SwitchEditor,
        "steadiness": SteadinessEditor,
    }
    return makers[field.editor]()
