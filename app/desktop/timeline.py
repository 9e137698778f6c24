"""The time line of a file: where people are, where takes were marked, and a playhead that seeks.

Knows nothing of the source: it is told times and people, and says where somebody wants to go.
"""

import math
import time

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.desktop.figures import format_time, people_text, scaled, tabular
from app.desktop.timeline_painting import (
    UNVISITED,
    label_box,
    paint_flag,
    paint_ground,
    paint_hover,
    paint_people,
    paint_playhead,
)

_BINS = 2000
"""Most times that are told apart, whatever the length of the file."""
_GAP_S = 0.3
"""Two pictures closer than this were shown one after the other: what lies between them was seen."""
_DRAG_INTERVAL_S = 1 / 15
_CLICK_S = 0.12
"""A press that is let go within this is a click, and seeks once."""
_MARGIN = 8.0
_LABEL_HEIGHT = 16.0
_STRIP_HEIGHT = 24.0
_KEYS_S = {
    Qt.Key.Key_Left: -1.0,
    Qt.Key.Key_Right: 1.0,
    Qt.Key.Key_PageDown: -5.0,
    Qt.Key.Key_PageUp: 5.0,
    Qt.Key.Key_Home: -math.inf,
    Qt.Key.Key_End: math.inf,
}
"""What a key adds to the time, seconds."""


