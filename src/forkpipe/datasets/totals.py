"""What each teacher's requests came to, as a catalog entry that says when asking again can help."""

from kedro_datasets.json import JSONDataset

from forkpipe.core.records import REFUSED


class GenerationTotalsDataset(JSONDataset):
    """JSON: counts by teacher, see `generation.attempts.totals`. Requests that failed or wait make it unfinished."""

    def unfinished(self) -> str:
        """Return how many requests the next run asks again, by teacher; empty if there are none."""
        reasons = []
        for name, counted in self.load().items():
            parts = [f"{counted.get('failed_for_now', 0)} requests failed", f"{counted['not_asked']} were not asked"]
            if listed := " and ".join(part for part in parts if not part.startswith("0 ")):
                kinds = ", ".join(kind for kind in counted["errors"] if kind != REFUSED)
                reasons.append(f"teacher {name}: {listed}{f' ({kinds})' if kinds else ''}")
        return "; ".join(reasons)
