"""Paints one person of the list: a chip in their colour, name, state, score, and two buttons."""

from PySide6.QtCore import (
    QAbstractItemModel,
    QCoreApplication,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QHelpEvent, QMouseEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QWidget,
)

from app.desktop.icons import icon
from app.desktop.people_model import ENTRY_ROLE, PersonEntry
from app.desktop.theme import contrast, groove_colour, mixed
from engine.sinks.drawing import track_colour

GAP = 8
CHIP = 24
BUTTON = 28
ICON = 16
BAR_WIDTH, BAR_HEIGHT = 48, 6
MAX_NAME = 40
SMALL_FONT = 0.88
DARK_TEXT, LIGHT_TEXT = QColor(0, 0, 0), QColor(255, 255, 255)
"""On a chip, whose colour is a person's in every theme."""

Index = QModelIndex | QPersistentModelIndex


def chip_text(chip: QColor) -> QColor:
    """Return the colour of the number on a chip of some colour."""
    return max((DARK_TEXT, LIGHT_TEXT), key=lambda text: contrast(text, chip))


def describe_time(seconds: float) -> str:
    """Return a duration in words short enough for a row."""
    if round(seconds) < 60:
        return QCoreApplication.translate("People", "{seconds} s").format(seconds=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 10:
        return QCoreApplication.translate("People", "{minutes} min").format(minutes=minutes)
    return QCoreApplication.translate("People", "{minutes} min {seconds} s").format(
        minutes=minutes, seconds=rest
    )


def describe_state(entry: PersonEntry) -> str:
    """Say where a person is and how long they were seen."""
    if entry.ignored:
        return QCoreApplication.translate("People", "Ignored")
    if entry.in_view:
        seen = describe_time(entry.seen_s)
        return QCoreApplication.translate("People", "In view · {time}").format(time=seen)
    if entry.gone_s is None:
        return QCoreApplication.translate("People", "Not in view")
    gone = describe_time(entry.gone_s)
    return QCoreApplication.translate("People", "Lost for {time}").format(time=gone)


class PersonDelegate(QStyledItemDelegate):
    """Paints rows and answers clicks on their buttons."""

    follow_clicked = Signal(int)
    ignore_clicked = Signal(int)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return room for two lines."""
        return QSize(200, max(48, 2 * option.fontMetrics.height() + 2 * GAP))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint a person."""
        entry = index.data(ENTRY_ROLE)
        shown = QStyleOptionViewItem(option)
        self.initStyleOption(shown, index)
        name, shown.text = shown.text, ""
        widget = shown.widget
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, shown, painter, widget)
        selected = bool(shown.state & QStyle.StateFlag.State_Selected)
        palette = shown.palette
        strong = palette.color(QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text)
        faint = strong if selected else palette.color(QPalette.ColorRole.PlaceholderText)
        present = entry.in_view and not entry.ignored
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_chip(painter, shown, entry, present)
        upper, lower = _text_rects(shown.rect)
        font = QFont(shown.font)
        font.setBold(bool(entry.name))
        painter.setFont(font)
        painter.setPen(strong if present else faint)
        fitting = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, upper.width())
        painter.drawText(upper, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, fitting)
        small = QFont(shown.font)
        small.setPointSizeF(small.pointSizeF() * SMALL_FONT)
        painter.setFont(small)
        painter.setPen(faint)
        painter.drawText(lower, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, describe_state(entry))
        if present:
            self._paint_score(painter, palette, lower, entry.score, strong)
        for button, sign, on in (
            (follow_rect(shown.rect), "follow", entry.followed),
            (ignore_rect(shown.rect), "ignore", entry.ignored),
        ):
            self._paint_button(painter, palette, button, sign, on, selected)
        painter.restore()

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        """Return a line for the name."""
        line = QLineEdit(parent)
        line.setMaxLength(MAX_NAME)
        line.setPlaceholderText(index.data(Qt.ItemDataRole.DisplayRole))
        line.setAccessibleName(QCoreApplication.translate("People", "Name"))
        return line

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Show the name, but never over one that is being typed: rows change several times a second."""
        name = index.data(Qt.ItemDataRole.EditRole)
        if isinstance(editor, QLineEdit) and not editor.isModified() and editor.text() != name:
            editor.setText(name)

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        """Put the line where the name is."""
        upper, _ = _text_rects(option.rect)
        height = min(editor.sizeHint().height(), upper.height())
        editor.setGeometry(upper.left() - 4, upper.bottom() - height + 2, upper.width() + 4, height)

    def editorEvent(
        self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index
    ) -> bool:
        """Answer a click on a button; the press is swallowed too, so that it neither selects nor edits."""
        presses = (
            QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick,
        )  # fmt: skip
        if isinstance(event, QMouseEvent) and event.type() in presses:
            sign = button_at(option.rect, event.position().toPoint())
            if sign and event.button() == Qt.MouseButton.LeftButton:
                if event.type() == QEvent.Type.MouseButtonRelease:
                    signal = self.follow_clicked if sign == "follow" else self.ignore_clicked
                    signal.emit(index.data(ENTRY_ROLE).track_id)
                return True
        return super().editorEvent(event, model, option, index)

    def helpEvent(
        self, event: QHelpEvent, view: QAbstractItemView, option: QStyleOptionViewItem, index: Index
    ) -> bool:
        """Say what the button under the pointer does, or how to rename."""
        entry = index.data(ENTRY_ROLE)
        if event.type() != QEvent.Type.ToolTip or entry is None:
            return super().helpEvent(event, view, option, index)
        sign = button_at(option.rect, event.pos())
        if sign == "follow":
            text = (
                self.tr("Stop following (F)") if entry.followed else self.tr("Keep this person in view (F)")
            )
        elif sign == "ignore":
            text = self.tr("Show this person again (Del)") if entry.ignored else self.tr("Ignore (Del)")
        else:
            text = self.tr("Double-click or F2 gives {person} a name").format(person=index.data())
        QToolTip.showText(event.globalPos(), text, view)
        return True

    def _paint_chip(
        self, painter: QPainter, option: QStyleOptionViewItem, entry: PersonEntry, present: bool
    ) -> None:
        blue, green, red = track_colour(entry.track_id)
        colour = QColor(red, green, blue)
        if not present:
            colour = mixed(colour, option.palette.color(QPalette.ColorRole.Base), 0.5)
        chip = QRectF(option.rect.left() + GAP, option.rect.center().y() - CHIP / 2 + 0.5, CHIP, CHIP)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(chip, 6, 6)
        font = QFont(option.font)
        font.setPointSizeF(font.pointSizeF() * (SMALL_FONT if entry.track_id < 1000 else 0.7))
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(chip_text(colour))
        painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, str(entry.track_id))

    def _paint_score(
        self, painter: QPainter, palette: QPalette, line: QRect, score: float, strong: QColor
    ) -> None:
        middle = line.top() + painter.fontMetrics().height() / 2
        bar = QRectF(line.right() - BAR_WIDTH, middle - BAR_HEIGHT / 2, BAR_WIDTH, BAR_HEIGHT)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(groove_colour(palette))
        painter.drawRoundedRect(bar, BAR_HEIGHT / 2, BAR_HEIGHT / 2)
        bar.setWidth(max(BAR_HEIGHT, BAR_WIDTH * min(max(score, 0.0), 1.0)))
        painter.setBrush(strong)
        painter.setOpacity(0.7)
        painter.drawRoundedRect(bar, BAR_HEIGHT / 2, BAR_HEIGHT / 2)
        painter.setOpacity(1.0)

    def _paint_button(
        self, painter: QPainter, palette: QPalette, place: QRect, sign: str, on: bool, selected: bool
    ) -> None:
        if on or selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(groove_colour(palette) if on else palette.color(QPalette.ColorRole.Button))
            painter.drawRoundedRect(QRectF(place).adjusted(2, 2, -2, -2), 4, 4)
        painter.setOpacity(1.0 if on or selected else 0.6)
        corner = place.center() - QPoint(ICON // 2 - 1, ICON // 2 - 1)
        icon(sign).paint(painter, QRect(corner, QSize(ICON, ICON)))
        painter.setOpacity(1.0)


def follow_rect(row: QRect) -> QRect:
    """Return where the follow button of a row is."""
    return QRect(row.right() - GAP - 2 * BUTTON, row.center().y() - BUTTON // 2, BUTTON, BUTTON)


def ignore_rect(row: QRect) -> QRect:
    """Return where the ignore button of a row is."""
    return follow_rect(row).translated(BUTTON, 0)


def button_at(row: QRect, place: QPoint) -> str:
    """Return "follow", "ignore" or nothing."""
    if follow_rect(row).contains(place):
        return "follow"
    return "ignore" if ignore_rect(row).contains(place) else ""


def _text_rects(row: QRect) -> tuple[QRect, QRect]:
    """Return where the name and the line below it are."""
    left, right = row.left() + 2 * GAP + CHIP, follow_rect(row).left() - GAP
    half = row.height() // 2
    upper = QRect(left, row.top(), right - left, half)
    return upper, QRect(left, row.top() + half + 2, right - left, row.height() - half - 2)
