"""`forkpipe evaluate`: measure any model on benchmarks, with one command and outside of any project."""

import json
import re
from pathlib import Path
from typing import Any

import click

from forkpipe.core.errors import InputError


@click.command()
@click.argument("model", required=False)
@click.option(
    "--benchmarks", multiple=True, required=True, metavar="NAME[:SAMPLES],...", help="Such as aime24:66,math500:4."
)
@click.option(
    "--policy",
    multiple=True,
    metavar="POLICY,...",
    help="none, tag:1, own, router, spread. Without it: spread, or none for a model without tags.",
)
@click.option(
    "--protocol", multiple=True, metavar="PROTOCOL,...", help="avg@n, pass@k, cons@k, cons@kxs. Without it: avg@n."
)
@click.option(
    "--tags",
    metavar="STYLE:N",
    help="Tags of a model without forking.json, such as text:6; none to leave out those that it has.",
)
@click.option(
    "--base-url", multiple=True, metavar="URL", help="A server that runs the model, up to /v1; may be repeated."
)
@click.option("--served-name", metavar="NAME", help="The model's name at the servers, if it is not MODEL.")
@click.option("--engine", metavar="NAME", help="transformers (the default), vllm, or module:Class.")
@click.option("--option", multiple=True, metavar="NAME=VALUE", help="An option of the engine, such as concurrency=256.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="BENCHMARK=PATH",
    help="Read a benchmark from a file instead of fetching it.",
)
@click.option("--define", metavar="FILE", help="Benchmarks of your own in YAML, as in the parameter benchmarks.define.")
@click.option(
    "--prompt",
    metavar="NAME",
    help="lighteval, qwen, boxed, inspect, or a text with {problem}; without it each benchmark's own.",
)
@click.option("--temperature", type=click.FloatRange(0), default=0.7, show_default=True)
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True)
@click.option("--max-tokens", type=click.IntRange(1), default=32768, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--name", metavar="NAME", help="What tables call the model, if not MODEL.")
@click.option(
    "--import", "imported", metavar="FILE", help="Score generations made elsewhere instead of asking a model."
)
@click.option(
    "--format",
    "form",
    default="jsonl",
    show_default=True,
    help="Of the imported file: lighteval, inspect, lm-eval, jsonl.",
)
@click.option(
    "--field",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="With --import and jsonl: a column's name, such as text=trace.",
)
@click.option(
    "--against", multiple=True, metavar="DIR", help="The --output of another model, to show paired differences."
)
@click.option("--subsets", is_flag=True, help="Show subsets too.")
@click.option("--output", metavar="DIR", help="Folder for samples and results; by default evaluations/NAME.")
def evaluate(model: str | None, imported: str | None, **given: Any) -> None:
    """Measure MODEL on benchmarks: a folder of a Hugging Face model, or NAME or NAME@REVISION on the hub.

    Its files are only read. What was sampled is kept in DIR: the same command continues where it was killed, and
    another number of samples, protocol or address asks for nothing that is there.
    """
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("httpx", "httpx2", "openai", "filelock"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if (model is None) == (imported is None) and model is None:
        raise click.UsageError("Missing argument 'MODEL': expected a model, or --import FILE.")
    try:
        _evaluate(model, imported, given)
    except InputError as error:
        raise click.ClickException(str(error)) from error


def _evaluate(model: str | None, imported: str | None, given: dict[str, Any]) -> None:
    from forkpipe.core.protocols import Protocol, TagPolicy, parse_share, unique
    from forkpipe.core.records import Sampling
    from forkpipe.evaluation.benchmark_run import ResultFolder
    from forkpipe.evaluation.benchmark_samples import Measurement, sample_subject
    from forkpipe.evaluation.benchmark_tables import format_metrics
    from forkpipe.evaluation.foreign import import_samples
    from forkpipe.evaluation.foreign_formats import read_foreign
    from forkpipe.evaluation.subjects import open_subject
    from forkpipe.parameters import EngineSettings, VerificationSettings
    from forkpipe.problems.benchmark_files import cache_folder
    from forkpipe.problems.benchmark_rows import benchmark_rows

    shares = [parse_share(text, "--benchmarks") for text in unique(given["benchmarks"])]
    policies = [TagPolicy.parse(text, "--policy") for text in unique(given["policy"])]
    protocols = [Protocol.parse(text, "--protocol") for text in unique(given["protocol"])]
    files, fields = _pairs(given["files"], "--file"), _pairs(given["field"], "--field")
    options = {name: _value(value) for name, value in _pairs(given["option"], "--option").items()}
    name = given["name"] or model or Path(str(imported)).name
    folder = ResultFolder(Path(given["output"] or Path("evaluations") / re.sub(r"[^\w.-]+", "_", name.strip("./"))))
    known = _known(given["define"])
    tests = str(cache_folder() / "tests")
    rows, datasets = benchmark_rows(
        [share.name for share in shares], files=files, benchmarks=known, prompt=given["prompt"], tests=tests
    )
    verification = VerificationSettings(max_unscored=1.0, options={"code": {"tests": tests}})
    sampling = Sampling(given["temperature"], given["top_p"], given["max_tokens"])
    if not protocols and any(share.samples is None for share in shares) and imported is None:
        raise InputError("--benchmarks without numbers of samples needs --protocol, expected such as aime24:8 or avg@8")
    described = {key: value for key, value in given.items() if key not in ("against", "subsets", "output")}
    described |= {"model": model, "import": imported}
    if imported is not None:
        for option in ("base_url", "engine", "option", "served_name"):
            if given[option]:
                raise InputError(f"--{option.replace('_', '-')} is given with --import, which asks no model")
        own = bool(policies) and all(policy.kind in ("own", "router") for policy in policies)
        n_tags = _given_tags(given["tags"])
        held = import_samples(name, read_foreign(imported, given["form"], fields), rows, own=own, n_tags=n_tags)
        policies = policies or [TagPolicy("spread" if held.n_tags else "none")]
        for policy in policies:
            policy.split(1, held.n_tags)
        measurement = Measurement(held.shares(shares, policies), policies, protocols, sampling, given["seed"])
        folder.check(None)
        tables = held.tables
    else:
        engine = _engine(given, options, EngineSettings)
        subject = open_subject(str(model), name=name, tags=given["tags"], weights=not given["base_url"])
        policies = policies or [TagPolicy("spread" if subject.n_tags else "none")]
        for policy in policies:
            subject.check(policy)
        measurement = Measurement(shares, policies, protocols, sampling, given["seed"])
        described["checkpoint"] = subject.digest
        folder.check(subject.folder)

        def tables() -> Any:
            return sample_subject(subject, rows, measurement, engine, folder.store)

    lock = folder.lock()
    lock.acquire()
    try:
        metrics = folder.write(rows, tables, measurement, verification, described, datasets)
    finally:
        lock.release()
    click.echo(format_metrics(metrics, subsets=given["subsets"]))
    click.echo(_notes(measurement, rows, folder.path))
    if given["against"]:
        click.echo(_against(folder, given["against"], rows, measurement))


def _known(path: str | None) -> Any:
    """Return the benchmarks that there are, with those of the user's file."""
    import yaml
    from pydantic import ValidationError

    from forkpipe.parameters.base import problem_of
    from forkpipe.parameters.benchmarks import BenchmarksSettings

    try:
        defined = {} if path is None else yaml.safe_load(Path(path).read_text())
        return BenchmarksSettings.model_validate({"define": defined}).known
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"--define {path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise InputError(f"--define {path}: {problem_of(error)}") from None


def _engine(given: dict[str, Any], options: dict[str, Any], settings: Any) -> Any:
    urls = list(given["base_url"])
    if urls:
        if given["engine"]:
            raise InputError("--base-url and --engine are both given, expected one of them")
        options = {"base_url": urls, **options}
        if given["served_name"]:
            options["model"] = given["served_name"]
        return settings(name="openai", options=options)
    if given["served_name"]:
        raise InputError("--served-name is given without --base-url, expected the servers that know the name")
    return settings(name=given["engine"] or "transformers", options=options)


def _given_tags(text: str | None) -> int | None:
    from forkpipe.core.forking import parse_tags

    parsed = None if text is None else parse_tags(text, "--tags")
    return parsed[1] if parsed else None


def _notes(measurement: Any, rows: Any, path: Path) -> str:
    from forkpipe.evaluation.benchmark_samples import WITHOUT_VOTE

    lines = [
        "Values and intervals (95 %) in percent. Over problems: had other problems of this kind been asked.",
        "Over samples: had these been asked again. detects: the smallest difference between two models on these",
        "problems that two such runs tell apart in 80 % of cases.",
    ]
    if any(row["answer_type"] in WITHOUT_VOTE for row in rows) and any(
        one.kind == "cons" for one in measurement.protocols
    ):
        lines.append("Programs have no vote: cons@k is left out for them.")
    for share in measurement.shares:
        left_out = [str(one) for one in measurement.protocols if one not in share.protocols(measurement.protocols)]
        if left_out:
            lines.append(f"{share.name}: {share.samples} a problem are too few for {', '.join(left_out)}.")
    return "\n".join(["", *lines, f"Results are in {path}."])


def _against(folder: Any, others: tuple[str, ...], rows: Any, measurement: Any) -> str:
    import pyarrow as pa

    from forkpipe.evaluation.benchmark_metrics import benchmark_differences
    from forkpipe.evaluation.benchmark_run import ResultFolder
    from forkpipe.evaluation.benchmark_tables import format_differences

    tables = [folder.scores()]
    measured: dict[str, Any] = {}
    for other in map(ResultFolder, map(Path, others)):
        table, held = other.scores(), other.measurement()
        measured |= dict.fromkeys(table.column("subject").unique().to_pylist(), held)
        # Compared on the benchmarks of both.
        names = {share.name for share in measurement.shares} & {share.name for share in held.shares}
        tables.append(table.filter(pa.array([name in names for name in table.column("benchmark").to_pylist()])))
    if tables[0].column("subject")[0].as_py() in measured:
        raise InputError("--against names a model of the same name, expected --name to tell them apart")
    differences = benchmark_differences(pa.concat_tables(tables), rows, measurement, resamples=2000, others=measured)
    return "\n" + format_differences(differences)


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise InputError(f"{option} is '{text}', expected NAME=VALUE")
        pairs[name] = value
    return pairs


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
