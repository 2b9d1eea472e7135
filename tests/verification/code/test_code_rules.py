# ruff: noqa: E501
"""Extraction, comparison, asserts: pure functions, with values derived by hand."""

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.sandbox.values import NotPlainError, decode, encode
from forkpipe.verification.code.asserts import literal_call, split_check, why_unprovable
from forkpipe.verification.code.compare import same_output, same_value
from forkpipe.verification.code.extraction import extract_program, fenced_blocks

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
    | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
) | st.sets(st.integers() | st.text()) | st.frozensets(st.tuples(st.integers(), st.text()))  # fmt: skip


@given(plain)
def test_plain_data_survives_its_text(value):
    again = decode(encode(value))
    assert again == value
    assert type(again) is type(value)


@given(plain)
def test_a_value_is_the_same_as_itself_by_every_rule(value):
    tagged = json.loads(encode(value))
    assert all(same_value(rule, value, tagged) for rule in ("lcb", "python", "exact", "floats"))


@given(plain, plain)
def test_comparing_tagged_values_is_comparing_values(a, b):
    """Python's own == on the decoded value is the oracle."""
    assert same_value("python", a, json.loads(encode(b))) == (a == b)


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_no_text_of_a_report_raises_anything_but_value_errors(text):
    try:
        tagged = json.loads(text)
    except ValueError:
        return
    for expected in (1, [1], {1: 2}, {1}, "a"):
        with contextlib.suppress(ValueError):
            same_value("lcb", expected, tagged)


@pytest.mark.parametrize(
    "tagged", [{"x": 1}, {}, {"d": 3}, {"d": [1]}, {"i": "zz"}, {"s": [[]]}, {"t": 1, "s": 2}, {"b": "q"}]
)
def test_forged_values_are_value_errors_or_differ(tagged):
    for expected in (1, [1], {1: 2}, {1, 2}, (1,)):
        with contextlib.suppress(ValueError):
            assert not same_value("lcb", expected, tagged)


def test_other_objects_are_no_plain_data():
    for value in (iter([]), object(), int, [object()]):
        with pytest.raises(NotPlainError):
            encode(value)
    deep = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(NotPlainError, match="deeply"):
        encode(deep)


@pytest.mark.parametrize(
    ("rule", "expected", "output", "same"),
    [
        ("lcb", "3\n", "3", True),
        ("lcb", "3\n", "  3 \n\n\n", True),
        ("lcb", "a\nb", "a\n\nb", False),
        ("lcb", "1.0 2", "1 2.00", True),
        ("lcb", "YES", "yes", False),
        ("lcb", "1e5", "100000", True),
        ("lcb", "0.1", "0.10000001", False),
        ("lcb", "nan", "nan", True),
        ("lcb", "nan 1", "nan 1.0", False),
        ("lcb", "1", "1e999999999999", False),
        ("lcb", "7" * 1001, "7" * 1001 + ".0", False),
        ("lcb", "sNaN 1", "1 sNaN", False),
        ("lcb", "", "", True),
        ("tokens", "1 2\n3", "1 2 3", True),
        ("tokens", "1.0", "1", False),
        ("floats", "0.333333", "0.3333334", True),
        ("floats", "1000000.0", "1000000.5", True),
        ("floats", "3", "4", False),
        ("floats", "3", "3.0000001", True),
        ("floats", "1.0", "inf", False),
        ("exact", "a\n", "a", False),
        ("exact", "a\n", "a\n", True),
        ("any_order", "a\nb\nb", "b\na\nb\n", True),
        ("any_order", "a\nb\nb", "b\na\na", False),
    ],
)  # fmt: skip
def test_outputs_are_compared_by_rule(rule, expected, output, same):
    assert same_output(rule, expected, output) is same


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=3), min_size=1, max_size=5))
def test_numbers_are_equal_however_they_are_written(numbers):
    written = " ".join(str(number) for number in numbers)
    other = " ".join(format(Decimal(number), "f") + "0" for number in numbers)
    assert same_output("lcb", written, other)


@pytest.mark.parametrize(
    ("rule", "expected", "value", "same"),
    [
        ("lcb", [1, [2, 3]], (1, (2, 3)), True),
        ("lcb", [1], [True], True),
        ("python", [1], (1,), False),
        ("python", 1, True, True),
        ("exact", 1, True, False),
        ("exact", 1.0, 1, False),
        ("exact", [1], [1], True),
        ("floats", 0.5, 0.5000001, True),
        ("floats", [0.5, 1], [0.5000001, 2], False),
        ("floats", 0.5, 10**400, False),
        ("any_order", [1, 2, 2], [2, 1, 2], True),
        ("any_order", [1, 2, 2], [2, 1, 1], False),
        ("any_order", [[1], [2]], [[2], [1]], True),
        ("lcb", {1, 2}, {2, 1}, True),
        ("lcb", {1, 2}, {1, 3}, False),
        ("lcb", {"a": (1, 2)}, {"a": [1, 2]}, True),
        ("lcb", float("inf"), float("inf"), True),
        ("lcb", float("nan"), float("nan"), False),
        ("lcb", 10**30, 10**30, True),
    ],
)  # fmt: skip
def test_values_are_compared_by_rule(rule, expected, value, same):
    assert same_value(rule, expected, json.loads(encode(value))) is same


