"""Reports of recordings whose motion is known."""

import csv
import math
import pickle
import re
import shutil
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.outputs import OutputPaths
from app.report import canvas, writing
from app.report.content import KnownHeight, ReportOptions, TwoPoints
from app.report.writing import ReportHook, write_report
from engine.errors import SinkError, SourceError, UsageError
from engine.metrics.walking import Walker

PLOTS = ReportOptions(plots=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


class Page(HTMLParser):
    """What is on a page: its words, its images, and whether every tag is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.images: list[bytes] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert name != "href"
            if name == "src":
                kind, _, data = (value or "").partition(",")
                assert kind == "data:image/png;base64"
                self.images.append(b64decode(data))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@pytest.fixture
def few_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longest to draw."""
    monkeypatch.setattr(writing.figures, "draw_angles", lambda report, person: None)


def test_the_tables_tell_what_the_walkers_did(clip: Path) -> None:
    people, angles = write_report(clip)
    first, second = rows_of(people)
    assert (first["track_id"], first["frames"], first["visible_s"]) == ("1", "30", "3.000")
    assert (second["track_id"], second["first_frame"], second["last_s"]) == ("6", "10", "2.900")
    assert float(first["distance_px"]) == pytest.approx(290, rel=0.03)
    assert float(first["mean_speed_px_per_s"]) == pytest.approx(100, rel=0.03)
    assert float(second["mean_speed_px_per_s"]) == pytest.approx(80, rel=0.04)
    assert float(first["share_measured"]) == 1 and float(first["share_missing"]) == 0
    least, greatest = (float(first[f"left_knee_flexion_{end}_deg"]) for end in ("min", "max"))
    assert least == pytest.approx(math.degrees(0.08), abs=1) and greatest > 45
    assert float(first["left_knee_flexion_range_deg"]) == pytest.approx(greatest - least, abs=0.11)
    table = rows_of(angles)
    assert [(row["frame"], row["track_id"]) for row in table[9:13]] == [
        ("9", "1"), ("10", "1"), ("10", "6"), ("11", "1"),
    ]  # fmt: skip
    assert {row["facing"] for row in table if row["track_id"] == "6"} == {"left"}
    assert all(float(row["trunk_lean_deg"]) == pytest.approx(0, abs=0.01) for row in table)


def test_two_points_turn_pixels_into_metres(clip: Path) -> None:
    options = ReportOptions(scale=TwoPoints((0.0, 10.0), (200.0, 10.0), 4.0))
    first = rows_of(write_report(clip, options=options)[0])[0]
    assert float(first["mean_speed_m_per_s"]) == pytest.approx(2.0, rel=0.03)
    assert float(first["distance_m"]) == pytest.approx(5.8, rel=0.03)
    assert "distance_px" not in first


def test_a_known_height_turns_pixels_into_metres(clip: Path) -> None:
    first = rows_of(write_report(clip, options=ReportOptions(scale=KnownHeight(1, 1.8)))[0])[0]
    assert float(first["mean_speed_m_per_s"]) == pytest.approx(100 * 1.8 / 200, rel=0.05)


def test_the_page_holds_everybody_and_every_picture_and_loads_nothing(clip: Path, tmp_path: Path) -> None:
    paths = write_report(clip, out=tmp_path, options=PLOTS)
    names = [path.name.removeprefix("clip.") for path in paths]
    assert names == [
        "people.csv", "angles.csv", "timeline.png", "trajectories.png", "speed.png", "track1.angles.png",
        "track6.angles.png", "report.html",
    ]  # fmt: skip
    page = Page(paths[-1])
    assert page.images == [path.read_bytes() for path in paths if path.suffix == ".png"]
    assert "Person 1" in page.text and "Person 6" in page.text and "clip.mp4" in page.text
    assert not re.search(r"https?://|url\(|@import", paths[-1].read_text(encoding="utf-8"))
    for path in paths[2:-1]:
        image = cv2.imread(str(path))
        assert image.shape[1] > 800 and image.std() > 5


@pytest.mark.usefixtures("few_plots")
def test_people_are_drawn_in_their_own_colours(clip: Path) -> None:
    paths = write_report(clip, options=PLOTS)
    timeline = cv2.imread(str(next(path for path in paths if path.name.endswith("timeline.png"))))
    for track_id in (1, 6):
        wanted = [int(canvas.person_colour(track_id)[place : place + 2], 16) for place in (5, 3, 1)]
        assert (np.abs(timeline.astype(int) - wanted).max(axis=2) < 12).sum() > 1000


@pytest.mark.usefixtures("few_plots")
def test_paths_are_drawn_over_a_frame_of_the_video_while_it_is_there(
    tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        picture = np.full((480, 640, 3), (40, 160, 60 + 30 * number), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    walkers = {1: (Walker((50.0, 400.0), height=200.0), range(5))}
    csv_path = write_clip(tmp_path, walkers, frames=5, source=folder)
    over = next(p for p in write_report(csv_path, options=PLOTS) if "trajectories" in p.name)
    green = cv2.imread(str(over)).reshape(-1, 3).mean(axis=0)
    assert green[1] > green[0] + 30
    assert "Over the frame at" in Page(tmp_path / "clip.report.html").text
    shutil.rmtree(folder)
    write_report(csv_path, options=PLOTS, overwrite=True)
    assert "cannot be read any more" in Page(tmp_path / "clip.report.html").text
    plain = cv2.imread(str(over)).reshape(-1, 3).mean(axis=0)
    assert abs(plain[1] - plain[0]) < 5


def test_nobody_at_all_makes_empty_tables_and_a_page_that_says_so(
    tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    paths = write_report(write_clip(tmp_path, {}), options=PLOTS)
    assert rows_of(paths[0]) == [] and rows_of(paths[1]) == []
    assert "left_knee_deg" in paths[1].read_text() and "left_knee_min_deg" in paths[0].read_text()
    assert "Nobody was found" in Page(paths[-1]).text


@pytest.mark.slow
def test_twenty_people_and_one_of_a_single_frame_are_all_there(
    tmp_path: Path, write_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing.figures, "MOST_PEOPLE", 2)  # Drawing all of them takes half a minute.
    walkers = {
        track: (Walker((30.0 * track, 400.0), height=100.0), range(1 if track == 9 else 10))
        for track in range(1, 21)
    }
    paths = write_report(write_clip(tmp_path, walkers, frames=10), options=PLOTS)
    text = Page(paths[-1]).text
    assert [row["track_id"] for row in rows_of(paths[0])] == [str(track) for track in walkers]
    assert all(re.search(rf"Person {track}\b", text) for track in walkers)
    assert "The 2 of 20 people who were visible longest" in text
    alone = rows_of(paths[0])[8]
    assert alone["visible_s"] == "0.100" and alone["mean_speed_px_per_s"] == ""


@pytest.mark.usefixtures("few_plots")
def test_names_are_written_as_they_are_and_are_no_markup(
    tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    walkers = {1: (Walker((50.0, 400.0), height=200.0), range(5))}
    csv_path = write_clip(tmp_path, walkers, frames=5, names={1: "<b>Ann & $x_1$"})
    paths = write_report(csv_path, options=PLOTS)
    assert "<b>Ann & $x_1$" in Page(paths[-1]).text
    assert rows_of(paths[0])[0]["name"] == "<b>Ann & $x_1$"


@pytest.mark.usefixtures("few_plots")
def test_reports_of_equal_data_are_equal(clip: Path, tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    for out in (one, other):
        out.mkdir()
        write_report(clip, out=out, options=PLOTS)
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_what_exists_stays_unless_it_may_be_replaced(clip: Path) -> None:
    people = write_report(clip)[0]
    people.write_text("mine")
    with pytest.raises(SinkError, match=r"clip\.people\.csv exists already; --overwrite"):
        write_report(clip)
    assert people.read_text() == "mine"
    write_report(clip, overwrite=True)
    assert len(rows_of(people)) == 2


@pytest.mark.usefixtures("few_plots")
def test_a_batch_gets_its_report_before_the_sidecar_is_complete(
    tmp_path: Path, write_clip: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    walkers = {1: (Walker((50.0, 400.0), height=200.0), range(5))}
    csv_path = write_clip(tmp_path, walkers, frames=5, status="recording")
    hook = pickle.loads(pickle.dumps(ReportHook()))  # Inputs may be done in other processes.
    paths = hook(OutputPaths(csv_path, csv_path.with_suffix(".json"), None))
    assert all(path.is_file() for path in paths) and len(paths) == 6
    assert not caplog.records and "still being written" not in Page(paths[-1]).text
    write_report(csv_path, options=PLOTS, overwrite=True)
    assert "still being written" in Page(paths[-1]).text


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (KnownHeight(5, 1.8), "has no track 5 to take a height from; it has 1, 6"),
        (KnownHeight(1, 180), "give metres"),
        (TwoPoints((0, 0), (0, 0), 1.0), "at least 2 px apart"),
        (TwoPoints((0, 0), (900, 0), 1.0), "outside of the frame of 640 x 480 px"),
    ],
)
def test_an_impossible_scale_is_refused_and_nothing_written(clip: Path, scale, words) -> None:
    with pytest.raises(UsageError, match=words):
        write_report(clip, options=ReportOptions(scale=scale))
    assert not list(clip.parent.glob("clip.*.csv"))


def test_independent_pictures_have_no_report(tmp_path: Path, write_clip: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="independent pictures, in which there is no motion"):
        write_report(write_clip(tmp_path, {}, stills=True))


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="no sidecar"):
        write_report(other)


def test_without_matplotlib_plots_are_refused_with_the_remedy(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'matplotlib; install it with `pip install "steadypose\[export\]"`'):
        write_report(clip, options=PLOTS)
    assert len(write_report(clip)) == 2
