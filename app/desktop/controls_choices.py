"""A combo box whose unavailable entries say why, and whose published models can be asked for."""

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import (
    QFontMetrics,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QStandardItem,
    QStandardItemModel,
)
from PySide6.QtWidgets import (
    QComboBox,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStyleOptionViewItem,
    QStylePainter,
    QWidget,
)

from app.desktop.choice_words import choice_text, value_text
from app.desktop.icons import icon
from engine.choices import Choice
from engine.zoo_catalogue import CATALOGUE

VALUE_ROLE = Qt.ItemDataRole.UserRole
REASON_ROLE = Qt.ItemDataRole.UserRole + 1
DOWNLOAD_ROLE = Qt.ItemDataRole.UserRole + 2
NOT_DOWNLOADED = "not downloaded"
"""The reason that `engine.choices` gives for a model that only has to be fetched."""
PADDING = 8
ICON_SIZE = 16
REASON_FONT = 0.88
"""Size of the reason's font in shares of the label's."""
MOVES = frozenset({
    Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown, Qt.Key.Key_Home, Qt.Key.Key_End,
})  # fmt: skip


def can_download(choice: Choice) -> bool:
    """Whether what is chosen here only has to be fetched first."""
    return choice.value in CATALOGUE and not choice.available and choice.reason == NOT_DOWNLOADED


class ChoiceCombo(QComboBox):
    """Choices of one setting; what cannot be chosen is greyed, with the reason below it."""

    chosen = Signal(str)
    """Somebody chose this value."""
    download_wanted = Signal(str)
    """Somebody chose a model that has to be fetched first; the choice stays as it was."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = ""
        self.setStyleSheet(
            "QComboBox { combobox-popup: 0; }"
        )  # Fusion's own popup hides the end of long lists
        self.setMaxVisibleItems(12)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setItemDelegate(ChoiceDelegate(self))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.activated.connect(self._on_activated)

    def set_choices(self, choices: Iterable[Choice]) -> None:
        """Offer other choices; the present one stays, whether it is among them or not."""
        model = QStandardItemModel(self)
        for choice in choices:
            model.appendRow(self._make_item(choice))
        self.setModel(model)  # deletes the one before
        self.set_value(self._value)

    def set_value(self, value: str) -> None:
        """Show a value; one that is not offered gets an entry of its own."""
        self._value = value
        place = self.findData(value, VALUE_ROLE)
        if place < 0:
            is_path = "/" in value or "\\" in value
            label = Path(value).name if is_path else value_text(value)
            self.addItem(label, value)
            place = self.count() - 1
            self.setItemData(place, value if is_path else label, Qt.ItemDataRole.ToolTipRole)
        self.setCurrentIndex(place)

    def value(self) -> str:
        """Return the chosen value."""
        return self._value

    def showPopup(self) -> None:
        """Make the list as wide as its entries need, then show it."""
        view = self.view()
        view.setMinimumWidth(
            view.sizeHintForColumn(0) + view.verticalScrollBar().sizeHint().width() + PADDING
        )
        super().showPopup()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the choice with dots where there is no room for all of it."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        place = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        room = place.width() - PADDING
        option.currentText = option.fontMetrics.elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open the list instead of running through it closed: some entries start a download."""
        text = event.text()
        letter = (
            bool(text) and text.isprintable() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier
        )
        if event.key() in MOVES or letter:
            self.showPopup()
            event.accept()
        else:
            super().keyPressEvent(event)

    def _make_item(self, choice: Choice) -> QStandardItem:
        label = choice_text(choice)
        item = QStandardItem(label)
        item.setData(choice.value, VALUE_ROLE)
        if choice.available:
            item.setToolTip(label)
            return item
        item.setData(choice.reason, REASON_ROLE)
        item.setToolTip(choice.reason)
        item.setData(f"{label}, {choice.reason}", Qt.ItemDataRole.AccessibleTextRole)
        if can_download(choice):
            item.setData(True, DOWNLOAD_ROLE)
            item.setData(self.tr("Not downloaded: choose to download"), REASON_ROLE)
            item.setToolTip(self.tr("Published model, not on this computer yet; choosing it downloads it"))
        else:
            item.setEnabled(False)
        return item

    def _on_activated(self, place: int) -> None:
        value = str(self.itemData(place, VALUE_ROLE))
        if self.itemData(place, DOWNLOAD_ROLE):
            self.set_value(self._value)
            self.download_wanted.emit(value)
        elif value != self._value:
            self._value = value
            self.chosen.emit(value)


class ChoiceDelegate(QStyledItemDelegate):
    """Paints a choice, and below it in small grey letters why it cannot be had."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Paint ground, label and reason."""
        shown = QStyleOptionViewItem(option)
        self.initStyleOption(shown, index)
        label, reason = shown.text, index.data(REASON_ROLE)
        shown.text = ""
        widget = shown.widget
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, shown, painter, widget)
        selected = bool(shown.state & QStyle.StateFlag.State_Selected)
        enabled = bool(shown.state & QStyle.StateFlag.State_Enabled)
        group = QPalette.ColorGroup.Active if enabled else QPalette.ColorGroup.Disabled
        text_role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        area = shown.rect.adjusted(PADDING, 0, -PADDING, 0)
        painter.save()
        if index.data(DOWNLOAD_ROLE):
            corner = area.right() - ICON_SIZE, area.center().y() - ICON_SIZE // 2
            icon("download").paint(painter, *corner, ICON_SIZE, ICON_SIZE)
            area.setRight(area.right() - ICON_SIZE - PADDING)
        painter.setFont(shown.font)
        painter.setPen(shown.palette.color(group, text_role))
        if not reason:
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, label)
        else:
            upper = area.adjusted(0, PADDING // 2, 0, 0)
            painter.drawText(upper, Qt.AlignmentFlag.AlignTop, label)
            small = shown.font
            small.setPointSizeF(small.pointSizeF() * REASON_FONT)
            painter.setFont(small)
            if not selected:
                painter.setPen(shown.palette.color(QPalette.ColorRole.PlaceholderText))
            lower = area.adjusted(0, 0, 0, -PADDING // 2)
            painter.drawText(lower, Qt.AlignmentFlag.AlignBottom, str(reason))
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Return room for both lines."""
        shown = QStyleOptionViewItem(option)
        self.initStyleOption(shown, index)
        metrics, reason = shown.fontMetrics, index.data(REASON_ROLE)
        width, height = metrics.horizontalAdvance(shown.text), metrics.height() + PADDING
        if reason:
            small = shown.font
            small.setPointSizeF(small.pointSizeF() * REASON_FONT)
            small_metrics = QFontMetrics(small)
            width = max(width, small_metrics.horizontalAdvance(str(reason)))
            height += small_metrics.height() + PADDING // 4
        if index.data(DOWNLOAD_ROLE):
            width += ICON_SIZE + PADDING
        return QSize(width + 2 * PADDING, height)
