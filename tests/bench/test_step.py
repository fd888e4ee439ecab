"""One training step (forward, loss, backward, optimiser) beside TRL's GRPOTrainer, from the same weights on the same batch.

The trainer's own loss is called on rows laid out as it lays them out; its data loading, generation and logging are left out
of the time. Ours is timed whole, with the search for equal contexts in the batch.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.language import LanguagePolicy
from algorithms.learner import Adam
from algorithms.losses import Anneal, Clipped
from algorithms.parts import Credited
from algorithms.recipes.grpo import recipe
from algorithms.rewards import unit_of
from marl_llm.agents.free import FreeAgent
from marl_llm.agents.language import LanguageAgent
from marl_llm.algorithm import Setup
from marl_llm.inference.speech import Speech
from marl_llm.inference.tiny import Tiny
from marl_llm.matches import Rules
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.registry import game
from marl_llm.seeding import generator
from tests.bench.measure import compare
from tests.bench.test_play import Pool
from tests.inference.models import make_model, tokenizer_of

pytestmark = [pytest.mark.bench, pytest.mark.usefixtures("one_thread")]
RATE = 1e-4
LOSS = Clipped(mean="sequence")
LEARNER = Adam(rate=Anneal(start=RATE, end=RATE), epochs=1, minibatch=1_000_000)


def batch_of(spec, agent, deals, rules):
    """Matches of the recipe's own plan."""
    planned = replace(recipe.sampler, deals=deals).plan(0, Setup((spec,), game, None, 1), {})
    return Batch.concat(play([replace(match, rules=rules) for match in planned], Pool(agent), game))


def moved(agent):
    """The agent some steps later, so that ratios are not 1 and some are clipped."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in agent.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=draws))
    agent.updated()
    return agent


def our_step(agent, batch, advantage):
    """A function that takes one step from the weights as they are and tells its figures."""
    learner = LEARNER.start(LanguagePolicy(agent), LOSS, 1, 1)
    return lambda: learner.learn(batch, Credited(advantage), 0)


def their_step(agent, batch, advantage, folder):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model = copy.deepcopy(agent.model)
    settings = GRPOConfig(
        output_dir=str(folder),
        beta=0.0,
        loss_type="grpo",
        per_device_train_batch_size=8,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
    )
    prompts = Dataset.from_dict({"prompt": ["unused"]})
    trainer = GRPOTrainer(model, lambda **_: [0.0], args=settings, train_dataset=prompts, processing_class=agent.tokenizer)
    trainer.current_gradient_accumulation_steps = 1
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    inputs = rows_of(batch, advantage)
    model.train()

    def step():
        optimiser.zero_grad()
        loss = trainer.compute_loss(model, inputs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LEARNER.clip)
        optimiser.step()
        return loss.item()

    return step


def rows_of(batch, advantage):
    """One row a learned turn: prompts padded on the left, replies on the right."""
    learned = [
        t for t in np.flatnonzero(batch["turn.learn"]).tolist() if batch["token.learn"][slice(*batch.starts["token"][t : t + 2])].any()
    ]
    prompts = [batch.tables["stream"][batch["turn.stream"][t]][: batch["turn.prompt_end"][t]] for t in learned]
    columns = {name: batch.ragged(f"token.{name}") for name in ("id", "learn", "logp")}
    width, longest = max(len(prompt) for prompt in prompts), max(len(columns["id"][t]) for t in learned)
    prompt_ids, prompt_mask = np.zeros((2, len(learned), width), np.int64)
    ids, mask, learn = np.zeros((3, len(learned), longest), np.int64)
    logp = np.zeros((len(learned), longest), np.float32)
    for row, (t, prompt) in enumerate(zip(learned, prompts, strict=True)):
        prompt_ids[row, width - len(prompt) :], prompt_mask[row, width - len(prompt) :] = prompt, 1
        said = slice(len(columns["id"][t]))
        ids[row, said], mask[row, said], learn[row, said] = columns["id"][t], 1, columns["learn"][t]
        logp[row, said] = columns["logp"][t]
    laid_out = {"prompt_ids": prompt_ids, "prompt_mask": prompt_mask, "completion_ids": ids, "completion_mask": mask, "tool_mask": learn}
    old = {"old_per_token_logps": logp, "advantages": advantage[learned].astype(np.float32)}
    return {name: torch.from_numpy(values) for name, values in {**laid_out, **old}.items()}


def timed(step):
    def work():
        step()
        return 1

    return work


@pytest.fixture(scope="module")
def frozen():
    """Free replies: every token has a context of its own over the whole vocabulary. A match ends with its first faulty reply,
    so each trajectory is one turn and one of TRL's completions."""
    agent = FreeAgent(make_model(tokenizer_of("kuhn_poker"), Tiny(), 1), tokenizer_of("kuhn_poker"), Speech(reply="free", max_new=32))
    batch = batch_of("kuhn_poker", agent, 8, Rules(retries=0, then="forfeit"))
    assert batch.size("turn") == 64
    return moved(agent), batch, generator(2).normal(size=batch.size("turn"))


def test_the_loss_is_that_of_trl(frozen, tmp_path):
    agent, batch, advantage = frozen
    agent = copy.deepcopy(agent)
    theirs, ours = their_step(agent, batch, advantage, tmp_path), our_step(agent, batch, advantage)
    for _ in range(3):  # the later ones from weights that each has stepped to itself
        found = ours()
        assert found["loss"] == pytest.approx(theirs(), abs=1e-5)
        assert 0.05 < found["clipped"] < 0.95


def test_step_on_free_replies(frozen, tmp_path):
    agent, batch, advantage = frozen
    ours, theirs = our_step(copy.deepcopy(agent), batch, advantage), their_step(agent, batch, advantage, tmp_path)
    figures = compare("step/64 free replies/TRL", timed(ours), timed(theirs), alone=True)
    assert figures["ratio"] >= 1


@pytest.mark.parametrize("spec", ["kuhn_poker", "leduc_poker"])
def test_step_on_a_game_batch(spec, tmp_path):
    agent = LanguageAgent(make_model(tokenizer_of(spec), Tiny(), 1), tokenizer_of(spec))
    batch = recipe.reward.channels(batch_of(spec, agent, 16, Rules()), {spec: unit_of(game(spec))}, {})
    advantage = recipe.credit.assign(batch, {}).advantage
    ours, theirs = our_step(copy.deepcopy(moved(agent)), batch, advantage), their_step(agent, batch, advantage, tmp_path)
    figures = compare(f"step/{spec}, 128 matches/TRL", timed(ours), timed(theirs), 3, alone=True)
    assert figures["ratio"] >= 1 / 0.3
