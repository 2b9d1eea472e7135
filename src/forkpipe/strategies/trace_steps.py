r"""Split a trace into steps, each described by what it does (techniques, equations, values), not by its wording."""

import itertools
import re
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

from forkpipe.strategies.canonical import equation_form, shape, value_of, value_text
from forkpipe.strategies.formulas import MOST_DIGITS, Token, Tree, UnreadableError, formulas, parse
from forkpipe.strategies.objects import objects
from forkpipe.strategies.reading import count_values, split_boxed
from forkpipe.strategies.sentences import sentences, solution_of
from forkpipe.strategies.vocabulary import techniques

MOST_SENTENCES, MOST_STEPS = 300, 150


class Step(NamedTuple):
    """One sentence of a solution and what it does."""

    techniques: frozenset[str]
    equations: frozenset[str]
    """Canonical forms, see `canonical.equation_form`."""
    computations: frozenset[str]
    """Shapes of what is computed, see `canonical.shape`."""
    values: frozenset[str]
    text: str
    """The sentence, for showing."""


class Given(NamedTuple):
    """What the problem states."""

    techniques: frozenset[str]
    equations: frozenset[str]
    names: frozenset[str]
    values: frozenset[str]
    objects: frozenset[str]


def given_by(problem: str) -> Given:
    """Return what a problem states, so that restating it is not a step."""
    equations, _, values, names = _facts(problem, frozenset())
    again, _, _, _ = _facts(problem, names)
    values |= {
        str(Fraction(value)) for value in count_values(problem) if len(value) < MOST_DIGITS and "/0" not in value
    }
    return Given(frozenset(techniques(problem)), equations | again, names, values, frozenset(objects(problem)))


def sentences_of(text: str, given: Given) -> list[Step]:
    """Return the sentences of a trace, at most `MOST_SENTENCES`, each as a step with everything it contains."""
    held = []
    solution = solution_of(text).replace("\\boxed", "").replace("\\fbox", "")
    for sentence in itertools.islice(sentences(solution), MOST_SENTENCES):
        equations, computations, values, _ = _facts(sentence, given.names)
        held.append(Step(frozenset(techniques(sentence)), equations, computations, values, " ".join(sentence.split())))
    return held


def steps_of(problem: str, text: str, given: Given | None = None, held: Sequence[Step] | None = None) -> list[Step]:
    r"""Return the steps of a trace, at most `MOST_STEPS`: the sentences that add something, and what they add.

    Args:
        given: `given_by(problem)`, if it is known already.
        held: `sentences_of(text, given)`, if it is known already.

    >>> for step in steps_of("How many pairs have 9 points?", r"By combinations, \(\binom{9}{2} = 36\).")[:1]:
    ...     print(sorted(step.techniques), sorted(step.computations), sorted(step.values))
    ['combination'] [] ['36']
    """
    given = given or given_by(problem)
    boxes = split_boxed(text)[1]
    answers = frozenset(value for box in boxes[-1:] for value in _facts(box, given.names)[2])
    answers |= _operands_of(solution_of(text), answers)
    done: set[str] = set(given.techniques | given.equations | given.values | answers | TRIVIAL)
    steps = []
    for sentence in sentences_of(text, given) if held is None else held:
        named, equations, computations, values = (part - done for part in sentence[:4])
        if named or equations or computations or values:
            steps.append(Step(named, equations, computations, values, sentence.text))
            done |= named | equations | computations | values
    return steps[:MOST_STEPS]


TRIVIAL = frozenset({"0", "1", "2"})
"""Values that tell nothing, since every solution contains them."""


def _operands_of(text: str, answers: frozenset[str]) -> frozenset[str]:
    """Return the numbers that the final answer is computed from (m + n from m / n): all solutions contain them."""
    found: set[str] = set()
    for sides in formulas(text[-1500:]):
        trees = [tree for side in sides if (tree := _read(side)) is not None]
        values = {str(abs(value)) for tree in trees if (value := value_of(tree)) is not None}
        if values & answers:
            leaves = {number for tree in trees for number in _numbers(tree)}
            if 1 < len(leaves) < 6:
                found |= {str(number) for number in leaves}
                found |= {str(a / b) for a in leaves for b in leaves if b}
    return frozenset(found)


def _numbers(tree: Tree) -> set[Fraction]:
    if tree[0] == "number":
        return {tree[1]}  # type: ignore[arg-type]
    return {number for part in tree[1:] if isinstance(part, tuple) for number in _numbers(part)}


def _facts(text: str, known: Collection[str]) -> tuple[frozenset[str], frozenset[str], frozenset[str], frozenset[str]]:
    """Return (equations, computations, values, names) of a text."""
    equations: set[str] = set()
    computations: set[str] = set()
    values: set[str] = set()
    names: set[str] = set()
    for sides in formulas(text):
        trees = [tree for side in sides if (tree := _read(side)) is not None]
        names.update(token.text.lstrip("\\") for side in sides for token in side if token.kind == "name")
        for tree in trees:
            value = value_text(tree)
            if value is not None:
                values.add(value)
                if _computes(tree):
                    computations.add(shape(tree))
        for left, right in itertools.pairwise(trees):
            if _is_value(left, right) or _is_value(right, left):
                continue
            form = equation_form(left, right, known)
            solved = _SOLVED.match(form or "")
            if solved:
                root = -Fraction(int(solved["constant"] or 0), int(solved["factor"] or 1))
                values.add(str(abs(root)))
            elif form:
                equations.add(form)
    return frozenset(equations), frozenset(computations), frozenset(values), frozenset(names)


_SOLVED = re.compile(r"(?:(?P<constant>-?[0-9]+) \+ )?(?:(?P<factor>-?[0-9]+)\*)?[A-Za-z][A-Za-z0-9]* = 0$")


def _is_value(left: Tree, right: Tree) -> bool:
    """Whether an equation only states the value of a number or unknown, and the value is not rational."""
    value = value_text(right)
    return value is not None and value[0] == "~" and (left[0] == "name" or value_text(left) is not None)


def _computes(tree: Tree) -> bool:
    """Whether a formula is more than a number, a fraction or their negative."""
    inner = [part for part in tree[1:] if isinstance(part, tuple)]
    return tree[0] in ("+", "*", "^") or (tree[0] != "-" and any(part[0] != "number" for part in inner))


def _read(side: Sequence[Token]) -> Tree | None:
    try:
        return parse(list(side))
    except UnreadableError:
        return None
