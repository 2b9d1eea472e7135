"""Fingerprints of code: what counts as a change of a node's code, and what does not."""

import ast
import importlib
import sys
import textwrap
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from kedro_provenance.code import CodeIndex
from kedro_provenance.names import free_names

NUMBER = count()

FILES = {
    "__init__.py": "",
    "nodes.py": '''
        """Nodes."""
        from PKG import middle
        from PKG.constants import LIMIT
        from PKG.handed import handed_on
        from PKG import registry

        FACTOR = 2

        def work(x):
            """Work."""
            from PKG.lazy import late
            return middle.step(x) * FACTOR + LIMIT + late(x) + handed_on(x)

        def other(x):
            return x - 1

        def maker(method):
            def made(x):
                return (method, middle.step(x))
            return made

        def picks(x):
            return registry.NAMES
        ''',
    "middle.py": """
        from PKG.deep import helper, unused

        def step(x):
            return helper(x)

        def unrelated(x):
            return unused(x)
        """,
    "deep.py": """
        # a comment
        def helper(x):
            return x + 1

        def unused(x):
            return x
        """,
    "lazy.py": """
        def late(x):
            return x
        """,
    "handed.py": """
        from PKG.origin import original as handed_on
        """,
    "origin.py": """
        def original(x):
            return x
        """,
    "constants.py": """
        LIMIT = 10
        OTHER = 11
        """,
    "registry.py": """
        NAMES = {"a": "PKG.engine_a:A", "b": "PKG.engine_b:B"}
        """,
    "engine_a.py": """
        class A:
            version = "1"
            def run(self):
                return 1
        """,
}


class Package:
    """A package on disk whose files can be edited between fingerprints."""

    def __init__(self, folder):
        self.name = f"made_package_{next(NUMBER)}"
        self.folder = folder / self.name
        self.folder.mkdir()
        for name, text in FILES.items():
            (self.folder / name).write_text(textwrap.dedent(text).replace("PKG", self.name))
        self.nodes = importlib.import_module(f"{self.name}.nodes")

    def edit(self, name, old, new):
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def fingerprint(self, function=None, exempt=()):
        index = CodeIndex([self.name], [f"{self.name}.{name}" for name in exempt])
        return index.fingerprint(function or self.nodes.work)


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Package(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.startswith(made.name)]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("deep.py", "# a comment", "# another comment"),
        ("nodes.py", '"""Work."""', '"""Works hard."""'),
        ("nodes.py", '"""Nodes."""', ""),
        ("deep.py", "return x + 1", "return (x +\n            1)"),
        ("deep.py", "def unused(x):\n    return x", "def unused(x):\n    return x * 7"),
        ("middle.py", "return unused(x)", "return unused(x) + 1"),
        ("nodes.py", "return x - 1", "return x - 2"),
        ("constants.py", "OTHER = 11", "OTHER = 12"),
        ("registry.py", '"b"', '"c"'),
        ("engine_a.py", "return 1", "return 2"),
    ],
)
def test_what_is_no_change(package, file, old, new):
    before = package.fingerprint()
    package.edit(file, old, new)
    assert package.fingerprint() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "symbol"),
    [
        ("nodes.py", "* FACTOR", "/ FACTOR", "nodes:work"),
        ("nodes.py", "FACTOR = 2", "FACTOR = 3", "nodes:FACTOR"),
        ("middle.py", "return helper(x)", "return -helper(x)", "middle:step"),
        ("deep.py", "return x + 1", "return x + 2", "deep:helper"),
        ("lazy.py", "return x", "return -x", "lazy:late"),
        ("origin.py", "return x", "return -x", "origin:original"),
        ("constants.py", "LIMIT = 10", "LIMIT = 12", "constants:LIMIT"),
    ],
)
def test_what_is_a_change_and_where(package, file, old, new, symbol):
    before = package.fingerprint()
    package.edit(file, old, new)
    after = package.fingerprint()
    assert {name for name in after if after[name] != before.get(name)} == {f"{package.name}.{symbol}"}


def test_a_made_function_counts_its_maker_and_what_it_captured(package):
    one, two = package.nodes.maker("one"), package.nodes.maker("two")
    assert package.fingerprint(one) == package.fingerprint(package.nodes.maker("one"))
    assert package.fingerprint(one) != package.fingerprint(two)
    before = package.fingerprint(one)
    package.edit("deep.py", "return x + 1", "return x + 2")
    assert package.fingerprint(one) != before


