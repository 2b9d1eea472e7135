"""Problems become traces: teachers are asked, and what the store then holds becomes the table."""

from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem
from forkpipe.core.rows import RejectedRow
from forkpipe.engines.registry import create_engines
from forkpipe.generation.budget import Budget
from forkpipe.generation.collecting import collect, stop_or_warn
from forkpipe.generation.early import early_check
from forkpipe.generation.teachers import Asking
from forkpipe.parameters import GenerationSettings, ParallelSettings, StrategySettings, VerificationSettings
from forkpipe.stores.results import ResultStore
from forkpipe.stores.tables import Batches
from forkpipe.stores.trace_store import TraceStore


def generate_traces(
    problems: Any,
    settings: GenerationSettings,
    verification: VerificationSettings,
    strategies: StrategySettings,
    parallel: ParallelSettings,
    *,
    store: TraceStore,
    verdicts: ResultStore,
    clusters: ResultStore,
) -> tuple[Batches, dict[str, Any], list[RejectedRow]]:
    """Return (the attempt that counts at every request, what each teacher's requests came to, rows of `rejected`).

    With `generation.target` problems are asked in rounds until they have enough. What the store holds is not asked
    again. Teachers at servers are asked side by side. A run that has reached a limit ends here, or goes on with what
    there is if `limits.partial` says so.
    """
    chosen = [Problem.from_row(row) for row in problems.to_pylist() if row["split"] in settings.splits]
    if not chosen:
        raise InputError(f"no problem is in generation.splits {settings.splits}, expected at least one")
    engines = create_engines(settings.asked)
    budget = Budget(settings.limits)
    with store, early_check(settings.early_stop, verification, chosen) as check:
        rejected: list[RejectedRow] = []
        if settings.target is None:
            came = Asking(chosen, settings.asked, engines, store, budget, check).ask()
        else:
            from forkpipe.generation.rounds import Judge, Rounds  # most runs have no target

            judge = Judge(verification, strategies, parallel, verdicts, clusters)
            came, rejected = Rounds(chosen, settings, engines, store, budget, check, judge).ask()
        outcomes = {name: outcome for name, (_, outcome) in came.items()}
        stop_or_warn(outcomes, settings.limits)
        plans = {name: plans for name, (plans, _) in came.items()}
        order = [problem.problem_id for problem in chosen]
        return *collect(store, plans, settings.asked, outcomes, order), rejected
