"""The methods that are compared; a method's name is its Kedro namespace and its section of the parameters."""

from forkpipe.core.records import Assignment

SUPERVISED: dict[str, Assignment] = {
    "sft": "single",
    "ssft_random": "random",
    "ssft_fixed": "fixed",
    "ssft": "optimal",
}
"""Trained on trace sets; they differ in how traces get their tags: the assignments of `core.matching`."""

MATCHED = tuple(method for method, assignment in SUPERVISED.items() if assignment in ("random", "optimal"))
"""Methods whose matching changes in training."""

POLICY = {"grpo": "sft", "gfpo": "ssft", "fork_rl": "ssft"}
"""Trained by reinforcement, each from the checkpoint of its parent, in the phases that its parameters list."""

METHODS = (*SUPERVISED, *POLICY)
"""In the order in which they are reported."""

TAGGED = ("ssft_random", "ssft_fixed", "ssft", "gfpo", "fork_rl")
"""Methods with N forking tags; the others have one plain tag."""


def lineage(method: str) -> list[str]:
    """Return the method and those it was trained from, itself last.

    >>> lineage("gfpo")
    ['ssft', 'gfpo']
    """
    return [POLICY[method], method] if method in POLICY else [method]
