"""Verdicts that were given before are not given again, and all are what they would be from scratch."""

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.parameters import ParallelSettings, VerificationSettings
from forkpipe.stores.results import ResultStore
from forkpipe.verification import kept
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.kept import Verifying, shared, verdicts_of
from forkpipe.verification.row_verifier import RowVerifier

ALONE = ParallelSettings(workers=1)
SETTINGS = VerificationSettings(
    verifiers={"text": "exact", "own": "test_kept_verdicts:Counting"},
    options={"test_kept_verdicts:Counting": {"strict": True}},
)
asked = []


class Counting:
    """Says "correct" where gold answer and response agree, "timeout" where it is told to."""

    name = "counting"
    version = "1"

    def __init__(self, strict=False, workers=8):
        self.workers = workers

    def verify(self, gold, responses, truncated):
        asked.extend(responses)
        same = zip(gold, responses, truncated, strict=True)
        return [
            Verdict("truncated" if cut else "timeout" if r == "slow" else "correct" if g == r else "wrong", r)
            for g, r, cut in same
        ]

    def check_gold(self, golds):
        return [True] * len(golds)

    def close(self):
        pass


PROBLEMS = [
    [ResponseRow("own", "5", "5", "done", "stop"), ResponseRow("own", "5", "6", "done", "stop")],
    [ResponseRow("text", "a", "<answer>a</answer>", "done", "stop"), ResponseRow("text", "a", "", "failed", "error")],
    [ResponseRow("own", "7", "slow", "done", "stop"), ResponseRow("own", "7", "7", "done", "length")],
]
OWN = ["5", "6", "slow", "7"]


def verify(store, problems=PROBLEMS, settings=SETTINGS):
    del asked[:]
    total = sum(map(len, problems))
    return list(verdicts_of(problems, total, settings.model_copy(update={"max_unscored": 1.0}), ALONE, store))


def test_a_second_run_asks_for_what_came_to_no_end_and_gives_the_same(tmp_path):
    with RowVerifier(SETTINGS.model_copy(update={"max_unscored": 1.0})) as verifier:
        scratch = [verifier.verify(rows) for rows in PROBLEMS]
    store = ResultStore(tmp_path / "s")
    assert verify(None) == verify(store) == scratch
    assert asked == OWN
    assert verify(store) == scratch
    assert asked == ["slow", "7"]  # a time-out is tried again, and a cut response costs nothing


def test_more_rows_cost_only_themselves(tmp_path):
    store = ResultStore(tmp_path / "s")
    verify(store)
    verify(store, [[*PROBLEMS[0], ResponseRow("own", "5", "55", "done", "stop")]])
    assert asked == ["55"]


@pytest.mark.parametrize("change", ["version", "options", "source"])
def test_another_version_other_options_and_other_code_are_asked_anew(tmp_path, monkeypatch, change):
    store = ResultStore(tmp_path / "s")
    verify(store)
    if change == "version":
        monkeypatch.setattr(Counting, "version", "2")
    if change == "source":
        monkeypatch.setattr(kept, "source_digest", lambda kind: "other")
    options = {"test_kept_verdicts:Counting": {"strict": change != "options", "workers": 3}}
    verify(store, settings=SETTINGS.model_copy(update={"options": options}))
    assert asked == OWN


def test_the_number_of_workers_changes_no_key(tmp_path):
    store = ResultStore(tmp_path / "s")
    verify(store)
    verify(
        store,
        settings=SETTINGS.model_copy(
            update={"options": {"test_kept_verdicts:Counting": {"strict": True, "workers": 1}}}
        ),
    )
    assert "5" not in asked


def test_what_was_verified_before_an_error_is_kept(tmp_path):
    store = ResultStore(tmp_path / "s")
    unknown = [ResponseRow("unknown", "5", "5", "done", "stop")]
    with pytest.raises(InputError, match="no verifier for answer type 'unknown'"):
        verify(store, [PROBLEMS[0], unknown])
    verify(store, PROBLEMS[:1])
    assert asked == []


def test_too_many_verdicts_that_say_nothing_end_the_run():
    silent = [[ResponseRow("text", "a", "", "failed", "error")]] * 40
    with pytest.raises(InputError, match=r"of 40 verdicts say nothing"):
        list(verdicts_of(silent, 40, SETTINGS, ALONE, None))


def test_processes_share_the_workers_that_verifiers_start():
    assert shared(SETTINGS, 4).options["test_kept_verdicts:Counting"]["workers"] == 2
    assert shared(SETTINGS, 100).options["test_kept_verdicts:Counting"]["workers"] == 1
    made, arguments = Verifying(SETTINGS, 4).__reduce__()
    assert made(*arguments).settings.options["test_kept_verdicts:Counting"]["workers"] == 2
