"""The window: it makes the parts, puts them in their places, connects them, and remembers how it was left."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QKeySequence, QUndoStack
from PySide6.QtWidgets import QApplication, QDialog, QDockWidget, QMainWindow, QTabWidget, QWidget

from app.batch_queue import BatchQueue
from app.desktop.about import about_dialog, copy_diagnostics, shortcuts_dialog
from app.desktop.actions import make_actions
from app.desktop.batch_tab import BatchTab
from app.desktop.controls import ControlsPanel
from app.desktop.icons import icon
from app.desktop.live_page import LivePage
from app.desktop.menus import add_choices, add_docks, fill_bar, fill_menus
from app.desktop.models_panel import ModelsPanel
from app.desktop.numbers import NumbersPanel
from app.desktop.people import PeoplePanel
from app.desktop.playback_control import NOTICE_S, PlaybackControl
from app.desktop.plots_control import PlotsControl
from app.desktop.preferences import Preferences
from app.desktop.preset_bar import PresetBar
from app.desktop.recording_control import RecordingControl, open_path
from app.desktop.session import Session
from app.desktop.settings_control import SettingsControl
from app.desktop.settings_panel import SettingsPanel
from app.desktop.source_control import SourceControl
from app.desktop.status_line import StatusLine
from app.desktop.theme import Role, ThemeName, apply_theme
from app.desktop.view_control import ViewControl

NUMBERS_MS = 500
LAYOUT_VERSION = 1
DEFAULT_SIZE = (1360, 860)
RIGHT_PX, PLOTS_PX = 300, 260
"""First width of the panels on the right, and height of the plots."""


class MainWindow(QMainWindow):
    """Made of parts that know nothing of each other.

    Args:
        preferences: what was remembered.
        session: to show instead of one of its own, for tests.
    """

    def __init__(self, preferences: Preferences, session: Session | None = None) -> None:
        super().__init__()
        self.preferences = preferences
        self.session = session or Session(preferences.settings, self)
        self.undo_stack = QUndoStack(self)
        self.page = LivePage()
        self.controls = ControlsPanel(self.undo_stack)
        self.presets = PresetBar()
        self.models = ModelsPanel()
        self.people = PeoplePanel()
        self.numbers = NumbersPanel()
        self.queue = BatchQueue()
        self.batch = BatchTab(self.queue)
        self.actions_by_name = make_actions(self)
        self.tabs = self._make_tabs()
        self.docks = self._make_docks()
        self._connect()
        self._fill_menus()
        self.status_line = StatusLine(self.statusBar())
        self._timer = QTimer(self, interval=NUMBERS_MS)
        self._timer.timeout.connect(self._show_numbers)
        self._timer.start()
        self._down = False
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self._restore()
        self._show_title()

    # --- making ------------------------------------------------------------------------------------------

    def _make_tabs(self) -> QTabWidget:
        tabs = QTabWidget()
        tabs.setDocumentMode(True)
        tabs.addTab(self.page, icon("camera"), self.tr("Live"))
        tabs.addTab(self.batch, icon("batch"), self.tr("Batch"))
        tabs.setTabToolTip(0, self.tr("One source, followed while you watch"))
        tabs.setTabToolTip(1, self.tr("Many files, one after another"))
        self.setCentralWidget(tabs)
        return tabs

    def _make_docks(self) -> dict[str, QDockWidget]:
        self.plots = PlotsControl(self.session, self.preferences, self)
        right, bottom = Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
        self.settings_panel = SettingsPanel(self.presets, self.controls)
        parts: tuple[tuple[str, str, QWidget, Qt.DockWidgetArea], ...] = (
            ("settings", self.tr("Settings"), self.settings_panel, right),
            ("people", self.tr("People"), self.people, right),
            ("numbers", self.tr("Numbers"), self.numbers, right),
            ("models", self.tr("Models"), self.models, right),
            ("plots", self.tr("Plots"), self.plots.holder, bottom),
        )
        docks: dict[str, QDockWidget] = {}
        for name, title, widget, area in parts:
            dock = QDockWidget(title, self)
            dock.setObjectName(name)
            dock.setWidget(widget)
            self.addDockWidget(area, dock)
            docks[name] = dock
        for name in ("people", "numbers", "models"):
            self.tabifyDockWidget(docks["settings"], docks[name])
        docks["settings"].raise_()
        docks["models"].visibilityChanged.connect(self._fill_models)
        docks["models"].hide()
        docks["plots"].hide()
        self.resizeDocks([docks["settings"]], [RIGHT_PX], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["plots"]], [PLOTS_PX], Qt.Orientation.Vertical)
        self.setTabPosition(right, QTabWidget.TabPosition.North)
        self.setCorner(Qt.Corner.BottomRightCorner, right)
        return docks

    def _connect(self) -> None:
        actions, session, page = self.actions_by_name, self.session, self.page
        self.sources = SourceControl(session, page, actions, self.preferences, self)
        self.playback = PlaybackControl(session, page, actions, self)
        self.view = ViewControl(session, page, self.people, actions, self.preferences, self)
        self.recording = RecordingControl(session, page, actions, self.preferences, self)
        self.settings = SettingsControl(
            session, self.controls, self.presets, self.models, self.preferences, self
        )
        for part in (self.view, self.recording, self.settings, self.plots):
            part.told.connect(self.tell)
        self.view.names_changed.connect(lambda: self.recording.set_names(self.view.names))
        self.view.names_changed.connect(lambda: self.plots.set_names(self.view.names))
        self.view.region_changed.connect(self.settings.set_region)
        self.settings.models_wanted.connect(lambda: self.show_dock("models"))
        self.settings.settled.connect(self._share_settings)
        session.status_changed.connect(self._show_title)
        self.batch.open_requested.connect(open_path)
        slots: dict[str, Callable[[], object]] = {
            "quit": self.close,
            "diagnostics": self._copy_diagnostics,
            "about": lambda: self._open(about_dialog(self, actions["diagnostics"])),
            "shortcuts": lambda: self._open(shortcuts_dialog(self, actions)),
        }
        for name, slot in slots.items():
            actions[name].triggered.connect(slot)
        actions["fullscreen"].toggled.connect(self._set_fullscreen)
        self._share_settings()
        self._request = session.status.request

    def _fill_menus(self) -> None:
        menus = fill_menus(self, self.actions_by_name)
        undo, redo = self.undo_stack.createUndoAction(self), self.undo_stack.createRedoAction(self)
        undo.setShortcut(QKeySequence("Ctrl+Z"))
        redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
        edit = self.menuBar().addMenu(self.tr("&Edit"))
        self.menuBar().insertMenu(menus["Playback"].menuAction(), edit)
        edit.addAction(undo)
        edit.addAction(redo)
        edit.addSeparator()
        reset = edit.addAction(icon("reset"), self.tr("&Reset all settings"))
        reset.triggered.connect(self.controls.reset_all)
        add_docks(menus["View"], self.docks)
        add_choices(
            menus["View"],
            self.preferences.theme,
            self.view.options.palette,
            self.set_theme,
            self.view.set_palette,
        )
        self.tool_bar = fill_bar(self, self.actions_by_name)

    # --- what happens ------------------------------------------------------------------------------------

    def tell(self, role: Role, text: str) -> None:
        """Show a sentence above the stage for a while."""
        timeout_s = NOTICE_S if role in ("accent", "good") else 2 * NOTICE_S
        self.page.notices.show_notice(text, role, timeout_s=timeout_s, key=text)

    def show_dock(self, name: str) -> None:
        """Bring a panel to the front."""
        self.docks[name].show()
        self.docks[name].raise_()

    def set_theme(self, name: ThemeName) -> None:
        """Take another look and remember it."""
        self.preferences.theme = name
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, name)

    def _fill_models(self, visible: bool) -> None:
        if visible:
            self.docks["models"].visibilityChanged.disconnect(self._fill_models)
            self.models.refresh()

    def _show_title(self) -> None:
        request = self.session.status.request
        self.setWindowTitle(f"{request.label} – SteadyPose" if request else "SteadyPose")
        if request != self._request:
            self._request = request
            self.view.set_region(None)
            self.settings.set_region(None)

    def _show_numbers(self) -> None:
        numbers = self.session.numbers()
        take = self.recording.takes.status
        if take is not None and take.lost_rows + take.lost_video_frames:
            lost = {self.tr("disk behind"): take.lost_rows, self.tr("encoder behind"): take.lost_video_frames}
            numbers = replace(numbers, dropped={**numbers.dropped, **lost})
        if self.numbers.isVisible():
            self.numbers.show_numbers(numbers)
        self.status_line.show_numbers(self.session.status, numbers)

    def _share_settings(self) -> None:
        self.queue.set_options(self.batch.options_with(self.settings.settings))

    def _copy_diagnostics(self) -> None:
        copy_diagnostics(self.session.status, self.session.numbers())
        self.tell("good", self.tr("Diagnostics are on the clipboard"))

    def _open(self, dialog: QDialog) -> None:
        dialog.open()

    def _set_fullscreen(self, on: bool) -> None:
        for part in (self.menuBar(), self.tool_bar, self.statusBar(), self.tabs.tabBar()):
            part.setVisible(not on)
        if on:
            self._docks_before = [dock for dock in self.docks.values() if dock.isVisible()]
            for dock in self._docks_before:
                dock.hide()
            self.showFullScreen()
        else:
            for dock in self._docks_before:
                dock.show()
            self.showNormal()

    # --- remembering, dropping, ending -------------------------------------------------------------------

    def _restore(self) -> None:
        geometry, state = self.preferences.bytes("geometry"), self.preferences.bytes("state")
        if geometry.isEmpty() or not self.restoreGeometry(geometry):
            available = QGuiApplication.primaryScreen().availableGeometry()
            self.resize(min(DEFAULT_SIZE[0], available.width()), min(DEFAULT_SIZE[1], available.height()))
        if not state.isEmpty():
            self.restoreState(state, LAYOUT_VERSION)
        self.controls.set_open_sections(
            self.preferences.get("open_sections", list[str], self.controls.open_sections())
        )

    def _remember(self) -> None:
        if not self.isFullScreen():
            self.preferences.set_bytes("geometry", QByteArray(self.saveGeometry()))
            self.preferences.set_bytes("state", QByteArray(self.saveState(LAYOUT_VERSION)))
        self.preferences.set("open_sections", self.controls.open_sections())
        self.preferences.sync()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and addresses; the batch tab takes its own."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        self.sources.open_urls(event.mimeData().urls())
        event.acceptProposedAction()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the window, close the take whole, end all threads."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """End everything the window began; safe to call more than once."""
        if self._down:
            return
        self._down = True
        self._timer.stop()
        self._remember()
        self.recording.close()
        self.session.close()
        self.settings.close()
        self.view.close()
        self.plots.close()
        self.models.shut_down()
        self.batch.close_queue()
        self.queue.close()
