import signal
import threading

import pytest

from train.stopping import RunStopped, StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_ends_the_run(number: signal.Signals) -> None:
    with StopRequest() as stop:
        assert stop.signal_number == 0
        signal.raise_signal(number)
        assert stop.signal_number == number
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_the_handlers_that_were_there_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_outside_the_main_thread_no_handler_is_set() -> None:
    noted: list[int] = []

    def enter() -> None:
        with StopRequest() as stop:
            noted.append(stop.signal_number)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert noted == [0]


def test_a_stopped_run_has_the_exit_code_of_its_signal() -> None:
    assert RunStopped("stopped", signal.SIGINT).exit_code == 130
    assert RunStopped("stopped", signal.SIGTERM).exit_code == 143
