"""How much of the networks' speed a batch keeps: ``python tests/bench/bench_batch.py [CLIP] [--jobs N]``.

With ``--mode bottom-up`` and ``--precision fp32`` the networks are heavier, and the rest weighs less.

Everything is timed in one run, in turns, so that other load on the machine meets both alike:

- *bare*: as many processes with as many threads as the batch, each running only the networks on the very
  inputs (crops and whole frames) that tracking its clip gave them, kept ready in memory;
- *alone*: the same with one process and all threads;
- *batch*: each process tracks a copy of the clip, from opening the file to the complete sidecar, models
  loaded before: decoding, preparing, networks, decoding heatmaps, tracking and writing.

Prints frames/s of each and the batch's ratio to the others, and processor time per frame, whose ratio stays
true where other programs take the cores; also the cost of one crop in batches of several sizes, which says
whether collecting the crops of several frames would pay.
"""

import argparse
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import av
import cv2
import numpy as np

from app.batch_choice import choose_jobs, count_cores, with_choice
from app.batch_task import Models, Outcome, Recipe, Task, track_task
from app.inputs import TrackInput
from app.outputs import output_paths
from app.recording import WriteOptions
from app.resume import make_request
from assets import demo_clip
from engine.model import Model
from engine.pipeline import build_settings
from engine.sources import open_source

ROUNDS = 5
FIRST, COUNT = 150, 120
"""Frames that are cut out of the clip: the inputs of more would not fit into memory on small machines."""


class Quiet:
    """Hears of frames and stops nothing."""

    requested, paused_s = False, 0.0

    def begin(self, total: int | None) -> None:
        pass

    def advance(self, frames: int, people: int) -> None:
        pass


