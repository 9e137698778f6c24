"""The settings dock: presets above, the settings below."""

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.desktop.controls import ControlsPanel
from app.desktop.preset_bar import PresetBar


class SettingsPanel(QWidget):
    """Lays out the two."""

    def __init__(self, presets: PresetBar, controls: ControlsPanel) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        head = QWidget()
        inner = QVBoxLayout(head)
        inner.setContentsMargins(8, 8, 8, 0)
        inner.addWidget(presets)
        column.addWidget(head)
        column.addWidget(controls, stretch=1)
