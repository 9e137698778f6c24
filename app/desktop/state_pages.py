"""Pages of the stage while a source is being opened and when that failed; from both there is a way on."""

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.desktop.busy_bar import BusyBar
from app.desktop.figures import scaled
from app.desktop.icons import icon
from app.desktop.theme import status_colour

_ICON_PX = 48
_TEXT_WIDTH = 480


class LoadingPage(QWidget):
    """Says what is being waited for.

    Signals:
        cancel_wanted: somebody does not want to wait any longer.
    """

    cancel_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._what = _sentence_label(1.3)
        self._detail = _sentence_label(1.0)
        self._bar = BusyBar()
        self._bar.setFixedWidth(240)
        self._bar.setAccessibleName(self.tr("Progress"))
        self._bar.setToolTip(self.tr("How far it is, where that is known"))
        cancel = QPushButton(icon("cancel"), self.tr("&Cancel"))
        cancel.setToolTip(self.tr("Stop waiting and choose another source"))
        cancel.clicked.connect(self.cancel_wanted)
        column = _centred_column(self)
        column.addWidget(self._what)
        column.addWidget(self._bar, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._detail)
        column.addWidget(cancel, 0, Qt.AlignmentFlag.AlignHCenter)
        self.show_loading("")

    @property
    def text(self) -> str:
        """What is being waited for."""
        return self._what.text()

    def show_loading(self, text: str, detail: str = "", share: float | None = None) -> None:
        """Say what is being done.

        Args:
            text: what, such as "Opening the camera…".
            detail: a smaller line below.
            share: how far it is, in [0, 1]; None where that is not known.
        """
        self._what.setText(text)
        self._detail.setText(detail)
        self._detail.setVisible(bool(detail))
        self._bar.set_share(share)


class ErrorPage(QWidget):
    """Says what went wrong and what to do.

    Signals:
        retry_wanted: try the same again. choose_wanted: choose another source.
    """

    retry_wanted = Signal()
    choose_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = QLabel()
        self._icon.setAccessibleName(self.tr("Error"))
        self._what = _sentence_label(1.3)
        self._advice = _sentence_label(1.0)
        for label in (self._what, self._advice):
            label.setTextInteractionFlags(
                Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
            )
        self._retry = QPushButton(icon("retry"), self.tr("Re&try"))
        self._retry.setToolTip(self.tr("Try to open the same source again"))
        self._retry.clicked.connect(self.retry_wanted)
        self._choose = QPushButton(icon("open"), self.tr("Choose an&other source"))
        self._choose.setToolTip(self.tr("Go back to the choice of sources"))
        self._choose.clicked.connect(self.choose_wanted)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(self._retry)
        buttons.addWidget(self._choose)
        buttons.addStretch(1)
        column = _centred_column(self)
        column.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._what)
        column.addWidget(self._advice)
        column.addLayout(buttons)
        self.show_error("", "")

    @property
    def text(self) -> str:
        """What went wrong."""
        return self._what.text()

    def show_error(self, text: str, advice: str, *, can_retry: bool = True) -> None:
        """Say what went wrong, what to do about it, and whether the same may be tried again."""
        self._what.setText(text)
        self._advice.setText(advice)
        self._advice.setVisible(bool(advice))
        self._retry.setVisible(can_retry)
        self._recolour()

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_choose"):
            self._recolour()

    def _recolour(self) -> None:
        colour = status_colour("bad", self.palette())
        self._icon.setPixmap(tinted("error", colour, _ICON_PX, self.devicePixelRatioF()))


def tinted(name: str, colour: QColor, size_px: int, scale: float) -> QPixmap:
    """Return an icon in one colour, `size_px` wide and high on a display of that device-pixel ratio."""
    pixmap = icon(name).pixmap(QSize(size_px, size_px), scale)
    painter = QPainter(pixmap)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceIn)
    painter.fillRect(pixmap.rect(), colour)
    painter.end()
    return pixmap


def _sentence_label(scale: float) -> QLabel:
    label = QLabel()
    label.setFont(scaled(label.font(), scale))
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    return label


def _centred_column(page: QWidget) -> QVBoxLayout:
    content = QWidget()
    content.setMaximumWidth(_TEXT_WIDTH)
    column = QVBoxLayout(content)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(16)
    across = QHBoxLayout()
    across.addStretch(1)
    across.addWidget(content, 1000)
    across.addStretch(1)
    down = QVBoxLayout(page)
    down.setContentsMargins(16, 16, 16, 16)
    down.addStretch(1)
    down.addLayout(across)
    down.addStretch(1)
    return column
