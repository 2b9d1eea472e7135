import pytest

from forkpipe.core.records import Verdict
from forkpipe.verification.base import Verifier
from forkpipe.verification.exact import ExactVerifier


@pytest.mark.parametrize(
    ("gold", "response", "expected"),
    [
        ("New York", "\\boxed{New \n York}", Verdict("correct", "New \n York", "exact", "box")),
        ("New York", "\\boxed{new york}", Verdict("wrong", "new york", "exact", "box")),
        ("1/2", "\\boxed{0.5}", Verdict("wrong", "0.5", "exact", "box")),
        (" B ", "Answer: B", Verdict("correct", "B", "exact", "stated")),
        ("B", "It may be B", Verdict("unparsed")),
        ("B", "", Verdict("unparsed")),
    ],
)
def test_text_is_compared_as_it_stands(gold: str, response: str, expected: Verdict) -> None:
    assert ExactVerifier().verify([gold], [response], [False]) == [expected]


def test_a_cut_response_is_truncated_whatever_it_holds() -> None:
    assert ExactVerifier().verify(["B"], ["\\boxed{B}"], [True]) == [Verdict("truncated")]


def test_it_is_a_verifier() -> None:
    verifier = ExactVerifier()
    assert isinstance(verifier, Verifier)
    verifier.close()
