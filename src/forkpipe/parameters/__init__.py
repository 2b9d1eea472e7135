"""Every parameter of the project: its name, type, range and meaning, a file a stage.

`Parameters` is the whole of `conf/*/parameters*.yml`. It is checked when a run starts, before any node: unknown names
are refused, also those of `kedro run --params`, and so is what two parameters do not agree on. Nodes take these models
as type hints, so Kedro hands them checked objects.
"""

from forkpipe.parameters.base import EngineSettings as EngineSettings
from forkpipe.parameters.benchmarks import BENCHMARKS as BENCHMARKS
from forkpipe.parameters.benchmarks import Benchmark as Benchmark
from forkpipe.parameters.benchmarks import BenchmarksSettings as BenchmarksSettings
from forkpipe.parameters.comparison import Comparison as Comparison
from forkpipe.parameters.evaluation import EvaluationSettings as EvaluationSettings
from forkpipe.parameters.measure import MeasureSettings as MeasureSettings
from forkpipe.parameters.parallel import ParallelSettings as ParallelSettings
from forkpipe.parameters.parallel import RaySettings as RaySettings
from forkpipe.parameters.policy import AnchorSettings as AnchorSettings
from forkpipe.parameters.policy import FoldPhase as FoldPhase
from forkpipe.parameters.policy import PassSettings as PassSettings
from forkpipe.parameters.policy import PolicyMethod as PolicyMethod
from forkpipe.parameters.policy import RolloutSettings as RolloutSettings
from forkpipe.parameters.policy import Schedule as Schedule
from forkpipe.parameters.policy import TagsPhase as TagsPhase
from forkpipe.parameters.policy import TracesPhase as TracesPhase
from forkpipe.parameters.problems import DecontaminationSettings as DecontaminationSettings
from forkpipe.parameters.problems import FieldNames as FieldNames
from forkpipe.parameters.problems import NearSettings as NearSettings
from forkpipe.parameters.problems import NgramSettings as NgramSettings
from forkpipe.parameters.problems import ProblemSettings as ProblemSettings
from forkpipe.parameters.traces import CheckpointSampling as CheckpointSampling
from forkpipe.parameters.traces import EarlyStopSettings as EarlyStopSettings
from forkpipe.parameters.traces import GenerationSettings as GenerationSettings
from forkpipe.parameters.traces import JudgeSettings as JudgeSettings
from forkpipe.parameters.traces import LimitSettings as LimitSettings
from forkpipe.parameters.traces import PriceSettings as PriceSettings
from forkpipe.parameters.traces import SamplingSettings as SamplingSettings
from forkpipe.parameters.traces import StrategySettings as StrategySettings
from forkpipe.parameters.traces import TeacherSettings as TeacherSettings
from forkpipe.parameters.traces import TraceSetSettings as TraceSetSettings
from forkpipe.parameters.traces import VerificationSettings as VerificationSettings
from forkpipe.parameters.training import Architecture as Architecture
from forkpipe.parameters.training import LoraSettings as LoraSettings
from forkpipe.parameters.training import ModelSettings as ModelSettings
from forkpipe.parameters.training import SupervisedMethod as SupervisedMethod
from forkpipe.parameters.training import SupervisedSettings as SupervisedSettings
from forkpipe.parameters.training import TagSettings as TagSettings
from forkpipe.parameters.training import supervised_settings as supervised_settings
from forkpipe.parameters.whole import Parameters as Parameters
from forkpipe.parameters.whole import check_parameters as check_parameters
