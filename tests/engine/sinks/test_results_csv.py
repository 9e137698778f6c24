from pathlib import Path

import pytest

from engine.errors import SinkError
from engine.sinks.results_csv import write_csv, write_long_csv
from engine.sinks.results_file import ResultsFile
from engine.sinks.sidecar import Sidecar


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "clip"


def test_a_wide_file_written_again_is_the_same_to_the_byte(walkers: Path, out: Path):
    csv, sidecar = write_csv(ResultsFile.open(walkers), out)
    assert csv.read_bytes() == walkers.read_bytes()
    assert ResultsFile.open(csv).sidecar == ResultsFile.open(walkers).sidecar
    assert sidecar.name == "clip.json"


def test_long_and_back_loses_only_boxes_and_scores(walkers: Path, out: Path, tmp_path: Path):
    long, _ = write_long_csv(ResultsFile.open(walkers), out)
    assert long.name == "clip.long.csv"
    back, _ = write_csv(ResultsFile.open(long), out)
    before, after = ResultsFile.open(walkers).load(), ResultsFile.open(back).load()
    assert (after.keypoints[after.states > 0] == before.keypoints[before.states > 0]).all()
    assert (after.track_ids == before.track_ids).all()
    lines = [line.split(",") for line in back.read_text().splitlines()]
    assert lines[1][3:8] == [""] * 5
    assert lines[1][8:] == walkers.read_text().splitlines()[1].split(",")[8:]


def test_a_sidecar_that_cannot_be_written_leaves_the_old_csv(
    walkers: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    write_csv(ResultsFile.open(walkers), out)
    before = out.with_name("clip.csv").read_bytes()

    def fail(path: Path, _: Sidecar) -> None:
        raise SinkError(f"{path} cannot be written")

    monkeypatch.setattr("engine.sinks.results_csv.write_sidecar", fail)
    with pytest.raises(SinkError, match=r"clip\.json cannot be written"):
        write_csv(ResultsFile.open(walkers).select([7]), out)
    assert out.with_name("clip.csv").read_bytes() == before
    assert sorted(path.name for path in out.parent.iterdir()) == ["clip.csv", "clip.json"]


def test_one_track_alone_is_a_recording_of_its_own(walkers: Path, out: Path):
    csv, _ = write_csv(ResultsFile.open(walkers).select([7]), out)
    alone = ResultsFile.open(csv)
    assert alone.track_ids() == [7]
    assert (alone.sidecar.tracks, alone.sidecar.most_people) == (1, 1)
