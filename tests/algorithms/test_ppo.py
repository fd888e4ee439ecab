"""PPO and its networks: the loss by hand, exact resuming, what is learned from, and what is refused."""

from __future__ import annotations

from math import log
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from algorithms.heads import ILLEGAL, Categoricals
from algorithms.nets import PATIENCE
from algorithms.neural import Network, NeuralAgent, Sizes
from algorithms.parts import PLAYER
from algorithms.ppo import PPO, Sample, losses
from algorithms.samplers import SelfPlay
from marl_llm import registry
from marl_llm.agents.random import RandomAgent
from marl_llm.agents.saved import load_agent
from marl_llm.algorithm import Setup, Unsuitable
from marl_llm.errors import UserError
from marl_llm.exact import exploitability, policy_of, request_of
from marl_llm.game import Discrete, Game, GameInfo, State, Text, View
from marl_llm.matches import Match
from marl_llm.play import play
from marl_llm.records import Batch
from marl_llm.tree import tree_of

SMALL = PPO(horizon=6, sampler=SelfPlay(matches=64), minibatch=64, epochs=2, hidden=(16,), alpha=0.5, proximal=1.0)


def build(settings=SMALL, game="kuhn_poker", seed=100):
    return settings.build(Setup((game,), registry.game, None, seed))


def played(algorithm, matches, load=registry.game, **others):
    pool = SimpleNamespace(resolve={**algorithm.agents, **others}.__getitem__)
    return Batch.concat(play(matches, pool, load))


def train(algorithm, steps):
    for step in steps:
        log_ = algorithm.learn(played(algorithm, algorithm.plan(step)))
    return log_


def weights(algorithm):
    networks = (algorithm.network, algorithm.magnet, *algorithm.descent.good.values())
    return torch.cat([value.flatten() for network in networks for value in network.state_dict().values()])


def turns_of(action, old, magnet, advantage, target, place=None):
    """Turns of information sets that have nothing to see."""
    place = torch.arange(len(action)) if place is None else place
    units = int(place.max()) + 1
    seen = torch.arange(units, dtype=torch.float32).reshape(units, 1, 1)
    return Sample(seen, seen, torch.zeros(units, dtype=torch.int64), place, action, old, magnet, advantage, target)


def test_loss_by_hand():
    """Two information sets of two and three legal actions; three turns, of which the first is clipped and the last is not."""
    logp = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [0.25, 0.25, 0.5]]).log().clamp(min=ILLEGAL)
    old = torch.tensor([[0.25, 0.75, 0.0], [0.25, 0.25, 0.5], [0.25, 0.25, 0.5]]).log().clamp(min=ILLEGAL)
    magnet = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]).log().clamp(min=ILLEGAL)
    sample = turns_of(torch.tensor([[0], [1], [2]]), old, magnet, torch.tensor([2.0, 1.0, -3.0]), torch.tensor([1.0, 0.0, 2.0]))
    settings = PPO(clip=0.2, entropy=0.1, alpha=0.4, proximal=2.0)
    found = losses(logp, torch.tensor([0.0, 1.0, 1.0]), sample, Categoricals((3,)), settings, 0.5)
    got = {name: value.item() for name, value in found.items()}
    policy = -(1.2 * 2 + 1 - 3) / 3  # the first turn's ratio is 2, clipped at 1.2
    value = 0.5 * (1 + 1 + 1) / 3
    entropy = (log(2) + 2 * 1.5 * log(2)) / 3
    kl_old = (0.5 * log(2) + 0.5 * log(2 / 3)) / 3
    kl_magnet = 2 * (0.25 * log(0.5) + 0.5 * log(2)) / 3
    assert got == pytest.approx(
        {
            "policy_loss": policy,
            "value_loss": value,
            "entropy": entropy,
            "kl_old": kl_old,
            "kl_magnet": kl_magnet,
            "clip_fraction": 1 / 3,
            "loss": policy + value - 0.5 * 0.1 * entropy + 0.4 * kl_magnet + 2 * kl_old,
        },
        abs=1e-6,
    )


