r"""Words, phrases and symbols that name an operation, an object or a technique."""

import re
from collections import Counter

_WORD = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")
_LONGEST_NOTATION = 30
_FUNCTION_WORD = re.compile(
    r"\b(?:an|are|as|at|be|by|can|do|for|from|has|have|if|in|is|it|its|of|on|or|that|the|there|this|to|was|we|which|with"
    r"|you)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:ah|again|alright|also|and|anyway|besides|but|finally|first(?:ly)?|hence|here|hmm?|however|indeed|last(?:ly)?"
    r"|lets?|like|look|meanwhile|moreover|namely|next|now|oh|ok|okay|right|second(?:ly)?|see|since|so|still|sure|then"
    r"|therefore|third(?:ly)?|thus|wait|well|yeah|yes)"
)
"""Function words, in prose and before bare notation; they name no operation."""


def is_prose(text: str) -> bool:
    """Whether a text is English prose rather than bare notation: in prose one word in twenty is a function word."""
    words = len(_WORD.findall(text))
    return words > 0 and len(_FUNCTION_WORD.findall(text)) * 20 >= words


def count_operations(text: str) -> Counter[str]:
    r"""Count the operator symbols and the words that name a technique.

    In prose a word counts if it begins with a known stem; in bare notation every word of two letters or more counts,
    except those that only open a sentence.

    >>> dict(count_operations(r"We add the roots: \frac{x}{2} + \sqrt 3"))
    {'+': 1, 'root': 2, '/': 1}
    """
    counts = Counter(_CONCEPTS[symbol] for symbol in _SYMBOL.findall(text))
    words = Counter(word if word[0] == "\\" else word.lower() for word in _WORD.findall(text))
    prose = is_prose(text)
    for word, times in words.items():
        name = _technique(word)
        operator = (
            not prose and word[0] != "\\" and not _OPENING.fullmatch(word) and 2 <= len(word) <= _LONGEST_NOTATION
        )
        if not name and operator:
            name = word
        if name:
            counts[name] += times
    return counts


def techniques(sentence: str) -> set[str]:
    r"""Return the named techniques and objects of a sentence of prose: those of several words first, then single words.

    >>> sorted(techniques(r"By the Law of Cosines in the triangle, \binom{5}{2} of them"))
    ['combination', 'law-of-cosines', 'triangle']
    """
    found: set[str] = set()

    def take(match: re.Match[str]) -> str:
        found.add(_PHRASE_NAMES[(match.lastgroup or "")[1:]])
        return " "

    rest = _PHRASE.sub(take, sentence.lower())
    for word in _WORD.findall(rest):
        name = _technique(word if word[0] == "\\" else word.lower())
        if name and name not in _OPERATORS:
            found.add(name)
    return found


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


_OPERATORS = {"+", "-", "*", "/", "^", "|", "<", ">"}

# Each line: the name of a concept, then its symbols, LaTeX commands and stems. A word counts if it begins with a stem;
# a stem that ends in a full stop is a whole word ("sin." must not find "since").
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
conjugate conjugat
polar polar
logarithm logarithm log. logs. ln. \log \ln
exponent exponen
derivative derivative differentiat
integral integrals. integrat \int ∫
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
burnside burnside orbit
rotation rotat
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

