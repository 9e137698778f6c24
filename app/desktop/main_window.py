"""The window: it makes the parts, puts them in their places, connects them, and remembers how it was left."""

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QUndoStack,
)
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QTabWidget, QWidget

from app.batch_item import QueueOptions
from app.batch_queue import BatchQueue
from app.desktop.about import about_dialog, copy_diagnostics
from app.desktop.actions import make_actions
from app.desktop.batch_tab import BatchTab
from app.desktop.controls import ControlsPanel
from app.desktop.icons import icon
from app.desktop.key_habits import keeps_key, leave_focus
from app.desktop.live_page import LivePage
from app.desktop.menus import add_choices, add_docks, fill_bar, fill_menus
from app.desktop.models_panel import ModelsPanel
from app.desktop.numbers import NumbersPanel
from app.desktop.people import PeoplePanel
from app.desktop.playback_control import NOTICE_S, PlaybackControl
from app.desktop.plots_control import PlotsControl
from app.desktop.preferences import Preferences
from app.desktop.preset_bar import PresetBar
from app.desktop.recording_control import RecordingControl
from app.desktop.session import Session
from app.desktop.settings_control import SettingsControl
from app.desktop.settings_panel import SettingsPanel
from app.desktop.shortcuts import shortcuts_dialog
from app.desktop.source_control import SourceControl
from app.desktop.status_line import StatusLine
from app.desktop.theme import Role, ThemeName, apply_theme
from app.desktop.view_control import ViewControl
from app.desktop.window_layout import WindowLayout
from engine.settings import TrackSettings
from engine.sources.address import mask_address

