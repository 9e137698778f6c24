"""A screen that nobody sees (Xvfb) and a window on it, which is touched by mouse and keyboard (xdotool) and
looked at through what the screen shows; nothing inside the program is asked."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[4]
WINDOW = (1360, 860)
SCREEN = (1400, 900)
PATIENCE_S = 20.0

Picture = np.ndarray
"""(H, W, 3) uint8 RGB."""


def until(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for something; fail in words."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.1)


class Screen:
    """An X server whose picture lies in a file (X Window Dump)."""

    def __init__(self, folder: Path, scale: int) -> None:
        folder.mkdir()
        self.scale, self._file = scale, folder / "Xvfb_screen0"
        size = f"{SCREEN[0] * scale}x{SCREEN[1] * scale}x24"
        reader, writer = os.pipe()
        command = [
            "Xvfb",
            "-displayfd",
            str(writer),
            "-screen",
            "0",
            size,
            "-dpi",
            "96",
            "-fbdir",
            str(folder),
        ]
        self._server = subprocess.Popen(
            [*command, "-noreset", "-nolisten", "tcp"], pass_fds=[writer], stderr=subprocess.DEVNULL
        )
        os.close(writer)
        with os.fdopen(reader) as told:
            self.display = f":{told.readline().strip()}"

    def picture(self) -> Picture:
        data = np.fromfile(self._file, np.uint8)
        head = data[:80].view(">u4")
        start, width, height, line = head[0] + 12 * head[19], head[4], head[5], head[12]
        pixels = data[start : start + line * height].reshape(height, line)[:, : 4 * width]
        return pixels.reshape(height, width, 4)[:, :, 2::-1]

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)


@dataclass
class Box:
    """A part of the screen, px."""

    x: int
    y: int
    width: int
    height: int

    def of(self, picture: Picture) -> Picture:
        return picture[self.y : self.y + self.height, self.x : self.x + self.width]

    def at(self, across: float = 0.5, down: float = 0.5) -> tuple[int, int]:
        return round(self.x + across * self.width), round(self.y + down * self.height)


class Window:
    """The program, started as a user would, and the hands on it."""

    def __init__(self, screen: Screen, home: Path, places: dict[str, Box], arguments: list[str]) -> None:
        self.screen, self.places, self._home = screen, places, home
        self._environment = environment(home) | {
            "DISPLAY": screen.display,
            "QT_SCALE_FACTOR": str(screen.scale),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._id = ""
        # Away from the window: nothing should light up under the mouse.
        self.hand("mousemove", *(str(screen.scale * side - 2) for side in SCREEN))
        until(self._find, "the window")
        # There is no window manager that would do it.
        self.hand("windowfocus", "--sync", self._id)

    def hand(self, *arguments: str) -> str:
        command = ["xdotool", *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        return done.stdout

    def press(self, *keys: str) -> None:
        assert self.process.poll() is None, self.process.communicate()
        for key in keys:
            self.hand("key", key)

    def click(self, x: int, y: int) -> None:
        assert self.process.poll() is None, self.process.communicate()
        self.hand("mousemove", "--sync", str(x), str(y), "click", "1")

    def picture(self) -> Picture:
        picture = self.screen.picture()
        return picture[: WINDOW[1] * self.screen.scale, : WINDOW[0] * self.screen.scale]

    def part(self, name: str) -> Picture:
        return self.places[name].of(self.picture()).copy()

    def still(self, name: str = "stage", for_s: float = 0.7) -> Picture:
        """Wait until a part of the window stays as it is, and return its picture."""
        end = time.monotonic() + PATIENCE_S
        before = self.part(name)
        while True:
            time.sleep(for_s)
            now = self.part(name)
            if np.array_equal(before, now):
                return now
            assert time.monotonic() < end, f"the {name} never stands still"
            before = now

    def ends(self, timeout_s: float = 30) -> tuple[int, str]:
        """Wait for the end of the program and return its exit code and what it wrote to stderr.

        That a busy machine is too slow for live pictures is nothing to wonder about.
        """
        _, told = self.process.communicate(timeout=timeout_s)
        lines = [line for line in told.splitlines(keepends=True) if "this machine cannot hold" not in line]
        return self.process.returncode, "".join(lines)

    def keep_picture(self) -> None:
        """Write what is seen now beside the home folder, for eyes."""
        cv2.imwrite(str(self._home.with_name("seen.png")), self.picture()[:, :, ::-1])

    def close(self) -> None:
        """End it where a failure left it; what was seen then is kept."""
        if self.process.poll() is None:
            self.keep_picture()
            self.process.kill()
            self.process.communicate()

    def _find(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        found = self.hand("search", "--onlyvisible", "--name", "SteadyPose").split()
        self._id = found[0] if found else ""
        return bool(found)


def environment(home: Path) -> dict[str, str]:
    """What a program needs to live in a home of its own, without any display."""
    foreign = ("QT_", "XDG_", "DISPLAY", "WAYLAND", "DBUS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    runtime = home / "run"
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache = os.environ["XDG_CACHE_HOME"]
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": cache, "XDG_RUNTIME_DIR": str(runtime)}


@pytest.fixture(scope="session")
def _tools() -> None:
    missing = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: the real window needs them (see .ci/run)")


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Box]:
    """Where things are in the window at 1×."""
    home = tmp_path_factory.mktemp("places")
    command = [sys.executable, str(Path(__file__).with_name("places.py"))]
    env = environment(home) | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name: Box(*box) for name, box in json.loads(done.stdout).items()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of somebody who has never started the program."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def open_window(
    _tools: None, tmp_path: Path, home: Path, places: dict[str, Box]
) -> Iterator[Callable[..., Window]]:
    """Function (*arguments, scale=1) that starts the program on a screen of its own."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, scale: int = 1) -> Window:
            screen = Screen(tmp_path / "screen", scale)
            stack.callback(screen.close)
            scaled = {
                name: Box(box.x * scale, box.y * scale, box.width * scale, box.height * scale)
                for name, box in places.items()
            }
            window = Window(screen, home, scaled, list(arguments))
            stack.callback(window.close)
            return window

        yield start


@pytest.fixture(name="until")
def _until() -> Callable[..., None]:
    """Function (condition, what, timeout_s=60) that waits, and fails in words."""
    return until


@pytest.fixture
def bare_environment(home: Path) -> dict[str, str]:
    """The environment of a program in a home of its own, without any display."""
    return environment(home)
