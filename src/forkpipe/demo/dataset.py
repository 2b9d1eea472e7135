"""Raw problems that are generated on load: those of the embedded default and of the environment `pretrained`."""

from abc import abstractmethod
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from forkpipe.demo import linear_equations, modular_powers

Row = dict[str, Any]


class GeneratedDataset(AbstractDataset[list[Row], list[Row]]):
    """Raw problems that a program makes: rows with id, problem and answer, all text.

    It stands where a user's own file stands: replace the catalog entry `raw_problems` to bring other problems.
    """

    metadata: dict[str, Any] | None

    @abstractmethod
    def load(self) -> list[Row]:
        """Return the rows."""

    def generated_from(self) -> list[Row]:
        """Return what its content is a function of: the rows themselves, there are few."""
        return self.load()

    def save(self, data: list[Row]) -> None:
        """Refuse: these problems are generated."""
        raise DatasetError(f"problems of {type(self).__name__} are generated, they cannot be saved")

    def preview(self, nrows: int = 5) -> TablePreview:
        """Return the first rows, for kedro viz."""
        rows = self.load()[:nrows]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        )

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {}


class ModularPowersDataset(GeneratedDataset):
    """All problems a ^ b mod p with 1 < a < p and `first_exponent` <= b <= `last_exponent`.

    Args:
        modulus: p, a prime.
    """

    def __init__(
        self,
        *,
        modulus: int = 17,
        first_exponent: int = 3,
        last_exponent: int = 99,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if modulus < 3 or any(modulus % divisor == 0 for divisor in range(2, modulus)):
            raise ValueError(f"modulus is {modulus}, expected a prime from 3")
        if not 0 < first_exponent <= last_exponent:
            raise ValueError(f"exponents {first_exponent} to {last_exponent} are no range of positive numbers")
        self._modulus = modulus
        self._exponents = range(first_exponent, last_exponent + 1)
        self.metadata = metadata

    def load(self) -> list[Row]:
        """Return rows with id, problem and answer, all text."""
        p = self._modulus
        return [
            {
                "id": f"{a}^{b}",
                "problem": modular_powers.render(modular_powers.Power(a, b, p)),
                "answer": str(pow(a, b, p)),
            }
            for a in range(2, p)
            for b in self._exponents
        ]

    def _describe(self) -> dict[str, Any]:
        return {"modulus": self._modulus, "exponents": f"{self._exponents.start} to {self._exponents.stop - 1}"}


class LinearEquationsDataset(GeneratedDataset):
    """Equations a x + b = c with a whole solution (`demo.linear_equations`).

    Args:
        count: how many different ones, 1 to 360.
        seed: another seed draws others.
    """

    def __init__(self, *, count: int = 300, seed: int = 0, metadata: dict[str, Any] | None = None) -> None:
        if not 1 <= count <= 360:
            raise ValueError(f"count is {count}, expected 1 to 360")
        self._count, self._seed = count, seed
        self.metadata = metadata

    def load(self) -> list[Row]:
        """Return rows with id, problem and answer, all text."""
        return [
            {"id": str(number), "problem": linear_equations.render(equation), "answer": str(solution)}
            for number, (equation, solution) in enumerate(linear_equations.draw_equations(self._count, self._seed))
        ]

    def _describe(self) -> dict[str, Any]:
        return {"count": self._count, "seed": self._seed}
