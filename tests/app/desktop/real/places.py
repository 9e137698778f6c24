"""Says as JSON where things are in a window of 1360×860 that a mouse goes to: name to x, y, width, height.

Run as a program of its own: it lays the window out without a display, as the one under test is laid out.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QAbstractButton, QComboBox, QWidget

from app.desktop.application import make_application
from app.desktop.main_window import MainWindow
from app.desktop.preferences import Preferences
from app.desktop.theme import apply_theme


def main() -> None:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = make_application(["places"])
    apply_theme(application, "light")
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow(Preferences(Path(folder) / "places.ini"))
        window.show()
        window.resize(1360, 860)
        page = window.page
        found: dict[str, list[int]] = {}

        def note(name: str, widget: QWidget) -> None:
            application.processEvents()
            assert widget.isVisible(), name
            corner = widget.mapTo(window, QPoint(0, 0))
            found[name] = [corner.x(), corner.y(), widget.width(), widget.height()]

        page.show_page(page.welcome)
        cards = [b for b in page.welcome.findChildren(QAbstractButton) if "Demo" in b.accessibleName()]
        note("demo card", cards[0])
        page.show_page(page.view)
        note("stage", page.view)
        page.show_page(page.view)
        note("time line", page.transport.timeline)
        note("settings", window.settings_panel)
        combos = window.controls.findChildren(QComboBox)
        note("mode", min(combos, key=lambda combo: combo.mapTo(window, QPoint(0, 0)).y()))
        window.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
