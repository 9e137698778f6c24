"""How fast files are read and written: ``python tests/bench/bench_files.py [CLIP]``.

Without a clip, one of 1920x1080 is encoded first. Prints medians of three runs: wall time, and the processor
time of all threads, which says more where other programs are running.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.sinks.annotated_video import AnnotatedVideoSink
from engine.sinks.csv_file import CsvSink
from engine.sinks.drawing import draw_people
from engine.skeleton import COCO17
from engine.sources import SourceInfo, open_source
from engine.structures import Frame, Result, TrackedPerson

FRAMES = 150


def make_people(count: int, size: tuple[int, int], seed: int) -> tuple[TrackedPerson, ...]:
    random = np.random.default_rng(seed)
    people = []
    for track_id in range(count):
        corner = random.uniform(0, 0.6, 2) * size[::-1]
        keypoints = (corner + random.uniform(0, 0.35, (17, 2)) * size[::-1]).astype(np.float32)
        bbox = np.concatenate([keypoints.min(0), keypoints.max(0)])
        scores = random.uniform(0.3, 1.0, 17).astype(np.float32)
        state = np.full(17, 2, np.int8)
        people.append(TrackedPerson(track_id, keypoints, keypoints, keypoints, scores, state, bbox, 0.9, 1.0))
    return tuple(people)


def make_results(count: int, size: tuple[int, int], people: int) -> list[Result]:
    across, down = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    ground = np.stack([across * 255 // size[1], down * 255 // size[0], (across + down) % 256], axis=2)
    images = [np.roll(ground, 16 * shift, axis=1).astype(np.uint8) for shift in range(8)]
    return [
        Result(Frame(images[index % 8], index, index / 30), make_people(people, size, index))
        for index in range(count)
    ]


def report(name: str, count: int, unit: str, run: Callable[[], object]) -> None:
    wall, processor = [], []
    for _ in range(3):
        start, start_processor = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    seconds, processor_ms = statistics.median(wall), 1000 * statistics.median(processor) / count
    wall_ms = 1000 * seconds / count
    print(f"{name:<40} {count / seconds:7.0f} {unit}/s {wall_ms:9.3f} ms {processor_ms:9.3f} ms CPU")


def write_video(path: Path, results: list[Result]) -> None:
    info = SourceInfo("bench", None, results[0].frame.image.shape[:2], 30.0, None, None)
    sink = AnnotatedVideoSink(path, COCO17, info, overwrite=True)
    for result in results:
        sink.write(result)
    sink.close()


def write_csv(path: Path, results: list[Result], long: bool) -> None:
    sink = CsvSink(path, COCO17, overwrite=True, long=long)
    for result in results:
        sink.write(result)
    sink.close()


def read_video(path: Path) -> int:
    with open_source(path) as source:
        return sum(1 for _ in source)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "clip.mp4"
        if len(sys.argv) == 1:
            write_video(clip, make_results(FRAMES, (1080, 1920), 2))
        with open_source(clip) as source:
            height, width = source.info.size
        report(
            f"read {width}x{height} to BGR, read ahead",
            read_video(clip),
            "frames",
            lambda: read_video(clip),
        )
        for people in (2, 10):
            results = make_results(1000, (72, 128), people)
            for long in (False, True):
                kind = "long CSV" if long else "CSV"
                report(
                    f"write {kind}, {people} people",
                    len(results),
                    "frames",
                    lambda results=results, long=long: write_csv(folder / "a.csv", results, long),
                )
        hd = make_results(FRAMES, (720, 1280), 2)
        report("draw 2 people on 1280x720", len(hd), "frames", lambda: draw_all(hd))
        report("draw and encode 1280x720", len(hd), "frames", lambda: write_video(folder / "a.mp4", hd))


def draw_all(results: list[Result]) -> None:
    for result in results:
        draw_people(result.frame.image, result.people, COCO17)


if __name__ == "__main__":
    main()
