"""The words of a solution that say what it works with, beyond the named techniques."""

import re

_WORD = re.compile(r"(?<![\\a-z])[a-z]{3,}")
_ENDINGS = ("ing", "ies", "es", "ed", "ly", "s", "e", "y")


def stem(word: str) -> str:
    """Cut the first ending that leaves four letters.

    >>> [stem(word) for word in ("vertices", "vertex", "counting", "counts", "add")]
    ['vertic', 'vertex', 'count', 'count', 'add']
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def objects(text: str) -> set[str]:
    """Return the stems of the words of a text that are not in most solutions anyway."""
    return {stemmed for word in _WORD.findall(text.lower()) if (stemmed := stem(word)) not in _COMMON}


# Words that carry no approach: function words, connectives of solutions, names of LaTeX environments.
_COMMON_WORDS = """
the and that find need needs therefore this for first are can let since answer number numbers frac from thus total time
each now with have given gives give then these which solve solved solving two both step steps right determine equation
equations calculate calculating calculation get getting next there all left start starting problem side sides reason
into final finally where one will sum term terms must integer integers simplify simplifying simplified has value values
equal equals subtract subtracting out not formula divide dividing divided text how using use used uses follow following
follows possible form than also multiply multiplying consider considering positive because second set mean means many
but when denote other substitute substituting know known knowing between three only similarly compute computing them
solution
solutions case fraction their add adding write writing written any would common together down more here expression
implies imply our its they after see become becomes less like result results hence correct okay back original make
makes take taking takes some remain remaining yes expressed check should try trying just exact exactly four work working
works different third least order think express identify however above break amount choose note ways way look looking
difference list seems either another ldots quad about initial initially does respective respectively what half actual
actually through already hold holds alright line even before again understand over much every end case leq geq last lead
leads perfect isolate rewrite rewriting satisfy satisfies those plug plugging earlier you remember without according
were
was doesn well stat valid say says unit once example suppose based approximately define defined inside long might want
match fact approach something element his her she involve involves general info information separate still include
call called place could relative variable variables contain contains apply applying plus perform sure relationship sense
going five six seven eight nine ten clear notice unique obtain obtained obtaining itself says yield yields goes appear
appears additional cancel cancels bit consistent specific specifically particular previous leaves leave may been being
same such very too most own further same too within per via upon while whether who whose why your begin align aligned
boxed cdot times dfrac mathrm textbf textit hline array equiv pmod quad
"""
_COMMON = frozenset(map(stem, _COMMON_WORDS.split()))
