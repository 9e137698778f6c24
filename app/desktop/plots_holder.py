"""The place of the plots: loads the plotting library in a thread when first seen, then makes the panel."""

import importlib
import threading
from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.desktop.key_habits import leave_focus

_PANEL = "app.desktop.plots"
_MIN_HEIGHT = 160


class PlotsHolder(QWidget):
    """Empty until it is shown for the first time.

    Loading takes a quarter of a second and more, in which the window would stand still.

    Args:
        make: makes the panel, in the window's thread, once `app.desktop.plots` is loaded.
    """

    _loaded = Signal()

    def __init__(self, make: Callable[[], QWidget], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._make = make
        self._thread: threading.Thread | None = None
        self._closed = False
        self._wait = QLabel(self.tr("Loading the plots…"))
        self._wait.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self._wait)
        self._loaded.connect(self._put_panel, Qt.ConnectionType.QueuedConnection)
        self.setMinimumHeight(_MIN_HEIGHT)

    def close_threads(self) -> None:
        """Make no panel any more, and wait for a thread that is still loading."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to load, the first time."""
        super().showEvent(event)
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._load, name="load plots", daemon=True)
            self._thread.start()

    def _load(self) -> None:
        importlib.import_module(_PANEL)
        self._loaded.emit()

    def _put_panel(self) -> None:
        if not self._closed:
            self._wait.hide()
            panel = self._make()
            leave_focus(panel)
            self._column.addWidget(panel)
