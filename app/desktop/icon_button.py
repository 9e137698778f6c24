"""Small buttons that show the keyboard's focus: flat ones, and such with an icon alone."""

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QToolButton, QWidget

from app.desktop.icons import icon


class FocusButton(QToolButton):
    """A flat button whose focus is seen in every theme: Fusion's mark is faint.

    Only the Tab key brings the focus here, and then Space presses the button, whatever else Space does in the
    window; a click leaves the focus, and with it Space, where it was.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def event(self, event: QEvent) -> bool:
        """Keep Space from the window's shortcuts."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.key() == Qt.Key.Key_Space
            and event.modifiers() == Qt.KeyboardModifier.NoModifier
        ):
            event.accept()
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the button, and a frame around it in focus, which Fusion leaves out of flat buttons."""
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 2))
            painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 3, 3)


class IconButton(FocusButton):
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
        self.setToolTip(tip)
        self.setAccessibleName(name or tip)
