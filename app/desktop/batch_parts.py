"""Parts of the bars around the batch tab's table: a shortened line of text and a button."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy

from app.desktop.icons import icon

ICON = QSize(18, 18)
HEIGHT = 32


class PathLabel(QLabel):
    """One line that is shortened to the room there is, with the whole as its tooltip."""

    def __init__(self, mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle) -> None:
        super().__init__()
        self._mode = mode
        self.full_text = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self.full_text = text
        self.setToolTip(text)
        self._shorten()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten it anew."""
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        self.setText(self.fontMetrics().elidedText(self.full_text, self._mode, max(self.width(), 40)))


def push_button(icon_name: str | None, text: str, tip: str) -> QPushButton:
    """Return a button as all of the batch tab are; None has no icon."""
    button = QPushButton(text)
    if icon_name:
        button.setIcon(icon(icon_name))
        button.setIconSize(ICON)
    button.setToolTip(tip)
    button.setFixedHeight(HEIGHT)
    return button
