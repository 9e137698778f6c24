"""A group of settings under a heading that folds it away: label, editor and a way back to the default."""

from typing import Any

from PySide6.QtCore import QCoreApplication, QSize, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.desktop.controls_editors import LEVEL, Editor, make_editor
from app.desktop.controls_fields import Section, SettingField
from app.desktop.icon_button import FocusButton
from app.desktop.icons import icon
from engine.settings import TrackSettings

LABEL_WIDTH = 96
RESET_SIZE = 24
ROW_HEIGHT = 32


def translated(text: str) -> str:
    """Return a text of `controls_fields` in the user's language."""
    return QCoreApplication.translate("Controls", text)


class SettingRow:
    """The widgets of one setting, placed in a row of a grid."""

    def __init__(self, field: SettingField, grid: QGridLayout, line: int) -> None:
        self.field = field
        self.editor: Editor = make_editor(field)
        self.name = translated(field.label)
        self._tip = translated(field.tip)
        self.label = QLabel(self.name)
        self.label.setMinimumWidth(LABEL_WIDTH)
        if field.editor == "steadiness":
            self.label.setAlignment(Qt.AlignmentFlag.AlignTop)
            self.label.setContentsMargins(0, LEVEL, 0, 0)
        self.reset = FocusButton()
        self.reset.setIcon(icon("reset"))
        self.reset.setIconSize(QSize(16, 16))
        self.reset.setFixedSize(RESET_SIZE, RESET_SIZE)
        undo = QCoreApplication.translate("Controls", "Set “{name}” back to its default").format(
            name=self.name
        )
        self.reset.setToolTip(undo)
        self.reset.setAccessibleName(undo)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        focus = self.editor.focus_widget()
        self.label.setBuddy(focus)
        self.editor.set_name(self.name)
        focus.setObjectName(field.key)
        grid.addWidget(self.label, line, 0)
        grid.addWidget(self.editor, line, 1)
        grid.addWidget(self.reset, line, 2)
        grid.setRowMinimumHeight(line, ROW_HEIGHT)
        self.set_idle("")

    def show_settings(self, settings: TrackSettings) -> None:
        """Show the row's part of the settings; the way back only where it leads somewhere."""
        self.editor.set_value(self.field.read(settings))
        self.reset.setVisible(not self.field.is_default(settings))

    def set_idle(self, reason: str) -> None:
        """Grey the row where it has no effect, and say why; empty makes it usable."""
        for widget in (self.label, self.editor):
            widget.setEnabled(not reason)
            widget.setToolTip(f"{self._tip}\n{reason}" if reason else self._tip)


class SettingSection(QWidget):
    """A heading and its rows."""

    changed = Signal(str, object, int)
    """A row's key, its value, and the number of the drag it is part of, 0 for none."""
    reset_wanted = Signal(str)

    def __init__(self, section: Section, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        title = translated(section.title)
        self._heading = QToolButton()
        self._heading.setText(title)
        self._heading.setToolTip(self.tr("Show or hide “{section}”").format(section=title))
        self._heading.setObjectName(section.key)
        self._heading.setCheckable(True)
        self._heading.setChecked(True)
        self._heading.setAutoRaise(True)
        self._heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._heading.setStyleSheet(
            "QToolButton { border: 2px solid transparent; border-radius: 4px; padding: 2px; }"
            "QToolButton { font-weight: bold; }"
            "QToolButton:focus { border-color: palette(highlight); }"
        )
        self._heading.toggled.connect(self._on_toggled)
        self._body = QWidget()
        grid = QGridLayout(self._body)
        grid.setContentsMargins(0, 0, 0, 8)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(0)
        grid.setColumnStretch(1, 1)
        self._grid = grid
        self.rows: dict[str, SettingRow] = {}
        for line, field in enumerate(section.fields):
            self._add_row(field, 2 * line)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._heading)
        layout.addWidget(self._body)
        self._on_toggled(True)

    def add_below(self, key: str, widget: QWidget) -> None:
        """Put a widget under the row called `key`, as wide as its label and editor."""
        line = self._grid.getItemPosition(self._grid.indexOf(self.rows[key].editor))[0]  # type: ignore[index]
        self._grid.addWidget(widget, line + 1, 0, 1, 2)

    def set_open(self, is_open: bool) -> None:
        """Show or hide the rows."""
        self._heading.setChecked(is_open)

    def is_open(self) -> bool:
        """Whether the rows are shown."""
        return self._heading.isChecked()

    def _add_row(self, field: SettingField, line: int) -> None:
        row = SettingRow(field, self._grid, line)
        self.rows[field.key] = row

        def on_changed(value: Any, drag: int) -> None:
            self.changed.emit(field.key, value, drag)

        row.editor.changed.connect(on_changed)
        row.reset.clicked.connect(lambda: self.reset_wanted.emit(field.key))

    def _on_toggled(self, is_open: bool) -> None:
        self._body.setVisible(is_open)
        self._heading.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
