"""Memory of a batch over long video: ``python tests/bench/bench_batch_memory.py [--minutes 60] [--video]``.

Makes a video of so many minutes, by showing a clip again and again (H.264, 240 px high), and
tracks it as `steadypose track` does, in this process. Prints the resident memory at ten moments, and at the
end its growth from the fifth of the run on, but not before the third minute, when caches are full. With
--files N the minutes are spread over N files.
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

from app.batch import BatchOptions, run_batch
from app.bench.memory import resident_mib
from app.console import make_console
from app.recording import WriteOptions
from assets import demo_clip
from engine.pipeline import build_settings
from engine.sources import open_source
from engine.structures import Result

HEIGHT = 240
REPORTS, SETTLED, SETTLED_MINUTES = 10, 0.2, 2.0
LIMIT_MIB = 30.0


def make_video(path: Path, clip: Path, minutes: float, rate: int) -> None:
    """Encode a clip again and again; people come in and leave at every cut."""
    with open_source(clip) as source:
        height, width = source.info.size
        size = (round(HEIGHT * width / height / 2) * 2, HEIGHT)
        images = [cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA) for frame in source]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": "60"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(round(minutes * 60 * rate)):
            picture = av.VideoFrame.from_ndarray(images[index % len(images)], format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=30, help="frames/s")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--video", action="store_true", help="also write the annotated video")
    parser.add_argument("--clip", type=Path, default=demo_clip())
    parser.add_argument("--mode", default="bottom-up")
    parser.add_argument("--short-side", type=int, default=128, help="of the bottom-up network's input, px")
    parser.add_argument("--threads", type=int, default=0, help="of the networks; 0 takes all cores")
    arguments = parser.parse_args()
    frames_in_all = arguments.minutes * 60 * arguments.rate
    samples: list[float] = []
    frames = people = 0

    def watch(result: Result) -> None:
        nonlocal frames, people
        frames += 1
        people += len(result.people)
        if frames >= (len(samples) + 1) * frames_in_all / REPORTS:
            samples.append(resident_mib())
            print(f"minute {frames / arguments.rate / 60:6.2f} of video: {samples[-1]:.1f} MiB", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        for number in range(arguments.files):
            path = folder / f"long{number}.mp4"
            make_video(path, arguments.clip, arguments.minutes / arguments.files, arguments.rate)
        settings = build_settings(
            {
                "mode": arguments.mode,
                "threads": arguments.threads,
                "finder_short_side": arguments.short_side,
                "finder_scales": (1.0,),
            }
        )
        options = BatchOptions(settings, Path(name) / "out", WriteOptions(keep_empty=True), arguments.video)
        begin = time.perf_counter()
        code = run_batch([str(folder)], options, make_console(), -1, on_result=watch)
        seconds = time.perf_counter() - begin
    settled = max(SETTLED, min(SETTLED_MINUTES / arguments.minutes, 0.5))
    growth = samples[-1] - samples[math.ceil(settled * REPORTS) - 1]
    print(f"{frames} frames, {people} poses in {seconds:.0f} s ({frames / seconds:.0f} frames/s)")
    print(f"{growth:+.1f} MiB from {settled:.0%} of the run to its end; at most {LIMIT_MIB:.0f} are allowed")
    return code or int(growth > LIMIT_MIB)


if __name__ == "__main__":
    raise SystemExit(main())
