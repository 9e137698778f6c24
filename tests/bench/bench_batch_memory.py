"""Memory of a batch over long video: ``python tests/bench/bench_batch_memory.py [--minutes 60] [--video]``.

Makes a cheap video of so many minutes (two shapes that move, H.264, 320x240, 30 frames/s) and tracks it as
`steadypose track` does, in this process. Prints the resident memory at ten moments, and at the end its growth
from the fifth of the run on, but not before the third minute, when caches are full. With --files N the
minutes are spread over N files.
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import av
import cv2
import numpy as np

from app.batch import BatchOptions, run_batch
from app.bench.memory import resident_mib
from app.console import make_console
from app.recording import WriteOptions
from engine.pipeline import build_settings
from engine.structures import Result

RATE, SIZE = 30, (240, 320)
REPORTS, SETTLED, SETTLED_MINUTES = 10, 0.2, 2.0
LIMIT_MIB = 30.0


def make_video(path: Path, minutes: float) -> None:
    """Encode two figures that walk to and fro."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "60"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(round(minutes * 60 * RATE)):
            image = np.full((*SIZE, 3), 90, np.uint8)
            for number, row in enumerate((60, 150)):
                x = 40 + int(100 * (1 + np.sin(index / 90 + number)))
                cv2.circle(image, (x, row), 10, (200, 180, 160), -1)
                cv2.rectangle(image, (x - 12, row + 10), (x + 12, row + 50), (60, 60, 200), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--video", action="store_true", help="also write the annotated video")
    parser.add_argument("--mode", default="bottom-up")
    arguments = parser.parse_args()
    frames_in_all = arguments.minutes * 60 * RATE
    samples: list[float] = []
    frames = 0

    def watch(_: Result) -> None:
        nonlocal frames
        frames += 1
        if frames >= (len(samples) + 1) * frames_in_all / REPORTS:
            samples.append(resident_mib())
            print(f"minute {frames / RATE / 60:6.2f} of video: {samples[-1]:.1f} MiB", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for number in range(arguments.files):
            make_video(folder / f"long{number}.mp4", arguments.minutes / arguments.files)
        settings = build_settings({"mode": arguments.mode, "finder_short_side": 128, "finder_scales": (1.0,)})
        options = BatchOptions(settings, Path(name) / "out", WriteOptions(keep_empty=True), arguments.video)
        begin = time.perf_counter()
        code = run_batch([str(folder)], options, make_console(), -1, on_result=watch)
        seconds = time.perf_counter() - begin
    settled = max(SETTLED, min(SETTLED_MINUTES / arguments.minutes, 0.5))
    growth = samples[-1] - samples[math.ceil(settled * REPORTS) - 1]
    print(f"{frames} frames in {seconds:.0f} s ({frames / seconds:.0f} frames/s)")
    print(f"{growth:+.1f} MiB from {settled:.0%} of the run to its end; at most {LIMIT_MIB:.0f} are allowed")
    return code or int(growth > LIMIT_MIB)


if __name__ == "__main__":
    raise SystemExit(main())
