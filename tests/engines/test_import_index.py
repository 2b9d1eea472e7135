"""Import at scale: one pass for all teachers, rows read by their place, and ids that depend on the row alone."""

import gzip
import json
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_imported import _request

from forkpipe.core import file_digests, row_access
from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem
from forkpipe.core.row_access import RowAccess
from forkpipe.engines import import_index
from forkpipe.engines.imported import ImportEngine
from forkpipe.generation.asking import ask_teacher
from forkpipe.generation.requests import RequestPlan, plan_requests
from forkpipe.parameters import TeacherSettings
from forkpipe.stores.trace_store import TraceStore

TEACHERS = ("a", "b", "c")
PROBLEMS = [
    Problem.create(f"{i} + 1", str(i + 1), answer_type="integer", source="demo", source_id=str(i)) for i in range(40)
]
SETTINGS = TeacherSettings.model_validate({"engine": "import", "samples": 100})


def rows_of(problems, samples=2, say=""):
    return [
        {"problem": problem.problem, "text": f"{name} {n}: {say}{problem.answer}", "teacher": name}
        for problem in problems
        for n in range(samples)
        for name in TEACHERS
    ]


def save(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in row.values()) for row in rows)]
        path.write_text("\n".join(lines))
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def engines(path):
    return {name: ImportEngine(path, where={"teacher": name}) for name in TEACHERS}


def asked_anew(path, store, problems=PROBLEMS):
    """Ask all teachers of a file; return how many requests each sent."""
    sent = {}
    for name, engine in engines(path).items():
        with store:
            plan = plan_requests(problems, name, SETTINGS, engine)
            sent[name] = ask_teacher(name, SETTINGS, plan, engine, store, "run").to_send
    return sent


@pytest.fixture
def store(tmp_path):
    return TraceStore(tmp_path / "store")


@pytest.fixture
def passes(monkeypatch):
    """Count how often a file is read from its beginning to its end."""
    begun = []
    whole = RowAccess.__iter__

    def counting(self):
        begun.append(self._path)
        return whole(self)

    monkeypatch.setattr(RowAccess, "__iter__", counting)
    return begun


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz", "t.parquet", "t.csv"])
def test_one_pass_serves_all_teachers_and_rows_are_read_in_any_order(tmp_path, name, passes):
    rows = rows_of(PROBLEMS)
    random.Random(0).shuffle(rows)
    path = save(tmp_path / name, rows)
    several = engines(path)
    for teacher, engine in several.items():
        expected = {p.problem: [r["text"] for r in rows if (r["problem"], r["teacher"]) == (p.problem, teacher)]
                    for p in PROBLEMS}  # fmt: skip
        requests = [_request(text, sample) for text, texts in expected.items() for sample in range(len(texts))]
        came = [completion.text for completion in engine.generate(requests)]
        assert came == [text for texts in expected.values() for text in texts]
    assert passes == [path]


def test_appended_rows_are_the_only_ones_that_are_asked(tmp_path, store):
    path = save(tmp_path / "t.jsonl", rows_of(PROBLEMS[:20]))
    assert asked_anew(path, store) == dict.fromkeys(TEACHERS, 40)
    assert asked_anew(path, store) == dict.fromkeys(TEACHERS, 0)
    more = rows_of(PROBLEMS[20:])[:100]
    save(tmp_path / "t.jsonl", rows_of(PROBLEMS[:20]) + more)
    sent = asked_anew(path, store)
    assert sent == {name: sum(row["teacher"] == name for row in more) for name in TEACHERS}
    assert sum(sent.values()) == 100


def test_a_changed_row_is_asked_alone_and_other_columns_change_nothing(tmp_path, store):
    rows = rows_of(PROBLEMS)
    path = save(tmp_path / "t.jsonl", rows)
    asked_anew(path, store)
    middle = len(rows) // 2
    rows[middle] = {**rows[middle], "text": "another text"}
    save(tmp_path / "t.jsonl", [{**row, "note": "new column"} for row in rows])
    assert asked_anew(path, store) == {name: int(name == rows[middle]["teacher"]) for name in TEACHERS}
    with store:
        texts = [row["text"] for row in store.rows()]
    assert texts.count("another text") == 1
    assert len(texts) == len(rows) + 1


def test_another_order_of_problems_and_another_format_ask_nothing(tmp_path, store):
    rows = rows_of(PROBLEMS)
    asked_anew(save(tmp_path / "t.jsonl", rows), store)
    by_teacher = sorted(rows, key=lambda row: row["text"])  # the samples of a problem keep their order
    assert asked_anew(save(tmp_path / "t.parquet", by_teacher), store) == dict.fromkeys(TEACHERS, 0)


def test_answers_under_the_ids_of_earlier_versions_are_named(tmp_path, store, caplog):
    path = save(tmp_path / "t.jsonl", rows_of(PROBLEMS))
    engine = engines(path)["a"]
    plan = plan_requests(PROBLEMS, "a", SETTINGS, engine)
    assert plan._earlier is not None
    as_before = RequestPlan(len(plan), plan._earlier)
    assert plan._earlier(3).request_id != plan[3].request_id
    with store:
        ask_teacher("a", SETTINGS, as_before, engine, store, "run")
        assert "earlier version" not in caplog.text
        ask_teacher("a", SETTINGS, plan, engine, store, "run")
    assert "teacher a: the store holds 80 of these answers under ids that an earlier version gave them" in caplog.text
    caplog.clear()
    assert asked_anew(path, store)["a"] == 0
    assert "earlier version" not in caplog.text


