"""The line that says how far a job is: anew on a terminal, now and then elsewhere."""

import io
import logging
import re

import pytest

from forkpipe import progress


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


def test_elsewhere_it_is_a_log_line_every_few_seconds(clock, caplog):
    with caplog.at_level(logging.INFO, logger="forkpipe"):
        line = progress.StatusLine()
        for second in range(12):
            clock[0] = float(second)
            line.show(lambda second=second: f"at {second}")
        line.close("the end")
    assert caplog.messages == ["at 5", "at 10", "the end"]
