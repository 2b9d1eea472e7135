r"""What a trace holds: its thinking and its solution, the operations it uses, the values it reaches.

Every pattern is bounded or matches disjoint stretches, so that reading is linear in the length of the text.
"""

import itertools
import re
from collections import Counter

ANY_TAG = re.compile(r"</?\|?[A-Za-z_]{3,40}[0-9]{0,3}\|?>")  # <think>, </think>, <think3>, <|im_end|>
_END_OF_THINKING = re.compile(r"</think(?:ing)?[0-9]{0,3}>|<\|end_of_thought\|>")
_SHORTEST_SOLUTION = 10
_BRACE = re.compile(r"\\boxed\s{0,9}\{|\\[{}]|[{}]")


def split_thinking(text: str) -> tuple[str, str]:
    """Return (thinking, solution); the thinking is empty where no solution of a few words follows its end."""
    end = max((match.end() for match in _END_OF_THINKING.finditer(text)), default=0)
    is_solution = len(text[end:].split(maxsplit=_SHORTEST_SOLUTION)) >= _SHORTEST_SOLUTION
    return (text[:end], text[end:]) if is_solution else ("", text)


def split_boxed(text: str) -> tuple[str, list[str]]:
    r"""Cut the outermost \boxed{...} out of a text; return what is left and what stood in the boxes.

    >>> split_boxed(r"so x = 2 \boxed{\frac{1}{2}}.")
    ('so x = 2  .', ['\\frac{1}{2}'])
    """
    open_braces: list[bool] = []  # whether each opens a box
    outside: list[str] = []
    boxes: list[str] = []
    depth = 0  # open boxes
    start = end = 0  # of the outermost box
    for match in _BRACE.finditer(text):
        brace = match.group()
        if brace.startswith("\\boxed"):
            if depth == 0:
                outside.append(text[end : match.start()])
                start = match.end()
            depth += 1
            open_braces.append(True)
        elif brace == "{":
            open_braces.append(False)
        elif brace == "}" and open_braces and open_braces.pop():
            depth -= 1
            if depth == 0:
                boxes.append(text[start : match.start()])
                end = match.end()
    outside.append(text[start if depth else end :])  # a box that never closes is no answer: keep what it holds
    return " ".join(outside), boxes


_NUMBER = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9,])|[0-9]+(?:\.[0-9]+)?")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?([0-9]{1,20})\s?\}\s?\{\s?([0-9]{1,20})\s?\}")


def count_values(text: str) -> Counter[str]:
    r"""Count the numbers in a text, each in one notation; a numeric \frac is one value.

    >>> sorted(count_values(r"1,250 + 0.50 = \frac{5}{6}, 007"))
    ['0.5', '1250', '5/6', '7']
    """
    counts = Counter(f"{_plain(match[1])}/{_plain(match[2])}" for match in _FRACTION.finditer(text))
    counts.update(_numbers(_FRACTION.sub(" ", text)))
    return counts


def count_values_produced(text: str) -> Counter[str]:
    """Count the values of a solution, and in bare notation also the pairs of one value and the next."""
    values = count_values(text)
    if _is_prose(text):
        # A single digit is mostly the number of a step, an exponent or a coefficient.
        return Counter({value: times for value, times in values.items() if len(value) > 1})
    # Bare notation is little but numbers: which one follows which tells how they were come by.
    values.update(f"{first} {second}" for first, second in itertools.pairwise(_numbers(text)))
    return values


def _numbers(text: str) -> list[str]:
    return [_plain(match.group()) for match in _NUMBER.finditer(text.replace("{,}", ","))]


