"""Connects the preset bar with the user's file of presets, which is read and written in a thread."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.desktop.errands import Errands
from app.desktop.preset_bar import PresetBar
from app.desktop.presets import Preset, PresetStore
from engine.errors import SteadyPoseError
from engine.settings import TrackSettings

Presets = tuple[Preset, ...]


class PresetControl(QObject):
    """Saves, deletes and lists presets.

    Args:
        bar: where they are chosen.
        path: of the user's file.
        settings: returns the settings as wanted.
        parent: as of every object.

    Signals:
        chosen: the `Preset` that somebody picked. told: (role, sentence).
    """

    chosen = Signal(object)
    told = Signal(str, str)

    def __init__(
        self, bar: PresetBar, path: Path, settings: Callable[[], TrackSettings], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._bar, self._settings = bar, settings
        self._store = PresetStore(path)
        self._errands = Errands("presets", self)
        bar.preset_chosen.connect(self._choose)
        bar.save_wanted.connect(self._save)
        bar.delete_wanted.connect(self._delete)
        self._load(self._show_all)

    def close(self) -> None:
        """Wait until what was saved is written."""
        self._errands.close()

    def _choose(self, name: str) -> None:
        preset = self._bar.preset_named(name)
        if preset is not None:
            self.chosen.emit(preset)

    def _save(self, name: str) -> None:
        settings = self._settings()
        self._errands.run(lambda: self._store.save(name, settings), self._end_change)

    def _delete(self, name: str) -> None:
        self._errands.run(lambda: self._store.delete(name), self._end_change)

    def _load(self, then: Callable[[Presets | SteadyPoseError], None]) -> None:
        self._errands.run(self._store.load, then)

    def _end_change(self, made: object) -> None:
        if isinstance(made, SteadyPoseError):
            self.told.emit("bad", str(made))
        self._load(self._show_all)

    def _show_all(self, presets: Presets | SteadyPoseError) -> None:
        if isinstance(presets, SteadyPoseError):
            self.told.emit("warning", str(presets))
            # What could be saved of a damaged file is there at the second reading.
            self._load(self._show_rest)
        else:
            self._bar.set_presets(presets)
            self._bar.show_settings(self._settings())

    def _show_rest(self, presets: Presets | SteadyPoseError) -> None:
        self._bar.set_presets(() if isinstance(presets, SteadyPoseError) else presets)
        self._bar.show_settings(self._settings())