@pytest.mark.parametrize(
    ("response", "entry", "programs"),
    [
        ("```python\nA\n```\ntext\n```py\nB\n```", None, ["B\n", "A\n"]),
        ("```python\ndef f(): 1\n```\n```python\nf()\n```", "f", ["def f(): 1\n", "f()\n"]),
        ("```\nA\n```\n```text\nB\n```", None, ["A\n"]),
        ("````python\nprint('```')\n````", None, ["print('```')\n"]),
        ("~~~python\nA\n~~~", None, ["A\n"]),
        ("Here:\n  ```python\n  A\n    B\n  ```", None, ["A\n  B\n"]),
        ("<think>```python\nA\n```</think>```python\nB\n```", None, ["B\n"]),
        ("```python\nA", None, ["A\n"]),
        ("import sys\nprint(1)", None, ["import sys\nprint(1)\n"]),
        ("n = int(input())\nprint(n)", None, ["n = int(input())\nprint(n)\n"]),
        ("# a comment\nprint(1)", None, ["# a comment\nprint(1)\n"]),
        ("```python\r\nA\r\n```", None, ["A\n"]),
        ("```{.python .numberLines}\nA\n```", None, ["A\n"]),
    ],
)  # fmt: skip
def test_programs_are_found(response, entry, programs):
    assert list(extract_program(response, entry).programs) == programs


@pytest.mark.parametrize(
    "response",
    ["", "The answer is 5.", "# Solution\nWe sort the list.", "```cpp\nint main() {}\n```", "<think>```python\nA\n```", "```python\n\n```"],
)  # fmt: skip
def test_where_there_is_no_program_none_is_found(response):
    assert extract_program(response) is None


@given(st.text(alphabet="`~ \nab", max_size=80))
def test_blocks_of_any_text_are_parts_of_it(text):
    for language, code in fenced_blocks(text):
        assert language in text.lower()
        assert all(line.strip() in text for line in code.splitlines())


def test_asserts_on_literals_become_calls():
    assert literal_call("assert f(-1, [2.5]) == {'a': (1,)}", "f") == ([-1, [2.5]], {"a": (1,)})
    assert literal_call("assert 4 == f(2)", "f") == ([2], 4)
    for code in (
        "assert f(x) == 1",
        "assert f(1) == g(1)",
        "assert f(1)",
        "assert f(a=1) == 2",
        "f(1) == 2",
        "assert f(1) < 2",
    ):
        assert literal_call(code, "f") is None


def test_what_cannot_be_checked_apart_is_named():
    assert why_unprovable("assert f([1]) == sorted([1])", "f") is None
    assert why_unprovable("import math\nassert math.isclose(f(1), 2)", "f") is None
    assert why_unprovable("assert f(root) == 3", "f", "root = Node(1)") == "needs 'Node' of the program"
    assert why_unprovable("assert f(lambda x: x) == 3", "f") == "passes 'lambda', which is no plain data"
    assert why_unprovable("assert f(1", "f") == "is no Python: SyntaxError"


def test_code_that_is_nested_too_deeply_is_unreadable_and_no_error():
    deep = "-" * 100_000 + "1"
    assert literal_call(f"assert f(1) == {deep}", "f") is None
    assert why_unprovable(deep, "f") == "is no Python: MemoryError"
    assert split_check(deep, "f") == [f"{deep}\ncheck(f)\n"]


@pytest.mark.parametrize(
    "response",
    [
        "~" * 500_000 + "`", "```" + " " * 500_000 + "`", "for" + ":" * 500_000 + " " * 500_000 + "x",
        "``` " * 300_000, "<think>" * 100_000, "a." * 300_000 + "=", "def" + " " * 500_000, "```\n" + "from " * 200_000,
    ],
    ids=range(8),
)  # fmt: skip
def test_extraction_is_linear_in_the_length_of_a_response(response):
    """Where it is not, one of these takes many minutes."""
    extract_program(response, "f")


def test_checks_that_are_more_than_asserts_stay_whole():
    loop = "def check(candidate):\n    for i in range(3):\n        assert candidate(i) == i\n"
    assert split_check(loop, "f") == [f"{loop}\ncheck(f)\n"]
    helper = "def g():\n    return 1\ndef check(candidate):\n    assert candidate(1) == g()\n"
    assert split_check(helper, "f") == [f"{helper}\ncheck(f)\n"]


def test_any_order_takes_long_lists_and_other_ways_of_writing():
    numbers = list(range(100_000))
    assert same_value("any_order", numbers, json.loads(encode(numbers[::-1])))
    assert not same_value("any_order", numbers, json.loads(encode([*numbers[1:], -1])))
    assert same_value("any_order", [(1, 2), 3.0], json.loads(encode([3, [1, 2]])))


def test_an_output_far_too_long_is_different_before_it_is_split():
    for rule in ("lcb", "tokens", "floats", "any_order"):
        assert not same_output(rule, "1\n", "1\n" * (4 << 20))
        assert same_output(rule, "1\n", "1" + "\n" * (4 << 20))
