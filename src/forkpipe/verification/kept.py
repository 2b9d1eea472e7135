"""Verdicts on the rows of a table, problem by problem, over all cores; verdicts that were given before are kept.

A verdict follows from the gold answer, the text and the verifier: its version, its options and its source files. Under
this key `stores.results` keeps it, so a killed run goes on where it was, and a new teacher costs its own rows. The
verdicts of rules are kept, and a judge, which has a cache of its own, is asked about them again. Verdicts that say that
the verifier came to no end are not kept.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from forkpipe.core.ids import content_hash
from forkpipe.core.plugins import find_class, source_digest
from forkpipe.core.records import Verdict
from forkpipe.core.rows import VerdictColumns
from forkpipe.parallel.chunks import Known
from forkpipe.parallel.mapped import here_at_most, mapped_beside
from forkpipe.parameters import VerificationSettings
from forkpipe.parameters.parallel import ParallelSettings
from forkpipe.stores.results import ResultStore
from forkpipe.verification.dispatch import ResponseRow, VerifiedRow
from forkpipe.verification.limits import Unscored
from forkpipe.verification.registry import VERIFIERS
from forkpipe.verification.row_verifier import RowVerifier, columns_of

PARTS = 64
"""Problems whose kept verdicts are looked up at a time, and whose open verdicts a judge is asked about at a time."""
NO_DIFFERENCE = ("workers",)
"""Options of verifiers that change no verdict."""
SURE = "cpu"
"""Rule of the only time-out that is kept: the program uses up its processor time, however busy the machine is."""


@dataclass
class Verifying:
    """Verifies the rows of a problem, in whatever process; its verifiers start there when they are needed.

    Args:
        settings: of verification.
        sharing: how many processes of a machine do this, which share the workers that verifiers start.
    """

    settings: VerificationSettings
    sharing: int
    _verifier: RowVerifier | None = field(init=False, default=None)

    def __call__(self, rows: Sequence[ResponseRow]) -> list[VerifiedRow]:
        """Return the verdicts on rows, in order."""
        if self._verifier is None:
            self._verifier = RowVerifier(self.settings)
        return self._verifier.by_rules(rows)

    def close(self) -> None:
        """End what verifiers have started."""
        if self._verifier is not None:
            self._verifier.__exit__(None, None, None)
            self._verifier = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Verifying, (shared(self.settings, self.sharing), 1)


def shared(settings: VerificationSettings, processes: int) -> VerificationSettings:
    """Return the settings for one of several processes: verifiers with workers start a share of them."""
    options = {name: dict(given) for name, given in settings.options.items()}
    for name in dict.fromkeys(settings.verifiers.values()):
        known = inspect.signature(find_class("verifier", VERIFIERS, name, "verification.verifiers")).parameters
        if "workers" in known:
            workers = options.get(name, {}).get("workers", known["workers"].default)
            number = workers if isinstance(workers, int) else 1
            options[name] = {**options.get(name, {}), "workers": max(1, number // processes)}
    return settings.model_copy(update={"options": options})


class _Part(NamedTuple):
    """The rows of a problem: keys of verdicts (None: not kept), what is known of them, and ends of their texts."""

    keys: list[str | None]
    known: list[VerifiedRow | None]
    rows: list[ResponseRow]
    """Without texts, unless a judge may read the gold answer."""
    ends: list[str]


def verdicts_of(
    problems: Iterable[Sequence[ResponseRow]],
    total: int,
    settings: VerificationSettings,
    parallel: ParallelSettings,
    store: ResultStore | None,
) -> Iterator[list[VerdictColumns]]:
    """Yield the verdict columns of the rows of each problem, in order; each is in the store when it is yielded.

    Args:
        problems: the rows of one problem after the other, taken as they are needed.
        total: number of all rows.
        settings: `max_unscored` counts over all rows.
        store: of kept verdicts; None keeps none.

    Raises:
        InputError: as `dispatch.verify_by_type`.
    """
    rules = settings.model_copy(update={"judge": None, "max_unscored": 1.0})
    function = Verifying(rules, here_at_most(parallel))
    unscored = Unscored(settings.max_unscored)
    with ExitStack() as stack:
        verifier = stack.enter_context(RowVerifier(settings))
        if store is not None:
            stack.enter_context(store)
        keys = _Keys(verifier, settings)

        def given() -> Iterator[tuple[_Part, list[ResponseRow] | Known]]:
            remaining = iter(problems)
            while block := [list(rows) for rows in islice(remaining, PARTS)]:
                of_block = [[keys.of(row) for row in rows] for rows in block]
                wanted = [key for keys_of_rows in of_block for key in keys_of_rows if key is not None]
                held = {} if store is None else store.get(wanted)
                for rows, keys_of_rows in zip(block, of_block, strict=True):
                    known = [_read(held[key]) if key in held else None for key in keys_of_rows]
                    ends = [row.response[-60:] for row in rows]
                    light = [row._replace(response="") for row in rows]
                    missing = [row for row, verdict in zip(rows, known, strict=True) if verdict is None]
                    yield _Part(keys_of_rows, known, light, ends), missing or Known([])

        verified = mapped_beside(function, given(), parallel)
        done = (_whole(part, verdicts, store) for part, verdicts in verified)
        for part, verdicts in _judged(done, verifier):
            unscored.add([verdict for verdict, _, _ in verdicts], part.ends)
            unscored.check(total)
            yield [columns_of(row) for row in verdicts]


def _whole(part: _Part, verdicts: Sequence[VerifiedRow], store: ResultStore | None) -> tuple[_Part, list[VerifiedRow]]:
    """Return the verdicts on all rows of a part, those that are new in the store."""
    following = iter(verdicts)
    whole, new = [], {}
    for key, known in zip(part.keys, part.known, strict=True):
        verdict = known if known is not None else next(following)
        whole.append(verdict)
        if known is None and key is not None and _is_kept(verdict[0]):
            new[key] = _written(verdict)
    if store is not None and new:
        store.put(new)
    return part, whole


def _judged(
    parts: Iterable[tuple[_Part, list[VerifiedRow]]], verifier: RowVerifier
) -> Iterator[tuple[_Part, list[VerifiedRow]]]:
    """Yield parts with what a judge says of their open verdicts, if there is one, `PARTS` of them at a time."""
    if not verifier.has_judge:
        yield from parts
        return
    remaining = iter(parts)
    while block := list(islice(remaining, PARTS)):
        rows = [row for part, _ in block for row in part.rows]
        changed = iter(verifier.judged(rows, [verdict for _, verdicts in block for verdict in verdicts]))
        for part, verdicts in block:
            yield part, list(islice(changed, len(verdicts)))


class _Keys:
    """The keys under which verdicts are kept."""

    def __init__(self, verifier: RowVerifier, settings: VerificationSettings) -> None:
        self._verifier = verifier
        self._options: Mapping[str, Mapping[str, Any]] = settings.options
        self._names = settings.verifiers
        self._by: dict[str, str | None] = {}

    def of(self, row: ResponseRow) -> str | None:
        """Return the key of a row's verdict, None where there is none to keep: nothing was answered."""
        if row.status == "failed" or row.finish_reason in ("error", "length"):
            return None
        if row.answer_type not in self._by:
            self._by[row.answer_type] = self._identity(row.answer_type)
        by = self._by[row.answer_type]
        return None if by is None else content_hash("verdict", by, row.gold, row.response)

    def _identity(self, answer_type: str) -> str | None:
        """Return what decides a verdict beside gold answer and text; None for an unknown type, which is an error."""
        verifier = self._verifier.verifier_of(answer_type)
        if verifier is None:
            return None
        options = self._options.get(self._names[answer_type], {})
        decides = {name: value for name, value in options.items() if name not in NO_DIFFERENCE}
        return content_hash(verifier.name, verifier.version, decides, source_digest(type(verifier)))


def _is_kept(verdict: Verdict) -> bool:
    return verdict.verdict != "failed" and (verdict.verdict != "timeout" or verdict.rule == SURE)


def _written(verified: VerifiedRow) -> list[str]:
    verdict, name, version = verified
    return [verdict.verdict, verdict.extracted, verdict.rule, verdict.extracted_from, verdict.detail, name, version]


def _read(kept: Sequence[Any]) -> VerifiedRow:
    verdict, extracted, rule, extracted_from, detail, name, version = kept
    return Verdict(verdict, extracted, rule, extracted_from, detail), name, version
