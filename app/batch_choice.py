"""What is chosen once for a whole batch: how `auto` finds people, and the threads of each process.

`auto` measures the machine, so two runs of it may choose differently. A batch measures once, before its
first input, holds to what it chose, and states it in every sidecar; a resumed one reads it there. So an input
that is done again, or by another process, gives the same rows.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from app.batch_task import Recipe, Task, open_item
from engine.errors import SourceError
from engine.pipeline import Pipeline
from engine.runtime import auto_runtimes, cpu_runtimes
from engine.settings import TrackSettings

THREADS = "threads"
MAX_JOBS = 8
"""Processes that are started unasked: each holds models of its own, some 400 MB."""
WORTH_BYTES = 10_000_000
"""Bytes of input that are worth the seconds which another process takes to start."""


def choose_jobs(asked: int, recipe: Recipe, sizes: Collection[int]) -> int:
    """Return how many inputs are done at once.

    One thread in each of several processes does more than as many threads in one: within a network this small
    threads wait for each other, and decoding, tracking and writing have one thread only. A GPU is shared best
    by one process.

    Args:
        asked: 0 chooses.
        recipe: as asked for; where it gives a number of threads, each process has so many.
        sizes: of the inputs, bytes.
    """
    if asked:
        return max(1, min(asked, len(sizes)))
    estimator = recipe.asked.estimator
    runtime = auto_runtimes()[0] if estimator.runtime == "auto" else estimator.runtime
    if runtime not in cpu_runtimes():
        return 1
    by_cores = count_cores() // (estimator.threads or 1)
    by_work = sum(sizes) // WORTH_BYTES
    return max(1, min(by_cores, by_work, len(sizes), MAX_JOBS))


def count_cores() -> int:
    """Return the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def with_earlier(recipe: Recipe, choice: Mapping[str, Any]) -> Recipe:
    """Return a recipe that follows what an interrupted run of the same request had chosen."""
    return replace(recipe, settings=_follow(recipe.asked, choice), choice=dict(choice))


def with_choice(recipe: Recipe, tasks: Iterable[Task], jobs: int) -> tuple[Recipe, Pipeline | None]:
    """Choose for a new batch.

    Where there is something to measure, that is done on the first frame of the first input that opens, with
    all the threads asked for, so that the results do not hang on the number of processes.

    Args:
        recipe: as asked for.
        tasks: inputs.
        jobs: processes.

    Returns:
        The recipe to follow, and the pipeline that was opened for measuring, None where nothing was measured
        or the batch cannot go on with it.

    Raises:
        SteadyPoseError: the models cannot be opened.
    """
    threads = recipe.asked.estimator.threads
    if jobs > 1 and not threads:
        threads = max(1, count_cores() // jobs)
    if recipe.asked.estimator.mode != "auto":
        return replace(recipe, settings=_with_threads(recipe.asked, threads), choice={THREADS: threads}), None
    measured = _measure(recipe, tasks)
    if measured is None:
        return recipe, None
    pipeline, choice = measured
    choice[THREADS] = threads
    chosen = replace(recipe, settings=_follow(recipe.asked, choice), choice=choice)
    if jobs == 1:
        return chosen, pipeline
    pipeline.close()
    return chosen, None


def _measure(recipe: Recipe, tasks: Iterable[Task]) -> tuple[Pipeline, dict[str, Any]] | None:
    """Return a pipeline that has chosen, and its choice; None where no input can be opened."""
    for task in tasks:
        try:
            source = open_item(task.item, recipe)
        except SourceError:
            continue  # It is told when its turn comes.
        with closing(source):
            pipeline = Pipeline(recipe.asked)
            try:
                next(pipeline.run(source), None)
            except SourceError:
                pipeline.close()
                continue
            except BaseException:
                pipeline.close()
                raise
            return pipeline, dict(pipeline.choice)
    return None


def _follow(asked: TrackSettings, choice: Mapping[str, Any]) -> TrackSettings:
    """Return settings that do what was chosen without measuring."""
    chosen = {name: choice[name] for name in ("find_interval_s", "finder_short_side") if name in choice}
    if asked.estimator.mode == "auto" and choice.get("mode") == "top-down":
        asked = asked.model_copy(
            update={"estimator": asked.estimator.model_copy(update={"mode": "top-down", **chosen})}
        )
    return _with_threads(asked, int(choice.get(THREADS, asked.estimator.threads)))


def _with_threads(settings: TrackSettings, threads: int) -> TrackSettings:
    return settings.model_copy(update={"estimator": settings.estimator.model_copy(update={THREADS: threads})})
