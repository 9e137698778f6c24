"""The batch tab: a queue of files with progress, pause, retry and open result."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QItemSelectionModel, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeySequence,
    QPalette,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QFrame,
    QHeaderView,
    QLabel,
    QMenu,
    QStackedLayout,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.batch_item import BatchItem, QueueOptions
from app.batch_queue import BatchQueue
from app.desktop.batch_bars import EmptyBatch, Footer, Toolbar
from app.desktop.batch_options import OptionsRow
from app.desktop.batch_table import NAME, PROGRESS, RESULT, SPEED, BatchModel, ProgressDelegate
from engine.settings import TrackSettings

REFRESH_MS = 100
_ROW_PX, _HEADER_PX = 32, 28
_NARROW_PX = 640
_COLUMN_PX = {NAME: (208, 120), PROGRESS: (160, 104), SPEED: (72, 56)}
"""Column to its width in a wide and in a narrow table."""


class BatchTab(QWidget):
    """A queue of files, worked on in a thread by the engine of the command line.

    Signals:
        open_requested: the CSV of a done file is wanted. options_changed: the queue's options were changed
        here; `queue.options` says how.
    """

    open_requested = Signal(Path)
    options_changed = Signal()
    _woken = Signal()

    def __init__(self, queue: BatchQueue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queue = queue
        self._narrow = False
        self._refresh_timer = QTimer(self)
        self._refresh_timer.setSingleShot(True)
        self._refresh_timer.setInterval(REFRESH_MS)
        self._refresh_timer.timeout.connect(self.refresh)
        self._woken.connect(self._refresh_soon, Qt.ConnectionType.QueuedConnection)
        self._model = BatchModel()
        self._toolbar, self._options = Toolbar(), OptionsRow()
        self._footer, self._empty = Footer(), EmptyBatch()
        self._table = self._make_table()
        self._drop = _drop_hint(self)
        self._actions = self._make_actions()
        self._connect()
        self._build()
        self.setAcceptDrops(True)
        self.show_options()
        queue.on_change = self._woken.emit
        self.refresh()

    @property
    def queue(self) -> BatchQueue:
        """The queue that is shown; `close_queue` ends it."""
        return self._queue

    def options_with(self, settings: TrackSettings) -> QueueOptions:
        """Return what is chosen here, with these settings of the engine."""
        return replace(self._options.apply(self._queue.options), settings=settings)

    def show_options(self) -> None:
        """Show the queue's options, after they were changed elsewhere; what cannot be had here is dropped."""
        self._options.show_options(self._queue.options)
        self._queue.set_options(self._options.apply(self._queue.options))

    def add_paths(self, paths: Iterable[Path]) -> None:
        """Put files and folders into the queue."""
        self._queue.add(paths)

    def refresh(self) -> None:
        """Show the queue as it stands."""
        chosen = set(self.selected_keys())
        if self._model.show_items(self._queue.snapshot()):
            self._select(chosen)
        totals = self._queue.totals()
        self._pages.setCurrentWidget(self._table if self._model.items else self._empty)
        self._footer.show_totals(totals)
        self._update_actions()

    def selected_keys(self) -> list[int]:
        """Return the numbers of the selected items, in order."""
        return [item.key for item in self._selected()]

    def select(self, keys: Sequence[int]) -> None:
        """Select these items and no others."""
        self._table.clearSelection()
        self._select(set(keys))
        self._update_actions()

    def close_queue(self) -> None:
        """End the queue after the frame at hand and listen to it no longer; to be called before it goes."""
        self._queue.on_change = None
        self._refresh_timer.stop()
        self._queue.close()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give a narrow table narrow columns, so that there is room for the sentences."""
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW_PX
        if narrow != self._narrow:
            self._narrow = narrow
            for column, widths in _COLUMN_PX.items():
                self._table.setColumnWidth(column, widths[narrow])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files and folders."""
        if _local_paths(event):
            event.acceptProposedAction()
            self._drop.setGeometry(self._stack_area.geometry())
            self._drop.show()
            self._drop.raise_()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Forget about it."""
        self._drop.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Put what was dropped into the queue."""
        self._drop.hide()
        event.acceptProposedAction()
        self.add_paths(_local_paths(event))

    def changeEvent(self, event: QEvent) -> None:
        """Paint the table in the colours of a new theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_table"):
            self._table.viewport().update()

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self._model)
        table.setAccessibleName(self.tr("Queue of files"))
        table.setToolTip(self.tr("Files to be tracked, one after another"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setItemDelegateForColumn(PROGRESS, ProgressDelegate(table))
        table.setShowGrid(False)
        table.setAlternatingRowColors(True)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(_ROW_PX)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(56)
        header.setFixedHeight(_HEADER_PX)
        for column, widths in _COLUMN_PX.items():
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            table.setColumnWidth(column, widths[0])
        header.setSectionResizeMode(RESULT, QHeaderView.ResizeMode.Stretch)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._show_menu)
        table.doubleClicked.connect(lambda _index: self._open_result())
        table.selectionModel().selectionChanged.connect(lambda _on, _off: self._update_actions())
        return table

    def _make_actions(self) -> dict[str, QAction]:
        actions: dict[str, QAction] = {}
        for name, text, key, slot in (
            ("open", self.tr("Open result"), "Return", self._open_result),
            ("retry", self.tr("Retry"), "", lambda: self._retry(overwrite=False)),
            ("overwrite", self.tr("Retry with overwrite"), "", lambda: self._retry(overwrite=True)),
            ("cancel", self.tr("Cancel"), "", self._cancel),
            ("remove", self.tr("Remove from the queue"), "Delete", self._remove),
        ):
            action = QAction(text, self._table)
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            action.triggered.connect(slot)
            self._table.addAction(action)
            actions[name] = action
        return actions

    def _connect(self) -> None:
        for source in (self._toolbar, self._empty):
            source.files_wanted.connect(self._ask_files)
            source.folder_wanted.connect(self._ask_folder)
        self._toolbar.set_actions(self._actions)
        self._options.out_wanted.connect(self._ask_out)
        self._options.changed.connect(self._take_options)
        self._footer.start_wanted.connect(self._queue.start)
        self._footer.pause_wanted.connect(self._queue.pause)
        self._footer.clear_wanted.connect(self._queue.clear_finished)

    def _build(self) -> None:
        self._stack_area = QFrame()
        self._pages = QStackedLayout(self._stack_area)
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._table)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self._toolbar)
        column.addWidget(self._stack_area, 1)
        column.addWidget(self._options)
        column.addWidget(self._footer)

    def _refresh_soon(self) -> None:
        if not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def _selected(self) -> list[BatchItem]:
        rows = sorted(index.row() for index in self._table.selectionModel().selectedRows())
        return [self._model.items[row] for row in rows if row < len(self._model.items)]

    def _select(self, keys: set[int]) -> None:
        model = self._table.selectionModel()
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row, item in enumerate(self._model.items):
            if item.key in keys:
                model.select(self._model.index(row, 0), flags)

    def _to_retry(self) -> list[BatchItem]:
        """Return the selected items that can be tried again, or all that failed where none is selected."""
        selected = self._selected()
        if selected:
            return [item for item in selected if item.state in ("failed", "cancelled")]
        return [item for item in self._model.items if item.state == "failed"]

    def _update_actions(self) -> None:
        selected, again = self._selected(), self._to_retry()
        enabled = {
            "open": any(item.state == "done" for item in selected),
            "retry": bool(again),
            "overwrite": any(item.overwritable for item in again),
            "cancel": any(item.state in ("waiting", "running", "paused") for item in selected),
            "remove": bool(selected),
        }
        for name, on in enabled.items():
            self._actions[name].setEnabled(on)
        self._actions["overwrite"].setVisible(enabled["overwrite"])
        self._toolbar.show_overwrite(enabled["overwrite"])

    def _show_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addActions(list(self._actions.values()))
        menu.popup(self._table.viewport().mapToGlobal(place))

    def _open_result(self) -> None:
        for item in self._selected():
            if item.state == "done" and item.outputs:
                self.open_requested.emit(item.outputs[0])
                return

    def _retry(self, *, overwrite: bool) -> None:
        again = [item for item in self._to_retry() if item.overwritable or not overwrite]
        self._queue.retry([item.key for item in again], overwrite=overwrite)
        if self._queue.totals().state == "idle":
            self._queue.start()

    def _cancel(self) -> None:
        self._queue.cancel(self.selected_keys())

    def _remove(self) -> None:
        self._queue.remove(self.selected_keys())

    def _ask_files(self) -> None:
        dialog = self._make_dialog(self.tr("Add videos"), QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(lambda names: self.add_paths(Path(name) for name in names))
        dialog.show()

    def _ask_folder(self) -> None:
        dialog = self._make_dialog(self.tr("Add a folder"), QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda name: self.add_paths([Path(name)]))
        dialog.show()

    def _ask_out(self) -> None:
        dialog = self._make_dialog(self.tr("Folder of the results"), QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda name: self._options.choose_out(Path(name)))
        dialog.show()

    def _make_dialog(self, title: str, mode: QFileDialog.FileMode) -> QFileDialog:
        dialog = QFileDialog(self, title)
        dialog.setFileMode(mode)
        dialog.setModal(False)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return dialog

    def _take_options(self) -> None:
        self._queue.set_options(self._options.apply(self._queue.options))
        self.options_changed.emit()


def _local_paths(event: QDropEvent) -> list[Path]:
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]


def _drop_hint(parent: QWidget) -> QLabel:
    label = QLabel(QCoreApplication.translate("BatchTab", "Drop to add to the queue"), parent)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setAutoFillBackground(True)
    label.setBackgroundRole(QPalette.ColorRole.Highlight)
    label.setForegroundRole(QPalette.ColorRole.HighlightedText)
    label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    label.hide()
    return label
