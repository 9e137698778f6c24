import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

WITHOUT_DEMO = """
import sys
from pathlib import Path
from app.desktop import source_control
source_control.demo_clip = lambda: Path("none.mp4")
from app.bench.first_skeleton import main
sys.exit(main(0.0))
"""


@pytest.mark.slow
def test_a_demo_that_does_not_play_ends_at_once_with_the_reason() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DEMO],
        cwd=ROOT, env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().splitlines()[-1] == "none.mp4: no such file or folder"