# One line for each technique of several words: its name, then patterns for its wordings (in lower case).
_PHRASES = r"""
law-of-cosines | laws? of cosines?|cosine (?:law|rule)
law-of-sines | (?:extended )?laws? of sines?|sine (?:law|rule)
power-of-a-point | power of (?:a|the) point
complementary-counting | complementary (?:counting|probability)|opposite (?:event|case)
complementary-counting | subtract[^.]{0,40} from the total|total[^.]{0,40}minus
completing-square | complet(?:e|ing) the square
difference-of-squares | difference of (?:two )?squares
difference-of-cubes | (?:sum|difference) of (?:two )?cubes
quadratic-formula | quadratic formula
prime-factorization | prime factor\w*|factori[sz]ation into primes|canonical factori[sz]ation
euclidean-algorithm | euclid\w* algorithm
long-division | long division|synthetic division|polynomial division
rational-root | rational[- ]roots?
remainder-theorem | remainder theorem|factor theorem
chinese-remainder | chinese remainder
roots-of-unity | roots? of unity
partial-fractions | partial fractions?
am-gm | am-?gm|arithmetic[- ]mean[- ]geometric|arithmetic-geometric mean
cauchy | cauchy[- ]schwarz
triangle-inequality | triangle inequality
inclusion-exclusion | inclusion[- ]exclusion|principle of inclusion
stars-and-bars | stars and bars|balls and (?:urns|bars)|sticks and stones
angle-bisector | angle bisector
inscribed-angle | inscribed angle|central angle
cyclic-quadrilateral | cyclic quad\w*|concyclic|ptolemy
mass-points | mass points?|menelaus|ceva
stewart | stewart
similar-triangles | similar triangles?|\bsimilar to\b|\\sim\b
coordinate-geometry | coordinate (?:plane|geometry|system)|place [^.]{0,40}(?:origin|coordinate)|distance formula
coordinate-geometry | equation of (?:the )?(?:line|circle)
base-height | base[^.]{0,20}height|half[^.]{0,20}base|altitude|\bheight\b
shoelace | shoelace|\bdeterminant formula
heron | heron|semi-?perimeter
double-angle | double[- ]angle|half[- ]angle|triple[- ]angle
angle-addition | (?:angle|sine|cosine|tangent) (?:addition|sum|subtraction)
angle-addition | (?:sum|addition) (?:formula|identit\w+) for
sum-to-product | sum[- ]to[- ]product|product[- ]to[- ]sum
change-of-base | change[- ]of[- ]base
units-digit | units? digits?|last digits?
cross-multiply | cross[- ]multipl\w*
substitution | \bsubstitut\w*|\bplug\w*
casework | case ?work|\bcases?\b
casework | consider(?:ing)? (?:two|three|four|five|several|the following) (?:cases|possibilities)
trial | trial and error|\btry(?:ing)?\b(?! to)|\btest(?:ing)? (?:\w+ ){0,3}values?
trial | check(?:ing)? (?:each|every|all|values)|one by one|guess
recursion | recurrence|recursi\w*
generating-function | generating functions?
linearity | linearity of expectation
expected-value | expected (?:value|number)
arithmetic-series | arithmetic (?:series|sequence|progression)
geometric-series | geometric (?:series|sequence|progression)
binomial-theorem | binomial (?:theorem|expansion)
pascal | pascal
hockey-stick | hockey[- ]stick
vertical-line | perpendicular bisector
tangent-line | tangent lines?
without-loss | without loss of generality|\bwlog\b
by-symmetry | by symmetry|symmetric(?:al)?ly
observe-pattern | pattern
equal-likely | equally likely
sequential-choice | (?:first|second|third|next) (?:person|digit|card|ball|choice|position|letter|one) (?:can|has|must)
sequential-choice | (?:choices|options) for (?:the|each)
unit-rate | unit rate|rate of|per (?:hour|minute|second|day|unit)
system | system of (?:\w+ )?equations?|simultaneous equations?
add-equations | (?:add|subtract)(?:ing)? (?:the|these|both|two|equation)[^.]{0,30}equations?|eliminat\w*
absolute-value | absolute value
rationalize | rationali[sz]\w*|multiply[^.]{0,40}conjugate
de-moivre | de ?moivre|\bcis\b
euler-theorem | euler'?s? (?:theorem|totient|phi)|totient
fermat | fermat'?s? little
legendre | legendre|de polignac
modular-inverse | (?:modular|multiplicative) inverse
graph-sketch | sketch|\bplot\b|graph of
calculus | derivative|differentiat\w*|critical points?
lagrange-interpolation | lagrange interpolation|finite differences?
""".strip()
_PHRASE_LINES = [line.split(" | ") for line in _PHRASES.splitlines()]
_PHRASE_NAMES = {str(number): name for number, (name, _) in enumerate(_PHRASE_LINES)}
# Tried only where a word begins: matching at every letter took most of the time.
_PHRASE = re.compile(
    "(?<![a-z])(?:" + "|".join(f"(?P<p{number}>{signs})" for number, (_, signs) in enumerate(_PHRASE_LINES)) + ")"
)

_COMMON = """
substitution sum divisibility factor root casework combination pairing trial product assume enumeration modular
add-equations base-height ratio elimination expansion optimum power prime gcd triangle prime-factorization exponent
quadratic coordinates coefficient approximation sequence angle system
"""
COMMON_TECHNIQUES = frozenset(_COMMON.split())
"""Techniques that at least one solution in twenty names, whatever the problem."""
