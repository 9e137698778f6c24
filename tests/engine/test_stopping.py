import signal
import threading

import pytest

from engine.stopping import RunStopped, StopRequest


@pytest.mark.parametrize(
    ("number", "code", "reason"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_the_first_signal_is_noted_and_nothing_is_thrown(
    number: signal.Signals, code: int, reason: str
) -> None:
    with StopRequest() as stop:
        assert (stop.requested, stop.signal_number, stop.exit_code) == (False, 0, 0)
        signal.raise_signal(number)
        assert stop.requested
    assert (stop.signal_number, stop.exit_code, stop.reason) == (number, code, reason)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_interrupts_at_once(number: signal.Signals) -> None:
    with StopRequest() as stop:
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.exit_code == 128 + number


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before[0]
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_no_handler_is_set() -> None:
    before = signal.getsignal(signal.SIGINT)
    noted: list[object] = []

    def enter() -> None:
        with StopRequest() as stop:
            noted.extend((stop.requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert noted == [False, before]


def test_a_stopped_run_has_the_exit_code_of_its_signal() -> None:
    assert RunStopped("stopped", signal.SIGINT).exit_code == 130
    assert RunStopped("stopped", signal.SIGTERM).exit_code == 143