def test_arguments_of_a_partial_count(package):
    assert package.fingerprint(partial(package.nodes.other, x=1)) != package.fingerprint(
        partial(package.nodes.other, x=2)
    )


def test_a_string_that_names_a_symbol_is_followed(package):
    before = package.fingerprint(package.nodes.picks)
    package.edit("engine_a.py", "return 1", "return 3")
    assert package.fingerprint(package.nodes.picks) != before


def test_an_exempt_module_does_not_count(package):
    before = package.fingerprint(package.nodes.picks, exempt=["registry"])
    package.edit("registry.py", '"b"', '"c"')
    assert package.fingerprint(package.nodes.picks, exempt=["registry"]) == before
    assert package.fingerprint(package.nodes.picks) != before


def test_an_implementation_counts_its_module_and_version_alone(package):
    module = importlib.import_module(f"{package.name}.engine_a")

    def part():
        return CodeIndex([package.name]).implementation(module.A)

    before = part()
    package.edit("engine_a.py", "class A:", "# a comment\nclass A:")
    assert part() == before
    module.A.version = "2"
    assert part() != before
    module.A.version = "1"
    package.edit("engine_a.py", "return 1", "return 2")
    assert part() != before


def test_an_implementation_of_another_package_counts_too(package):
    module = importlib.import_module(f"{package.name}.engine_a")
    before = CodeIndex(["no_such_package"]).implementation(module.A)
    package.edit("engine_a.py", "return 1", "return 2")
    assert CodeIndex(["no_such_package"]).implementation(module.A) != before


def test_functions_of_others_are_named_and_not_followed():
    found = CodeIndex(["no_such_package"]).fingerprint(textwrap.dedent)
    assert found == {"textwrap:dedent": "not of this project"}


HARD = {
    "__init__.py": "",
    "helpers.py": """
        def f(x):
            return x + 1
        """,
    "nodes.py": """
        import functools
        import PKG.helpers
        from PKG import helpers
        from PKG.starred import *

        try:
            from PKG.helpers import f as tried
        except ImportError:
            tried = None

        def dotted(x):
            return PKG.helpers.f(x)

        def dotted_within(x):
            import PKG.helpers
            return PKG.helpers.f(x)

        def by_star(x):
            return f(x)

        def by_try(x):
            return tried(x)

        anonymous = lambda x: helpers.f(x)

        def shadowed(xs):
            from PKG.helpers import f as mean
            ys = [mean for mean in xs]
            return mean(ys)

        def higher(function, x):
            return function(x)

        given = functools.partial(higher, helpers.f)

        def make(function):
            def made(x):
                return function(x)
            return made

        captured = make(helpers.f)

        class Callable:
            def __init__(self, factor):
                self.factor = factor
            def __call__(self, x):
                return helpers.f(x) * self.factor

        instance = Callable(2)

        def argument(f, helpers):
            return f + helpers
        """,
    "starred.py": """
        from PKG.helpers import f
        """,
}


@pytest.fixture
def hard(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "FILES", HARD)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Package(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.startswith(made.name)]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    [
        "dotted", "dotted_within", "by_star", "by_try", "anonymous", "shadowed", "given", "captured", "instance",
    ],
)  # fmt: skip
def test_a_helper_is_followed_however_it_is_reached(hard, name):
    before = hard.fingerprint(getattr(hard.nodes, name))
    assert hard.fingerprint(getattr(hard.nodes, name)) == before
    assert " at 0x" not in str(before)
    hard.edit("helpers.py", "x + 1", "x + 2")
    assert hard.fingerprint(getattr(hard.nodes, name)) != before


def test_an_argument_that_is_called_like_a_helper_is_none(hard):
    before = hard.fingerprint(hard.nodes.argument)
    hard.edit("helpers.py", "x + 1", "x + 2")
    assert hard.fingerprint(hard.nodes.argument) == before


def test_what_an_object_holds_counts(hard):
    before = hard.fingerprint(hard.nodes.instance)
    hard.nodes.instance.factor = 3
    assert hard.fingerprint(hard.nodes.instance) != before


