"""What the window remembers from one start to the next, in one file of the user's (QSettings).

A value that cannot be read any more (another version, a hand that slipped) is replaced by the default, with a
line in the log.
"""

import logging
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

from app.desktop.theme import THEMES, ThemeName
from engine.live_values import SourceRequest
from engine.settings import TrackSettings

LOGGER = logging.getLogger(__name__)

MAX_RECENT = 8
T = TypeVar("T")


class Preferences:
    """Typed access to the file.

    Args:
        path: of the file; by default the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            store = QSettings(
                QSettings.Format.IniFormat, QSettings.Scope.UserScope, "SteadyPose", "SteadyPose"
            )
        else:
            store = QSettings(str(path), QSettings.Format.IniFormat)
        if store.status() != QSettings.Status.NoError:
            LOGGER.warning(
                "settings in %s cannot be read, what is damaged begins anew: %s",
                store.fileName(), store.status().name,
            )  # fmt: skip
        self._store = store

    @property
    def folder(self) -> Path:
        """The folder of the file, where presets lie too."""
        return Path(self._store.fileName()).parent

    def bytes(self, key: str) -> QByteArray:
        """Return what Qt saved as bytes; empty where nothing was."""
        value = self._store.value(key)
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_bytes(self, key: str, value: QByteArray) -> None:
        """Save what Qt gives as bytes."""
        self._store.setValue(key, value)

    def get(self, key: str, kind: type[T], default: T) -> T:
        """Return a value saved by `set`, checked against its type; the default where there is none."""
        text = self._store.value(key)
        if text is None:
            return default
        try:
            return TypeAdapter(kind).validate_json(text if isinstance(text, str) else b"")
        except ValidationError as error:
            LOGGER.warning(
                "setting %s of %s is ignored: %s", key, self._store.fileName(), error.errors()[0]["msg"]
            )
            return default

    def set(self, key: str, value: object) -> None:
        """Save a number, text, dataclass or pydantic model."""
        self._store.setValue(key, TypeAdapter(type(value)).dump_json(value).decode())

    @property
    def theme(self) -> ThemeName:
        """The look that was chosen."""
        name = self.get("theme", str, "system")
        return name if name in THEMES else "system"

    @theme.setter
    def theme(self, name: ThemeName) -> None:
        self.set("theme", str(name))

    @property
    def settings(self) -> TrackSettings:
        """How people are followed. A region belongs to one source and is not remembered."""
        settings = self.get("tracking", TrackSettings, TrackSettings())
        return settings.model_copy(
            update={"estimator": settings.estimator.model_copy(update={"region": None})}
        )

    @settings.setter
    def settings(self, settings: TrackSettings) -> None:
        self.set("tracking", settings)

    @property
    def recent(self) -> list[SourceRequest]:
        """Sources opened lately, the last one first."""
        return self.get("recent", list[SourceRequest], [])

    def add_recent(self, request: SourceRequest) -> None:
        """Put a source first; the same one further down goes."""
        others = [other for other in self.recent if str(other.spec) != str(request.spec)]
        self._set_recent([request, *others][:MAX_RECENT])

    def remove_recent(self, request: SourceRequest) -> None:
        """Forget a source."""
        self._set_recent([other for other in self.recent if str(other.spec) != str(request.spec)])

    @property
    def record_folder(self) -> Path:
        """Where takes go: as chosen, else a folder in the user's videos."""
        chosen = self.get("record_folder", str, "")
        if chosen:
            return Path(chosen)
        movies = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.MoviesLocation)
        return Path(movies or Path.home()) / "SteadyPose"

    @record_folder.setter
    def record_folder(self, folder: Path) -> None:
        self.set("record_folder", str(folder))

    def sync(self) -> None:
        """Write what is not written yet."""
        self._store.sync()

    def _set_recent(self, requests: list[SourceRequest]) -> None:
        self._store.setValue("recent", TypeAdapter(list[SourceRequest]).dump_json(requests).decode())
