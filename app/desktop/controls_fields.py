"""What the controls show, as data: each row with its words, its range and the settings behind it.

A row reads one value out of `TrackSettings` and writes one or more fields, named by dotted paths such as
``tracker.smoothing.coast_s``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.desktop.translatable import QT_TRANSLATE_NOOP
from engine.settings import Settings, TrackSettings
from engine.smoothing_scale import share_of, smoothing_at

DEFAULTS = TrackSettings()
Editor = Literal["choice", "score", "count", "seconds", "auto seconds", "switch", "steadiness"]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SettingField:
    """One row. `write` makes of a value the fields that change; by default all of `paths` take it.

    tip: what it does, in which unit. low, high, step: of a number.
    """

    key: str
    label: str
    tip: str
    editor: Editor
    paths: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    write: Callable[[TrackSettings, Any], Values] | None = None

    def read(self, settings: TrackSettings) -> Any:
        """Return the value that the row shows."""
        if self.editor == "steadiness":
            return share_of(settings.tracker.smoothing)
        return value_at(settings, self.paths[0])

    def changes(self, settings: TrackSettings, value: Any) -> Values:
        """Return path to value of all that changes when the row takes `value`."""
        return self.write(settings, value) if self.write else dict.fromkeys(self.paths, value)

    def is_default(self, settings: TrackSettings) -> bool:
        """Whether everything behind the row is as it comes."""
        return all(value_at(settings, path) == value_at(DEFAULTS, path) for path in self.paths)

    def defaults(self) -> Values:
        """Return path to value of everything behind the row as it comes."""
        return {path: value_at(DEFAULTS, path) for path in self.paths}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its rows."""

    key: str
    title: str
    fields: tuple[SettingField, ...]


def flatten(settings: Settings, prefix: str = "") -> Values:
    """Return path to value of every field, those of nested settings included."""
    found: Values = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        path = f"{prefix}{name}"
        found |= flatten(value, f"{path}.") if isinstance(value, Settings) else {path: value}
    return found