def test_inputs_that_change_places_are_a_change():
    from kedro.io import DataCatalog
    from kedro.pipeline import Node

    from kedro_provenance.recipes import Declared, Recipes

    catalog = DataCatalog({})
    one, two = (Node(max, inputs, "o", name="n") for inputs in (["a", "b"], ["b", "a"]))
    recipes = [Recipes(catalog, Declared(packages=())).of(node) for node in (one, two)]
    assert recipes[0].differences(recipes[1]) == ["its inputs or outputs changed places"]


def test_a_file_put_in_the_place_of_another_is_seen(tmp_path):
    import os

    from kedro_provenance.content import Contents

    class File:
        _filepath = str(tmp_path / "a.json")

        def exists(self):
            return True

    contents = Contents(tmp_path / "cache.json")
    (tmp_path / "a.json").write_text("[1]")
    before = contents.digest(File())
    (tmp_path / "b.json").write_text("[2]")
    status = (tmp_path / "a.json").stat()
    os.utime(tmp_path / "b.json", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "b.json").replace(tmp_path / "a.json")
    assert contents.digest(File()) != before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@cache\ndef f(x: Kind = DEFAULT) -> Result: pass", {"cache", "Kind", "DEFAULT", "Result"}),
        ("@outer.inner\nclass A(Base): pass", {"outer", "Base"}),
        ("def f(xs):\n return [y := g(x) for x in xs], y", {"g"}),
        ("def f():\n return {k: v for k, v in pairs() if v}", {"pairs"}),
        ("class A:\n x = 1\n def f(self): return x", {"x"}),
        ("class A:\n helper = helper", {"helper"}),
        ("def f():\n global total\n total = 1", {"total"}),
        ("def f(a):\n def g(): return a + b\n return g", {"b"}),
        ("def f():\n import json as j\n def g(): return j.dumps\n return g", {"j"}),
        ("def f():\n try: pass\n except Exception as e: raise Other from e", {"Exception", "Other"}),
        ("f = lambda x, *y, **z: (x, y, z, w)", {"w"}),
        ("def f(x):\n match x:\n  case Kind(a=b): return b", {"Kind"}),
    ],
)
def test_names_read_from_the_module(source, expected):
    """By the rules of the language: decorators, defaults and annotations are read outside, a walrus binds in f."""
    names = free_names(ast.parse(source).body[0])
    assert expected <= set(names) <= expected | {"f"}
    assert free_names(ast.parse("def f(): return a.b, a.c, d").body[0]) == {"a": {"b", "c"}, "d": {None}}


def test_a_file_beside_the_module_counts_with_the_code_that_names_it(package):
    package.edit("deep.py", "return x + 1", "return x, 'page.html'")
    package.edit("middle.py", "return unused(x)", "return unused(x), 'other.html'")
    before = package.fingerprint()
    for name in ("page.html", "other.html"):
        (package.folder / name).write_text("<p>")
    added = package.fingerprint()
    assert {*added} - {*before} == {f"{package.name}.deep:page.html"}
    (package.folder / "other.html").write_text("<b>")
    assert package.fingerprint() == added
    (package.folder / "page.html").write_text("<b>")
    assert package.fingerprint() != added


def test_kept_facts_give_the_same_fingerprints_without_parsing_and_follow_an_edit(package, tmp_path, monkeypatch):
    """What is kept is of one source: an edited file is parsed again, and only that one."""
    kept = tmp_path / "code.json"
    work = f"{package.name}.nodes", "work"

    def reach(file):
        parsed = []
        parse = ast.parse
        with monkeypatch.context() as patch:
            patch.setattr(
                ast, "parse", lambda text, filename: parsed.append(Path(filename).name) or parse(text, filename)
            )
            index = CodeIndex([package.name], kept=file)
            code = index.reach(work)
        index.save()
        return code, parsed

    scratch, parsed = reach(None)
    assert len(parsed) > 3
    assert reach(kept) == (scratch, parsed)
    assert reach(kept) == (scratch, [])
    package.edit("deep.py", "return x + 1", "return x + 3")
    edited = reach(None)[0]
    assert edited != scratch
    assert reach(kept) == (edited, ["deep.py"])
    kept.write_text(kept.read_text().replace("[", "{", 3))  # damaged
    assert reach(kept)[0] == edited
