"""The program on a real screen, driven as a person would: looked at, clicked, typed on."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Xvfb and xdotool are Linux's"),
]
ROOT = Path(__file__).parents[4]
PEOPLE = ((230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233))
"""First colours of people, RGB, solid where their numbers are."""
GROUND = {"light": (0xF3, 0xF4, 0xF6), "dark": (0x1E, 0x21, 0x26)}
STAGE = (17, 18, 20)
"""Around the video."""
DEMO_S = 12.0


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int(np.count_nonzero((picture == np.array(colour, np.uint8)).all(axis=2)))


def people_in(picture: np.ndarray, scale: int = 1) -> int:
    """How many colours of people are seen on the stage."""
    return sum(has_colour(picture, colour) > 60 * scale**2 for colour in PEOPLE)


def change(before: np.ndarray, after: np.ndarray) -> float:
    """Share of the pixels that are others now."""
    return float((before != after).any(axis=2).mean())


def takes_in(home: Path) -> list[Path]:
    return sorted((home / "Videos" / "SteadyPose").glob("*.csv"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows and all(None not in row and None not in row.values() for row in rows), "rows are not whole"
    return rows


def sidecar_of(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return told


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1280, 720)
        return sum(1 for _ in container.decode(video=0))


def record(window: Any, home: Path, until: Callable[..., None]) -> Path:
    """Begin a take by key and wait until some of it is on the disk."""
    before = takes_in(home)
    window.press("r")
    until(lambda: takes_in(home) != before, "a take")
    take = next(path for path in takes_in(home) if path not in before)
    until(lambda: take.stat().st_size > 20_000, "rows on the disk")
    return take


def test_somebody_opens_the_demo_looks_around_records_and_leaves(
    open_window: Callable[..., Any], home: Path, until: Callable[..., None]
):
    window = open_window()
    places = window.places
    card = places["demo card"]
    until(lambda: has_colour(card.of(window.picture()), (255, 255, 255)) > 5_000, "the welcome page")
    window.click(*card.at())
    until(lambda: people_in(window.part("stage")) >= 2, "skeletons on the stage")

    window.press("space")
    close_hint(window, until)
    paused = window.still()
    assert people_in(paused) >= 2
    window.press("Right")
    until(lambda: change(paused, window.part("stage")) > 0.001, "the next frame")
    window.still()
    window.press("Left")
    until(lambda: np.array_equal(paused, window.part("stage")), "the frame before, as it was")

    window.click(*places["time line"].at(across=0.25))
    until(lambda: change(paused, window.part("stage")) > 0.2, "another place of the clip")
    sought = window.still()
    assert people_in(sought) >= 1

    panel, mode = window.still("settings"), window.part("mode")
    window.click(*places["mode"].at())
    until(lambda: change(panel, window.part("settings")) > 0.02, "the modes to choose from")
    window.still("settings")
    window.press("Down", "Return")
    # While models load, a strip above the settings says so, with a bar that moves.
    window.still("settings", for_s=1.5)
    assert change(mode, window.part("mode")) > 0.02, "another mode should be written in the box"
    window.press("space")
    until(lambda: change(sought, window.part("stage")) > 0.05, "the clip to play on in another mode")
    take = record(window, home, until)
    window.press("m")
    time.sleep(0.5)
    window.press("r")
    until(lambda: sidecar_of(take)["status"] == "complete", "the take to be whole")
    look_at_take(take)

    window.press("space")
    shown = window.still()
    window.press("1", "2", "4")
    until(lambda: people_in(window.part("stage")) == 0, "a stage without skeletons")
    window.press("3")
    bare = window.still()
    assert sum(has_colour(bare, colour) > 20 for colour in PEOPLE) or change(shown, bare) > 0.001
    window.press("3", "1", "2", "4")
    until(lambda: np.array_equal(shown, window.part("stage")), "the stage as it was")

    panel = window.part("settings")
    window.press("F11")
    until(lambda: change(panel, window.part("settings")) > 0.5, "the picture on the whole screen")
    window.press("F11")
    until(lambda: change(panel, window.part("settings")) < 0.02, "the window as it was")
    until(lambda: np.array_equal(shown, window.part("stage")), "the stage as it was")

    window.press("ctrl+q")
    assert window.ends() == (0, "")


def close_hint(window: Any, until: Callable[..., None]) -> None:
    """Close the hint that a first start shows above the stage, by the cross at its right end."""
    stage = window.places["stage"]
    window.click(stage.x + stage.width - 18, stage.y + 17)
    until(lambda: has_colour(window.part("stage")[:4], STAGE) > 3 * stage.width, "the hint to go")


def look_at_take(take: Path) -> None:
    rows, told = rows_of(take), sidecar_of(take)
    times = [float(row["time_s"]) for row in rows]
    assert times == sorted(times) and 0.15 * DEMO_S < times[0] < times[-1] <= DEMO_S
    assert {row["track_id"] for row in rows} and all(int(row["track_id"]) >= 0 for row in rows)
    assert told["settings"]["estimator"]["mode"] != "auto", "the mode should be the one chosen"
    assert told["source"]["name"] == "demo.mp4" and len(told["markers"]) == 1
    frames = frames_of(take.with_suffix(".tracked.mp4"))
    assert frames == told["performance"]["frames_written"] > 5


@pytest.mark.parametrize(("theme", "scale"), [("dark", 1), ("light", 2), ("dark", 2)])
def test_the_demo_is_shown_in_each_look_at_each_density(
    open_window: Callable[..., Any], home: Path, until: Callable[..., None], theme: str, scale: int
):  # fmt: skip
    preferences = home / ".config" / "SteadyPose" / "SteadyPose.ini"
    preferences.parent.mkdir(parents=True)
    preferences.write_text(f'[General]\ntheme="\\"{theme}\\""\n')
    window = open_window("app", "demo", scale=scale)
    until(lambda: people_in(window.part("stage"), scale) >= 2, "skeletons on the stage")
    window.press("space")
    stage = window.still()
    window.keep_picture()
    panel = window.part("settings")
    assert has_colour(panel, GROUND[theme]) > 0.5 * panel.shape[0] * panel.shape[1]
    if scale == 2:
        blocks = stage[: stage.shape[0] // 2 * 2, : stage.shape[1] // 2 * 2].astype(int)
        doubled = (blocks[::2, ::2] == blocks[1::2, 1::2]).all(axis=2).mean()
        assert doubled < 0.9, "the stage is painted in half of the screen's pixels"
    window.press("ctrl+q")
    assert window.ends() == (0, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_closes_the_window_with_a_whole_take(
    open_window: Callable[..., Any], home: Path, until: Callable[..., None],
    number: signal.Signals, code: int,
):  # fmt: skip
    window = open_window("app", "demo")
    until(lambda: people_in(window.part("stage")) >= 2, "skeletons on the stage")
    take = record(window, home, until)
    window.process.send_signal(number)
    assert window.ends() == (code, "")
    told = sidecar_of(take)
    assert told["status"] == "complete" and rows_of(take)
    assert frames_of(take.with_suffix(".tracked.mp4")) == told["performance"]["frames_written"]


@pytest.mark.parametrize("display", ["", ":54321"])
def test_without_a_display_there_is_one_line_and_exit_code_2(bare_environment: dict[str, str], display: str):
    done = subprocess.run(
        [sys.executable, "-m", "app"], cwd=ROOT, env=bare_environment | {"DISPLAY": display},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "display" in done.stderr, done.stderr