def test_a_row_that_one_teacher_cannot_read_stops_that_teacher_alone(tmp_path):
    rows = [*rows_of(PROBLEMS[:1]), {"problem": "x", "text": 5, "teacher": "b"}]
    several = engines(save(tmp_path / "t.jsonl", rows))
    assert several["a"].samples_held(PROBLEMS[0].problem) == 2
    for _ in range(2):
        with pytest.raises(InputError, match=r"t\.jsonl row 7: field 'text' is int, expected text"):
            several["b"].samples_held("x")
    assert several["c"].samples_held(PROBLEMS[0].problem) == 2


@pytest.mark.parametrize("change", [lambda text: text.replace("a 0", "A 0"), lambda text: text[: len(text) // 2]])
def test_a_file_that_changes_while_it_is_read_is_an_error_and_no_other_text(tmp_path, change):
    path = tmp_path / "t.jsonl"
    engine = engines(save(path, rows_of(PROBLEMS)))["a"]
    assert engine.samples_held(PROBLEMS[0].problem) == 2
    path.write_text(change(path.read_text()))
    requests = [_request(problem.problem, sample) for problem in PROBLEMS for sample in range(2)]
    with pytest.raises(InputError, match=r"t\.jsonl: changed while it was read, run again"):
        list(engine.generate(requests))


def test_the_checks_before_a_run_leave_what_they_read_to_the_run(tmp_path, passes, monkeypatch):
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(import_index, "_kept", {})
    path = save(tmp_path / "t.jsonl", rows_of(PROBLEMS))
    for _ in range(2):  # the checks, then the run
        for engine in engines(path).values():
            assert engine.samples_held(PROBLEMS[3].problem) == 2
            engine.close()
    assert passes == [path]
    save(tmp_path / "t.jsonl", rows_of(PROBLEMS, samples=3))
    assert engines(path)["a"].samples_held(PROBLEMS[3].problem) == 3
    assert len(passes) == 2
    # Values that are equal in Python choose other rows.
    with pytest.raises(InputError, match="none of 360 rows has teacher = 1"):
        ImportEngine(path, where={"teacher": 1}).samples_held("x")
    with pytest.raises(InputError, match="none of 360 rows has teacher = True"):
        ImportEngine(path, where={"teacher": True}).samples_held("x")


def test_memory_holds_the_places_and_not_the_texts(tmp_path):
    path = save(tmp_path / "t.jsonl", rows_of(PROBLEMS, say="long " * 4000))  # 240 rows of 20 kB
    size = os.path.getsize(path)
    tracemalloc.start()
    several = engines(path)
    for name, engine in several.items():
        for problem in PROBLEMS:
            for completion in engine.generate([_request(problem.problem, sample) for sample in range(2)]):
                assert completion.text.startswith(name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 4.8e6
    assert peak < size / 4


ROWS = st.lists(
    st.fixed_dictionaries(
        {"problem": st.sampled_from(["x", " x", "y\u2028", "z"]), "text": st.text() | st.lists(st.text(), min_size=1)},
        optional={"reasoning": st.text() | st.none(), "tokens": st.integers(0, 9)},
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, blank=st.booleans())
def test_every_sample_is_found_again_as_a_plain_reading_finds_it(tmp_path_factory, rows, blank):
    path = tmp_path_factory.mktemp("rows") / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + ("\n\n" if blank else "\n").join(map(json.dumps, rows)).encode())
    plain = {}
    for row in rows:
        texts = row["text"] if isinstance(row["text"], list) else [row["text"]]
        for text in texts:
            plain.setdefault(row["problem"].strip(), []).append((text, row.get("reasoning") or ""))
    engine = ImportEngine(str(path))
    for problem, samples in plain.items():
        assert engine.samples_held(problem) == len(samples)
        came = engine.generate([_request(problem, sample) for sample in range(len(samples))])
        assert [(completion.text, completion.reasoning) for completion in came] == samples


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "t.jsonl.gz", rows_of(PROBLEMS))

    def full(**options):
        raise OSError(28, "No space left on device")

    engine = engines(path)["a"]
    assert engine.samples_held(PROBLEMS[0].problem) == 2
    monkeypatch.setattr(row_access.tempfile, "TemporaryFile", full)
    with pytest.raises(InputError, match=r"t\.jsonl\.gz: cannot be copied to the temporary folder .*TMPDIR.*No space"):
        next(iter(engine.generate([_request(PROBLEMS[0].problem)])))


def test_digests_are_kept_between_processes_until_the_file_changes(tmp_path):
    path, kept = Path(save(tmp_path / "t.jsonl", rows_of(PROBLEMS))), tmp_path / "new" / "kept.json"
    code = (
        "import sys; from pathlib import Path; from forkpipe.core import file_digests as f; "
        "f.SETTLED_SECONDS = 0.0; f.keep_in(Path(sys.argv[2])); read = []; made = f.digest; "
        "f.digest = lambda blocks: read.append(1) or made(blocks); print(f.file_digest(sys.argv[1]), len(read))"
    )

    def digest_of(file=path):
        command = [sys.executable, "-c", code, str(file), str(kept)]
        digest, read = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return digest, int(read)

    first, read = digest_of()
    assert read == 1
    assert digest_of() == (first, 0)
    other = tmp_path / "other.jsonl"
    other.write_text("{}")
    assert digest_of(other)[1] == 1
    assert digest_of() == (first, 0)  # the other did not replace it
    path.write_text(path.read_text() + "\n")
    changed, read = digest_of()
    assert changed != first
    assert read == 1
    kept.write_text("[1]")
    assert digest_of() == (changed, 1)