NUMBERS_MS = 500
LIVE_TAB = 0


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
        self.window_layout = self._make_layout()
        self.docks = self.window_layout.docks
        self._connect()
        self._fill_menus()
        leave_focus(self)
        self.status_line = StatusLine(self.statusBar())
        self._timer = QTimer(self, interval=NUMBERS_MS)
        self._timer.timeout.connect(self._show_numbers)
        self._timer.start()
        self._down = False
        self.setAcceptDrops(True)
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

    def _make_layout(self) -> WindowLayout:
        self.plots = PlotsControl(self.session, self.preferences, self)
        self.settings_panel = SettingsPanel(self.presets, self.controls)
        panels: dict[str, tuple[str, QWidget]] = {
            "settings": (self.tr("Settings"), self.settings_panel),
            "people": (self.tr("People"), self.people),
            "numbers": (self.tr("Numbers"), self.numbers),
            "models": (self.tr("Models"), self.models),
            "plots": (self.tr("Plots"), self.plots.holder),
        }
        layout = WindowLayout(self, self.tabs, panels, self.preferences)
        layout.docks["models"].visibilityChanged.connect(self._fill_models)
        return layout

    def _connect(self) -> None:
        actions, session, page = self.actions_by_name, self.session, self.page
        self.sources = SourceControl(session, page, actions, self.preferences, self)
        self.playback = PlaybackControl(session, page, actions, self)
        self.view = ViewControl(session, page, self.people, actions, self.preferences, self)
        self.recording = RecordingControl(session, page, actions, self.preferences, self)
        self.settings = SettingsControl(
            session, self.controls, self.presets, self.models, self.preferences, self
        )
        for part in (self.sources, self.view, self.recording, self.settings, self.plots):
            part.told.connect(self.tell)
        self.sources.opened.connect(lambda: self.tabs.setCurrentIndex(LIVE_TAB))
        self.view.names_changed.connect(lambda: self.recording.set_names(self.view.names))
        self.view.names_changed.connect(lambda: self.plots.set_names(self.view.names))
        self.view.region_changed.connect(self.settings.set_region)
        self.view.palette_changed.connect(self.plots.set_palette)
        self.plots.set_palette(self.view.options.palette)
        self.recording.skeleton_fixed.connect(self.settings.fix_skeleton)
        self.settings.models_wanted.connect(lambda: self.window_layout.show_dock("models"))
        self.settings.settled.connect(self._share_settings)
        session.status_changed.connect(self._show_title)
        self.batch.open_requested.connect(self.recording.open_path)
        self.batch.options_changed.connect(self._remember_batch)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_desktop)
        slots: dict[str, Callable[[], object]] = {
            "quit": self.close,
            "diagnostics": self._copy_diagnostics,
            "about": lambda: self._open(about_dialog(self, actions["diagnostics"])),
            "shortcuts": lambda: self._open(shortcuts_dialog(self, actions)),
        }
        for name, slot in slots.items():
            actions[name].triggered.connect(slot)
        actions["fullscreen"].toggled.connect(self._set_fullscreen)
        self._restore_batch()
        self._request = session.status.request

    def _fill_menus(self) -> None:
        menus = fill_menus(self, self.actions_by_name)
        undo = self.undo_stack.createUndoAction(self, self.tr("&Undo"))
        redo = self.undo_stack.createRedoAction(self, self.tr("Re&do"))
        undo.setShortcut(QKeySequence("Ctrl+Z"))
        redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
        edit = self.menuBar().addMenu(self.tr("&Edit"))
        self.menuBar().insertMenu(menus["Playback"].menuAction(), edit)
        edit.addAction(undo)
        edit.addAction(redo)
        # A menu bar that is hidden, as on the full screen, has no keys.
        self.addActions([undo, redo])
        edit.addSeparator()
        reset = edit.addAction(icon("reset"), self.tr("&Reset all settings"))
        reset.triggered.connect(self.controls.reset_all)
        menus["File"].insertMenu(self.actions_by_name["open_demo"], self.sources.recent_menu)
        add_docks(menus["View"], self.docks)
        put_back = menus["View"].addAction(icon("reset"), self.tr("Reset &window layout"))
        put_back.setObjectName("reset_layout")
        put_back.setToolTip(self.tr("Put all panels where they were at first"))
        put_back.triggered.connect(self.window_layout.reset)
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
        text = mask_address(text)
        self.page.notices.show_notice(text, role, timeout_s=timeout_s, key=text)

    def show_dock(self, name: str) -> None:
        """Bring a panel to the front."""
        self.window_layout.show_dock(name)

    def set_theme(self, name: ThemeName) -> None:
        """Take another look and remember it."""
        self.preferences.theme = name
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        apply_theme(application, name)

    def _follow_desktop(self) -> None:
        if self.preferences.theme == "system":
            self.set_theme("system")

    def _fill_models(self, visible: bool) -> None:
        if visible:
            self.docks["models"].visibilityChanged.disconnect(self._fill_models)
            self.models.refresh()

    def _show_title(self) -> None:
        request = self.session.status.request
        self.setWindowTitle(f"{mask_address(request.label)} – SteadyPose" if request else "SteadyPose")
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
        self.queue.set_options(self.batch.options_with(_everywhere(self.settings.settings)))

    def _restore_batch(self) -> None:
        options = self.preferences.get("batch", QueueOptions, self.queue.options)
        self.queue.set_options(replace(options, settings=_everywhere(self.settings.settings)))
        self.batch.show_options()

    def _remember_batch(self) -> None:
        # The settings are remembered once for all, and files are replaced only when asked for anew.
        write = replace(self.queue.options.write, overwrite=False)
        self.preferences.set("batch", replace(self.queue.options, settings=TrackSettings(), write=write))

    def _copy_diagnostics(self) -> None:
        copy_diagnostics(self.session.status, self.session.numbers())
        self.tell("good", self.tr("Diagnostics are on the clipboard"))

    def _open(self, dialog: QDialog) -> None:
        dialog.open()

    def _set_fullscreen(self, on: bool) -> None:
        self.window_layout.set_fullscreen(on)
        text = self.tr("F11 or Escape leaves the full screen")
        if on:
            self.tell("accent", text)
        else:
            self.page.notices.dismiss(text)

    # --- remembering, dropping, ending -------------------------------------------------------------------

    def _restore(self) -> None:
        self.window_layout.restore()
        self.controls.set_open_sections(
            self.preferences.get("open_sections", list[str], self.controls.open_sections())
        )

    def _remember(self) -> None:
        self.window_layout.remember()
        self.preferences.set("open_sections", self.controls.open_sections())
        self.preferences.sync()

    def event(self, event: QEvent) -> bool:
        """Leave keys to the control in focus that needs them itself."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and keeps_key(QApplication.focusWidget(), event)
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave the full screen with Escape, where nobody else wants it."""
        if event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self.actions_by_name["fullscreen"].setChecked(False)
        else:
            super().keyPressEvent(event)

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
        # Nobody has to look at a window that waits for files to be finished.
        self.hide()
        self.recording.close()
        self.session.close()
        self.settings.close()
        self.view.close()
        self.plots.close()
        self.models.shut_down()
        self.batch.close_queue()
        self.queue.close()


def _everywhere(settings: TrackSettings) -> TrackSettings:
    """Return settings without a region, which belongs to the source that it was drawn in."""
    return settings.model_copy(update={"estimator": settings.estimator.model_copy(update={"region": None})})
