from collections.abc import Sequence

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.verification.dispatch import ResponseRow, verify_by_type


class Recording:
    """Calls every response correct and remembers what it was asked."""

    version = "7"

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[list[str]] = []

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        assert len(gold) == len(responses) == len(truncated)
        self.calls.append(list(responses))
        return [
            Verdict("truncated" if cut else "correct", text) for text, cut in zip(responses, truncated, strict=True)
        ]

    def close(self) -> None:
        pass


def test_rows_come_back_in_order_from_the_verifier_of_their_type() -> None:
    integers, words = Recording("integers"), Recording("words")
    rows = [
        ResponseRow("integer", "1", "a", "done", "stop"),
        ResponseRow("word", "1", "b", "done", "length"),
        ResponseRow("integer", "1", "c", "failed", "stop"),
        ResponseRow("word", "1", "d", "done", "error"),
        ResponseRow("integer", "1", "e", "done", "stop"),
    ]
    found = verify_by_type({"integer": integers, "word": words}, rows)
    assert found == [
        (Verdict("correct", "a"), "integers", "7"),
        (Verdict("truncated", "b"), "words", "7"),
        (Verdict("failed"), "integers", "7"),
        (Verdict("failed"), "words", "7"),
        (Verdict("correct", "e"), "integers", "7"),
    ]
    assert (integers.calls, words.calls) == ([["a", "e"]], [["b"]])


def test_chunks_are_reported() -> None:
    verifier, reports = Recording("integers"), []
    rows = [ResponseRow("integer", "1", str(i), "done", "stop") for i in range(5)]
    found = verify_by_type(
        {"integer": verifier}, rows, chunk=2, on_progress=lambda done, total: reports.append((done, total))
    )
    assert [verdict.extracted for verdict, _, _ in found] == list("01234")
    assert verifier.calls == [["0", "1"], ["2", "3"], ["4"]]
    assert reports == [(2, 5), (4, 5), (5, 5)]


def test_an_unknown_type_is_named_before_anything_is_spent() -> None:
    verifier = Recording("integers")
    rows = [ResponseRow("integer", "1", "a", "done", "stop"), ResponseRow("matrix", "1", "b", "failed", "error")]
    with pytest.raises(InputError, match=r"no verifier for answer type 'matrix'; known answer types: integer"):
        verify_by_type({"integer": verifier}, rows)
    assert verifier.calls == []


def test_no_rows() -> None:
    assert verify_by_type({}, []) == []
