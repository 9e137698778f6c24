"""The table of a batch queue: its model, items in words, and the delegate that paints progress."""

from collections.abc import Sequence

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.batch_item import BatchItem, ItemState
from app.console import duration
from app.desktop.icons import icon
from app.desktop.theme import Role, status_colour

NAME, PROGRESS, SPEED, RESULT = range(4)
ITEM_ROLE = Qt.ItemDataRole.UserRole

Index = QModelIndex | QPersistentModelIndex

_BAR_PX, _PERCENT_PX, _PADDING = 6, 44, 4
_ROW_PX = 32


def state_text(state: ItemState) -> str:
    """Return a state in words."""
    return {
        "waiting": QCoreApplication.translate("Batch", "Waiting"),
        "running": QCoreApplication.translate("Batch", "Running"),
        "paused": QCoreApplication.translate("Batch", "Paused"),
        "done": QCoreApplication.translate("Batch", "Done"),
        "failed": QCoreApplication.translate("Batch", "Failed"),
        "cancelled": QCoreApplication.translate("Batch", "Cancelled"),
    }[state]


def progress_text(item: BatchItem) -> str:
    """Return the state of an item in words."""
    if item.done_before:
        return QCoreApplication.translate("Batch", "Done before")
    return state_text(item.state)


def result_text(item: BatchItem) -> str:
    """Return time left, what came of an item, or why it failed."""
    if item.state in ("running", "paused"):
        if item.frames == 0:
            return QCoreApplication.translate("Batch", "Opening…")
        if item.step is not None:
            return {
                "smoothing": QCoreApplication.translate("Batch", "Smoothing again…"),
                "writing": QCoreApplication.translate("Batch", "Writing again…"),
            }[item.step]
        if item.total is not None and item.frames >= item.total:
            return QCoreApplication.translate("Batch", "Finishing…")
        if item.eta_s is not None:
            return QCoreApplication.translate("Batch", "{0} left").format(duration(item.eta_s))
        return QCoreApplication.translate("Batch", "{0} frames").format(item.frames)
    if item.done_before:
        text = QCoreApplication.translate("Batch", "{0} frames; content, settings and models are the same")
        return text.format(item.frames)
    warned = item.warnings and item.state == "done"
    text = f"{item.message}; {item.warnings[0]}" if warned else item.message
    # The file has a column of its own; its folder would push what is wrong out of this one.
    return text.replace(str(item.path), item.name)


def state_icon(item: BatchItem) -> str:
    """Return the name of the icon that stands for an item's state."""
    if item.state == "done" and item.warnings:
        return "warning"
    return {
        "waiting": "file",
        "running": "play",
        "paused": "pause",
        "done": "check",
        "failed": "error",
        "cancelled": "cancel",
    }[item.state]


class BatchModel(QAbstractTableModel):
    """Items of a queue, one per row."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[BatchItem] = []

    def show_items(self, items: Sequence[BatchItem]) -> bool:
        """Show items as they stand; return whether other ones are shown than before."""
        before, self_items = self.items, list(items)
        if [item.key for item in before] != [item.key for item in self_items]:
            self.beginResetModel()
            self.items = self_items
            self.endResetModel()
            return True
        self.items = self_items
        changed = [row for row, (old, new) in enumerate(zip(before, self_items)) if old != new]
        if changed:
            self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], RESULT))
        return False

    def rowCount(self, parent: Index = QModelIndex()) -> int:
        """Return how many items there are."""
        return 0 if parent.isValid() else len(self.items)

    def columnCount(self, parent: Index = QModelIndex()) -> int:
        """Return how many columns there are."""
        return 0 if parent.isValid() else 4

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> object:
        """Return a column's title."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return (self.tr("File"), self.tr("Progress"), self.tr("Speed"), self.tr("Result"))[section]

    def data(self, index: Index, role: int = 0) -> object:
        """Return what a cell shows."""
        item, column = self.items[index.row()], index.column()
        if role == ITEM_ROLE:
            return item
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(item, column)
        if role == Qt.ItemDataRole.DecorationRole and column == NAME:
            return icon(state_icon(item))
        if role == Qt.ItemDataRole.DisplayRole:
            if column == NAME:
                return item.name
            if column == PROGRESS:
                return progress_text(item)
            if column == SPEED:
                running = item.state == "running" and item.fps > 0
                return self.tr("{0} fps").format(f"{item.fps:.0f}") if running else ""
            return result_text(item)
        if role == Qt.ItemDataRole.AccessibleTextRole and column == PROGRESS:
            share = item.share
            return progress_text(item) if share is None else f"{progress_text(item)}, {share:.0%}"
        return None


class ProgressDelegate(QStyledItemDelegate):
    """Paints a bar and a percentage while an item runs, else its state in its colour."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return the room of one cell."""
        return QSize(160, _ROW_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one cell."""
        item = index.data(ITEM_ROLE)
        self.initStyleOption(option, index)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        palette: QPalette = option.palette
        option.text = ""
        style = option.widget.style() if option.widget else QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        room = QRectF(option.rect).adjusted(_PADDING, 0, -2 * _PADDING, 0)
        text = palette.color(QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        share = item.share
        if item.state in ("running", "paused") and share is not None:
            colour = text if selected else status_colour(_role(item.state), palette)
            _paint_bar(painter, room.adjusted(0, 0, -_PERCENT_PX, 0), share, colour, text)
            painter.setPen(text)
            painter.drawText(
                room, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{share:.0%}"
            )
        else:
            muted = item.state in ("waiting", "cancelled")
            role = QPalette.ColorRole.PlaceholderText
            plain = palette.color(role) if muted else status_colour(_role(item.state), palette)
            painter.setPen(text if selected else plain)
            painter.drawText(room, left, progress_text(item))
        painter.restore()


def _role(state: ItemState) -> Role:
    roles: dict[ItemState, Role] = {"failed": "bad", "done": "good", "paused": "warning"}
    return roles.get(state, "accent")


def _paint_bar(painter: QPainter, room: QRectF, share: float, colour: QColor, text: QColor) -> None:
    groove = QRectF(room.left(), room.center().y() - _BAR_PX / 2, room.width(), _BAR_PX)
    ground = QColor(text)
    ground.setAlphaF(0.16)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(groove, _BAR_PX / 2, _BAR_PX / 2)
    if share > 0:
        painter.setBrush(colour)
        groove.setWidth(max(groove.width() * share, _BAR_PX))
        painter.drawRoundedRect(groove, _BAR_PX / 2, _BAR_PX / 2)


def _tip(item: BatchItem, column: int) -> str:
    if column == NAME:
        return str(item.path)
    if column == RESULT:
        return "\n".join(line for line in (result_text(item), *item.warnings[1:]) if line)
    return progress_text(item)