def value_at(settings: Settings, path: str) -> Any:
    """Return the value at a dotted path."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def with_values(settings: TrackSettings, values: Mapping[str, Any]) -> TrackSettings:
    """Return settings in which the fields at some paths have other values.

    Raises:
        pydantic.ValidationError: a value is out of its field's range.
    """
    tree = settings.model_dump()
    for path, value in values.items():
        *parents, name = path.split(".")
        place = tree
        for parent in parents:
            place = place[parent]
        place[name] = value
    return TrackSettings.model_validate(tree)


def differing(before: TrackSettings, after: TrackSettings) -> Values:
    """Return path to the new value of every field that differs; the region is not a control and left out."""
    old = flatten(before)
    return {
        path: value
        for path, value in flatten(after).items()
        if value != old[path] and path != "estimator.region"
    }


def _write_person_score(_: TrackSettings, score: float) -> Values:
    """The estimator must let through whom the tracker is to follow."""
    return {
        "tracker.min_person_score": score,
        "estimator.min_person_score": min(DEFAULTS.estimator.min_person_score, score),
    }


def _write_max_people(_: TrackSettings, count: int) -> Values:
    """Tracks of people who are out of sight for a moment count too, so there may be more of them."""
    return {
        "estimator.max_people": count,
        "tracker.max_people": max(DEFAULTS.tracker.max_people, count),
    }


def _write_steadiness(settings: TrackSettings, share: float) -> Values:
    smoothing = flatten(smoothing_at(share, settings.tracker.smoothing), "tracker.smoothing.")
    return {path: value for path, value in smoothing.items() if path in STEADINESS_PATHS}


def _steadiness_paths() -> tuple[str, ...]:
    """Every smoothing field that the scale moves."""
    steady = flatten(smoothing_at(0.0, DEFAULTS.tracker.smoothing), "tracker.smoothing.")
    fast = flatten(smoothing_at(1.0, DEFAULTS.tracker.smoothing), "tracker.smoothing.")
    return tuple(path for path, value in steady.items() if value != fast[path])


STEADINESS_PATHS = _steadiness_paths()

SECTIONS = (
    Section("models", QT_TRANSLATE_NOOP("Controls", "Models"), (
        SettingField(
            "mode", QT_TRANSLATE_NOOP("Controls", "Mode"),
            QT_TRANSLATE_NOOP("Controls", "Mode: how people are found. Top-down finds everybody now and then "
                              "and looks closely at each in between; bottom-up looks at the whole picture "
                              "every time; auto chooses what this machine can hold."),
            "choice", ("estimator.mode",),
        ),
        SettingField(
            "top_down_model", QT_TRANSLATE_NOOP("Controls", "People model"),
            QT_TRANSLATE_NOOP("Controls", "People model: the network that looks closely at one person at a "
                              "time. Larger ones are more accurate and slower."),
            "choice", ("estimator.top_down_model",),
        ),
        SettingField(
            "bottom_up_model", QT_TRANSLATE_NOOP("Controls", "Finder model"),
            QT_TRANSLATE_NOOP("Controls", "Finder model: the network that finds everybody in the whole "
                              "picture; in bottom-up mode it does all the work."),
            "choice", ("estimator.bottom_up_model",),
        ),
        SettingField(
            "runtime", QT_TRANSLATE_NOOP("Controls", "Runtime"),
            QT_TRANSLATE_NOOP("Controls", "Runtime: the software that runs the networks. Auto takes the "
                              "fastest that is installed."),
            "choice", ("estimator.runtime",),
        ),
        SettingField(
            "precision", QT_TRANSLATE_NOOP("Controls", "Precision"),
            QT_TRANSLATE_NOOP("Controls", "Precision: the arithmetic of the networks. fp32 is the most "
                              "exact, int8 the fastest; auto takes int8 where the model has it."),
            "choice", ("estimator.precision",),
        ),
    )),
    Section("people", QT_TRANSLATE_NOOP("Controls", "People"), (
        SettingField(
            "min_person_score", QT_TRANSLATE_NOOP("Controls", "Person score"),
            QT_TRANSLATE_NOOP("Controls", "Least person score, 0 to 100 %: somebody scored lower is not "
                              "followed. Raise it if things are taken for people, lower it if people are "
                              "missed."),
            "score", ("tracker.min_person_score", "estimator.min_person_score"), 0.05, 0.95,
            write=_write_person_score,
        ),
        SettingField(
            "min_keypoint_score", QT_TRANSLATE_NOOP("Controls", "Keypoint score"),
            QT_TRANSLATE_NOOP("Controls", "Least keypoint score, 0 to 100 %: a keypoint scored lower counts "
                              "as unseen. Raise it if hidden hands or feet jump about."),
            "score", ("tracker.smoothing.min_keypoint_score", "estimator.min_keypoint_score"), 0.0, 0.95,
        ),
        SettingField(
            "max_people", QT_TRANSLATE_NOOP("Controls", "Most people"),
            QT_TRANSLATE_NOOP("Controls", "Most people in a picture: only the best scored are kept. Fewer "
                              "people are faster in top-down mode."),
            "count", ("estimator.max_people", "tracker.max_people"), 1, 200, 1, write=_write_max_people,
        ),
        SettingField(
            "find_interval", QT_TRANSLATE_NOOP("Controls", "Find every"),
            QT_TRANSLATE_NOOP("Controls", "Find every … seconds: how often the finder looks for new people "
                              "in top-down mode; 0 is on every frame. Auto measures what this machine "
                              "can hold."),
            "auto seconds", ("estimator.find_interval_s",), 0.0, 10.0, 0.1,
        ),
        SettingField(
            "flip_test", QT_TRANSLATE_NOOP("Controls", "Flip test"),
            QT_TRANSLATE_NOOP("Controls", "Flip test: every picture is looked at mirrored as well and both "
                              "answers are averaged. Twice as slow, a little more accurate."),
            "switch", ("estimator.flip_test",),
        ),
    )),
    Section("smoothing", QT_TRANSLATE_NOOP("Controls", "Smoothing"), (
        SettingField(
            "smoothing_method", QT_TRANSLATE_NOOP("Controls", "Method"),
            QT_TRANSLATE_NOOP("Controls", "Method: the filter of each keypoint. Kalman also predicts hidden "
                              "keypoints and drops outliers; One-Euro is lighter; none shows what the "
                              "network says."),
            "choice", ("tracker.smoothing.method",),
        ),
        SettingField(
            "steadiness", QT_TRANSLATE_NOOP("Controls", "Steadiness"),
            QT_TRANSLATE_NOOP("Controls", "Steadiness: to the left keypoints rest calmly and follow quick "
                              "movement late; to the right they follow at once and tremble more. The meters "
                              "below show what it costs."),
            "steadiness", STEADINESS_PATHS, write=_write_steadiness,
        ),
        SettingField(
            "coast", QT_TRANSLATE_NOOP("Controls", "Predict for"),
            QT_TRANSLATE_NOOP("Controls", "Prediction time, seconds: how long a hidden keypoint is predicted "
                              "from its movement before it counts as missing."),
            "seconds", ("tracker.smoothing.coast_s",), 0.0, 5.0, 0.1,
        ),
    )),
    Section("tracking", QT_TRANSLATE_NOOP("Controls", "Tracking"), (
        SettingField(
            "keep_alive", QT_TRANSLATE_NOOP("Controls", "Keep lost for"),
            QT_TRANSLATE_NOOP("Controls", "Keep alive, seconds: how long somebody who is out of sight is "
                              "remembered, so that they come back under the same number."),
            "seconds", ("tracker.keep_alive_s",), 0.0, 30.0, 0.1,
        ),
        SettingField(
            "confirm", QT_TRANSLATE_NOOP("Controls", "Show after"),
            QT_TRANSLATE_NOOP("Controls", "Confirm time, seconds: how long somebody new must be seen before "
                              "they are shown. Longer lets fewer ghosts through."),
            "seconds", ("tracker.confirm_s",), 0.0, 5.0, 0.02,
        ),
        SettingField(
            "min_similarity", QT_TRANSLATE_NOOP("Controls", "Similarity"),
            QT_TRANSLATE_NOOP("Controls", "Least similarity, 0 to 100 %: how alike a person and a track must "
                              "be in place and pose to be the same. Raise it if numbers jump between people, "
                              "lower it if people who move fast get new ones."),
            "score", ("tracker.min_similarity",), 0.0, 0.9,
        ),
    )),
)  # fmt: skip
"""All rows, from top to bottom."""

FIELDS: Mapping[str, SettingField] = {row.key: row for section in SECTIONS for row in section.fields}
CONTROLLED = tuple(path for row in FIELDS.values() for path in row.paths)
"""Every path that some row shows."""