def _plain(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


_WORD = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")


def count_operations(text: str) -> Counter[str]:
    r"""Count the operator symbols and the words that name a technique.

    In prose a word counts when it begins with a known stem; in bare notation every word of two letters or more does.

    >>> dict(count_operations(r"We add the roots: \frac{x}{2} + \sqrt 3"))
    {'+': 1, 'root': 2, '/': 1}
    """
    counts = Counter(_CONCEPTS[symbol] for symbol in _SYMBOL.findall(text))
    words = Counter(word if word[0] == "\\" else word.lower() for word in _WORD.findall(text))
    prose = _is_prose(text)
    for word, times in words.items():
        name = _technique(word)
        if not name and not prose and word[0] != "\\" and 2 <= len(word) <= _LONGEST_NOTATION:
            name = word
        if name:
            counts[name] += times
    return counts


_LONGEST_NOTATION = 30
_FUNCTION_WORD = re.compile(
    r"\b(?:an|and|are|as|at|be|but|by|can|do|for|from|has|have|here|if|in|is|it|its|let|of|on|or|so|that|the|then|there"
    r"|this|to|was|we|which|with|you)\b",
    re.IGNORECASE,
)


def _is_prose(text: str) -> bool:
    """Whether a text is English prose rather than bare notation: in prose one word in twenty is a function word."""
    words = len(_WORD.findall(text))
    return words > 0 and len(_FUNCTION_WORD.findall(text)) * 20 >= words


def _technique(word: str) -> str:
    for whole in (word, f"{word}."):
        if whole in _CONCEPTS:
            return _CONCEPTS[whole]
    if word[0] == "\\":
        return ""
    for length in range(min(len(word), _LONGEST_STEM), 2, -1):
        if word[:length] in _CONCEPTS:
            return _CONCEPTS[word[:length]]
    return ""


# One line a concept: its name, then the symbols, LaTeX commands and stems that mean it. A word counts when it begins
# with a stem; a stem that ends in a full stop is a whole word ("sin." must not find "since").
_VOCABULARY = r"""
+ +
- - −
* * · × \cdot \times
/ / ÷ \frac \dfrac \tfrac \div
^ ^ ² ³
| |
< < ≤ \le \leq \lt
> > ≥ \ge \geq \gt
assume assum suppos
hypothesis hypothes
contradiction contradict absurd
induction induct
recursion recur
generating-function generating
casework cases. case.
complement complementary. complement.
inclusion-exclusion inclusion exclusion
symmetry symmetr
substitution substitut plug.
factor factor
prime prime
gcd gcd. coprime hcf. \gcd
divisibility divis multiple. multiples.
modular modul mod. congru remainder residue \equiv \pmod \bmod \mod ≡
parity parity odd.
quadratic quadratic
root roots. root. sqrt. \sqrt √
vieta vieta
polynomial polynomial
coefficient coefficient
discriminant discriminant
determinant determinant
matrix matri \pmatrix
vector vector \vec
coordinates coordinat
slope slope
perpendicular perpendicular orthogonal \perp ⊥
parallel parallel \parallel ∥
midpoint midpoint median
bisector bisect
circumcircle circumc circumr
incircle incenter inradius incircle
tangent tangent
power power. powers.
similarity similar. similarity
triangle triangle \triangle △
angle angle \angle \theta ∠ °
sine sine. cosine. sines. cosines. sin. cos. \sin \cos
pythagoras pythag hypotenuse
shoelace heron shoelace
area area. areas.
volume volume
trigonometry trigonom tan. \tan
complex complex. imaginary
conjugate conjugat \overline
polar polar
logarithm logarithm log. logs. ln. \log \ln
exponent exponen
derivative derivative differentiat
integral integral integrat \int ∫
optimum maxim minim optimi
lagrange lagrange
cauchy cauchy schwarz
inequality inequalit
bound bound. bounds. bounded.
permutation permut
arrangement arrang
combination combinat binom \binom \dbinom \tbinom \choose
factorial factorial
probability probab
expectation expectation
conditional conditional bayes
enumeration enumerat list. listing. lists.
pairing pair
bijection biject corresponden
graph graph. graphs. vertices.
burnside burnside orbit rotat
pigeonhole pigeonhole
invariant invarian
telescoping telescop
sum sum. sums. summing. \sum ∑
product product. products. \prod ∏
union union \cup ∪
intersection intersect \cap ∩
floor floor. ceil \lfloor \lceil ⌊ ⌈
geometric geometric
arithmetic arithmetic
sequence sequence
pattern pattern
cycle cycl period
fermat fermat
euler euler totient
chinese-remainder chinese
inverse inverse
binary binary
digits digit
decimal decimal
expansion expand expansion
elimination isolat eliminat
system system simultaneous.
linear linear
parameter parameter parametri
interpolation interpolat
approximation approximat estimat
stars-and-bars stars.
lattice grid lattice
path path
game winning losing
greedy greedy
brute-force brute program simulat
reflection reflect
ratio ratio. ratios. proportion
""".strip()
_CONCEPTS = {sign: line.split()[0] for line in _VOCABULARY.splitlines() for sign in line.split()[1:]}
_LONGEST_STEM = max(map(len, _CONCEPTS))
_SYMBOL = re.compile("[" + re.escape("".join(sign for sign in _CONCEPTS if len(sign) == 1)) + "]")
