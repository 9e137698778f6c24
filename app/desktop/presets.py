"""Named settings: those that come with the program, as data, and the user's own in a JSON file.

The file is ``{"presets": [{"name": …, "settings": {…}}]}``; a damaged one is put aside, never overwritten.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QCoreApplication

from app.desktop.controls_fields import differing
from app.desktop.translatable import QT_TRANSLATE_NOOP
from engine.errors import SinkError, UsageError
from engine.settings import EstimatorSettings, SmoothingSettings, TrackerSettings, TrackSettings
from engine.smoothing_scale import smoothing_at

MAX_NAME = 40


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name; tip: one sentence for those that come with the program."""

    name: str
    settings: TrackSettings
    tip: str = ""
    built_in: bool = False


BUILT_IN: tuple[Preset, ...] = (
    Preset(
        QT_TRANSLATE_NOOP("Presets", "Balanced"),
        TrackSettings(),
        QT_TRANSLATE_NOOP("Presets", "The defaults: calm skeletons that follow everyday movement."),
        built_in=True,
    ),
    Preset(
        QT_TRANSLATE_NOOP("Presets", "Steady"),
        TrackSettings(tracker=TrackerSettings(
            confirm_s=0.25, keep_alive_s=3.0, smoothing=smoothing_at(0.15, SmoothingSettings(coast_s=0.8)),
        )),
        QT_TRANSLATE_NOOP("Presets", "Posture, slow exercise, people at rest: calm, later to react."),
        built_in=True,
    ),
    Preset(
        QT_TRANSLATE_NOOP("Presets", "Fast movement"),
        TrackSettings(
            estimator=EstimatorSettings(find_interval_s=0.25),
            tracker=TrackerSettings(
                min_similarity=0.1, confirm_s=0.06, smoothing=smoothing_at(0.85, SmoothingSettings()),
            ),
        ),
        QT_TRANSLATE_NOOP("Presets", "Sport and dance: follows at once and trembles more."),
        built_in=True,
    ),
    Preset(
        QT_TRANSLATE_NOOP("Presets", "Most accurate"),
        TrackSettings(estimator=EstimatorSettings(
            mode="top-down", find_interval_s=0.2, flip_test=True, precision="fp32",
        )),
        QT_TRANSLATE_NOOP("Presets", "Flip test and fp32: the best this model can do, several times slower."),
        built_in=True,
    ),
    Preset(
        QT_TRANSLATE_NOOP("Presets", "Slow computer"),
        TrackSettings(estimator=EstimatorSettings(
            mode="auto", finder_short_side=256, finder_scales=(1.0,), max_people=4,
        )),
        QT_TRANSLATE_NOOP("Presets", "A few people, found in a smaller picture."),
        built_in=True,
    ),
)  # fmt: skip


def shown_name(preset: Preset) -> str:
    """Return a preset's name in the user's language; their own names stay."""
    return QCoreApplication.translate("Presets", preset.name) if preset.built_in else preset.name


def matching(presets: Sequence[Preset], settings: TrackSettings, preferred: str = "") -> Preset | None:
    """Return the preset that makes these settings, whatever the region; None if none does.

    Of several it is the one called `preferred`, else the first.
    """
    found = [preset for preset in presets if not differing(preset.settings, settings)]
    return next((preset for preset in found if preset.name == preferred), found[0] if found else None)


class PresetStore:
    """The user's own presets in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[Preset, ...]:
        """Return the user's presets by name; none where there is no file yet.

        Raises:
            UsageError: the file, or a preset in it, cannot be understood. The file has been renamed; what
                could be understood is in a new one, which the next call reads.
            SinkError: the file cannot be read, or not be renamed.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except UnicodeDecodeError:
            text = ""
        except OSError as error:
            raise SinkError(f"{self._path} cannot be read: {error.strerror or error}") from error
        good, bad = _parse(text)
        if bad:
            aside = self._put_aside()
            if good:
                self._write(good)
            raise UsageError(
                f"the presets in {self._path} are damaged ({bad}); the file is kept as {aside.name}, "
                f"{len(good)} of its presets could be read"
            )
        return tuple(sorted(good, key=lambda preset: preset.name.casefold()))

    def save(self, name: str, settings: TrackSettings) -> Preset:
        """Keep settings under a name, in place of what was called so; the region is not kept.

        Raises:
            UsageError: the name is empty, too long or that of a preset of the program, or see `load`.
            SinkError: the file cannot be written.
        """
        name = name.strip()
        if problem := name_problem(name):
            raise UsageError(problem)
        estimator = settings.estimator.model_copy(update={"region": None})
        preset = Preset(name, settings.model_copy(update={"estimator": estimator}))
        self._write([*(other for other in self.load() if other.name != name), preset])
        return preset

    def delete(self, name: str) -> None:
        """Forget a preset of the user.

        Raises:
            UsageError: there is none of that name, or see `load`.
            SinkError: the file cannot be written.
        """
        presets = self.load()
        left = [preset for preset in presets if preset.name != name]
        if len(left) == len(presets):
            raise UsageError(f"no preset of your own is called {name!r}; there is nothing to delete")
        self._write(left)

    def _write(self, presets: Sequence[Preset]) -> None:
        tree = {
            "presets": [{"name": p.name, "settings": p.settings.model_dump(mode="json")} for p in presets]
        }
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(draft, self._path)
        except OSError as error:
            raise SinkError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def _put_aside(self) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self._path.with_name(f"{self._path.stem}.damaged-{stamp}{self._path.suffix}")
        number = 1
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{self._path.stem}.damaged-{stamp}-{number}{self._path.suffix}")
        try:
            os.replace(self._path, aside)
        except OSError as error:
            raise SinkError(f"{self._path} cannot be renamed: {error.strerror or error}") from error
        return aside


def name_problem(name: str) -> str:
    """Say what is wrong with a name for a preset of the user; empty if nothing is."""
    if not name:
        return QCoreApplication.translate("Presets", "A preset needs a name")
    if len(name) > MAX_NAME:
        return QCoreApplication.translate("Presets", "A name has at most {most} letters").format(
            most=MAX_NAME
        )
    taken = {text.casefold() for preset in BUILT_IN for text in (preset.name, shown_name(preset))}
    if name.casefold() in taken:
        return QCoreApplication.translate(
            "Presets", "“{name}” comes with the program; take another name"
        ).format(name=name)
    return ""


def _parse(text: str) -> tuple[list[Preset], str]:
    """Return the presets in a file's text, and the first thing wrong with it."""
    try:
        entries: Any = json.loads(text)["presets"]
    except (ValueError, KeyError, TypeError):
        return [], "not a list of presets"
    if not isinstance(entries, list):
        return [], "not a list of presets"
    good: dict[str, Preset] = {}
    bad = ""
    for entry in entries:
        try:
            name = str(entry["name"])
            good[name] = Preset(name, TrackSettings.model_validate(entry["settings"]))
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            bad = bad or f"{name!r}: {where}: {error.errors()[0]['msg']}"
        except (KeyError, TypeError):
            bad = bad or "an entry without name or settings"
    return list(good.values()), bad