def test_a_clipped_ratio_has_no_gradient_and_a_minibatch_keeps_its_own_information_sets():
    logits = torch.zeros(2, 2, requires_grad=True)
    old = torch.tensor([[0.25, 0.75], [0.5, 0.5]]).log()
    sample = turns_of(torch.zeros(2, 1, dtype=torch.int64), old, torch.zeros(2, 2), torch.ones(2), torch.ones(2))
    plain = PPO(entropy=0, alpha=0, proximal=0)
    loss = losses(logits.log_softmax(1), torch.zeros(2), sample, Categoricals((2,)), plain, 1.0)
    loss["policy_loss"].backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx(np.asarray([[0, 0], [-0.25, 0.25]]))
    part = sample.take(np.asarray([1, 1]))
    assert part.inputs_STI.tolist() == [[[1]]]
    assert part.place_B.tolist() == [0, 0]
    assert part.old_BP.tolist() == [old[1].tolist()] * 2


def test_the_policy_is_a_distribution_over_legal_actions_and_rows_do_not_depend_on_their_company():
    tree = tree_of(registry.game("leduc_poker"))
    agent = NeuralAgent(Network(Sizes.of(tree.info, (16,)), torch.Generator().manual_seed(1)))
    request = request_of(tree)
    policy = agent.policy(request)
    assert policy.sum() == pytest.approx(np.ones(len(tree.keys)), abs=1e-6)
    assert policy.data.min() > 0
    alone = request.take(np.asarray([7]))
    assert agent.policy(alone)[0] == pytest.approx(policy[7], abs=1e-6)
    doubled = request.take(np.asarray([7, 3, 7]))
    decision = agent.decide(doubled)
    assert decision.record["turn.value"][0] == decision.record["turn.value"][2]
    assert decision.record["legal.logp"].data == pytest.approx(np.log(agent.policy(doubled).data))
    assert np.array_equal(decision.record["turn.view"], doubled.views.vectors())


def test_a_saved_agent_plays_the_same_and_refuses_another_game(tmp_path):
    algorithm = build()
    train(algorithm, range(2))
    algorithm.save_agent(PLAYER, tmp_path)
    saved = load_agent(tmp_path)
    tree = tree_of(registry.game("kuhn_poker"))
    assert np.array_equal(policy_of(tree, saved), policy_of(tree, algorithm.agents[PLAYER]))
    assert saved.version == 2
    with pytest.raises(UserError, match=r"views of 11 numbers, 2 actions and 2 seats cannot play leduc_poker.*train one"):
        saved.policy(request_of(tree_of(registry.game("leduc_poker"))))


def test_resuming_is_exact_and_the_seed_decides(tmp_path):
    straight, first, resumed = build(), build(), build()
    train(straight, range(6))
    train(first, range(3))
    first.save(tmp_path)
    resumed.load(tmp_path)
    train(resumed, range(3, 6))
    assert torch.equal(weights(straight), weights(resumed))
    other = build(seed=101)
    train(other, range(6))
    assert not torch.equal(weights(straight), weights(other))


