"""A layout that sets widgets side by side and goes on in the next row where the room ends, as words do."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QStyle, QWidget


class FlowLayout(QLayout):
    """Rows of widgets, each of the size it asks for; hidden ones take no room.

    Args:
        parent: the widget that is laid out; None where the layout goes into another one.
        gap_px: between the widgets of a row.
        row_gap_px: between rows.
    """

    def __init__(self, parent: QWidget | None = None, *, gap_px: int = 16, row_gap_px: int = 8) -> None:
        super().__init__(parent)
        self._gap_px, self._row_gap_px = gap_px, row_gap_px
        self._items: list[QLayoutItem] = []
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:
        """Put an item at the end."""
        self._items.append(item)

    def count(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def itemAt(self, place: int) -> QLayoutItem | None:
        """Return an item, None where there is none."""
        return self._items[place] if 0 <= place < len(self._items) else None

    def takeAt(self, place: int) -> QLayoutItem | None:
        """Take an item away and return it, None where there is none."""
        return self._items.pop(place) if 0 <= place < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        """Want no more room than the rows need."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        """The height follows the width."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height of the rows in so much room."""
        return self._arrange(QRect(0, 0, width, 0), move=False)

    def sizeHint(self) -> QSize:
        """All in one row, if there is room."""
        sizes = [item.sizeHint() for item in self._shown()]
        width = sum(size.width() for size in sizes) + self._gap_px * max(len(sizes) - 1, 0)
        return QSize(width, max((size.height() for size in sizes), default=0))

    def minimumSize(self) -> QSize:
        """Room for the widest alone."""
        size = QSize()
        for item in self._shown():
            size = size.expandedTo(item.minimumSize())
        return size

    def setGeometry(self, room: QRect) -> None:
        """Set everything in its place."""
        super().setGeometry(room)
        self._arrange(room, move=True)

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not item.isEmpty()]

    def _arrange(self, room: QRect, *, move: bool) -> int:
        """Return the height of the rows in the width of `room`; with `move` set the widgets there."""
        top = room.top()
        for row in self._rows(room.width()):
            height = max(item.sizeHint().height() for item in row)
            if move:
                self._set_row(row, QRect(room.left(), top, room.width(), height))
            top += height + self._row_gap_px
        return max(top - self._row_gap_px - room.top(), 0)

    def _rows(self, width: int) -> list[list[QLayoutItem]]:
        rows: list[list[QLayoutItem]] = []
        left = width
        for item in self._shown():
            wanted = item.sizeHint().width()
            if not rows or wanted > left:
                rows.append([])
                left = width
            rows[-1].append(item)
            left -= wanted + self._gap_px
        return rows

    def _set_row(self, row: list[QLayoutItem], room: QRect) -> None:
        parent = self.parentWidget()
        direction = parent.layoutDirection() if parent is not None else Qt.LayoutDirection.LeftToRight
        left = room.left()
        for item in row:
            size = item.sizeHint()
            width = min(size.width(), room.width())
            place = QRect(left, room.top() + (room.height() - size.height()) // 2, width, size.height())
            item.setGeometry(QStyle.visualRect(direction, room, place))
            left += width + self._gap_px
