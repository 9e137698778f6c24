import importlib.util
import resource
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from engine.errors import SinkError, SourceError, UsageError
from engine.sinks import formats
from engine.sinks.formats import (
    FORMATS,
    find_outputs,
    open_sinks,
    parse_formats,
    with_suffix,
    write_afterwards,
    write_format,
)
from engine.sinks.results_file import LONG_SUFFIX, ResultsFile
from engine.sinks.sidecar import write_sidecar
from engine.skeleton import COCO17, Skeleton
from engine.sources import SourceInfo
from engine.structures import Result, TrackedPerson

PROMISED = (
    "csv", "csv-long", "parquet", "coco", "openpose", "posetrack", "deeplabcut", "sleap", "trc", "mot", "c3d",
)  # fmt: skip
INSTALLED = [
    name
    for name, kind in FORMATS.items()
    if all(importlib.util.find_spec(package) for package in kind.packages)
]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_every_format_that_is_promised_is_there():
    assert set(PROMISED) <= set(FORMATS)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_recording_can_be_written_in_every_format(walkers: Path, out: Path, name: str):
    written = write_format(name, ResultsFile.open(walkers), out / "clip")
    assert written
    assert sorted(written) == sorted(out.iterdir()) == sorted(find_outputs([name], out / "clip"))
    assert all(path.name.startswith("clip") for path in written)


@pytest.mark.parametrize("name", INSTALLED)
def test_what_exists_is_kept_until_it_may_be_replaced(walkers: Path, out: Path, name: str):
    results = ResultsFile.open(walkers)
    first, *_ = write_format(name, results, out / "clip")
    with pytest.raises(SinkError, match="exists already; --overwrite replaces it"):
        write_format(name, results, out / "clip")
    assert first in write_format(name, results, out / "clip", overwrite=True)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_damaged_recording_leaves_nothing_behind(walkers: Path, out: Path, name: str):
    walkers.write_bytes(walkers.read_bytes().replace(b"measured", b"guessed", 1))
    with pytest.raises(SourceError, match="line 2 has the state 'guessed'"):
        write_format(name, ResultsFile.open(walkers), out / "clip")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", INSTALLED)
def test_a_recording_of_nobody_is_no_failure(
    tmp_path: Path, out: Path, write_run: Callable[..., Path], make_result: Callable[..., Result], name: str
):
    results = ResultsFile.open(write_run(tmp_path, make_result(0), skeleton=COCO17))
    write_format(name, results, out / "clip")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("name", INSTALLED)
