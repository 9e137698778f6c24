"""Buttons of the welcome page: cards with icon, title and explanation, and quiet rows."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from app.desktop.figures import scaled
from app.desktop.icons import icon
from app.desktop.theme import mixed

_ICON_PX = 40
_PADDING = 16
_CORNER = 8.0
_MIN_WIDTH = 160
_ROW_ICON_PX = 16
_ROW_TEXT = 32
"""Where the text of a row begins, px."""


class _Button(QAbstractButton):
    """A button that Enter presses too, as whoever comes with the Tab key expects of a choice."""

    def __init__(self, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Press it."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.isAutoRepeat():
            self.click()
        else:
            super().keyPressEvent(event)


class Card(_Button):
    """A card to click, with the keyboard's focus and the mouse shown by its edge.

    `wide` lays icon and texts side by side, for narrow windows.
    """

    def __init__(self, icon_name: str, title: str, line: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = line
        self._wide = False
        self.setText(title)
        self.setIcon(icon(icon_name))
        self.setToolTip(line)
        self.setAccessibleName(title.replace("&", ""))
        self.setAccessibleDescription(line)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def set_wide(self, wide: bool) -> None:
        """Lay icon and texts side by side instead of one under the other."""
        if wide != self._wide:
            self._wide = wide
            self.updateGeometry()
            self.update()

    def hasHeightForWidth(self) -> bool:
        """The explanation wraps."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height, px, that the texts need at a width."""
        texts = self._texts_height(self._text_width(width))
        if self._wide:
            return max(_ICON_PX, texts) + 2 * _PADDING
        return _ICON_PX + 12 + texts + 2 * _PADDING

    def sizeHint(self) -> QSize:
        """A comfortable card."""
        return QSize(208, self.heightForWidth(208))

    def minimumSizeHint(self) -> QSize:
        """The narrowest that can be read."""
        return QSize(_MIN_WIDTH, self.heightForWidth(_MIN_WIDTH))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the card."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        self._paint_ground(painter, palette)
        inside = self.rect().adjusted(_PADDING, _PADDING, -_PADDING, -_PADDING)
        picture = QRect(inside.left(), inside.top(), _ICON_PX, _ICON_PX)
        if self._wide:
            picture.moveTop(inside.center().y() - _ICON_PX // 2)
            texts = inside.adjusted(_ICON_PX + _PADDING, 0, 0, 0)
            texts.setTop(inside.center().y() - self._texts_height(texts.width()) // 2)
            mode = Qt.AlignmentFlag.AlignLeft
        else:
            picture.moveLeft(inside.center().x() - _ICON_PX // 2)
            texts = inside.adjusted(0, _ICON_PX + 12, 0, 0)
            mode = Qt.AlignmentFlag.AlignHCenter
        self.icon().paint(painter, picture)
        self._paint_texts(painter, texts, mode)

    def _paint_ground(self, painter: QPainter, palette: QPalette) -> None:
        edge = (
            QPalette.ColorRole.Highlight if self.hasFocus() or self.underMouse() else QPalette.ColorRole.Mid
        )
        width = 2.0 if self.hasFocus() else 1.0
        ground = palette.color(QPalette.ColorRole.Base)
        if self.isDown():
            ground = palette.color(QPalette.ColorRole.Button)
        elif self.underMouse():
            ground = mixed(ground, palette.color(QPalette.ColorRole.Highlight), 0.06)
        painter.setPen(QPen(palette.color(edge), width))
        painter.setBrush(ground)
        painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), _CORNER, _CORNER)

    def _paint_texts(self, painter: QPainter, room: QRect, align: Qt.AlignmentFlag) -> None:
        palette, font = self.palette(), self._title_font()
        height = QFontMetrics(font).height()
        painter.setFont(font)
        painter.setPen(palette.color(QPalette.ColorRole.Text))
        flags = int(align | Qt.AlignmentFlag.AlignTop)
        painter.drawText(room, flags | int(Qt.TextFlag.TextShowMnemonic), self.text())
        painter.setFont(self.font())
        painter.setPen(palette.color(QPalette.ColorRole.PlaceholderText))
        wrap = flags | int(Qt.TextFlag.TextWordWrap)
        painter.drawText(room.adjusted(0, height + 4, 0, 0), wrap, self._line)

    def _title_font(self) -> QFont:
        font = scaled(self.font(), 1.15)
        font.setBold(True)
        return font

    def _texts_height(self, width: int) -> int:
        return QFontMetrics(self._title_font()).height() + 4 + _wrapped(self.fontMetrics(), self._line, width)

    def _text_width(self, width: int) -> int:
        beside = _ICON_PX + _PADDING if self._wide else 0
        return max(width - 2 * _PADDING - beside, 40)


class RowButton(_Button):
    """A quiet button of one line: icon and text, shortened in its middle where there is no room.

    `text` stays whole; with `stretch` it takes all the width there is.
    """

    def __init__(
        self, icon_name: str, text: str, tip: str, *, stretch: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setText(text)
        self.setIcon(icon(icon_name))
        self.setToolTip(tip)
        across = QSizePolicy.Policy.Expanding if stretch else QSizePolicy.Policy.Maximum
        self.setSizePolicy(across, QSizePolicy.Policy.Fixed)

    @property
    def shown_text(self) -> str:
        """The text as it is painted."""
        room = max(self.width() - _ROW_TEXT - 8, 0)
        metrics, flags = self.fontMetrics(), int(Qt.TextFlag.TextShowMnemonic)
        return metrics.elidedText(self.text(), Qt.TextElideMode.ElideMiddle, room, flags)

    def sizeHint(self) -> QSize:
        """Room for the whole text."""
        width = self.fontMetrics().size(int(Qt.TextFlag.TextShowMnemonic), self.text()).width()
        return QSize(_ROW_TEXT + width + 12, max(self.fontMetrics().height() + 12, 28))

    def minimumSizeHint(self) -> QSize:
        """Room for the icon and a few letters."""
        return QSize(_ROW_TEXT + 40, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the row; its ground is seen under the mouse and in focus only."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        highlight = palette.color(QPalette.ColorRole.Highlight)
        ground = palette.color(QPalette.ColorRole.Window)
        if self.underMouse() or self.isDown():
            ground = mixed(ground, highlight, 0.25 if self.isDown() else 0.12)
        painter.setPen(QPen(highlight, 2) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.setBrush(ground)
        painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 4, 4)
        top = (self.height() - _ROW_ICON_PX) // 2
        self.icon().paint(painter, QRect(8, top, _ROW_ICON_PX, _ROW_ICON_PX))
        painter.setPen(palette.color(QPalette.ColorRole.WindowText))
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        room = self.rect().adjusted(_ROW_TEXT, 0, 0, 0)
        painter.drawText(room, flags | int(Qt.TextFlag.TextShowMnemonic), self.shown_text)


def _wrapped(metrics: QFontMetrics, text: str, width: int) -> int:
    return metrics.boundingRect(QRect(0, 0, width, 10_000), int(Qt.TextFlag.TextWordWrap), text).height()
