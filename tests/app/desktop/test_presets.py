import json
from pathlib import Path

import pytest

from app.desktop.controls_fields import FIELDS, differing
from app.desktop.presets import BUILT_IN, MAX_NAME, Preset, PresetStore, matching, name_problem
from engine.errors import SinkError, UsageError
from engine.settings import EstimatorSettings, SmoothingSettings, TrackerSettings, TrackSettings
from engine.smoothing_scale import share_of

MINE = TrackSettings(
    estimator=EstimatorSettings(mode="bottom-up", region=(1, 2, 3, 4)),
    tracker=TrackerSettings(keep_alive_s=7, smoothing=SmoothingSettings(method="one-euro")),
)


@pytest.fixture
def store(tmp_path: Path) -> PresetStore:
    return PresetStore(tmp_path / "own" / "presets.json")


def test_the_built_in_presets_differ_and_the_first_is_the_default():
    assert BUILT_IN[0].settings == TrackSettings()
    for index, preset in enumerate(BUILT_IN):
        assert preset.built_in and preset.tip
        assert all(differing(preset.settings, other.settings) for other in BUILT_IN[:index])


def test_steady_is_steadier_and_fast_is_faster_than_the_default():
    shares = {preset.name: share_of(preset.settings.tracker.smoothing) for preset in BUILT_IN}
    assert shares["Steady"] < shares["Balanced"] < shares["Fast movement"]
    accurate = next(preset for preset in BUILT_IN if preset.name == "Most accurate").settings.estimator
    assert accurate.flip_test and accurate.precision == "fp32"


def test_built_in_presets_lie_in_the_range_of_the_controls():
    for preset in BUILT_IN:
        for field in FIELDS.values():
            value = field.read(preset.settings)
            if field.editor in ("score", "count", "seconds", "auto seconds") and value is not None:
                assert field.low <= value <= field.high, (preset.name, field.key)


def test_nothing_is_there_before_something_is_saved(store: PresetStore):
    assert store.load() == ()


def test_a_preset_is_saved_replaced_and_deleted(store: PresetStore):
    store.save("zebra", TrackSettings())
    saved = store.save("  Mine ", MINE)
    assert saved.name == "Mine" and saved.settings.estimator.region is None
    assert [preset.name for preset in store.load()] == ["Mine", "zebra"]
    assert store.load()[0].settings == saved.settings
    store.save("Mine", TrackSettings())
    assert [preset.settings for preset in store.load()] == [TrackSettings(), TrackSettings()]
    store.delete("Mine")
    assert [preset.name for preset in store.load()] == ["zebra"]
    with pytest.raises(UsageError, match="no preset of your own is called 'Mine'"):
        store.delete("Mine")


@pytest.mark.parametrize("name", ["", "   ", "x" * (MAX_NAME + 1), "balanced", "Steady"])
def test_names_that_cannot_be_are_refused(store: PresetStore, name: str):
    assert name_problem(name.strip())
    with pytest.raises(UsageError):
        store.save(name, TrackSettings())
    assert store.load() == ()


@pytest.mark.parametrize("content", [b"", b"{cut", b"[]", b'{"presets": 3}', b"\xff\xfe\x00"])
def test_a_damaged_file_is_kept_aside_and_said(tmp_path: Path, content: bytes):
    path = tmp_path / "presets.json"
    path.write_bytes(content)
    store = PresetStore(path)
    with pytest.raises(UsageError, match=r"are damaged .* the file is kept as presets.damaged-"):
        store.load()
    kept = list(tmp_path.glob("presets.damaged-*.json"))
    assert [file.read_bytes() for file in kept] == [content]
    assert store.load() == ()
    store.save("Mine", MINE)
    assert len(store.load()) == 1


def test_one_bad_preset_does_not_take_the_others_along(store: PresetStore, tmp_path: Path):
    store.save("good", MINE)
    path = tmp_path / "own" / "presets.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["presets"] += [{"name": "bad", "settings": {"tracker": {"keep_alive_s": -1}}}, {"settings": {}}]
    for _ in range(2):
        path.write_text(json.dumps(tree), encoding="utf-8")
        with pytest.raises(
            UsageError, match=r"'bad': tracker.keep_alive_s: .* 1 of its presets could be read"
        ):
            store.load()
    assert [preset.name for preset in store.load()] == ["good"]
    assert len(list(path.parent.glob("presets.damaged-*"))) == 2


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "own").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(SinkError, match=r"presets\.json cannot be"):
        PresetStore(tmp_path / "own" / "presets.json").save("Mine", MINE)


def test_settings_are_recognised_whatever_their_region():
    own = Preset("mine", TrackSettings())
    with_region = TrackSettings(estimator=EstimatorSettings(region=(0, 0, 1, 1)))
    assert matching(BUILT_IN, with_region) is BUILT_IN[0]
    assert matching((*BUILT_IN, own), with_region, "mine") is own
    assert matching(BUILT_IN, MINE) is None