def test_a_disk_that_fills_up_is_told_and_leaves_nothing_half_written(
    walkers: Path, out: Path, tmp_path: Path, name: str, share: float
):
    results = ResultsFile.open(walkers)
    (tmp_path / "whole").mkdir()
    write_format(name, results, tmp_path / "whole" / "clip")
    files = [path for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * max(path.stat().st_size for path in files)), most))
    try:
        with pytest.raises(SinkError) as caught:
            write_format(name, results, out / "clip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    path, _, reason = str(caught.value).partition(" cannot be written: ")
    assert Path(path).parent == out and Path(path).name.startswith("clip")
    assert reason
    for left in out.iterdir():
        assert content(left) == content(tmp_path / "whole" / left.name)


# HDF5 notes when it was written, and the sidecars that go with a CSV say it.
@pytest.mark.parametrize("name", sorted(set(INSTALLED) - {"csv", "csv-long", "deeplabcut"}))
def test_two_runs_with_equal_rows_make_equal_files(walkers: Path, out: Path, name: str):
    first = {path: content(path) for path in write_format(name, ResultsFile.open(walkers), out / "clip")}
    sidecar = ResultsFile.open(walkers).sidecar
    later = {"created": sidecar.created + timedelta(hours=1), "performance": {"seconds": 9.5}}
    write_sidecar(walkers.with_suffix(".json"), sidecar.model_copy(update=later))
    again = write_format(name, ResultsFile.open(walkers), out / "clip", overwrite=True)
    assert {path: content(path) for path in again} == first


def content(path: Path) -> bytes | dict[str, bytes]:
    """The bytes of a file, or of the files of a folder."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    return path.read_bytes()


@pytest.mark.parametrize("name", ["trc", "mot", "sto"])
def test_files_of_tracks_that_are_gone_are_deleted(walkers: Path, out: Path, name: str):
    results = ResultsFile.open(walkers)
    assert len(write_format(name, results, out / "clip")) == 2
    (kept,) = write_format(name, results.select([7]), out / "clip", overwrite=True)
    assert list(out.iterdir()) == [kept]


@pytest.mark.parametrize("name", ["trc", "mot", "sto", "c3d"])
def test_files_of_a_recording_whose_name_begins_alike_are_not_taken_for_tracks(
    walkers: Path, out: Path, name: str
):
    """``clip.tracked.mp4`` is what `track --video` calls its video of ``clip.mp4``."""
    if name not in INSTALLED:
        pytest.skip(f"{name} needs a package")
    results = ResultsFile.open(walkers)
    others = write_format(name, results, out / "clip.tracked") + [out / f"clip.track-of-mine.{name}"]
    others[-1].write_text("dear to someone")
    own = write_format(name, results, out / "clip")
    assert find_outputs([name], out / "clip") == own
    write_format(name, results.select([7]), out / "clip", overwrite=True)
    assert all(path.exists() for path in others)


def test_the_parts_of_a_long_c3d_are_found(out: Path):
    part = out / "clip.track3.part12.c3d"
    part.write_text("")
    assert find_outputs(["c3d"], out / "clip") == [part]


def test_a_file_of_an_earlier_run_that_cannot_be_deleted_is_told(
    walkers: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    results = ResultsFile.open(walkers)
    write_format("trc", results, out / "clip")
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name == "clip.track3.trc":
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(SinkError, match=r"clip\.track3\.trc is of an earlier run and cannot be deleted"):
        write_format("trc", results.select([7]), out / "clip", overwrite=True)


def test_a_name_with_dots_and_brackets_is_no_pattern(walkers: Path, out: Path):
    results = ResultsFile.open(walkers)
    (path,) = write_format("sleap", results, out / "take.2[a]")
    assert path.name == "take.2[a].analysis.csv"
    assert find_outputs(["sleap"], out / "take.2[a]") == [path]
    assert find_outputs(["sleap"], out / "take") == []


def test_the_recording_itself_is_never_written_over(walkers: Path):
    before = walkers.read_bytes()
    with pytest.raises(SinkError, match=r"is what is to be converted.*choose another folder"):
        write_format("csv", ResultsFile.open(walkers), walkers.with_suffix(""), overwrite=True)
    assert walkers.read_bytes() == before


def test_lengths_are_metres_where_a_scale_is_given(walkers: Path, out: Path):
    (path, _) = write_format("trc", ResultsFile.open(walkers), out / "clip", px_per_metre=100)
    assert "\tm\t" in path.read_text()
    write_format("sleap", ResultsFile.open(walkers), out / "clip", px_per_metre=100)


class TestNames:
    def test_are_taken_with_commas_and_once_each(self):
        assert parse_formats(["coco, sleap", "coco", "trc,"]) == ["coco", "sleap", "trc"]
        assert parse_formats([]) == []

    @pytest.mark.parametrize(
        ("name", "hint"), [("cocoo", "did you mean coco?"), ("xyz", "there are csv, csv-long, parquet")]
    )
    def test_that_are_unknown_are_refused(self, name: str, hint: str):
        with pytest.raises(UsageError, match=f"no format is called '{name}'; {hint}".replace("?", r"\?")):
            parse_formats([name])

    def test_whose_package_is_missing_say_what_to_install(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(formats.importlib.util, "find_spec", lambda _: None)
        with pytest.raises(UsageError, match=r'needs the package ezc3d; install it with .*\[export\]"'):
            parse_formats(["c3d"])


class TestAsFramesArrive:
    @pytest.fixture
    def info(self, make_info: Callable[..., SourceInfo]) -> SourceInfo:
        return make_info()

    def test_only_those_formats_have_sinks_that_can_grow(self, out: Path, info: SourceInfo):
        sinks = open_sinks(["csv", "coco", "csv-long", "openpose"], out / "clip", COCO17, info)
        for sink in sinks:
            sink.close()
        assert sorted(path.name for path in out.iterdir()) == ["clip.long.csv", "clip.openpose"]

    def test_the_long_file_is_that_of_a_conversion(
        self,
        out: Path,
        walkers: Path,
        info: SourceInfo,
        make_walker: Callable[..., TrackedPerson],
        make_result: Callable[..., Result],
    ):
        (sink,) = open_sinks(["csv-long"], out / "clip", COCO17, info)
        first, second = make_walker(3, 0.5), make_walker(7, 2, missing=(0, 16))
        sink.write(make_result(0, first, second))
        sink.close()
        arrived = (out / "clip.long.csv").read_bytes()
        converted, _ = write_format("csv-long", ResultsFile.open(walkers), out / "clip", overwrite=True)
        assert converted.read_bytes().startswith(arrived)

    def test_none_stays_open_where_one_cannot_be_made(self, out: Path, info: SourceInfo):
        (out / "clip.openpose").mkdir()
        with pytest.raises(SinkError, match="exists already"):
            open_sinks(["csv-long", "openpose"], out / "clip", COCO17, info)

    def test_a_skeleton_that_does_not_fit_is_refused(self, out: Path, info: SourceInfo, stick: Skeleton):
        with pytest.raises(UsageError, match="choose another format"):
            open_sinks(["openpose"], out / "clip", stick, info)


class TestAfterwards:
    def test_the_other_formats_are_made_from_the_csv(self, walkers: Path):
        (walkers.parent / "clip.openpose").mkdir()
        written = write_afterwards(["csv", "openpose", "posetrack", "sleap"], walkers)
        assert [path.name for path in written] == [
            "clip.openpose",
            "clip.posetrack.json",
            "clip.analysis.csv",
        ]

    def test_nothing_is_read_where_there_is_nothing_to_do(self, tmp_path: Path):
        assert write_afterwards(["csv", "csv-long", "openpose"], tmp_path / "missing.csv") == []

    def test_one_that_fails_does_not_keep_the_others_from_being_written(self, walkers: Path):
        (walkers.parent / "clip.posetrack.json").write_text("old")
        with pytest.raises(SinkError, match=r"clip\.posetrack\.json exists already"):
            write_afterwards(["posetrack", "sleap"], walkers)
        assert (walkers.parent / "clip.analysis.csv").is_file()


def test_all_that_failed_afterwards_is_told(walkers: Path):
    for name in ("clip.posetrack.json", "clip.analysis.csv"):
        (walkers.parent / name).write_text("old")
    with pytest.raises(SinkError, match=r"clip\.posetrack\.json exists.*; .*clip\.analysis\.csv exists"):
        write_afterwards(["posetrack", "sleap"], walkers)


def test_memory_does_not_grow_with_the_length_of_a_recording(
    tmp_path: Path,
    write_run: Callable[..., Path],
    make_result: Callable[..., Result],
    make_person: Callable[..., TrackedPerson],
):
    person = make_person(1)
    csv = write_run(tmp_path, *(make_result(index, person) for index in range(9000)))
    sizes = [len(block) for block in ResultsFile.open(csv).blocks()]
    assert sum(sizes) == 9000
    assert np.max(sizes) < 4500


def test_a_suffix_is_added_not_replaced():
    assert with_suffix(Path("out/take.2"), ".csv") == Path("out/take.2.csv")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_and_its_files_are_in_the_manual(name: str):
    manual = (Path(__file__).parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")
    (line,) = [line for line in manual.splitlines() if line.startswith(f"| `{name}` |")]
    for suffix in FORMATS[name].suffixes:
        if not suffix.endswith(f"{LONG_SUFFIX}.json"):
            assert Path(suffix.replace("*", "3")).suffix in line
    assert ("as frames arrive" if FORMATS[name].arriving else "afterwards") in line
    assert FORMATS[name].extra is None or f"`{name}`" in manual.split("need `pip install")[0].splitlines()[-1]
