"""Recompute only what changed in a Kedro project: records beside outputs, and a runner that reads them.

Kedro knows whether an output exists. This package knows how it was made. The *recipe* of a node is all that determines
its outputs: the code it reaches, its parameters, the content of its inputs. A *record* beside each output holds the
recipe that made it and a digest of its content. A node whose record agrees with its recipe of today is fresh, and
`kedro run` leaves it out. See `scheduler` for what runs, `code` for what counts as a change of code, `content` and
`sources` for what counts as a change of data, and `owned` for the files that no run replaces.

To use it in a Kedro project, declare whose code counts and run with its runner::

    # my_project/session.py; my_project/settings.py sets SESSION_CLASS = ProvenanceSession
    from pathlib import Path
    from kedro.framework.session import KedroSession
    from kedro_provenance.recipes import Declared
    from kedro_provenance.runner import ProvenanceRunner

    DECLARED = Declared(packages=("my_project",), ignored_parameters=("*.n_workers",))

    class ProvenanceSession(KedroSession):
        def run(self, pipeline_names=None, runner=None, **kwargs):
            sliced = bool(kwargs.get("node_names"))  # and the other options of `kedro run` that choose nodes
            runner = ProvenanceRunner(DECLARED, pipeline_names or None, sliced=sliced, project=Path.cwd())
            return super().run(pipeline_names=pipeline_names, runner=runner, **kwargs)

    # my_project/cli.py: a click group `cli` with the commands for `kedro`
    from kedro_provenance.commands import accept, plan, run

A registered pipeline may hold everything upstream of it: it then tags its own nodes with its name, and the runner
leaves out of the rest what is fresh. `kedro plan` lists what would run and why, `kedro accept` keeps stale results as
they are, and `kedro run --force=NODE` runs a node that is fresh. Where parameters choose a class by name, mark the
node's function with `recipes.implementations`, so that a change of the chosen class counts.
"""
