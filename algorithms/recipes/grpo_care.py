"""``grpo-care``: GRPO-CARE (Chen et al. 2025, arXiv 2506.16141): wins that a slow copy of the policy would have chosen too earn half more.

``algorithms.shaping_peers.Confidence`` has the bonus. The copy takes 0.5% of the policy after every iteration, where the paper updates
it every ten steps; there is no KL to it.
"""

from dataclasses import dataclass, replace

from algorithms.losses import Clipped
from algorithms.recipes.grpo import recipe as grpo
from algorithms.shaping_peers import Confidence
from marl_llm.errors import within


@dataclass(frozen=True, kw_only=True)
class Followed(Clipped):
    """A clipped surrogate with a slow copy beside it, which rewards read and the loss does not."""

    follow: float = 0.005
    """Share of the policy that the copy takes on an iteration."""

    def __post_init__(self) -> None:
        within("loss", self, 0, 1, "follow")

    @property
    def reference(self) -> float | None:
        return self.follow


recipe = replace(grpo, shaping=(Confidence(),), loss=Followed(mean="sequence"))
