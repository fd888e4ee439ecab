"""OpenSpiel's neural fictitious self-play for a number of seconds: a yardstick for the same wall-clock.

``python tests/learn/nfsp.py GAME SECONDS SEED`` prints NashConv of its average policy as one JSON object. Settings are those of
OpenSpiel's own leduc example.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from open_spiel.python import policy, rl_environment
from open_spiel.python.algorithms import exploitability
from open_spiel.python.pytorch import nfsp

torch.set_num_threads(1)


class Average(policy.Policy):
    """The agents' average policies as one policy."""

    def __init__(self, environment, agents):
        super().__init__(environment.game, [0, 1])
        self.agents = agents
        self.seen = {"info_state": [None, None], "legal_actions": [None, None], "current_player": 0}

    def action_probabilities(self, state, player_id=None):
        seat = state.current_player()
        self.seen["current_player"] = seat
        self.seen["info_state"][seat] = state.information_state_tensor(seat)
        self.seen["legal_actions"][seat] = state.legal_actions(seat)
        step = rl_environment.TimeStep(observations=self.seen, rewards=None, discounts=None, step_type=None)
        with self.agents[seat].temp_mode_as(nfsp.MODE.AVERAGE_POLICY):
            chosen = self.agents[seat].step(step, is_evaluation=True).probs
        return {action: float(chosen[action]) for action in state.legal_actions(seat)}


def run(game: str, seconds: float, seed: int) -> dict[str, float]:
    """Train, then measure."""
    environment = rl_environment.Environment(game, players=2)
    environment.seed(seed)
    torch.manual_seed(seed)
    size, actions = environment.observation_spec()["info_state"][0], environment.action_spec()["num_actions"]
    agents = [
        nfsp.NFSP(
            seat,
            size,
            actions,
            [128],
            reservoir_buffer_capacity=2_000_000,
            anticipatory_param=0.1,
            batch_size=128,
            rl_learning_rate=0.01,
            sl_learning_rate=0.01,
            replay_buffer_capacity=200_000,
            min_buffer_size_to_learn=1000,
            learn_every=64,
            epsilon_start=0.06,
            epsilon_end=0.001,
            epsilon_decay_duration=20_000_000,
            update_target_network_every=19200,
            seed=seed,
        )
        for seat in range(2)
    ]
    began, episodes = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        step = environment.reset()
        while not step.last():
            step = environment.step([agents[step.observations["current_player"]].step(step).action])
        for agent in agents:
            agent.step(step)
        episodes += 1
    found = 2 * exploitability.exploitability(environment.game, Average(environment, agents))
    return {"nash_conv": found, "episodes": episodes, "seconds": round(time.monotonic() - began)}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
