"""Time of the decoders on the CPU: `python tests/bench/bench_decode.py`.

Peaks and grouping of a crowd, our form against a plain NumPy one that works on whole maps, in the same run;
then the four single-person decoders, the whole bottom-up decoding, and the preparation of inputs.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.bench.synthetic import crowd_outputs
from engine.decode.bottom_up import decode_bottom_up, merge_heatmaps
from engine.decode.grouping import find_peaks, group_peaks
from engine.decode.peaks import METHODS, decode_heatmaps
from engine.model_file import ModelSpec
from engine.prepare import crop_people, letterbox
from engine.skeleton import COCO17

SIZE = 256
PEOPLE = 10


def group_plainly(heatmaps: np.ndarray, tags: np.ndarray) -> list[list[tuple[int, int, float]]]:
    """Peaks and grouping as one would write them down in NumPy: whole maps, and nearest tags one by one."""
    keypoints, height, width = heatmaps.shape
    padded = np.pad(heatmaps, ((0, 0), (2, 2), (2, 2)), constant_values=-np.inf)
    rows = np.max([padded[:, step : step + height] for step in range(5)], axis=0)
    pooled = np.max([rows[:, :, step : step + width] for step in range(5)], axis=0)
    kept = np.where(pooled == heatmaps, heatmaps, 0).reshape(keypoints, -1)
    top = np.argpartition(kept, -30, axis=1)[:, -30:]
    upsampled = np.stack([cv2.resize(tag, (width, height)) for tag in tags]).reshape(keypoints, -1)
    people: list[list[tuple[int, int, float]]] = []
    for keypoint in range(keypoints):
        for place in top[keypoint]:
            if kept[keypoint, place] <= 0.1:
                continue
            tag = upsampled[keypoint, place]
            distances = [abs(np.mean([entry[2] for entry in person]) - tag) for person in people]
            entry = (keypoint, int(place), float(tag))
            if distances and min(distances) < 1:
                people[int(np.argmin(distances))].append(entry)
            else:
                people.append([entry])
    return people


def milliseconds(action: Callable[[], object], repeats: int = 30) -> float:
    """Return the fastest time of an action that has run once before: what it costs on an idle core."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def make_spec(kind: str) -> ModelSpec:
    """Return the description of a model of our own conventions."""
    bottom_up = kind == "bottom-up"
    outputs = [("heatmaps_0", 4), ("heatmaps_1", 2)] if bottom_up else [("heatmaps", 4)]
    return ModelSpec(
        name=f"bench-{kind}",
        architecture="none",
        kind="bottom-up" if bottom_up else "top-down",
        input_size=(2 * SIZE, 2 * SIZE) if bottom_up else (192, 128),
        dynamic_size=bottom_up,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        heatmap_outputs=[{"name": name, "stride": stride} for name, stride in outputs],
        tag_outputs=[{"name": "tags_0", "stride": 4}] if bottom_up else [],
        skeleton=COCO17,
        licence="none",
        training_data="none",
    )


def bench_grouping() -> dict[str, float]:
    """Return the times in ms of peaks and grouping of ten people on 17×256×256 maps, ours and plain."""
    spec = make_spec("bottom-up")
    crowd = crowd_outputs(spec, PEOPLE, SIZE)
    heatmaps, tags = merge_heatmaps(crowd, spec)[0], crowd["tags_0"][0]
    peaks = find_peaks(heatmaps, tags)
    assert len(group_peaks(peaks)) == len(group_plainly(heatmaps, tags)) == PEOPLE
    matrix, size = np.eye(3)[:2], (2 * SIZE, 2 * SIZE)
    assert len(decode_bottom_up(crowd, matrix, size, spec)) == PEOPLE
    return {
        "find_peaks": milliseconds(lambda: find_peaks(heatmaps, tags)),
        "group_peaks": milliseconds(lambda: group_peaks(peaks)),
        "peaks + grouping": milliseconds(lambda: group_peaks(find_peaks(heatmaps, tags))),
        "merge_heatmaps": milliseconds(lambda: merge_heatmaps(crowd, spec)),
        "decode_bottom_up, all of it": milliseconds(lambda: decode_bottom_up(crowd, matrix, size, spec)),
        "peaks + grouping, plain NumPy": milliseconds(lambda: group_plainly(heatmaps, tags), repeats=5),
    }


def main() -> None:
    """Print the times."""
    cv2.setNumThreads(1)
    times = bench_grouping()
    plain = times["peaks + grouping, plain NumPy"]
    print(f"{PEOPLE} people, 17x{SIZE}x{SIZE}, one thread, fastest of 30; target of peaks + grouping: 5 ms")
    for name, value in times.items():
        print(f"  {name:<32}{value:8.2f} ms   {value / plain:6.3f} of plain NumPy")
    crops = np.random.default_rng(0).random((4, 17, 64, 48), np.float32)
    print("decode_heatmaps, 17x64x48")
    for method in METHODS:
        one = milliseconds(lambda m=method: decode_heatmaps(crops[:1], m))
        four = milliseconds(lambda m=method: decode_heatmaps(crops, m))
        print(f"  {method:<32}{one:8.3f} ms a crop, {four:.3f} ms four crops")
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    boxes = np.array([[100, 50, 300, 650], [600, 50, 800, 650]])
    top_down, bottom_up = make_spec("top-down"), make_spec("bottom-up")
    print("prepare, frame 1280x720")
    crops_ms = milliseconds(lambda: crop_people(frame, boxes, top_down))
    print(f"  two crops 128x192               {crops_ms:8.2f} ms")
    for short in (256, 384):
        value = milliseconds(lambda s=short: letterbox(frame, bottom_up, s))
        print(f"  letterbox, short side {short}       {value:8.2f} ms")


if __name__ == "__main__":
    main()
