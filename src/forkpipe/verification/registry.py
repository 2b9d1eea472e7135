"""The verifiers that parameters can name. A new verifier is one file and one line in `VERIFIERS`."""

from forkpipe.core.plugins import Plugin, create
from forkpipe.parameters import VerificationSettings
from forkpipe.verification.base import Verifier

VERIFIERS = {
    "math": Plugin("forkpipe.verification.math:MathVerifier", ("math_verify",)),
    "exact": Plugin("forkpipe.verification.exact:ExactVerifier"),
    "choice": Plugin("forkpipe.verification.choice:ChoiceVerifier"),
    "number": Plugin("forkpipe.verification.number:NumberVerifier"),
    "reasoning_gym": Plugin(
        "forkpipe.verification.reasoning_gym:ReasoningGymVerifier", ("reasoning_gym",), "reasoning-gym"
    ),
    "code": Plugin("forkpipe.verification.code.verifier:CodeVerifier"),
}


def create_verifiers(settings: VerificationSettings) -> dict[str, Verifier]:
    """Return the configured verifiers by name; those with worker processes start them when first used."""
    names = dict.fromkeys(settings.verifiers.values())
    return {
        name: create("verifier", VERIFIERS, name, settings.options.get(name, {}), "verification.verifiers")
        for name in names
    }
