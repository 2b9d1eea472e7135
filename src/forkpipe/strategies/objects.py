"""Words, beyond the named techniques, that say what a solution works with, and their weights."""

import re

_WORD = re.compile(r"(?<![\\a-z])[a-z]{3,}")
_ENDINGS = ("ing", "ies", "es", "ed", "ly", "s", "e", "y")

RAREST = 4
"""Level of words that are not in the table: fewer than one solution in 33 contains them."""


def stem(word: str) -> str:
    """Cut the first ending that leaves four letters.

    >>> [stem(word) for word in ("vertices", "vertex", "counting", "counts", "add")]
    ['vertic', 'vertex', 'count', 'count', 'add']
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def stems(text: str) -> set[str]:
    """Return the stems of the words of a text."""
    return set(map(stem, _WORD.findall(text.lower())))


def objects(text: str) -> set[str]:
    """Return the stems of the words of a text, without those that most solutions contain."""
    return {found for found in stems(text) if object_weight(found)}


def object_weight(found: str) -> float:
    """Return the weight of a stem, 0 to `RAREST`: the rounded log of one over the share of solutions that contain it.

    >>> object_weight("therefor"), object_weight("equal"), object_weight("chord")
    (0.0, 1.0, 4.0)
    """
    return _LEVELS.get(found, float(RAREST))


# From 1,585 solutions of LIMO, AIME and MATH problems (benchmarks/strategies/words.py). Each line: a level, its stems.
_TABLE = """
0 and answer are can each find first for from given have let need now number problem sinc solv that the then therefor
  thes this thus two valu which with
1 all also becaus both but calculat determin divid equal equation final form formula get give has integer into must
  next not one positiv possibl same side simplif start step substitut such sum term ther total using when wher will
2 about abov actual add adding after again alread alright another any area back base becom befor between case check
  choos combin common comput condition consider correct correspond count defin denominator denot differenc different
  digit distanc down either even exact expand expres express expression factor follow four fraction henc here hold how
  however inde its just know least left length less like line look make many mean more multip multipl multiply negativ
  note numerator okay only order original other our out pair part point prim probabilit product remain result right
  root satisf second see seem sequenc set should similar simplify solution some squar subtract take than their them
  theorem they think third thre through time together triangl try use way ways what work would writ yes
3 abc absolut accord additional adjacent align allow along analyz angl appear approach approximate arithmetic assum
  averag axis based being bit break bring calculation call cancel cannot center chang choic circl clear coefficient
  combination come compar complex congruent connect consecutiv consistent constant constraint contain continu
  contribut convert coordinat coprim could cros cube degre depend diagonal distinct divisibl division divisor does
  doesn don doubl earlier element eliminat end ensur entir equivalent etc ever exampl except exclud exponent face fact
  factorization figur five fixed found fourth function gcd general geometric giving goes going good got greater
  greatest group had half hand height higher identif identit impl includ inclusiv increas inequalit information
  initial insid instead involv isn isolat itself key known larg larger largest last lead linear list logarithm long
  match maximum midpoint might minimum minu modulo most moving much multipli new non notic obtain occur odd once over
  per perfect perpendicular plac plan plug plugg plus polynomial position possibilit power previou propert putt
  pythagorean quadratic question radiu rang ratio real rearrang recall reduc regardles relat relationship relative
  remainder remember represent requir respective rewrit say says segment sens seri sett simplifi singl six small
  smaller smallest solid someth specific specifical sqrt stat still summ sums suppos sure symmetric system taking test
  thos too true twic understand uniqu unit valid variabl vertex vertic want was well were whether whos within without
  written yeah yield you zero
""".strip()
_LEVELS = {found: float(line.split()[0]) for line in re.split(r"\n(?=[0-9])", _TABLE) for found in line.split()[1:]}
