"""Pools of answers from which the comparison draws as if it asked teachers one by one.

A pool holds all answers of all teachers with their verdicts, and the distances between the distinct correct texts of
each problem, so that the clusters of any part of them are those that the pipeline would make.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from forkpipe.core.ids import content_hash
from forkpipe.core.read_rows import read_rows
from forkpipe.core.records import Problem
from forkpipe.demo.modular_powers import STRATEGIES, Power, render
from forkpipe.demo.procedural import ProceduralEngine
from forkpipe.generation.requests import plan_requests
from forkpipe.generation.selection import canonical
from forkpipe.parameters import TeacherSettings, VerificationSettings
from forkpipe.strategies.clusterer import StepClusterer
from forkpipe.strategies.linkage import far_apart, link
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier

CLUSTERER = StepClusterer()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: the index of its text among the distinct correct texts of its problem, -1 if it is not correct."""

    text: int
    tokens: int


_Counts = dict[tuple[int, frozenset[int], float], int]


@dataclass(eq=False)
class Pool:
    """All answers: `answers[problem][teacher]` in their order; texts and (n, n) distances by problem."""

    name: str
    teachers: list[str]
    problems: list[str]
    answers: list[list[list[Answer]]]
    texts: list[list[str]]
    distances: list[np.ndarray]
    _counts: _Counts = field(default_factory=dict, init=False, repr=False)

    threshold: float = CLUSTERER.threshold

    def strategies(self, problem: int, chosen: Sequence[int]) -> tuple[list[int], int]:
        """Return (the cluster of each text, how many strategies there are), as the node cluster_strategies counts."""
        distances = self.distances[problem][np.ix_(chosen, chosen)]
        clusters = link([self.texts[problem][at] for at in chosen], distances, self.threshold)
        return clusters.labels, len(far_apart(distances, clusters.representatives, self.threshold))

    def count(self, problem: int, chosen: frozenset[int]) -> int:
        """Return how many strategies texts show; their order does not count."""
        key = problem, chosen, self.threshold
        if key not in self._counts:
            self._counts[key] = self.strategies(problem, sorted(chosen))[1] if chosen else 0
        return self._counts[key]


def of_rows(name: str, rows: Iterable[tuple[str, str, str, str, int, str]]) -> Pool:
    """Make a pool of (problem, gold answer, teacher, text, tokens, finish_reason)."""
    given = list(rows)
    with RowVerifier(VerificationSettings(max_unscored=1.0)) as verifier:
        asked = [ResponseRow("math", gold, text, "done", finish) for _, gold, _, text, _, finish in given]
        verdicts = verifier.verify(asked)
    problems = list(dict.fromkeys(row[0] for row in given))
    teachers = sorted({row[2] for row in given})
    number = {problem: at for at, problem in enumerate(problems)}
    answers: list[list[list[Answer]]] = [[[] for _ in teachers] for _ in problems]
    texts: list[list[str]] = [[] for _ in problems]
    known: dict[tuple[int, str], int] = {}
    for (problem, _, teacher, text, tokens, _), verdict in zip(given, verdicts, strict=True):
        at, which = number[problem], -1
        if verdict["verdict"] == "correct":
            text = canonical(text, "")
            which = known.setdefault((at, " ".join(text.split())), len(texts[at]))
            if which == len(texts[at]):
                texts[at].append(text)
        answers[at][teachers.index(teacher)].append(Answer(which, tokens))
    distances = [CLUSTERER.distances(problem, of) for problem, of in zip(problems, texts, strict=True)]
    return Pool(name, teachers, problems, answers, texts, distances)


def of_file(path: str, cache: Path, problems: int) -> Pool:
    """Make a pool of a file with the columns problem, gold, teacher and trace; what was computed is kept in `cache`.

    Args:
        problems: most problems; of more, those with the smallest hashes are taken.
    """
    kept = cache / f"{content_hash(path, Path(path).stat().st_size, CLUSTERER.version, problems)}.json"
    if not kept.is_file():
        rows = [
            (str(row["problem"]), str(row["gold"]), str(row["teacher"]), _text(str(row["trace"])))
            for _, row in read_rows(path)
        ]
        chosen = set(sorted({row[0] for row in rows}, key=content_hash)[:problems])
        taken = [(*row, len(row[3].split()), "stop") for row in rows if row[0] in chosen]
        pool = of_rows(Path(path).name.split(".")[0], taken)
        fields: dict[str, Any] = {**asdict(pool), "distances": [matrix.tolist() for matrix in pool.distances]}
        del fields["_counts"], fields["threshold"]
        kept.write_text(json.dumps(fields))
    held = json.loads(kept.read_text())
    held["answers"] = [[[Answer(**it) for it in of] for of in teachers] for teachers in held["answers"]]
    held["distances"] = [np.array(it).reshape(len(it), len(it)) for it in held["distances"]]
    return Pool(**held)


def _text(trace: str) -> str:
    """Return a trace as text; some teachers were told to answer in JSON, with reasoning and answer."""
    inside = re.fullmatch(r"\s*(?:```json)?\s*(\{.*\})\s*(?:```)?\s*", trace, re.DOTALL)
    try:
        held = json.loads(inside[1], strict=False) if inside else None
    except ValueError:
        return trace
    return f"{held['reasoning']}\n#### {held['answer']}" if held and {"reasoning", "answer"} <= held.keys() else trace


def embedded(conf: Path, environment: str, samples: int, seed: int, problems: int) -> Pool:
    """Make a pool of the embedded teachers of an environment."""
    base = yaml.safe_load((conf / "base" / "parameters_generation.yml").read_text())["generation"]["teachers"]
    own = (
        yaml.safe_load((conf / environment / "parameters_generation.yml").read_text()) if environment != "base" else {}
    )
    limits = own.get("generation", {}).get("teachers", {})
    chosen = sorted((Power(a, b, 17) for a in range(2, 17) for b in range(3, 100)), key=lambda it: content_hash(*it))
    asked = [
        Problem.create(render(it), str(pow(*it)), answer_type="integer", source="demo", source_id=str(at))
        for at, it in enumerate(chosen[:problems])
    ]
    rows: dict[int, list[tuple[str, str, str, str, int, str]]] = defaultdict(list)
    for name in STRATEGIES:
        settings = {**base[name], **limits.get(name, {}), "samples": samples, "revision": f"seed {seed}"}
        teacher = TeacherSettings.model_validate(settings)
        engine = ProceduralEngine(**settings["options"])
        plan = plan_requests(asked, name, teacher, engine)
        for position, completion in enumerate(engine.generate(plan)):
            at = position // samples
            rows[at].append((asked[at].problem, asked[at].answer, name, completion.text, completion.tokens_out,
                             completion.finish_reason))  # fmt: skip
    return of_rows(f"embedded_{environment}", (row for at in range(len(asked)) for row in rows[at]))
