"""Every parameter of the project: its name, type, range and meaning, a file a stage.

`Parameters` is the whole of `conf/*/parameters*.yml`. It is checked when a run starts, before any node: unknown names
are refused, also those of `kedro run --params`, and so is what two parameters do not agree on. Nodes take these models
as type hints, so Kedro hands them checked objects.
"""

from forkpipe.parameters.base import EngineSettings
from forkpipe.parameters.evaluation import EvaluationSettings
from forkpipe.parameters.policy import (
    AnchorSettings,
    FoldPhase,
    PassSettings,
    PolicyMethod,
    RolloutSettings,
    Schedule,
    TagsPhase,
    TracesPhase,
)
from forkpipe.parameters.problems import (
    DecontaminationSettings,
    FieldNames,
    NearSettings,
    NgramSettings,
    ProblemSettings,
)
from forkpipe.parameters.traces import (
    EarlyStopSettings,
    GenerationSettings,
    JudgeSettings,
    LimitSettings,
    PriceSettings,
    SamplingSettings,
    StrategySettings,
    TeacherSettings,
    TraceSetSettings,
    VerificationSettings,
)
from forkpipe.parameters.training import (
    Architecture,
    LoraSettings,
    ModelSettings,
    SupervisedMethod,
    SupervisedSettings,
    TagSettings,
    supervised_settings,
)
from forkpipe.parameters.whole import Parameters, check_parameters

__all__ = [
    "AnchorSettings",
    "Architecture",
    "DecontaminationSettings",
    "EarlyStopSettings",
    "EngineSettings",
    "EvaluationSettings",
    "FieldNames",
    "FoldPhase",
    "GenerationSettings",
    "JudgeSettings",
    "LimitSettings",
    "LoraSettings",
    "ModelSettings",
    "NearSettings",
    "NgramSettings",
    "Parameters",
    "PassSettings",
    "PolicyMethod",
    "PriceSettings",
    "ProblemSettings",
    "RolloutSettings",
    "SamplingSettings",
    "Schedule",
    "StrategySettings",
    "SupervisedMethod",
    "SupervisedSettings",
    "TagSettings",
    "TagsPhase",
    "TeacherSettings",
    "TraceSetSettings",
    "TracesPhase",
    "VerificationSettings",
    "check_parameters",
    "supervised_settings",
]
