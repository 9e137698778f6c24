"""What the controls tell: the cost of smoothing as two meters, and what is being loaded."""

import math

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QWidget

from app.desktop.busy_bar import BusyBar
from app.desktop.icons import icon
from app.desktop.theme import Role, groove_colour, status_colour

FULL_LAG_MS = 200.0
"""Lag that fills the meter; from here on a skeleton visibly trails behind a gesture."""
NOTICEABLE_LAG_MS = 80.0
UNKNOWN = "–"


class Meter(QWidget):
    """A thin bar that is full to some share; empty where nothing is known."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._share = math.nan
        self._role: Role = "accent"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_share(self, share: float, role: Role = "accent") -> None:
        """Fill to a share in [0, 1]; NaN empties."""
        self._share, self._role = share, role
        self.update()

    def sizeHint(self) -> QSize:
        """Return a thin bar."""
        return QSize(64, 8)

    def minimumSizeHint(self) -> QSize:
        """Return the shortest bar that still tells something."""
        return QSize(32, 8)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the groove and what is full of it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        groove = QRectF(self.rect()).adjusted(0, 1, 0, -1)
        radius = groove.height() / 2
        painter.setBrush(groove_colour(self.palette()))
        painter.drawRoundedRect(groove, radius, radius)
        if math.isfinite(self._share) and self._share > 0:
            full = QRectF(groove)
            full.setWidth(max(groove.height(), groove.width() * min(self._share, 1.0)))
            painter.setBrush(status_colour(self._role, self.palette()))
            painter.drawRoundedRect(full, radius, radius)
        painter.end()


class SteadinessPreview(QWidget):
    """What smoothing leaves of the tremble, and how late it makes the skeleton."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jitter_text, self._lag_text = QLabel(), QLabel()
        self._jitter, self._lag = Meter(), Meter()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 8, 0, 8)
        layout.setHorizontalSpacing(16)
        layout.setVerticalSpacing(4)
        pairs = ((self._jitter_text, self._jitter), (self._lag_text, self._lag))
        for column, (text, meter) in enumerate(pairs):
            layout.addWidget(text, 0, column)
            layout.addWidget(meter, 1, column)
            layout.setColumnStretch(column, 1)
        self.set_steadiness(math.nan, math.nan, math.nan)

    def set_steadiness(self, jitter_share: float, jitter_px: float, lag_ms: float) -> None:
        """Show what was measured over the last seconds.

        Args:
            jitter_share: RMS jitter of the smoothed keypoints over that of the raw ones; NaN if unknown.
            jitter_px: RMS jitter of the smoothed keypoints, frame px; NaN if unknown.
            lag_ms: how late the smoothed keypoints are; NaN if unknown.
        """
        self._jitter_text.setText(self._describe_jitter(jitter_share))
        self._lag_text.setText(self._describe_lag(lag_ms))
        self._jitter.set_share(jitter_share)
        self._lag.set_share(lag_ms / FULL_LAG_MS, "warning" if lag_ms > NOTICEABLE_LAG_MS else "accent")
        pixels = f"{jitter_px:.1f}" if math.isfinite(jitter_px) else UNKNOWN
        tip = self.tr(
            "Jitter: how much a resting keypoint still trembles, in per cent of what the network says; now "
            "{pixels} px of the picture."
        ).format(pixels=pixels)
        lag_tip = self.tr("Lag: how many milliseconds smoothing makes the skeleton late.")
        for widget in (self._jitter_text, self._jitter):
            widget.setToolTip(tip)
        for widget in (self._lag_text, self._lag):
            widget.setToolTip(lag_tip)

    def texts(self) -> tuple[str, str]:
        """Return what is written beside both meters."""
        return self._jitter_text.text(), self._lag_text.text()

    def _describe_jitter(self, share: float) -> str:
        if not math.isfinite(share):
            return self.tr("Jitter {unknown}").format(unknown=UNKNOWN)
        return self.tr("Jitter {share} % of raw").format(share=f"{100 * share:.0f}")

    def _describe_lag(self, lag_ms: float) -> str:
        if not math.isfinite(lag_ms):
            return self.tr("Lag {unknown}").format(unknown=UNKNOWN)
        return self.tr("Lag {milliseconds} ms").format(milliseconds=f"{max(lag_ms, 0):.0f}")


class LoadingStrip(QWidget):
    """A line that says what is being loaded, how far it is, and lets it be cancelled; hidden otherwise."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._full_text = ""
        self._text = QLabel()
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._bar = BusyBar()
        self._bar.setAccessibleName(self.tr("Loading"))
        cancel = QPushButton(icon("cancel"), self.tr("Cancel"))
        cancel.setToolTip(self.tr("Stop loading and keep what runs now"))
        cancel.clicked.connect(self.cancelled)
        self._grid = layout = QGridLayout(self)
        layout.setContentsMargins(8, 8, 8, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(4)
        layout.addWidget(self._text, 0, 0)
        layout.addWidget(self._bar, 1, 0)
        layout.addWidget(cancel, 0, 1, 2, 1, Qt.AlignmentFlag.AlignVCenter)
        layout.setColumnStretch(0, 1)
        self.hide()

    def set_loading(self, text: str | None, share: float | None) -> None:
        """Show what is loaded and its share in [0, 1], None if not known; a text of None hides the line."""
        self.setVisible(text is not None)
        if text is None:
            return
        self._full_text = text
        self._text.setToolTip(text)
        self._elide()
        self._bar.set_share(share)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as much of the text as there is room for."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        self._grid.activate()
        room = self._text.width()
        shown = self._text.fontMetrics().elidedText(self._full_text, Qt.TextElideMode.ElideRight, room)
        self._text.setText(shown)
