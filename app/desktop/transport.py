"""The bar under the video: play, step, seek and speed of a file, or how a live source is doing."""

import math

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QStackedLayout,
    QWidget,
)

from app.desktop.figures import format_time, tabular
from app.desktop.icon_button import IconButton
from app.desktop.icons import icon
from app.desktop.theme import Role, is_dark, status_colour
from app.desktop.timeline import Timeline

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, math.inf)
"""Times the file's own pace; infinity is as fast as the machine can."""

_BUTTON_PX = 32


class TransportBar(QWidget):
    """Controls of a file with its time line, or the state of a live source.

    Methods change what is shown and emit nothing; only what somebody does emits.

    Signals:
        play_toggled: play or pause. stepped: frames to go, -1 or 1. sought: seconds. speed_changed: times
        the file's own pace, infinity for as fast as it goes. loop_changed, mirrored_changed: the new state.
    """

    play_toggled = Signal()
    stepped = Signal(int)
    sought = Signal(float)
    speed_changed = Signal(float)
    loop_changed = Signal(bool)
    mirrored_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._playing = False
        self._live = False
        self._role: Role = "good"
        self.timeline = Timeline()
        self.timeline.sought.connect(self.sought)
        self._file_page = self._make_file_page()
        self._live_page = self._make_live_page()
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self._file_page)
        self._pages.addWidget(self._live_page)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.set_playing(False)
        self.set_time(None, None)
        self.set_state("", "good")

    @property
    def live(self) -> bool:
        """Whether the bar shows a live source."""
        return self._live

    @property
    def playing(self) -> bool:
        """Whether the button offers to pause."""
        return self._playing

    @property
    def speed(self) -> float:
        """Times the file's own pace, infinity for as fast as it goes."""
        return float(self._speed.currentData())

    @property
    def loop(self) -> bool:
        """Whether the file begins anew at its end."""
        return self._loop.isChecked()

    @property
    def mirrored(self) -> bool:
        """Whether a live picture is shown as in a mirror."""
        return self._mirror.isChecked()

    @property
    def state_text(self) -> str:
        """How the live source is doing."""
        return self._state.text()

    @property
    def time_text(self) -> str:
        """The time label's text."""
        return self._time.text()

    def set_live(self, live: bool) -> None:
        """Show the state of a live source, or the controls of a file."""
        self._live = live
        self._pages.setCurrentWidget(self._live_page if live else self._file_page)

    def set_playing(self, playing: bool) -> None:
        """Offer to pause while playing, else to play."""
        self._playing = playing
        name = self.tr("Pause") if playing else self.tr("Play")
        self._play.setIcon(icon("pause" if playing else "play"))
        self._play.setToolTip(name)
        self._play.setAccessibleName(name)

    def set_state(self, text: str, role: Role) -> None:
        """Say how the live source is doing, in a colour that means it."""
        self._role = role
        self._chip.setText(self.tr("LIVE") if role == "good" else self.tr("NOT LIVE"))
        self._state.setText(text)
        self._state.setToolTip(text)
        self._recolour()

    def set_time(self, position_s: float | None, duration_s: float | None) -> None:
        """Show where the file is; another length empties the time line, None and 0 are not known."""
        known_s = duration_s if duration_s and math.isfinite(duration_s) else None
        if known_s != self.timeline.duration_s:
            self.timeline.set_duration(known_s)
        if position_s is not None:
            self.timeline.set_position(position_s)
        here, there = format_time(position_s), format_time(self.timeline.duration_s)
        self._time.setText(f"{here} / {there}")
        self._time.setMinimumWidth(max(self._time.minimumWidth(), self._time_width(there)))

    def set_speed(self, speed: float) -> None:
        """Show a speed of `SPEEDS`.

        Raises:
            ValueError: `speed` is none of them.
        """
        self._speed.setCurrentIndex(SPEEDS.index(speed))

    def set_loop(self, on: bool) -> None:
        """Show whether the file begins anew at its end."""
        self._loop.setChecked(on)

    def set_mirrored(self, on: bool) -> None:
        """Show whether a live picture is mirrored."""
        self._mirror.setChecked(on)

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_pages"):
            self._recolour()

    def _make_file_page(self) -> QWidget:
        page = QWidget()
        back = _button("step-back", self.tr("One frame back"))
        back.clicked.connect(lambda: self.stepped.emit(-1))
        self._play = _button("play", self.tr("Play"))
        self._play.clicked.connect(self.play_toggled)
        forward = _button("step-forward", self.tr("One frame on"))
        forward.clicked.connect(lambda: self.stepped.emit(1))
        for button in (back, forward):
            button.setAutoRepeat(True)
            button.setAutoRepeatDelay(400)
            button.setAutoRepeatInterval(100)
        self._loop = _button("loop", self.tr("Begin anew at the end"))
        self._loop.setCheckable(True)
        self._loop.clicked.connect(self.loop_changed)
        self._speed = self._make_speed()
        self._time = QLabel()
        self._time.setFont(tabular(self.font()))
        self._time.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._time.setToolTip(self.tr("Time of the frame shown, and length of the file"))
        row = QHBoxLayout(page)
        row.setContentsMargins(8, 0, 0, 0)
        row.setSpacing(4)
        controls = QHBoxLayout()
        controls.setContentsMargins(0, self.timeline.label_room, 0, 0)
        controls.setSpacing(4)
        for widget in (back, self._play, forward, self._loop, self._speed):
            controls.addWidget(widget)
        controls.addSpacing(4)
        controls.addWidget(self._time)
        row.addLayout(controls)
        row.addWidget(self.timeline, 1)
        return page

    def _make_speed(self) -> QComboBox:
        box = QComboBox()
        for speed in SPEEDS:
            box.addItem(self.tr("Fastest") if math.isinf(speed) else f"{speed:g}×", speed)
        box.setCurrentIndex(SPEEDS.index(1.0))
        box.setToolTip(self.tr("Speed: times the pace of the file, or as fast as this machine can"))
        box.setAccessibleName(self.tr("Speed"))
        box.activated.connect(lambda index: self.speed_changed.emit(SPEEDS[index]))
        return box

    def _make_live_page(self) -> QWidget:
        page = QWidget()
        self._chip = QLabel()
        self._chip.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._chip.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._chip.setToolTip(
            self.tr("Whether the picture comes as it is seen; a live picture cannot be sought")
        )
        font = self._chip.font()
        font.setBold(True)
        self._chip.setFont(font)
        self._state = QLabel()
        self._state.setTextFormat(Qt.TextFormat.PlainText)
        self._state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._state.setAccessibleName(self.tr("State of the source"))
        self._mirror = _button("mirror", self.tr("Show the picture as in a mirror; files are not mirrored"))
        self._mirror.setAccessibleName(self.tr("Mirrored"))
        self._mirror.setCheckable(True)
        self._mirror.clicked.connect(self.mirrored_changed)
        row = QHBoxLayout(page)
        row.setContentsMargins(8, 0, 8, 0)
        row.setSpacing(8)
        row.addWidget(self._chip)
        row.addWidget(self._state, 1)
        row.addWidget(self._mirror)
        return page

    def _time_width(self, longest: str) -> int:
        return self._time.fontMetrics().horizontalAdvance(f"{longest} / {longest}") + 8

    def _recolour(self) -> None:
        palette = self.palette()
        ground = status_colour(self._role, palette)
        text = QColor("black" if is_dark(palette) else "white")
        self._chip.setStyleSheet(
            f"QLabel {{ background: {ground.name()}; color: {text.name()};"
            " border-radius: 4px; padding: 2px 8px; }"
        )


def _button(name: str, tip: str) -> IconButton:
    return IconButton(name, tip, size_px=_BUTTON_PX)
