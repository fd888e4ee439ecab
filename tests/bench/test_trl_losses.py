"""The losses of recipes beside those of TRL's GRPOTrainer, on the same frozen batch: GRPO, Dr. GRPO, DAPO and GSPO."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from algorithms.language import LanguagePolicy
from algorithms.parts import Credited
from marl_llm import registry
from marl_llm.agents.free import FreeAgent
from marl_llm.inference.speech import Speech
from marl_llm.inference.tiny import Tiny
from marl_llm.matches import Rules
from marl_llm.seeding import generator
from tests.bench.test_step import LEARNER, RATE, batch_of, moved, rows_of
from tests.inference.models import make_model, tokenizer_of

pytestmark = [pytest.mark.bench, pytest.mark.usefixtures("one_thread")]
LONGEST = 32
THEIRS = {
    "grpo": {"loss_type": "grpo", "use_bias_correction_kl": False},  # which would weigh the penalty by the ratio; GRPO does not
    "dr-grpo": {"loss_type": "dr_grpo"},
    "dapo": {"loss_type": "dapo", "epsilon_high": 0.28},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4},
}


@pytest.fixture(scope="module")
def frozen():
    """Free replies of one turn a trajectory, of an agent that has moved since."""
    agent = FreeAgent(make_model(tokenizer_of("kuhn_poker"), Tiny(), 1), tokenizer_of("kuhn_poker"), Speech(reply="free", max_new=LONGEST))
    batch = batch_of("kuhn_poker", agent, 8, Rules(retries=0, then="forfeit"))
    return moved(agent), batch, generator(2).normal(size=batch.size("turn"))


def our_losses(agent, loss, batch, advantage, steps):
    """One a step, from weights that have stepped on; and the log-probabilities of all tokens before the first."""
    policy = LanguagePolicy(agent)
    learner = LEARNER.start(policy, loss, 1, 1)
    choices = policy.choices(batch)
    with torch.no_grad():
        logp, _ = policy.forward(np.arange(len(choices.old)))
    before = batch["token.logp"].copy()
    before[choices.token] = logp[choices.context, choices.place].numpy()
    return [learner.learn(batch, Credited(advantage), 0) for _ in range(steps)], before


def their_losses(agent, settings, beta, batch, advantage, reference, steps, folder):
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model = copy.deepcopy(agent.model)
    settings = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        max_completion_length=LONGEST,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
        beta=0.0,
        **settings,
    )
    prompts = Dataset.from_dict({"prompt": ["unused"]})
    trainer = GRPOTrainer(model, lambda **_: [0.0], args=settings, train_dataset=prompts, processing_class=agent.tokenizer)
    trainer.current_gradient_accumulation_steps, trainer.beta = 1, beta  # given later: it would fetch a reference model by name
    inputs = rows_of(batch, advantage)
    inputs["ref_per_token_logps"] = rows_of(batch.with_columns(**{"token.logp": reference}), advantage)["old_per_token_logps"]
    inputs["num_items_in_batch"] = inputs["tool_mask"].sum()
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = trainer.compute_loss(model, inputs)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LEARNER.clip)
        optimiser.step()
        yield loss.item()


@pytest.mark.parametrize("name", THEIRS)
def test_the_loss_of_a_recipe_is_that_of_trl(name, frozen, tmp_path):
    """Over three steps, of which the later ones have left the weights that GRPO's penalty is to."""
    agent, batch, advantage = frozen
    loss = registry.recipe(name).loss
    if name == "dr-grpo":
        loss = replace(loss, constant=float(LONGEST))
    ours, before = our_losses(copy.deepcopy(agent), loss, batch, advantage, 3)
    theirs = list(their_losses(agent, THEIRS[name], loss.kl, batch, advantage, before, 3, tmp_path))
    assert [found["loss"] for found in ours] == pytest.approx(theirs, abs=1e-5)
    assert len({round(found, 4) for found in theirs}) == 3, "the steps differ"
    assert all(found["clipped"] > 0.05 for found in ours)
    if loss.kl:
        assert ours[-1]["kl_reference"] > 0
    print(f"\n{name}: largest difference {max(abs(a['loss'] - b) for a, b in zip(ours, theirs, strict=True)):.1e}")
