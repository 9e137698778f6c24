"""Messages at the top of the stage: they stand in nobody's way, and go by themselves or when closed."""

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QEnterEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app.desktop.icon_button import IconButton
from app.desktop.key_habits import leave_focus_of
from app.desktop.state_pages import tinted
from app.desktop.theme import Role, status_colour

MOST_NOTICES = 3
"""So many stand one under the other; a further one pushes the oldest away."""

_ICONS: dict[Role, str] = {
    "good": "check",
    "warning": "warning",
    "bad": "error",
    "accent": "info",
    "record": "record",
}
_ICON_PX = 18
_EDGE = 4


class NoticeBar(QWidget):
    """A stack of messages, invisible while it is empty.

    Signals:
        action_triggered: the key of the message whose button was pressed; the message goes.
        dismissed: the key of a message that was closed by hand or whose time was over.
    """

    action_triggered = Signal(str)
    dismissed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._notices: dict[str, _Notice] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.hide()

    @property
    def keys(self) -> list[str]:
        """The keys of the messages that are shown, oldest first."""
        return list(self._notices)

    @property
    def texts(self) -> list[str]:
        """The messages that are shown, oldest first."""
        return [notice.text for notice in self._notices.values()]

    def show_notice(
        self,
        text: str,
        role: Role,
        action_text: str | None = None,
        timeout_s: float | None = None,
        key: str | None = None,
    ) -> str:
        """Show a message.

        Args:
            text: a sentence.
            role: what it means; gives colour and icon.
            action_text: of a button that does something about it.
            timeout_s: goes by itself after so long, and not while the mouse is over it; None stays.
            key: a message of the same key is replaced in its place; None takes the text.

        Returns:
            The key.
        """
        key = text if key is None else key
        place = list(self._notices).index(key) if key in self._notices else self._column.count()
        notice = _Notice(text, role, action_text, timeout_s)
        notice.action.connect(lambda: self._act(key))
        notice.over.connect(lambda: self._end(key))
        if key in self._notices:
            self._remove(self._notices[key])
        self._notices[key] = notice
        self._column.insertWidget(place, notice)
        notice.show()
        shown = sorted(self._notices.items(), key=lambda item: self._column.indexOf(item[1]))
        self._notices = dict(shown)
        while len(self._notices) > MOST_NOTICES:
            self._end(self._least())
        self.show()
        return key

    def dismiss(self, key: str) -> None:
        """Take a message away, if it is shown; emits nothing."""
        notice = self._notices.pop(key, None)
        if notice is not None:
            self._remove(notice)
        self.setVisible(bool(self._notices))

    def clear(self) -> None:
        """Take all messages away; emits nothing."""
        for key in self.keys:
            self.dismiss(key)

    def _least(self) -> str:
        """Return the oldest that would go by itself, else the oldest; the newest stays."""
        older = list(self._notices.items())[:-1]
        return next((key for key, notice in older if notice.timeout_s is not None), older[0][0])

    def _act(self, key: str) -> None:
        self.dismiss(key)
        self.action_triggered.emit(key)

    def _end(self, key: str) -> None:
        self.dismiss(key)
        self.dismissed.emit(key)

    def _remove(self, notice: "_Notice") -> None:
        notice.stop()
        self._column.removeWidget(notice)
        notice.hide()
        notice.deleteLater()


class _Notice(QWidget):
    """One message: a coloured edge and icon, the text, a button and a cross."""

    action = Signal()
    over = Signal()

    def __init__(self, text: str, role: Role, action_text: str | None, timeout_s: float | None) -> None:
        super().__init__()
        self.text = text
        self.timeout_s = timeout_s
        self._role: Role = role
        self._icon = QLabel()
        label = QLabel(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        label.setWordWrap(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(_EDGE + 8, 4, 4, 4)
        row.setSpacing(8)
        row.addWidget(self._icon)
        row.addWidget(label, 1)
        if action_text:
            button = QPushButton(action_text)
            button.setAutoDefault(False)
            leave_focus_of(button)
            button.setToolTip(action_text.replace("&", ""))
            button.clicked.connect(self.action)
            row.addWidget(button)
        close = IconButton("close", self.tr("Close this message"), name=self.tr("Close"))
        close.clicked.connect(self.over)
        row.addWidget(close)
        self.setAccessibleName(text)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.over)
        self._start()
        self._recolour()

    def stop(self) -> None:
        """Do not go by itself any more."""
        self._timer.stop()

    def enterEvent(self, event: QEnterEvent) -> None:
        """Stay while it is being read."""
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Begin the time anew."""
        self._start()
        super().leaveEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Take the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_timer"):
            self._recolour()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the ground and the coloured edge."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
        painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(frame, 4, 4)
        painter.setClipRect(0, 0, _EDGE, self.height())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(status_colour(self._role, self.palette()))
        painter.drawRoundedRect(self.rect().toRectF(), 4, 4)

    def _start(self) -> None:
        if self.timeout_s is not None:
            self._timer.start(round(self.timeout_s * 1000))

    def _recolour(self) -> None:
        colour = status_colour(self._role, self.palette())
        self._icon.setPixmap(tinted(_ICONS[self._role], colour, _ICON_PX, self.devicePixelRatioF()))
        self.update()
