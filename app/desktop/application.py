"""Starts Qt and the window, and turns what stands in the way into one line."""

import gc
import os
import sys
from pathlib import Path

# OpenCV's wheel points Qt at plugins of its own when it is imported, for which PySide6 is the wrong version.
import cv2
from PySide6.QtCore import QLibraryInfo, QLocale, QTimer, QTranslator
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication, QWidget

from app.desktop.display import check_display
from app.desktop.icons import icon
from app.desktop.preferences import Preferences
from app.desktop.theme import apply_theme
from assets import asset_path
from engine import __version__
from engine.stopping import StopRequest

SWITCH_S = 0.001
SIGNAL_LOOK_MS = 200
"""Python sees Ctrl-C only when it runs; Qt's loop alone never lets it."""

_CV2_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")


def run_app(source: str | None = None, *, preferences_file: Path | None = None) -> int:
    """Open the window and return the exit code once it is closed, by hand or by Ctrl-C or SIGTERM.

    Args:
        source: to open at once, as the command line names it.
        preferences_file: instead of the user's own.

    Raises:
        UsageError: there is no display to open a window on.
    """
    check_display()
    application = make_application(sys.argv[:1])
    preferences = Preferences(preferences_file)
    apply_theme(application, preferences.theme)
    from app.desktop.main_window import MainWindow

    with StopRequest() as stop:
        window = MainWindow(preferences)
        look = QTimer(application, interval=SIGNAL_LOOK_MS)
        look.timeout.connect(lambda: _close_if(stop, window))
        look.start()
        window.show()
        favour_window()
        if source is not None:
            window.sources.open_text(source)
        try:
            code = application.exec()
        finally:
            look.stop()
            window.shut_down()
    return stop.exit_code or code


def make_application(arguments: list[str]) -> QApplication:
    """Return Qt's application object with the program's name, icon and, where there are any, translations."""
    forget_cv2_plugins()
    application = QApplication(arguments)
    application.setApplicationName("SteadyPose")
    application.setApplicationVersion(__version__)
    application.setOrganizationName("SteadyPose")
    application.setDesktopFileName("steadypose")
    application.setWindowIcon(QIcon(icon("steadypose")))
    install_translations(application, asset_path("translations"))
    return application


def install_translations(application: QApplication, folder: Path, locale: QLocale | None = None) -> list[str]:
    """Show Qt's texts and the program's in the user's language, as far as there are translations.

    Args:
        application: gets the translators.
        folder: with the program's own, ``steadypose_<locale>.qm``; see docs/TRANSLATING.md.
        locale: instead of the user's.

    Returns:
        The files that were found.
    """
    found = []
    qt_folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    for name, place in (("qtbase", qt_folder), ("steadypose", str(folder))):
        translator = QTranslator(application)
        if translator.load(locale or QLocale(), name, "_", place):
            application.installTranslator(translator)
            found.append(translator.filePath())
    return found


def forget_cv2_plugins() -> None:
    """Take back what importing OpenCV did to Qt's environment."""
    inside = str(Path(cv2.__file__).parent)
    for name in _CV2_VARIABLES:
        if os.environ.get(name, "").startswith(inside):
            del os.environ[name]


def favour_window() -> None:
    """Let the window's thread have its turn soon, whatever the threads that compute are doing.

    Python's collector leaves alone what was made so far, as all of it stays: a look at everything that
    modules and the window consist of holds all threads for 70 ms. Threads take turns every millisecond
    instead of five: painting gives up its turn in many places, and the median latency fell from 29 to 19 ms.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


def _close_if(stop: StopRequest, window: QWidget) -> None:
    if stop.requested:
        window.close()
