"""Plain numbers are settled as exact fractions are."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from forkpipe.verification.plain import settle

_FRACTIONS = st.fractions(min_value=-1000, max_value=1000, max_denominator=500)


def written(value: Fraction, way: int) -> str:
    over, under = value.numerator, value.denominator
    sign = "-" if over < 0 else ""
    ways = (rf"\frac{{{over}}}{{{under}}}", f"{over}/{under}", rf"{sign}\dfrac{{{abs(over)}}}{{{under}}}")
    return str(over) if under == 1 and way == 0 else ways[way]


@given(_FRACTIONS, _FRACTIONS, st.integers(0, 2), st.integers(0, 2), st.booleans())
def test_fractions(one: Fraction, other: Fraction, way: int, other_way: int, same: bool) -> None:
    other = one if same else other
    assert settle(written(one, way), written(other, other_way)) == (one == other)


@given(st.integers(-(10**6), 10**6), st.integers(0, 6), _FRACTIONS)
def test_a_decimal_is_a_fraction_or_left_to_rounding(digits: int, places: int, other: Fraction) -> None:
    value = Fraction(digits, 10**places)
    decimal = f"{digits / 10**places:.{places}f}"
    assert settle(decimal, written(value, 1)) is True
    assert settle(decimal, written(other, 1)) in ((True,) if other == value else (False, None))
