"""A catalog entry for published data sets of problems whose answers are programs."""

from typing import Any

from kedro.io import AbstractDataset, DatasetError

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.read_rows import file_exists
from forkpipe.datasets.records import RawRecords, RecordsError, origin_hint


class ProgramsDataset(AbstractDataset[RawRecords, RawRecords]):
    """Loads a published data set of programs as rows of problem, answer (tests as JSON text) and id; read-only.

    LiveCodeBench, APPS, TACO, verl, CodeContests, HumanEval and MBPP are told by their columns, see
    `verification.code.readers`. What else a row says of its problem (difficulty, platform, date) stays beside it.

    ```yaml
    raw_problems:
      type: forkpipe.datasets.programs.ProgramsDataset
      filepath: data/01_raw/livecodebench_v5.jsonl
      tests: data/01_raw/tests
      window: lcb_v5_paper
    ```

    Args:
        filepath: JSONL, gzipped JSONL, Parquet or CSV; path or URL.
        tests: folder in which test cases are kept that are too large for a table; the same as
            `verification.options.code.tests`.
        window: problems of one window of LiveCodeBench, see `verification.code.livecodebench.WINDOWS`.
        public_only: take LiveCodeBench's public tests where the private ones are missing; each row says so, and a
            warning how many there are.
        prompt: put LiveCodeBench's problems as lighteval does for the paper's figures; else the statement is followed
            by the starter code, if there is any.
        errata: false leaves out the problems that LiveCodeBench's errata name.
        metadata: ignored, except `origin`: the message about a missing file shows it.
    """

    def __init__(
        self,
        filepath: str,
        tests: str | None = None,
        window: str | None = None,
        public_only: bool = False,
        prompt: bool = False,
        errata: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = str(filepath)
        self._tests = tests
        self._window = window
        self._public_only = public_only
        self._prompt = prompt
        self._errata = errata
        self.metadata = metadata

    def load(self) -> RawRecords:
        """Return the rows.

        Raises:
            RecordsError: the file is missing or empty, a row is of no known data set, or the window does not hold the
                number of problems that it must.
        """
        from forkpipe.verification.code.problems import read_problems

        try:
            rows = read_problems(
                self._filepath,
                tests=self._tests,
                window=self._window,
                public_only=self._public_only,
                prompt=self._prompt,
                errata=self._errata,
            )
        except InputError as error:
            raise RecordsError(f"{error}{origin_hint(self._filepath, self.metadata)}") from error
        if partial := sum(row["public_only"] for row in rows):
            logger.warning(
                "%s: public tests only for %d of %d problems: say so beside every figure",
                self._filepath, partial, len(rows),
            )  # fmt: skip
        return RawRecords(rows, self._filepath)

    def save(self, data: RawRecords) -> None:
        """Refuse: the file is the user's."""
        raise DatasetError(f"{self._filepath}: is read-only, ProgramsDataset saves nothing")

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "window": self._window}

    def _exists(self) -> bool:
        return file_exists(self._filepath)
