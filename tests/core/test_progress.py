"""The line that says how far a job is: anew on a terminal, now and then elsewhere."""

import io
import logging
import re

import pytest

from forkpipe.core import progress
from forkpipe.core.records import Completion
from forkpipe.generation.meter import Meter
from forkpipe.parameters import TeacherSettings


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_shows_one_line_and_makes_room_for_log_lines(monkeypatch, clock, caplog):
    caplog.set_level(logging.INFO, logger="forkpipe")
    screen = Screen()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    handler = logging.StreamHandler(screen)
    logging.getLogger().addHandler(handler)
    try:
        line = progress.StatusLine()
        for second, said in ((0.1, "too soon"), (0.3, "one"), (0.6, "two")):
            clock[0] = second
            line.show(lambda said=said: said)
        logging.getLogger("other").warning("a warning")
        line.close("the end")
        logging.getLogger("other").warning("later")
    finally:
        logging.getLogger().removeHandler(handler)
    new = "\r\x1b[2K"
    shown = re.sub(r"(\r\x1b\[2K)+", new, screen.getvalue())  # every handler makes room, the test's own too
    assert shown == f"{new}one{new}two{new}a warning\n{new}the end\nlater\n"


def test_jobs_side_by_side_share_the_line_of_a_terminal_which_is_not_wrapped(monkeypatch, clock):
    screen = Screen()
    monkeypatch.setattr(progress.sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "20")
    first, second = progress.StatusLine(), progress.StatusLine()
    clock[0] = 1.0
    first.show(lambda: "first 1 of 9")
    second.show(lambda: "second 1 of 9")
    first.close("the first has ended")
    clock[0] = 2.0
    second.show(lambda: "second 2 of 9")
    second.close("the second has ended")
    assert [one for one in screen.getvalue().split(progress.CLEAR) if one] == [
        "first 1 of 9",
        "first 1 of 9 | seco",
        "second 2 of 9",
    ]


def test_elsewhere_it_is_a_log_line_every_few_seconds(clock, caplog):
    with caplog.at_level(logging.INFO, logger="forkpipe"):
        line = progress.StatusLine()
        for second in range(12):
            clock[0] = float(second)
            line.show(lambda second=second: f"at {second}")
        line.close("the end")
    assert caplog.messages == ["at 5", "at 10", "the end"]


def test_a_teacher_is_said_by_done_failed_speed_and_price(caplog, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("forkpipe.generation.meter.time.monotonic", lambda: now[0])
    teacher = TeacherSettings.model_validate({"engine": "test", "price": {"input": 1, "output": 10}})
    with caplog.at_level(logging.INFO, logger="forkpipe"):
        meter = Meter("t", teacher, 4)
        now[0] = 10.0
        meter.count(Completion("a", tokens_in=1000, tokens_out=5000))
        now[0] = 20.0
        meter.count(Completion("b", finish_reason="error", error="x"))
        meter.close()
    assert caplog.messages == [
        "teacher t: 1 of 4 answered, 0 failed, 500 tokens/s, price 0.051, about 30 s left",
        "teacher t: 2 of 4 answered, 1 failed, 250 tokens/s, price 0.051, about 20 s left, last error: x",
        "teacher t: 2 of 4 answered, 1 failed, 250 tokens/s, price 0.051, in 20 s, last error: x",
    ]


def left(bar, clock, at, done):
    clock[0] = at
    return bar.seconds_left(done, at - bar.started)


def test_only_the_work_of_this_run_counts_for_the_time_left(clock):
    """900 of 1000 were there before; 50 more in 10 s: 50 are left, 10 s."""
    bar = progress.Progress("x", 1000, unit="units", done=900)
    assert left(bar, clock, 5.0, 900) is None  # nothing done yet
    assert left(bar, clock, 10.0, 950) == 10
    assert left(bar, clock, 20.0, 1000) is None


def test_a_training_that_goes_on_counts_from_its_step_and_not_from_its_setting_up(clock):
    from types import SimpleNamespace

    from forkpipe.training.jobs import MetricCallback

    bar = progress.Progress("x", 100, unit="steps")
    clock[0] = 60.0  # loading, tokenising
    MetricCallback(bar, "loss").on_train_begin(None, SimpleNamespace(global_step=80), None)
    assert left(bar, clock, 70.0, 90) == 10


def test_units_of_known_size_are_weighted_by_it(clock):
    """Sizes 1, 1, 8: after two units 2 of 10 are done in 4 s, and 8 are left, 16 s."""
    bar = progress.Progress("x", 3, unit="units", sizes=[1, 1, 8])
    assert left(bar, clock, 4.0, 2) == 16
    resumed = progress.Progress("x", 3, unit="units", sizes=[6, 1, 2], done=1)
    assert left(resumed, clock, 7.0, 2) == 6  # 3 s for 1, so 6 s for 2


def test_the_line_says_the_time_left(clock, caplog):
    with caplog.at_level(logging.INFO, logger="forkpipe"):
        bar = progress.Progress("job", 10, unit="units", done=4)
        clock[0] = 6.0
        bar.update(7)
        clock[0] = 12.0
        bar.update(10)
    assert caplog.messages == ["job: 7 of 10 units in 6 s, about 6 s left", "job: 10 of 10 units in 12 s"]