def cut_clip(clip: Path, path: Path) -> None:
    """Encode `COUNT` frames of a clip from `FIRST` on anew, as cameras do: without B-frames."""
    with open_source(clip) as source, av.open(str(path), "w") as container:
        rate = round(source.info.fps or 30)
        stream = container.add_stream("libx264", rate=rate, options={"bf": "0", "preset": "fast"})
        stream.height, stream.width = source.info.size
        stream.pix_fmt = "yuv420p"
        for frame in itertools.islice(source, FIRST, FIRST + COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        container.mux(stream.encode())


def record_inputs(models: Models, task: Task, recipe: Recipe) -> tuple[list[tuple[int, np.ndarray]], int]:
    """Track a clip and return what its networks were given, each with the number of its model, and frames."""
    kept: list[tuple[int, np.ndarray]] = []
    pipeline = models.open()
    networks: list[Any] = list(pipeline._tracker.estimator.models)
    frames = 0
    original = Model.run

    def run(model: Model, inputs: np.ndarray, *more: Any, **named: Any) -> Any:
        kept.append((networks.index(model), np.array(inputs)))
        return original(model, inputs, *more, **named)

    def count(_: object) -> None:
        nonlocal frames
        frames += 1

    Model.run = run  # type: ignore[method-assign]
    try:
        track_task(task, recipe, models, watcher=Quiet(), stop=Quiet(), on_result=count)
    finally:
        Model.run = original  # type: ignore[method-assign]
    return kept, frames


def serve(pipe: Connection, recipe: Recipe, whole_machine: Recipe, task: Task) -> None:
    """Be one process of both sides: an order comes in, frames and processor seconds go out."""
    cv2.setNumThreads(max(1, recipe.settings.estimator.threads))
    with closing(Models(recipe.settings)) as models, closing(Models(whole_machine.settings)) as whole:
        inputs, kept = record_inputs(models, task, recipe)
        networks: dict[str, Any] = {
            "bare": models.open()._tracker.estimator.models,
            "alone": whole.open()._tracker.estimator.models,
        }
        pipe.send(kept)
        while (order := pipe.recv()) is not None:
            begin = time.process_time()
            if order in networks:
                for number, values in inputs:
                    networks[order][number].run(values)
                frames = kept
            else:
                outcome: Outcome = track_task(task, recipe, models, watcher=Quiet(), stop=Quiet())
                assert outcome.status == "complete", outcome.error
                frames = outcome.frames
            pipe.send((frames, time.process_time() - begin))


def time_round(pipes: list[Connection], order: str) -> tuple[float, float]:
    """Return the frames/s of all processes together, and processor milliseconds per frame."""
    begin = time.perf_counter()
    for pipe in pipes:
        pipe.send(order)
    done = [pipe.recv() for pipe in pipes]
    frames = sum(count for count, _ in done)
    return frames / (time.perf_counter() - begin), 1e3 * sum(spent for _, spent in done) / frames


def tell(name: str, figures: dict[str, tuple[float, float]]) -> None:
    words = "   ".join(
        f"{order} {rate:5.1f} frames/s {spent:5.1f} ms CPU" for order, (rate, spent) in figures.items()
    )
    to_alone = figures["batch"][0] / figures["alone"][0]
    to_bare = figures["batch"][0] / figures["bare"][0]
    by_cpu = figures["bare"][1] / figures["batch"][1]
    print(f"{name}{words}", flush=True)
    print(
        f"  batch/alone {to_alone:.3f}   batch/bare {to_bare:.3f}   by processor time {by_cpu:.3f}",
        flush=True,
    )


def crop_costs(recipe: Recipe) -> dict[int, float]:
    """Return crops per run of the top-down network to milliseconds per crop."""
    with closing(Models(recipe.settings)) as models:
        network = models.open()._tracker.estimator.models[0]
        costs = {}
        for count in (1, 2, 4, 8, 16):
            values = np.zeros((count, 3, *network.spec.input_size), np.float32)
            network.run(values)
            times = []
            for _ in range(15):
                begin = time.perf_counter()
                network.run(values)
                times.append(time.perf_counter() - begin)
            costs[count] = 1e3 * statistics.median(times) / count
        return costs


def make_recipe(jobs: int, threads: int, mode: str, precision: str) -> Recipe:
    # Fixed: `auto` would choose by how busy the machine is at the moment.
    settings = build_settings({"mode": mode, "threads": threads, "precision": precision})
    write = WriteOptions()
    recipe = Recipe(settings, settings, make_request(settings, {}), write)
    return with_choice(recipe, [], jobs)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, default=demo_clip())
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--mode", choices=("top-down", "bottom-up"), default="top-down")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    networks = (arguments.mode, arguments.precision)
    jobs = arguments.jobs or choose_jobs(0, make_recipe(1, arguments.threads, *networks), [10**9] * 64)
    recipe = make_recipe(jobs, arguments.threads, *networks)
    whole_machine = make_recipe(1, 0, *networks)
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "in", Path(name) / "out"
        folder.mkdir()
        out.mkdir()
        tasks = []
        for key in range(jobs):
            path = folder / f"clip{key}{arguments.clip.suffix}"
            cut_clip(arguments.clip, path)
            item = TrackInput(path, path.name, path.stem)
            tasks.append(Task(key, item, output_paths(item, out, video=False), replace=True))
        context = multiprocessing.get_context("spawn")
        pipes, processes = [], []
        for task in tasks:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, recipe, whole_machine, task), daemon=True)
            process.start()
            pipes.append(ours)
            processes.append(process)
        kept = [pipe.recv() for pipe in pipes]
        threads = recipe.settings.estimator.threads
        print(f"{jobs} processes, {threads or count_cores()} threads each; {kept[0]} frames' inputs kept")
        rates: dict[str, list[tuple[float, float]]] = {"alone": [], "bare": [], "batch": []}
        for _ in range(ROUNDS):
            for order, found in rates.items():
                found.append(time_round(pipes[:1] if order == "alone" else pipes, order))
            tell("", {order: found[-1] for order, found in rates.items()})
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.send(None)
            process.join()
    medians = {
        order: (statistics.median(rate for rate, _ in found), statistics.median(spent for _, spent in found))
        for order, found in rates.items()
    }
    tell("median: ", medians)
    for count, cost in crop_costs(recipe).items() if arguments.mode == "top-down" else ():
        print(f"{count:2} crops per run: {cost:.2f} ms per crop")


if __name__ == "__main__":
    main()
