import io

import pytest
from rich.console import Console

from app.progress import (
    PLAIN_INTERVAL_S,
    BarReporter,
    PlainReporter,
    RateMeter,
    SilentReporter,
    Whole,
    make_reporter,
    progress_text,
)


class FakeClock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def plain_console(terminal=False):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, soft_wrap=True)


def test_the_line_tells_frames_share_rate_people_and_time_left():
    assert progress_text(150, 600, 30.0, 2) == "150/600 frames (25 %), 30.0 fps, 2 people, ETA 0:15"


def test_one_person_is_not_people():
    assert "1 person" in progress_text(1, None, 10.0, 1)


@pytest.mark.parametrize("total", [None, 90])
def test_without_a_true_total_there_is_no_share_and_no_time_left(total):
    assert progress_text(100, total, 25.0, 0) == "100 frames, 25.0 fps, 0 people"


def test_the_rate_forgets_a_slow_start():
    clock = FakeClock()
    meter = RateMeter(clock)
    clock.now += 5.0
    meter.update(10)
    for tenth in range(1, 41):
        clock.now += 0.1
        rate = meter.update(10 + 3 * tenth)
    assert rate == pytest.approx(30.0)


def test_plain_progress_writes_one_line_per_interval_and_no_control_codes():
    clock, console = FakeClock(), plain_console()
    with PlainReporter(console, clock) as reporter:
        reporter.start("clip.mp4", 1000)
        for frame in range(1, 1001):
            clock.now += PLAIN_INTERVAL_S / 400
            reporter.advance(frame, 2)
        reporter.finish()
    text = console.file.getvalue()
    assert text.splitlines()[0].startswith("clip.mp4: 400/1000 frames (40 %), 40.0 fps, 2 people, ETA 0:15")
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text and "\r" not in text


def test_a_bar_shows_name_and_numbers_and_leaves_nothing_behind():
    clock, console = FakeClock(), plain_console(terminal=True)
    with BarReporter(console, clock) as reporter:
        reporter.start("[bold].mp4", None)
        for frame in range(1, 100):
            clock.now += 0.05
            reporter.advance(frame, 3)
        reporter._progress.refresh()
        drawn = console.file.getvalue()
        reporter.finish()
        console.print("after")
    text = console.file.getvalue()
    assert text.startswith(drawn) and "[bold].mp4" not in text[text.rindex("after") :]
    assert "[bold].mp4" in text
    assert "20.0 fps" in text and "3 people" in text


def test_a_bar_fits_one_line_of_a_narrow_terminal_and_keeps_the_end_of_a_long_name():
    clock = FakeClock()
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with BarReporter(console, clock) as reporter:
        reporter.start("recordings/monday/camera-3-afternoon.mp4", 18000)
        clock.now += 1
        reporter.advance(17960, 12)
        reporter._progress.refresh()
        text = console.file.getvalue()
    assert "…era-3-afternoon.mp4 " in text and "12 people, ETA" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("terminal", "verbosity", "kind"),
    [
        (True, 0, BarReporter),
        (False, 0, PlainReporter),
        (True, -1, SilentReporter),
        (False, 1, PlainReporter),
    ],
)
def test_the_reporter_fits_the_terminal_and_the_loudness(terminal, verbosity, kind):
    assert type(make_reporter(plain_console(terminal), verbosity)) is kind


def test_several_inputs_at_work_have_a_line_each_that_ends_with_the_whole():
    clock, console = FakeClock(), plain_console()
    with PlainReporter(console, clock) as reporter:
        reporter.expect({0: 100, 1: 300})
        reporter.start("a.mp4", 10, 0)
        reporter.start("b.mp4", 20, 1)
        reporter.advance(10, 1, 0)
        reporter.finish(0)
        clock.now += PLAIN_INTERVAL_S
        reporter.advance(10, 2, 1)
    text = console.file.getvalue()
    assert text.splitlines() == [
        "b.mp4: 10/20 frames (50 %), 1.0 fps, 2 people, ETA 0:10; all: 1/2 files (62 %), ETA 0:06"
    ]


def test_an_input_that_failed_at_once_counts_as_over():
    whole = Whole(FakeClock())
    whole.expect({0: 100, 1: 100})
    whole.finish(0)
    assert (whole.share, whole.text()) == (0.5, "1/2 files (50 %)")


def test_bars_of_several_inputs_stand_above_one_of_all():
    clock, console = FakeClock(), plain_console(terminal=True)
    with BarReporter(console, clock) as reporter:
        reporter.expect({0: 100, 1: 100})
        reporter.start("a.mp4", 10, 0)
        reporter.start("b.mp4", 10, 1)
        clock.now += 1
        reporter.advance(5, 1, 0)
        reporter._progress.refresh()
        drawn = console.file.getvalue()
        reporter.finish(0)
        assert [task.description for task in reporter._progress.tasks] == ["b.mp4", "all"]
        reporter.finish(1)
    last = drawn[drawn.rindex("a.mp4") :]
    assert "5/10 frames" in last and last.index("b.mp4") < last.index("0/2 files (25 %)")


def test_a_second_pass_is_named_with_its_share_and_time_left_in_plain_lines():
    clock, console = FakeClock(), plain_console()
    with PlainReporter(console, clock) as reporter:
        reporter.expect({0: 100, 1: 100}, second_share=0.1)
        reporter.start("a.mp4", 10)
        reporter.advance(10, 1)
        reporter.second_pass("smoothing", 0.0)
        clock.now += PLAIN_INTERVAL_S
        reporter.second_pass("smoothing", 0.5)
        reporter.second_pass("writing", 0.0)
        clock.now += PLAIN_INTERVAL_S
        reporter.second_pass("writing", 0.25)
    assert console.file.getvalue().splitlines() == [
        "a.mp4: smoothing again (50 %), ETA 0:10; all: 0/2 files (46 %), ETA 0:12",
        "a.mp4: writing again (25 %), ETA 0:30; all: 0/2 files (48 %), ETA 0:22",
    ]


def test_the_bar_runs_again_in_the_second_pass_and_the_whole_is_not_full_before_it():
    clock, console = FakeClock(), plain_console(terminal=True)
    with BarReporter(console, clock) as reporter:
        reporter.expect({0: 100, 1: 100}, second_share=0.1)
        reporter.start("a.mp4", 10, 0)
        reporter.start("b.mp4", 10, 1)
        reporter.advance(10, 1, 0)
        reporter.second_pass("smoothing", 0.0, 0)
        bar, _, whole = reporter._progress.tasks
        assert (bar.percentage, bar.fields["text"]) == (0, "smoothing again (0 %)"), "a step is shown at once"
        assert whole.fields["text"].startswith("0/2 files (45 %)")
        clock.now += 1
        reporter.second_pass("writing", 0.5, 0)
        assert (bar.percentage, bar.fields["text"]) == (50, "writing again (50 %)")


def test_an_input_that_is_begun_again_has_one_bar():
    with BarReporter(plain_console(terminal=True), FakeClock()) as reporter:
        reporter.start("a.mp4", 10)
        reporter.start("a.mp4", 10)
        assert len(reporter._progress.tasks) == 1