class Timeline(QWidget):
    """A seek bar that shows how many people are where.

    Signals:
        sought: seconds that somebody wants to see; while dragging at most 15 times a second, then once more
            on release, when `dragging` is False already.
    """

    sought = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._duration_s: float | None = None
        self._frame_s = 0.0
        self._position_s = 0.0
        self._bins = np.full(_BINS, UNVISITED, np.int16)
        self._last_added_s = math.nan
        self._markers: list[float] = []
        self._drag_s: float | None = None
        self._hover_x: float | None = None
        self._emitted_at_s = -math.inf
        self._columns: tuple[int, np.ndarray] | None = None
        self._drag_timer = QTimer(self)
        self._drag_timer.setSingleShot(True)
        self._drag_timer.timeout.connect(self._emit_drag)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Time line"))
        self._describe()

    @property
    def dragging(self) -> bool:
        """Whether the playhead is held with the mouse."""
        return self._drag_s is not None

    @property
    def label_room(self) -> int:
        """How much more room is above the strip than below, px: controls beside it move down by this."""
        return round(2 * _LABEL_HEIGHT + _STRIP_HEIGHT) - self.sizeHint().height()

    @property
    def duration_s(self) -> float | None:
        """The length of the file, None where it is not known and nothing can be sought."""
        return self._duration_s

    @property
    def position_s(self) -> float:
        """Where the playhead is: under the mouse while it is dragged."""
        return self._position_s if self._drag_s is None else self._drag_s

    def set_duration(self, seconds: float | None, frame_s: float = 0.0) -> None:
        """Set the length of the file, and forget what was seen of another one.

        Args:
            seconds: the length; None, 0 or NaN where it is not known.
            frame_s: how long one picture is shown, 0 where that is not known.
        """
        known = seconds is not None and math.isfinite(seconds) and seconds > 0
        self._duration_s = seconds if known else None
        self._frame_s = max(frame_s, 0.0)
        bins = _BINS
        if self._duration_s and self._frame_s:
            bins = min(_BINS, max(1, math.ceil(self._duration_s / self._frame_s - 1e-6)))
        self._bins = np.full(bins, UNVISITED, np.int16)
        self._last_added_s = math.nan
        self._markers = []
        self._columns = None
        self._position_s = 0.0
        self._end_drag()
        self.setCursor(Qt.CursorShape.PointingHandCursor if known else Qt.CursorShape.ArrowCursor)
        self._describe()
        self.update()

    def reset(self) -> None:
        """Forget the file: no length, no people, no markers, playhead at 0."""
        self.set_duration(None)

    def set_position(self, seconds: float) -> None:
        """Move the playhead, unless it is being dragged."""
        whole_before = int(self._position_s)
        self._position_s = self._clamp(seconds)
        if self._drag_s is not None:
            return
        if int(self._position_s) != whole_before:
            self._describe()
        self.update()

    def add_people(self, time_s: float, count: int) -> None:
        """Take in how many people are on the picture of a time; of several counts the most is shown."""
        if self._duration_s is None or not 0 <= time_s <= self._duration_s + self._frame_s:
            return
        last = self._bin(time_s)
        gap_s = time_s - self._last_added_s
        nearby = 0 < gap_s <= max(_GAP_S, 1.5 * self._frame_s)
        first = min(self._bin(self._last_added_s) + 1, last) if nearby else last
        self._last_added_s = time_s
        bins = self._bins[first : last + 1]
        if (bins < count).any():
            np.maximum(bins, min(count, 9999), out=bins)
            self._columns = None
            self.update()

    def add_marker(self, time_s: float) -> None:
        """Show a small flag at a time."""
        self._markers.append(time_s)
        self.update()

    def people_at(self, time_s: float) -> int | None:
        """Return the most people seen at a time, None where nothing was looked at yet."""
        if self._duration_s is None:
            return None
        count = int(self._bins[self._bin(time_s)])
        return None if count == UNVISITED else count

    def sizeHint(self) -> QSize:
        """Wide, and as high as label, strip and knob."""
        return QSize(480, round(_LABEL_HEIGHT + _STRIP_HEIGHT + 8))

    def minimumSizeHint(self) -> QSize:
        """Fit beside the buttons of a narrow window."""
        return QSize(96, self.sizeHint().height())

    def x_of(self, time_s: float) -> float:
        """Return where a time is painted, px from the left."""
        strip = self._strip()
        return strip.left() + strip.width() * (time_s / self._duration_s if self._duration_s else 0.0)

    def time_at(self, x: float) -> float:
        """Return the time that is painted at a place, px from the left, within what can be sought."""
        strip = self._strip()
        return self._clamp((x - strip.left()) / max(strip.width(), 1.0) * (self._duration_s or 0.0))

    # What the user does

    def event(self, event: QEvent) -> bool:
        """Claim the keys that seek from the window's shortcuts while the time line has the focus."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
            if event.key() in _KEYS_S and plain == Qt.KeyboardModifier.NoModifier and self._duration_s:
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Seek: arrows by a second, Page keys by five, Home and End."""
        step_s = _KEYS_S.get(Qt.Key(event.key()))
        if (
            step_s is None
            or self._duration_s is None
            or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        ):
            super().keyPressEvent(event)
            return
        self._position_s = self._clamp(self._position_s + step_s)
        self._describe()
        self.update()
        self.sought.emit(self._position_s)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the playhead."""
        if event.button() != Qt.MouseButton.LeftButton or self._duration_s is None:
            super().mousePressEvent(event)
            return
        self._drag_s = self.time_at(event.position().x())
        self._hover_x = event.position().x()
        self._drag_timer.start(round(_CLICK_S * 1000))
        self._emitted_at_s = time.monotonic()
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the playhead, or show what is under the mouse."""
        self._hover_x = event.position().x()
        self.update()
        if self._drag_s is None:
            return
        self._drag_s = self.time_at(self._hover_x)
        since_s = time.monotonic() - self._emitted_at_s
        if since_s >= _DRAG_INTERVAL_S:
            self._emit_drag()
        elif not self._drag_timer.isActive():
            self._drag_timer.start(math.ceil((_DRAG_INTERVAL_S - since_s) * 1000))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let the playhead go and seek there."""
        if event.button() != Qt.MouseButton.LeftButton or self._drag_s is None:
            super().mouseReleaseEvent(event)
            return
        self._position_s = self.time_at(event.position().x())
        self._end_drag()
        self._describe()
        self.update()
        self.sought.emit(self._position_s)

    def leaveEvent(self, event: QEvent) -> None:
        """Show nothing under the mouse any more."""
        self._hover_x = None
        self.update()
        super().leaveEvent(event)

    def _emit_drag(self) -> None:
        if self._drag_s is None:
            return
        self._drag_timer.stop()
        self._emitted_at_s = time.monotonic()
        self.sought.emit(self._drag_s)

    def _end_drag(self) -> None:
        self._drag_timer.stop()
        self._drag_s = None

    def _clamp(self, seconds: float) -> float:
        last_s = max((self._duration_s or math.inf) - self._frame_s, 0.0)
        return min(max(seconds, 0.0), last_s)

    def _bin(self, time_s: float) -> int:
        assert self._duration_s is not None
        last = len(self._bins) - 1
        return min(max(int(time_s / self._duration_s * len(self._bins) + 1e-6), 0), last)

    def _describe(self) -> None:
        if self._duration_s is None:
            text = self.tr("The length is not known: nothing can be sought")
        else:
            text = self.tr("{0} of {1}").format(format_time(self.position_s), format_time(self._duration_s))
        self.setAccessibleDescription(text)

    # Painting

    def _strip(self) -> QRectF:
        return QRectF(_MARGIN, _LABEL_HEIGHT, max(self.width() - 2 * _MARGIN, 1.0), _STRIP_HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint strip, flags, playhead and the labels above."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        strip, palette = self._strip(), self.palette()
        paint_ground(painter, strip, palette, focused=self.hasFocus())
        if self._duration_s is None:
            painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
            painter.drawText(strip, Qt.AlignmentFlag.AlignCenter, self.tr("Length not known"))
            return
        columns = self._people_columns(max(round(strip.width() * self.devicePixelRatioF()), 1))
        paint_people(painter, strip, columns, palette)
        for time_s in self._markers:
            if 0 <= time_s <= self._duration_s:
                paint_flag(painter, strip, self.x_of(time_s), palette)
        if self._hover_x is not None and not self.dragging:
            paint_hover(painter, strip, self.x_of(self.time_at(self._hover_x)), palette)
        paint_playhead(painter, strip, self.x_of(self.position_s), palette)
        self._paint_labels(painter)

    def _paint_labels(self, painter: QPainter) -> None:
        font = tabular(scaled(self.font(), 0.85))
        painter.setFont(font)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        metrics, width = QFontMetricsF(font), float(self.width())
        under = None
        if self._hover_x is not None and not self.dragging:
            time_s = self.time_at(self._hover_x)
            hover = f"{format_time(time_s)} · {people_text(self.people_at(time_s))}"
            under = label_box(self.x_of(time_s), hover, metrics, width, _LABEL_HEIGHT - 3)
            painter.drawText(under, Qt.AlignmentFlag.AlignCenter, hover)
        text = format_time(self.position_s)
        head = label_box(self.x_of(self.position_s), text, metrics, width, _LABEL_HEIGHT - 3)
        if under is None or not under.adjusted(-6, 0, 6, 0).intersects(head):
            painter.drawText(head, Qt.AlignmentFlag.AlignCenter, text)

    def _people_columns(self, width: int) -> np.ndarray:
        if self._columns is None or self._columns[0] != width:
            starts = np.arange(width) * len(self._bins) // width
            self._columns = width, np.maximum.reduceat(self._bins, starts)
        return self._columns[1]
