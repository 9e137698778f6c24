"""A small button with an icon alone, that shows the keyboard's focus."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QToolButton, QWidget

from app.desktop.icons import icon


class IconButton(QToolButton):
    """A flat button with a name for screen readers and a tooltip for everybody.

    Args:
        icon_name: of `assets/icons`.
        tip: what it does, in words.
        name: what a screen reader says; the tooltip where it is empty.
        size_px: width and height.
        parent: the widget around it.
    """

    def __init__(
        self, icon_name: str, tip: str, *, name: str = "", size_px: int = 28, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setIcon(icon(icon_name))
        self.setIconSize(QSize(size_px // 2 + 2, size_px // 2 + 2))
        self.setFixedSize(size_px, size_px)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(tip)
        self.setAccessibleName(name or tip)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the button, and a frame around it in focus, which Fusion leaves out of flat buttons."""
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 2))
            painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 3, 3)
