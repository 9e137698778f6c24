"""The dialog that lists all keys, in as many columns as the screen has room for."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.desktop.about import close_box
from app.desktop.menus import menu_groups

_NATIVE = QKeySequence.SequenceFormat.NativeText
_COLUMN_PX = 300
"""About what a column is wide."""

Group = tuple[str, Sequence[tuple[str, str]]]
"""A heading, and what is done by which keys."""


def shortcuts_dialog(parent: QWidget, actions: Mapping[str, QAction]) -> QDialog:
    """Return the dialog that lists all keys; open it with `open`."""
    dialog = QDialog(parent)
    dialog.setWindowTitle(QCoreApplication.translate("Shortcuts", "Keyboard shortcuts"))
    content = QWidget()
    across = QHBoxLayout(content)
    across.setContentsMargins(0, 0, 8, 0)
    across.setSpacing(32)
    room = dialog.screen().availableGeometry()
    groups = [*action_groups(actions), *panel_groups()]
    for column in into_columns(groups, max(1, min(3, (room.width() - 64) // _COLUMN_PX))):
        down = QVBoxLayout()
        down.setSpacing(16)
        for group in column:
            down.addLayout(_group_grid(group))
        down.addStretch(1)
        across.addLayout(down)
    scroll = QScrollArea()
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setWidgetResizable(True)
    scroll.setWidget(content)
    scroll.setAccessibleName(dialog.windowTitle())
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(16, 16, 16, 16)
    layout.setSpacing(16)
    layout.addWidget(scroll, 1)
    layout.addWidget(close_box(dialog))
    wanted = content.sizeHint()
    dialog.resize(min(wanted.width() + 56, room.width() - 32), min(wanted.height() + 96, room.height() - 64))
    dialog.finished.connect(dialog.deleteLater)
    return dialog


def action_groups(actions: Mapping[str, QAction]) -> list[Group]:
    """Return the actions that have keys, by menu."""
    groups: list[Group] = []
    for title, names in menu_groups():
        rows = [
            (plain(actions[name].text()), keys_text(actions[name]))
            for name in names
            if actions[name].shortcuts()
        ]
        if rows:
            groups.append((plain(title), rows))
    return groups


def panel_groups() -> list[Group]:
    """Return the keys that only parts of the window understand while they have the focus."""
    people = (
        (QCoreApplication.translate("Shortcuts", "Name the person"), QKeySequence(Qt.Key.Key_F2)),
        (QCoreApplication.translate("Shortcuts", "Follow the person"), QKeySequence(Qt.Key.Key_F)),
        (QCoreApplication.translate("Shortcuts", "Ignore the person"), QKeySequence(Qt.Key.Key_Delete)),
    )
    line = (
        (QCoreApplication.translate("Shortcuts", "One second back"), QKeySequence(Qt.Key.Key_Left)),
        (QCoreApplication.translate("Shortcuts", "One second forward"), QKeySequence(Qt.Key.Key_Right)),
        (QCoreApplication.translate("Shortcuts", "Five seconds back"), QKeySequence(Qt.Key.Key_PageUp)),
        (QCoreApplication.translate("Shortcuts", "Five seconds forward"), QKeySequence(Qt.Key.Key_PageDown)),
    )
    return [
        (
            QCoreApplication.translate("Shortcuts", "In the list of people"),
            [(text, key.toString(_NATIVE)) for text, key in people],
        ),
        (
            QCoreApplication.translate("Shortcuts", "On the time line"),
            [(text, key.toString(_NATIVE)) for text, key in line],
        ),
    ]


def into_columns(groups: Sequence[Group], most: int) -> list[list[Group]]:
    """Share groups out to at most so many columns of about the same height, in their order."""
    heights = [len(rows) + 2 for _, rows in groups]
    limit = max(max(heights, default=0), -(-sum(heights) // most))
    while True:
        columns: list[list[Group]] = [[]]
        filled = 0
        for group, height in zip(groups, heights, strict=True):
            if columns[-1] and filled + height > limit:
                columns.append([])
                filled = 0
            columns[-1].append(group)
            filled += height
        if len(columns) <= most:
            return columns
        limit += 1


def keys_text(action: QAction) -> str:
    """Return an action's keys as they stand on the keyboard."""
    return QCoreApplication.translate("Shortcuts", " or ").join(
        key.toString(_NATIVE) for key in action.shortcuts()
    )


def plain(text: str) -> str:
    """Return a menu's text without mnemonic and dots."""
    return text.replace("&&", "\0").replace("&", "").replace("\0", "&").rstrip("…")


def _group_grid(group: Group) -> QGridLayout:
    title, rows = group
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(4)
    grid.setColumnStretch(0, 1)
    grid.addWidget(_label(title, bold=True), 0, 0, 1, 2)
    for line, (text, keys) in enumerate(rows, start=1):
        grid.addWidget(_label(text), line, 0)
        grid.addWidget(_label(keys, bold=True), line, 1, Qt.AlignmentFlag.AlignRight)
    return grid


def _label(text: str, *, bold: bool = False) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    font = label.font()
    font.setBold(bold)
    label.setFont(font)
    return label
