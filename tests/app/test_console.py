import io
import logging

import pytest
from rich.console import Console

from app.console import configure_logging, duration


@pytest.fixture
def console():
    console = Console(file=io.StringIO(), soft_wrap=True, markup=False, highlight=False, width=40)
    yield console
    for name in ("app", "engine"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)


def log_all_levels(console, verbosity):
    configure_logging(console, verbosity)
    logger = logging.getLogger("engine.anything")
    for level in ("debug", "info", "warning", "error"):
        getattr(logger, level)("a %s with [brackets] that is longer than the console is wide", level)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("verbosity", "lines"), [(-1, 1), (0, 2), (1, 3), (2, 4), (5, 4)])
def test_verbosity_decides_how_much_of_the_log_is_shown(console, verbosity, lines):
    shown = log_all_levels(console, verbosity)
    assert len(shown) == lines
    assert shown[-1] == "error: a error with [brackets] that is longer than the console is wide"


@pytest.mark.parametrize(("verbosity", "shown"), [(0, False), (2, True)])
def test_tracebacks_need_to_be_asked_for(console, verbosity, shown):
    configure_logging(console, verbosity)
    try:
        raise ZeroDivisionError("nought")
    except ZeroDivisionError:
        logging.getLogger("app").exception("it failed")
    text = console.file.getvalue()
    assert "error: it failed" in text
    assert ("Traceback" in text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")]
)
def test_durations_read_like_a_clock(seconds, text):
    assert duration(seconds) == text
