"""`steadypose` and `steadypose app`, each a process: a window, or one line that says why there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")

WITHOUT_PYSIDE = """
import sys
sys.modules["PySide6"] = None
from app.cli import cli
cli(sys.argv[1:])
"""

LOOK_AND_CLOSE = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from app.desktop import application

def look():
    window = QApplication.topLevelWidgets()
    (window,) = [widget for widget in window if type(widget).__name__ == "MainWindow"]
    page = window.page
    if page.stack.currentWidget() is getattr(page, sys.argv[2]):
        timer.stop()
        status = window.session.status
        print(status.state, status.message)
        window.close()

timer = QTimer(interval=20)
timer.timeout.connect(look)
favour = application.favour_window
application.favour_window = lambda: (favour(), timer.start())
source = sys.argv[3] if len(sys.argv) > 3 else None
sys.exit(application.run_app(source, preferences_file=Path(sys.argv[1])))
"""


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python without the displays of this process."""
    environment = {name: value for name, value in os.environ.items() if name not in DISPLAYS} | variables
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of an error."""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert done.stdout == ""
    return line


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize("arguments", [(), ("app",), ("app", "demo")])
def test_without_a_display_one_line_says_so(arguments: tuple[str, ...]) -> None:
    done = run("-m", "app", *arguments)
    assert done.returncode == 2
    assert "there is no display" in one_sentence(done)
    assert "steadypose track" in done.stderr


def test_without_pyside_one_line_says_how_to_go_on() -> None:
    done = run("-c", WITHOUT_PYSIDE, QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 2
    assert "the window needs PySide6" in one_sentence(done)


def test_without_pyside_everything_else_works() -> None:
    done = run("-c", WITHOUT_PYSIDE, "models", "list")
    assert done.returncode == 0, done.stderr
    assert "default-top-down" in done.stdout


def test_a_source_that_is_not_there_opens_the_window_on_its_error(tmp_path: Path) -> None:
    done = run(
        "-c", LOOK_AND_CLOSE, tmp_path / "settings.ini", "error", "nothing.mp4", QT_QPA_PLATFORM="offscreen"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "failed nothing.mp4: no such file or folder\n"
    assert "Traceback" not in done.stderr


def test_without_a_source_the_window_opens_with_a_choice_and_closes_clean(tmp_path: Path) -> None:
    done = run("-c", LOOK_AND_CLOSE, tmp_path / "settings.ini", "welcome", QT_QPA_PLATFORM="offscreen")
    assert (done.returncode, done.stdout) == (0, "empty \n"), done.stderr
    assert "Traceback" not in done.stderr
