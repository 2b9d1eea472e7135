"""A judge at a server that fails, and comparisons that raise: none of it ends as a wrong answer."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.parameters import JudgeSettings, VerificationSettings
from forkpipe.verification import math_reading
from forkpipe.verification.answers import Answer
from forkpipe.verification.compare import compare
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.math import verdict_of
from forkpipe.verification.reasoning_gym import score
from forkpipe.verification.row_verifier import RowVerifier
from forkpipe.verification.rules.base import Guard

sys.path.append(str(Path(__file__).parents[1] / "engines"))

from fault_server import Body, FaultServer

ROWS = [
    ResponseRow("math", "odd prime", "\\boxed{prime odd}", "done", "stop"),
    ResponseRow("math", "odd prime", "\\boxed{even}", "done", "stop"),
    ResponseRow("integer", "4", "\\boxed{4}", "done", "stop"),
]


def says(word: str, finish_reason: str = "stop") -> Callable[[Body, Body], None]:
    def reply(reply: Body, body: Body) -> None:
        swapped = "prime odd" in body["messages"][-1]["content"]
        reply["choices"][0] |= {
            "message": {"role": "assistant", "content": word if swapped else "DIFFERENT"},
            "finish_reason": finish_reason,
        }

    return reply


def judged(server: FaultServer, cache: Path | None = None, *, reward: bool = False) -> list[tuple[str, str, object]]:
    options = {"model": "m", "base_url": server.url, "attempts": 1, "backoff": 0.01}
    judge = JudgeSettings(engine="openai", options=options, cache=cache and str(cache), in_rewards=True)
    with RowVerifier(VerificationSettings(judge=judge), reward=reward) as verifier:
        return [(row["verdict"], row["rule"], row["detail"]) for row in verifier.verify(ROWS)]


@pytest.mark.parametrize("reward", [False, True])
def test_a_judge_that_fails_stops_the_run_and_is_asked_for_the_rest_only(tmp_path: Path, reward: bool) -> None:
    well = False

    def fault(number: int, body: Body) -> str | None:
        return "500" if not well and "even" in body["messages"][-1]["content"] else None

    with FaultServer(fault=fault, reply=says("EQUAL")) as server:
        with pytest.raises(InputError) as raised:
            judged(server, tmp_path / "judged.jsonl", reward=reward)
        message = str(raised.value)
        assert message.startswith("verification.judge: engine 'openai' answered 2 of 4 questions, expected all")
        assert "told to fail" in message
        assert message.endswith("what was answered is kept, and the same command asks for the other 2")
        assert server.served == 6  # what failed was sent twice
        well = True
        verdicts = judged(server, tmp_path / "judged.jsonl", reward=reward)
        assert server.served == 8
    assert verdicts == [("correct", "judge", None), ("wrong", "math-verify", None), ("correct", "number", None)]


def test_without_a_cache_the_message_says_that_nothing_is_kept() -> None:
    with (
        FaultServer(fault=lambda number, body: "500") as server,
        pytest.raises(InputError, match="no file keeps what was answered, and the same command asks for all of them"),
    ):
        judged(server)


def test_a_refused_question_leaves_the_verdict_of_the_rules_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def fault(number: int, body: Body) -> str | None:
        return "400" if "prime odd" in body["messages"][-1]["content"] else None

    with FaultServer(fault=fault, reply=says("EQUAL")) as server:
        verdicts = judged(server)
    verdict, rule, detail = verdicts[0]
    assert (verdict, rule) == ("wrong", "math-verify")
    assert json.loads(str(detail))["judge"].startswith("refused: ")
    assert verdicts[1] == ("wrong", "math-verify", None)
    assert "refused 2 of 4 questions" in caplog.text


def test_a_judge_that_is_cut_leaves_the_verdict_of_the_rules_and_says_why() -> None:
    with FaultServer(reply=says("EQUAL", "length")) as server:
        verdicts = judged(server)
    assert [(verdict, rule) for verdict, rule, _ in verdicts[:2]] == [("wrong", "math-verify")] * 2
    assert json.loads(str(verdicts[0][2])) == {"judge": "cut by the token limit"}


def test_a_key_that_is_refused_stops_at_once() -> None:
    with FaultServer(fault=lambda number, body: "401") as server, pytest.raises(InputError, match="401"):
        judged(server)


def test_a_comparison_that_raises_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(gold: str, prediction: str) -> bool:
        raise RecursionError

    monkeypatch.setattr(math_reading, "equal", broken)
    finding = compare("x + 1", "x + 2")
    assert finding == ("raised", "raised")
    assert verdict_of(finding, Answer("x + 2", "box")) == Verdict("timeout", "x + 2", "raised", "box")
    assert compare("x > 3", r"(3, \infty)").name == "equal"  # what a rule settles is settled


def test_a_scorer_that_raises_gives_no_score_of_0(monkeypatch: pytest.MonkeyPatch) -> None:
    gym = types.ModuleType("reasoning_gym")
    scorer: Callable[[str, object], float] = lambda answer, entry: float(answer)  # noqa: E731
    monkeypatch.setattr(gym, "get_score_answer_fn", lambda name: scorer, raising=False)
    monkeypatch.setitem(sys.modules, "reasoning_gym", gym)
    entry = json.dumps({"question": "?", "answer": "1", "metadata": {"source_dataset": "sums"}})
    assert score(entry, "0.5") == ("score", "0.5")
    assert score(entry, "[half") == ("prediction-unparsed", "scorer ValueError")


def test_a_guard_that_raises_never_lets_an_answer_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(gold: str, prediction: str) -> bool:
        raise ValueError

    monkeypatch.setattr("forkpipe.verification.compare.GUARDS", [Guard("broken", broken)])
    assert compare("\\frac{1}{2}", "0.50") == ("raised", "raised")
    assert compare("x > 3", r"(3, \infty)") == ("raised", "raised")
    assert compare("7", "7").name == "equal"
