"""A batch spread over a Ray cluster: one worker per device, each taking one input after another.

Inputs and the output folder are used where they lie if a worker sees them there, else their content is sent,
input by input. A worker that is lost is replaced and its input done again, at most `MAX_ATTEMPTS` times.
"""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.batch_choice import THREADS, with_earlier
from app.batch_task import Outcome, Recipe, Task
from app.cluster_ray import Plan, RayModule, connected, plan_workers, ray_line
from app.cluster_talk import Choose, Track, choose_on, lay_probe, track_on
from app.cluster_worker import MUST_AGREE, ClusterWorker, Fatal, Greeting, News, describe_environment
from app.console import PACKAGES
from app.workers import Listener
from engine.errors import SinkError, SourceError, SteadyPoseError, UsageError
from engine.stopping import Stop

LOGGER = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""How often an input is begun, where its workers are lost."""
LOOK_S = 0.2
"""Between two looks at a stop that was asked for."""
NEWS_S = 0.5
"""Between two questions to a worker how far it is."""
START_S = 120.0
"""How long a cluster on which nothing of ours works may take to start a worker."""
CLOSE_S = 10.0
"""What the workers may take to free their models."""


def run_on_cluster(
    tasks: Sequence[Task], recipe: Recipe, address: str, listener: Listener, stop: Stop
) -> None:
    """Do all inputs on a cluster, or end after the frames at hand where a stop is asked for.

    Args:
        tasks: inputs.
        recipe: as asked for, or with the choice of an earlier run; without one, the first worker chooses.
        address: ``host:port`` of the cluster's head, "auto" for the one that this machine belongs to, "local"
            to start one on this machine for the time of the batch.
        listener: hears of the inputs.
        stop: is asked again and again.

    Raises:
        UsageError: ray is not installed, there is no such cluster, or no worker of it can do the work.
        SteadyPoseError: the models cannot be opened anywhere.
    """
    if not tasks:
        return
    with connected(address) as ray, lay_probe(tasks[0].paths.csv.parent) as (probe, token):
        plan = plan_workers(ray, recipe.asked.estimator)
        LOGGER.info("%s: %s", address, plan.text)
        _Pool(ray, tasks, recipe, plan, listener, (probe, token)).run(stop)


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker and what is going on with it; `awaited` is what its conversation waits for."""

    actor: Any
    awaited: Any
    hired_s: float
    greeting: Greeting | None = None
    talk: Track | Choose | None = None
    task: Task | None = None
    begun: bool = False
    news: Any = None
    asked_s: float = 0.0

    @property
    def node(self) -> str:
        return self.greeting.node if self.greeting else "a node of the cluster"


