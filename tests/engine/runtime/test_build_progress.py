import signal
import threading
import time

import pytest

from engine.runtime.build_progress import BuildProgress, run_cancellable


def test_phases_within_steps_add_up() -> None:
    seen: list[float] = []
    progress = BuildProgress(lambda share, what: seen.append(share))
    progress.start_phase("Building", None, 2)
    progress.start_phase("Timing", "Building", 4)
    for step in range(4):
        assert progress.finish_step("Timing", step)
        progress.look()
    progress.finish_phase("Timing")
    progress.finish_step("Building", 0)
    progress.start_phase("Packing", "Building", 2)
    progress.finish_step("Packing", 0)
    progress.look()
    assert seen == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.75])


def test_the_share_never_falls_and_stays_within_one() -> None:
    seen: list[float] = []
    progress = BuildProgress(lambda share, what: seen.append(share))
    progress.say(0.5, "calibrating")
    for _ in range(2):  # a second build, as of another profile, begins at nothing again
        progress.start_phase("Building", None, 1)
        progress.look()
        progress.finish_step("Building", 0)
        progress.finish_step("Building", 7)  # more steps than announced
        progress.look()
        progress.finish_phase("Building")
    progress.finish_step("never begun", 0)
    progress.say(0.2, "late")
    assert seen == sorted(seen) and seen[0] == 0.5 and seen[-1] == 1.0


def test_results_and_errors_come_back_from_the_thread() -> None:
    assert run_cancellable(lambda: 7, BuildProgress()) == 7
    with pytest.raises(ValueError, match="no"):
        run_cancellable(lambda: int("no"), BuildProgress())


def busy_until_cancelled(progress: BuildProgress) -> str:
    progress.start_phase("Building", None, 1000)
    step = 0
    while progress.finish_step("Building", step):
        time.sleep(0.01)
        step += 1
    return "cancelled"


def test_whoever_watches_can_end_the_build_by_raising() -> None:
    class EnoughError(Exception):
        pass

    def watch(share: float, what: str) -> None:
        raise EnoughError

    progress = BuildProgress(watch)
    with pytest.raises(EnoughError):
        run_cancellable(lambda: busy_until_cancelled(progress), progress)
    assert progress.cancelled
    assert not [thread for thread in threading.enumerate() if thread.name == "plan-build"]


def test_ctrl_c_ends_the_build_at_its_next_step() -> None:
    progress = BuildProgress()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_cancellable(lambda: busy_until_cancelled(progress), progress)
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert not [thread for thread in threading.enumerate() if thread.name == "plan-build"]
