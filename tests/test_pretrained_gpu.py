"""The environment `pretrained_gpu` from the files of the hub to the table, with stand-ins for hub, models and vLLM."""

import os
import random
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

from forkpipe.core.hub import pinned
from forkpipe.parameters import check_parameters
from model_families import FAMILIES, model_of, tokenizer_of
from test_end_to_end import ENVIRONMENT, Project
from test_parameters import parameters

TEACHERS = """
import re

from forkpipe.core.records import Completion


class Adder:
    '''Writes the sum of the two numbers of a problem, after words that no other model writes.'''

    version = "1"

    def __init__(self, *, model, **options):
        self.identity = self.model = model

    def generate(self, requests):
        for request in requests:
            first, second = map(int, re.findall(r"\\d+", request.problem)[:2])
            words = " ".join(f"{self.model.lower()} {place}" for place in range(6))
            text = f"{words}. {first} + {second} = {first + second}. \\\\boxed{{{first + second}}}"
            yield Completion(request.request_id, text=text, tokens_out=9)

    def samples_held(self, problem):
        return None

    def close(self):
        pass
"""
QUICK = (
    "problems.sources.gsm8k_train.limit=24,supervised.epochs=1,supervised.lora.rank=4,supervised.max_length=null,"
    "rollouts.steps=1,rollouts.problems_per_step=2,rollouts.sampling.max_tokens=4,rollouts.engine=transformers,"
    "gfpo.train.tags.micro_batch_size=2,evaluation.samples_per_tag=1,evaluation.pass_at=[1],"
    "evaluation.limit=4,evaluation.sampling.max_tokens=4,evaluation.engine=transformers,"
    "decontamination.near=null"
)


def rows(count, seed):
    """Rows with GSM8K's columns, of unlike words."""
    drawn = random.Random(seed)

    def word():
        return "".join(drawn.choice("bdfglmnprst") + drawn.choice("aeiou") for _ in range(3))

    for _ in range(count):
        a, b = drawn.randrange(2, 50), drawn.randrange(2, 50)
        question = f"{word()} {word()} {a} {word()} {word()} {word()}, {word()} {b} {word()} {word()}. {word()}?"
        yield {"question": question, "answer": f"Together {a}+{b}=<<{a}+{b}={a + b}>>{a + b}.\n#### {a + b}"}


def test_one_command_ends_with_the_table(tmp_path):
    checked = check_parameters(parameters("pretrained_gpu"))
    assert {teacher.engine for teacher in checked.generation.asked.values()} == {"vllm"}
    questions = []
    for seed, source in enumerate(checked.problems.sources.values()):
        named = pinned(source.file)
        file = (
            tmp_path / "hub" / f"datasets--{named.repository.replace('/', '--')}/snapshots" / named.commit / named.file
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        made = list(rows(30, seed))
        questions += [row["question"] for row in made]
        pq.write_table(pa.Table.from_pylist(made), file)
    project = Project(tmp_path / "project")
    (project.folder / "src/adder.py").write_text(TEACHERS)
    tokenizer = tokenizer_of(FAMILIES["qwen3"], questions)
    tokenizer.save_pretrained(project.folder / "model")
    model_of(FAMILIES["qwen3"], tokenizer).save_pretrained(project.folder / "model")
    teachers = "".join(f",generation.teachers.{name}.engine=adder:Adder" for name in checked.generation.asked)
    environment = {
        **ENVIRONMENT,
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(project.folder / "src"), os.environ.get("PYTHONPATH")])),
    }
    command = ["run", "--env=pretrained_gpu", f"--params=inputs.model=model,{QUICK}{teachers}"]
    done = subprocess.run(
        [sys.executable, "-m", "kedro", *command], cwd=project.folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    project.data = project.folder / "data" / "pretrained_gpu" / "seed0"
    problems = project.table("02_intermediate/problems.parquet")
    assert {row["split"] for row in problems if row["source"] == "gsm8k_test"} == {"test"}
    assert {row["split"] for row in problems if row["source"] == "gsm8k_train"} == {"train", "rl", "validation"}
    table = project.table("08_reporting/comparison.parquet")
    methods = ["base", "sft", "ssft_random", "ssft", "gfpo"]
    assert list(dict.fromkeys(row["method"] for row in table)) == methods
    last = printed[printed.rindex("Report: ") - 4000 :]
    assert all(re.search(rf"\b{method}\b", last) for method in methods)