def test_a_loss_that_is_not_finite_is_skipped_and_the_third_brings_the_last_good_weights_back():
    algorithm = build()
    train(algorithm, range(2))
    batch = played(algorithm, algorithm.plan(2))
    bad = batch.with_columns(**{"turn.reward": np.full(batch.size("turn"), np.nan)})
    good = {f"{name}.{key}": value.clone() for name, net in algorithm.descent.good.items() for key, value in net.state_dict().items()}
    with torch.no_grad():
        algorithm.network.policy.bodies[0].out[0].weight.fill_(torch.inf)
    log_ = algorithm.learn(bad)
    steps = SMALL.epochs * -(-batch.size("turn") // SMALL.minibatch)
    assert steps >= PATIENCE
    assert log_["skipped_steps"] == steps
    assert all(torch.equal(value, good[name]) for name, value in algorithm.network.state_dict().items())
    assert algorithm.learn(batch)["skipped_steps"] == 0


def test_only_the_learners_own_turns_are_learned_from():
    algorithm = build()
    seat = [Match(game="kuhn_poker", seed=k, players=(PLAYER, "random"), learn=frozenset({0}), opening=k % 2) for k in range(40)]
    batch = played(algorithm, seat, random=RandomAgent())
    log_ = algorithm.learn(batch)
    mine = (batch["turn.seat"] == 0) & ~((batch["match.seed"][batch.up("turn", "match")] % 2 == 1) & (batch["turn.ply"] == 0))
    assert log_["learned_turns"] == mine.sum() < batch.size("turn")
    assert log_["skipped_steps"] == 0
    assert algorithm.learn(played(algorithm, [Match(game="kuhn_poker", seed=1, players=(PLAYER,) * 2)])) == {"learned_turns": 0.0}


class Endless(Game):
    """One seat counts for ever; each move gains 1."""

    info = GameInfo(name="endless", seats=1, returns=(0, 5), max_decisions=5, action=Discrete(2), vector=(1,))

    def start(self, seed):
        return Counting()


class Counting(State):
    count = 0

    def to_act(self):
        return (0,)

    def legal(self, seat):
        return (0, 1)

    def apply(self, moves):
        self.count += 1

    def returns(self):
        return [float(self.count)]

    def view(self, seat):
        return View(text=lambda: str(self.count), vector=lambda: np.asarray([self.count]), key=lambda: str(self.count))


def test_a_cut_match_learns_from_all_turns_but_the_last():
    algorithm = PPO(gamma=1.0, lam=1.0, sampler=SelfPlay(matches=8)).build(Setup(("endless",), lambda spec: Endless(), None, 0))
    batch = played(algorithm, algorithm.plan(0), lambda spec: Endless())
    cut = np.ones(8, bool)
    rows = np.flatnonzero(batch["turn.index"] < 4)
    sample, _ = algorithm.sample(batch, cut, rows)
    value = batch["turn.value"]
    last = value[batch["turn.index"] == 4].mean()
    assert sample.target_B.tolist() == pytest.approx([4 - i + last for i in batch["turn.index"][rows]], abs=1e-5)
    assert algorithm.learn(batch)["learned_turns"] == len(rows)


def test_refusals():
    def setup(info, games=("one",)):
        return Setup(games, lambda spec: SimpleNamespace(info=info), None, 0)

    with pytest.raises(Unsuitable, match="ppo needs a vector view; blind gives none"):
        PPO().build(setup(GameInfo(name="blind", seats=2, returns=(-1, 1), max_decisions=9, action=Discrete(2))))
    with pytest.raises(Unsuitable, match="ppo needs Discrete or Factored or Box actions; sage has Text"):
        PPO().build(setup(GameInfo(name="sage", seats=1, returns=(0, 1), max_decisions=9, action=Text(9), vector=(3,))))
    with pytest.raises(Unsuitable, match="one game at a time; got kuhn_poker, leduc_poker"):
        PPO().build(setup(None, ("kuhn_poker", "leduc_poker")))


def test_kuhn_poker_is_learned():
    """Uniform play has exploitability 0.458, and naive self-play ends at 0.333."""
    algorithm = build(PPO(horizon=45, minibatch=2048), seed=100)
    train(algorithm, range(45))
    tree = tree_of(registry.game("kuhn_poker"))
    assert exploitability(tree, policy_of(tree, algorithm.agents[PLAYER])) < 0.15


@pytest.mark.parametrize(("mpcr", "given"), [(0.5, 0.0), (1.2, 1.0)])
def test_public_goods_are_learned(mpcr, given):
    algorithm = build(PPO(horizon=40, sampler=SelfPlay(matches=512), alpha=0, proximal=0), f"public_goods(seats=4,mpcr={mpcr})", seed=100)
    train(algorithm, range(40))
    batch = played(algorithm, algorithm.plan(40))
    assert batch["turn.action"].mean() / 4 == pytest.approx(given, abs=0.1)
