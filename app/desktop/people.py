"""The list of people: who is in view, who was lately, and who is ignored; rename, follow, ignore."""

import time
from collections.abc import Mapping, Sequence, Set

from PySide6.QtCore import QModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QMenu, QVBoxLayout, QWidget

from app.desktop.icons import icon
from app.desktop.people_delegate import PersonDelegate
from app.desktop.people_model import ENTRY_ROLE, PeopleModel, PersonEntry
from engine.structures import TrackedPerson

UPDATE_MS = 200
"""Between two updates of the list."""


class PeopleList(QListView):
    """The rows, and a sentence where there are none."""

    follow_toggled = Signal(int)
    ignore_toggled = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setAccessibleName(self.tr("People"))
        self.setToolTip(self.tr("People in view, lately lost and ignored; double-click or F2 gives a name"))
        delegate = PersonDelegate(self)
        delegate.follow_clicked.connect(self.follow_toggled)
        delegate.ignore_clicked.connect(self.ignore_toggled)
        self.setItemDelegate(delegate)
        self.customContextMenuRequested.connect(self._open_menu)

    def make_menu(self, index: QModelIndex) -> QMenu:
        """Return what can be done with the person of a row."""
        entry: PersonEntry = index.data(ENTRY_ROLE)
        number = entry.track_id
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rename = menu.addAction(icon("rename"), self.tr("&Rename"))
        rename.setShortcut(Qt.Key.Key_F2)
        rename.triggered.connect(lambda: self.edit(index))
        follow = menu.addAction(icon("follow"), self.tr("&Follow"))
        follow.setShortcut(Qt.Key.Key_F)
        follow.setCheckable(True)
        follow.setChecked(entry.followed)
        follow.triggered.connect(lambda: self.follow_toggled.emit(number))
        ignore = menu.addAction(icon("ignore"), self.tr("&Ignore"))
        ignore.setShortcut(Qt.Key.Key_Delete)
        ignore.setCheckable(True)
        ignore.setChecked(entry.ignored)
        ignore.triggered.connect(lambda: self.ignore_toggled.emit(number))
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """F2 renames, F follows, Delete ignores the current person."""
        index = self.currentIndex()
        plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
        if index.isValid() and plain:
            number = index.data(ENTRY_ROLE).track_id
            if event.key() == Qt.Key.Key_F2:
                self.edit(index)
                return
            if event.key() == Qt.Key.Key_F:
                self.follow_toggled.emit(number)
                return
            if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
                self.ignore_toggled.emit(number)
                return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the rows, or say that there is nobody."""
        super().paintEvent(event)
        model = self.model()
        if model is None or model.rowCount():
            return
        painter = QPainter(self.viewport())
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        place = self.viewport().rect().adjusted(16, 16, -16, -16)
        text = self.tr("Nobody in view. People appear here as soon as they are seen.")
        painter.drawText(place, Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap, text)
        painter.end()

    def _open_menu(self, place: QPoint) -> None:
        index = self.indexAt(place)
        if index.isValid():
            self.make_menu(index).popup(self.viewport().mapToGlobal(place))


class PeoplePanel(QWidget):
    """Shows people and says what somebody wants done with them; it keeps no book of its own."""

    renamed = Signal(int, str)
    """A person's number and new name; an empty name takes it away."""
    follow_toggled = Signal(int)
    ignore_toggled = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = PeopleModel(self)
        self._list = PeopleList()
        self._list.setModel(self._model)
        self._model.renamed.connect(self.renamed)
        self._list.follow_toggled.connect(self.follow_toggled)
        self._list.ignore_toggled.connect(self.ignore_toggled)
        self._waiting: tuple[tuple[TrackedPerson, ...], float] | None = None
        self._shown_s = -1.0
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._list)
        self.setFocusProxy(self._list)
        self.setMinimumWidth(200)

    def show_people(self, people: Sequence[TrackedPerson], time_s: float) -> None:
        """Take the people of a frame; the list follows at most five times a second.

        Args:
            people: of the frame, those ignored or not.
            time_s: of the frame.
        """
        self._waiting = tuple(people), time_s
        if self._timer.isActive():
            return
        left_ms = UPDATE_MS - 1000 * (time.monotonic() - self._shown_s)
        if left_ms <= 0:
            self._show()
        else:
            self._timer.start(round(left_ms))

    def set_book(self, names: Mapping[int, str], ignored: Set[int], followed: int | None) -> None:
        """Take names, who is ignored and who is followed, at once.

        Args:
            names: track id to name.
            ignored: track ids, listed last whether seen lately or not.
            followed: track id, None for nobody.
        """
        self._model.take_book(names, ignored, followed)

    def reset(self) -> None:
        """Forget everybody, for example when another source is opened."""
        self._timer.stop()
        self._waiting = None
        self._model.clear()

    def select(self, track_id: int) -> None:
        """Make a person the current one, for example when clicked in the video."""
        for row, entry in enumerate(self._model.entries()):
            if entry.track_id == track_id:
                self._list.setCurrentIndex(self._model.index(row))

    def rename(self, track_id: int) -> None:
        """Open the name of a person for typing."""
        self.select(track_id)
        index = self._list.currentIndex()
        if index.isValid() and index.data(ENTRY_ROLE).track_id == track_id:
            self._list.setFocus()
            self._list.edit(index)

    def _show(self) -> None:
        if self._waiting is None:
            return
        people, time_s = self._waiting
        self._waiting = None
        self._shown_s = time.monotonic()
        self._model.take_people(people, time_s)
