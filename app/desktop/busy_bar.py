"""A slim progress bar: a share where it is known, else a piece that runs to and fro."""

import math
import time

from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QHideEvent, QPainter, QPaintEvent, QPalette, QShowEvent
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from app.desktop.theme import groove_colour

_HEIGHT = 6
_FRAME_MS = 33
_PERIOD_S = 1.8
_PIECE = 0.3
"""Width of the piece that runs, share of the bar."""


class BusyBar(QProgressBar):
    """A progress bar without text that is calm to look at; it runs only while it is visible."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextVisible(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._timer = QTimer(self)
        self._timer.setInterval(_FRAME_MS)
        self._timer.timeout.connect(self.update)
        self.set_share(None)

    def set_share(self, share: float | None) -> None:
        """Show how far it is, in [0, 1]; None where that is not known."""
        if share is None:
            self.setRange(0, 0)
        else:
            self.setRange(0, 1000)
            self.setValue(round(min(max(share, 0.0), 1.0) * 1000))
        self._run()

    def sizeHint(self) -> QSize:
        """Slim."""
        return QSize(240, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Slim, and as short as may be."""
        return QSize(40, _HEIGHT)

    def showEvent(self, event: QShowEvent) -> None:
        """Run."""
        super().showEvent(event)
        self._run()

    def hideEvent(self, event: QHideEvent) -> None:
        """Stand still."""
        super().hideEvent(event)
        self._timer.stop()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the groove and the piece in it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        groove = self.rect().toRectF()
        round_px = groove.height() / 2
        painter.setBrush(groove_colour(self.palette()))
        painter.drawRoundedRect(groove, round_px, round_px)
        start, share = self._piece()
        piece = QRectF(
            groove.left() + start * groove.width(), groove.top(), share * groove.width(), groove.height()
        )
        painter.setBrush(self.palette().color(QPalette.ColorRole.Highlight))
        painter.drawRoundedRect(piece, round_px, round_px)

    def _piece(self) -> tuple[float, float]:
        if self.maximum() > 0:
            return 0.0, max(self.value(), 0) / self.maximum()
        phase = 0.5 - 0.5 * math.cos(time.monotonic() / _PERIOD_S * 2 * math.pi)
        return phase * (1 - _PIECE), _PIECE

    def _run(self) -> None:
        if self.isVisible() and self.maximum() == 0:
            self._timer.start()
        else:
            self._timer.stop()
        self.update()