class _Pool:
    """The workers, the inputs that wait, and what becomes of both."""

    def __init__(
        self,
        ray: RayModule,
        tasks: Sequence[Task],
        recipe: Recipe,
        plan: Plan,
        listener: Listener,
        probe: tuple[Path, str],
    ) -> None:
        self._ray, self._plan, self._listener, self._probe = ray, plan, listener, probe
        self._waiting = deque(tasks)
        self._recipe = recipe
        self._threads = recipe.asked.estimator.threads or plan.threads
        self._chosen = bool(recipe.choice) or recipe.asked.estimator.mode != "auto"
        if self._chosen:
            self._follow(recipe.choice)
        self._environment = describe_environment()
        self._level = logging.getLogger(PACKAGES[0]).getEffectiveLevel()
        self._attempts: dict[int, int] = {}
        self._spares = MAX_ATTEMPTS  # In the place of workers that are lost without an input.
        self._refusal: SteadyPoseError | None = None
        self._warned: set[str] = set()
        self._stopping = False
        self._workers: list[_Worker] = []

    def run(self, stop: Stop) -> None:
        """Do all inputs."""
        patience_s = 0.0
        try:
            for _ in range(min(self._plan.count, len(self._waiting))):
                self._hire()
            while self._waiting or any(worker.task for worker in self._workers):
                if stop.requested and not self._stopping:
                    self._stop()
                    continue
                self._give_up_where_nobody_is_left()
                self._ask_for_news()
                self._listen()
            patience_s = CLOSE_S
        finally:
            self._dismiss(patience_s)

    def _hire(self) -> None:
        actor = self._plan.hire(ClusterWorker, self._level, self._threads)
        awaited = actor.greet.remote(self._recipe, *self._probe)
        self._workers.append(_Worker(actor, awaited, time.monotonic()))

    def _stop(self) -> None:
        self._stopping = True
        self._waiting.clear()
        for worker in self._workers:
            if worker.task is not None:
                worker.actor.stop.remote()

    def _ask_for_news(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.task is not None and worker.news is None and now - worker.asked_s >= NEWS_S:
                worker.news, worker.asked_s = worker.actor.news.remote(), now

    def _listen(self) -> None:
        """Wait for something to come, and take all that came."""
        by_ref: dict[Any, _Worker] = {}
        for worker in self._workers:
            by_ref |= {ref: worker for ref in (worker.awaited, worker.news) if ref is not None}
        refs = list(by_ref)
        if not refs:
            return
        self._ray.wait(refs, num_returns=1, timeout=LOOK_S)
        for ref in self._ray.wait(refs, num_returns=len(refs), timeout=0)[0]:
            worker = by_ref[ref]
            if worker in self._workers:
                self._hear(worker, ref)

    def _hear(self, worker: _Worker, ref: Any) -> None:
        try:
            value = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            self._hear_defect(worker, ref, error)
            return
        except self._ray.exceptions.RayError as error:
            self._lose(worker, ray_line(error))
            return
        if ref == worker.news:
            worker.news = None
            self._tell(worker, value)
        elif worker.greeting is None:
            self._meet(worker, value)
        else:
            self._go_on(worker, value)

    def _hear_defect(self, worker: _Worker, ref: Any, error: Exception) -> None:
        """Take note of an error that a method of a worker raised: it ends one input, not the night."""
        task = worker.task
        LOGGER.debug("on %s", worker.node, exc_info=error)
        if ref == worker.news:
            worker.news = None
        elif task is None:
            self._refuse(worker, UsageError(f"{worker.node} cannot do the work: {ray_line(error)}"))
        else:
            line = f"{task.item.label}: unexpected on {worker.node}: {ray_line(error)}; -vv shows where"
            self._end(worker, Outcome(task.key, "failed", error=line))

    def _meet(self, worker: _Worker, greeting: Greeting) -> None:
        """Take a worker in, or not."""
        worker.greeting, worker.awaited = greeting, None
        ours, theirs = self._environment, greeting.environment
        other = [name for name in MUST_AGREE if ours[name] != theirs.get(name)]
        if other or greeting.problem:
            differs = "; ".join(f"{name} is {theirs.get(name)}, here it is {ours[name]}" for name in other)
            why = f"has another environment: {differs}" if other else greeting.problem
            remedy = (
                "install the same SteadyPose on every node" if other else "give every node the same models"
            )
            self._refuse(worker, UsageError(f"node {greeting.node} {why}; {remedy}"))
            return
        differing = [
            f"{name} {theirs.get(name)} (here {ours[name]})"
            for name in ours
            if ours[name] != theirs.get(name)
        ]
        if differing:
            self._warn(
                f"node {greeting.node} has {', '.join(differing)}: its results may differ in last digits"
            )
        if not greeting.sees_out:
            self._warn(
                f"node {greeting.node} does not see the output folder; its results are sent back",
                logging.INFO,
            )
        self._give(worker)

    def _warn(self, line: str, level: int = logging.WARNING) -> None:
        """Say something once, however many workers a node has."""
        if line not in self._warned:
            self._warned.add(line)
            LOGGER.log(level, "%s", line)

    def _give(self, worker: _Worker) -> None:
        """Hand a worker the next input; or first of all, let one choose for all."""
        worker.task, worker.begun, worker.talk, worker.awaited = None, False, None, None
        if not self._waiting or self._stopping:
            return
        if not self._chosen:
            if not any(other.talk for other in self._workers):
                self._begin(worker, choose_on(worker.actor, list(self._waiting), self._to_measure()))
            return
        worker.task = self._waiting.popleft()
        key = worker.task.key
        self._attempts[key] = self._attempts.get(key, 0) + 1
        send_back = worker.greeting is None or not worker.greeting.sees_out
        self._begin(worker, track_on(worker.actor, worker.task, self._recipe, send_back=send_back))

    def _begin(self, worker: _Worker, talk: Track | Choose) -> None:
        worker.talk = talk
        self._go_on(worker, None)

    def _go_on(self, worker: _Worker, value: Any) -> None:
        """Send a conversation what came; where it is over, take what came of it."""
        talk, task = worker.talk, worker.task
        if talk is None:
            return
        try:
            worker.awaited = talk.send(value)
        except StopIteration as ended:
            if task is None:
                self._take_choice(worker, ended.value)
            else:
                self._take_outcome(worker, *ended.value)
        except (SourceError, SinkError) as error:
            if task is None:
                raise
            name = task.item.label
            text = str(error) if name in str(error) else f"{name}: {error}"
            self._end(worker, Outcome(task.key, "failed", error=text))

    def _take_choice(self, worker: _Worker, choice: Mapping[str, Any] | Fatal) -> None:
        worker.talk, worker.awaited = None, None
        if isinstance(choice, Fatal):
            self._refuse_fatal(worker, choice)
            return
        self._chosen = True
        self._follow({**choice, THREADS: self._threads} if choice else {})
        self._wake_idle()

    def _take_outcome(self, worker: _Worker, outcome: Outcome | Fatal, news: News | None) -> None:
        if isinstance(outcome, Fatal):
            self._refuse_fatal(worker, outcome)
            return
        if news is not None:
            self._tell(worker, news)
        self._end(worker, outcome)

    def _refuse_fatal(self, worker: _Worker, fatal: Fatal) -> None:
        self._refuse(worker, fatal.kind(f"node {worker.node}: {fatal.message}"))

    def _end(self, worker: _Worker, outcome: Outcome) -> None:
        if worker.task is not None:
            self._listener.finish(worker.task, outcome)
        self._give(worker)

    def _tell(self, worker: _Worker, news: News) -> None:
        """Pass on how far a worker is, and what it has to say."""
        for line in news.log:
            logging.getLogger(line.logger).log(line.level, "%s: %s", worker.node, line.message)
        task = worker.task
        if task is None or news.key != task.key or not news.begun:
            return
        if not worker.begun:
            worker.begun = True
            self._listener.begin(task, news.total)
        self._listener.advance(task, news.frames, news.people)
        if news.step is not None:
            self._listener.second_pass(task, news.step, news.share)

    def _refuse(self, worker: _Worker, error: SteadyPoseError) -> None:
        """Do without a worker that cannot do the work; another one takes its input."""
        self._refusal = error
        self._warn(f"{error}; the others go on")
        if worker.task is not None:
            self._attempts[worker.task.key] -= 1
            self._waiting.appendleft(worker.task)
        self._let_go(worker)

    def _lose(self, worker: _Worker, why: str) -> None:
        """Put another in the place of a worker that is gone; its input is done again."""
        task = worker.task
        self._let_go(worker)
        if worker.greeting is None:
            self._refusal = UsageError(f"a worker of the cluster did not start: {why}")
            return
        if task is None:
            self._spares -= 1
        if task is not None and self._stopping:
            self._listener.finish(task, Outcome(task.key, "interrupted"))
        elif task is not None and self._attempts[task.key] >= MAX_ATTEMPTS:
            times = f"{MAX_ATTEMPTS} times, at last on {worker.node}"
            error = f"{task.item.label}: its worker was lost {times}: {why}"
            self._listener.finish(task, Outcome(task.key, "failed", error=error))
        elif task is not None:
            LOGGER.warning(
                "%s: its worker on %s was lost (%s); it is done again", task.item.label, worker.node, why
            )
            # What the lost one had begun may be replaced, and nothing else was there.
            self._waiting.appendleft(replace(task, replace=True))
        if self._waiting and self._spares > 0:
            self._hire()
        self._wake_idle()

    def _let_go(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if worker.talk is not None:
            worker.talk.close()
        self._ray.kill(worker.actor)
        worker.task = None

    def _wake_idle(self) -> None:
        """Give what waits to those who have nothing to do."""
        for worker in self._workers:
            if worker.greeting is not None and worker.talk is None:
                self._give(worker)

    def _give_up_where_nobody_is_left(self) -> None:
        """Fail what waits where no worker is left, or the cluster has none to give.

        Raises:
            SteadyPoseError: nothing was done at all.
        """
        self._wake_idle()
        if any(worker.greeting for worker in self._workers):
            return
        longest_s = max((time.monotonic() - worker.hired_s for worker in self._workers), default=START_S)
        if longest_s < START_S:
            return
        error = self._refusal or UsageError(
            f"the cluster started no worker within {START_S:g} s ({self._plan.text}); `ray status` shows "
            "what is free"
        )
        if not any(self._attempts.values()):
            raise error
        while self._waiting:
            task = self._waiting.popleft()
            line = f"{task.item.label}: no worker is left: {error}"
            self._listener.finish(task, Outcome(task.key, "failed", error=line))

    def _dismiss(self, patience_s: float) -> None:
        """See the workers off; killed where that takes too long."""
        if patience_s and self._workers:
            greeted = [worker.actor.close.remote() for worker in self._workers if worker.greeting]
            if greeted:
                self._ray.wait(greeted, num_returns=len(greeted), timeout=patience_s)
        for worker in list(self._workers):
            self._let_go(worker)

    def _follow(self, choice: Mapping[str, Any]) -> None:
        self._recipe = with_earlier(self._recipe, {THREADS: self._threads, **choice})

    def _to_measure(self) -> Recipe:
        """Return the recipe with as many threads as each worker will have."""
        asked = self._recipe.asked
        estimator = asked.estimator.model_copy(update={THREADS: self._threads})
        return replace(self._recipe, asked=asked.model_copy(update={"estimator": estimator}))
