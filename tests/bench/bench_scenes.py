"""How well identities hold: ``python tests/bench/bench_scenes.py [--seeds 4] [--clip FILE]``.

Each scene of `engine.metrics.scenes` is played with several seeds and tracked with the default settings. With
--clip a video is tracked too, top-down with the finder at several intervals: how many ids it gets.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from engine.metrics.scenes import SCENES, play
from engine.pipeline import Pipeline, build_settings
from engine.sources import open_source

INTERVALS_S = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


def play_scenes(seeds: int) -> None:
    """Print a line for each scene: the mean over the seeds, and the worst."""
    print("| scene | IDF1, mean | worst | MOTA, mean | switches per scene | true people |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, make in SCENES.items():
        figures = [play(make(seed)) for seed in range(seeds)]
        idf1, mota = [one.idf1 for one in figures], np.mean([one.mota for one in figures])
        switches, people = np.mean([one.switches for one in figures]), len(make(0).actors)
        print(
            f"| {name} | {np.mean(idf1):.3f} | {min(idf1):.3f} | {mota:.3f} | {switches:.1f} | {people} |",
            flush=True,
        )


def count_ids(clip: Path) -> None:
    """Print how many ids people get at each interval of the finder."""
    for interval_s in INTERVALS_S:
        settings = build_settings({"mode": "top-down", "find_interval_s": interval_s})
        with closing(open_source(clip)) as source, closing(Pipeline(settings)) as pipeline:
            frames: dict[int, int] = {}
            for result in pipeline.run(source):
                for person in result.people:
                    frames[person.track_id] = frames.get(person.track_id, 0) + 1
        print(
            f"{clip.name}, finder every {interval_s:g} s: {len(frames)} ids, frames of each {frames}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--clip", type=Path)
    arguments = parser.parse_args()
    play_scenes(arguments.seeds)
    if arguments.clip is not None:
        count_ids(arguments.clip)


if __name__ == "__main__":
    main()
