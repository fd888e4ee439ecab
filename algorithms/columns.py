"""Columns that a part may read beside what play always records, and how they come about; a method whose parts do not fit is refused.

``turn.value`` and ``token.value`` are the critic's, ``turn.reference`` is the log-probability under the policy that the loss compares
to. The others are functions of the batch alone, of what was sampled as it was sampled:

    turn.logp      mean log-probability of a turn's learned choices
    turn.entropy   mean entropy of the distributions they were drawn from; of free tokens minus their log-probability
    turn.length    learned tokens, 1 where a move is no tokens
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from algorithms.groups import Floats
from algorithms.parts import Method, Part, Sampler
from marl_llm.algorithm import Unsuitable
from marl_llm.ragged import segment_sum
from marl_llm.records import Batch

CRITIC, REFERENCE = "turn.value", "turn.reference"
LEGAL = ("legal.action", "legal.logp")
"""All legal moves and their probabilities, which tables record, and language models that choose are made to."""
HINTS = {REFERENCE: "give a loss with a reference, such as --loss.kl 0.01", **dict.fromkeys(LEGAL, "add --language.reply choose")}


def logp(batch: Batch) -> Floats:
    if "token.logp" not in batch:
        return _chosen(batch)
    return _token_mean(batch, batch["token.logp"].astype(np.float64))


def entropy(batch: Batch) -> Floats:
    if "token.logp" not in batch:
        return _entropies(batch.ragged("legal.logp").data, batch.starts["legal"])
    each = _entropies(batch["support.logp"], batch.starts["support"])
    return _token_mean(batch, np.where(np.diff(batch.starts["support"]) > 0, each, -batch["token.logp"].astype(np.float64)))


def length(batch: Batch) -> Floats:
    if "token.learn" not in batch:
        return np.ones(batch.size("turn"))
    return segment_sum(batch["token.learn"].astype(np.float64), batch.starts["token"])


DERIVED: Mapping[str, Callable[[Batch], Floats]] = {"turn.logp": logp, "turn.entropy": entropy, "turn.length": length}


def check(method: Method) -> None:
    """Raise ``Unsuitable`` where a part reads what neither play nor a part before it gives."""
    known = {*DERIVED, CRITIC}
    if method.loss.reference is not None:
        known.add(REFERENCE)
    if method.language.reply == "choose":
        known.update(LEGAL)
    parts: tuple[Sampler | Part, ...] = (method.sampler, method.reward, *method.shaping, method.credit)
    for part in parts:
        for name in part.reads:
            if name not in known:
                where = f"{type(part).__name__} reads the column {name}, which nothing before it writes"
                raise Unsuitable(f"{where}; {HINTS.get(name, 'put a reward that does before it')}")
        known |= set(part.writes) if isinstance(part, Part) else set()


def needed(method: Method) -> Sequence[str]:
    """What the parts of a method read and no part writes."""
    parts = (method.reward, *method.shaping, method.credit)
    written = {name for part in parts for name in part.writes}
    read = (*method.sampler.reads, *(name for part in parts for name in part.reads))
    return list(dict.fromkeys(name for name in read if name not in written))


def derived(batch: Batch, names: Sequence[str]) -> Batch:
    """``batch`` with those of ``names`` that are functions of it."""
    return batch.with_columns(**{name: DERIVED[name](batch) for name in names if name in DERIVED and name not in batch})


def _token_mean(batch: Batch, values: Floats) -> Floats:
    """Of every turn the mean over its learned tokens, 0 where it has none."""
    learned, starts = batch["token.learn"].astype(bool), batch.starts["token"]
    return segment_sum(np.where(learned, values, 0.0), starts) / np.maximum(segment_sum(learned, starts), 1)


def _entropies(logp: NDArray[np.floating], starts: NDArray[np.int64]) -> Floats:
    """Of the distribution in every segment."""
    values = np.where(np.isfinite(logp), logp, 0.0).astype(np.float64)
    return segment_sum(np.where(np.isfinite(logp), -np.exp(values) * values, 0.0), starts)


def _chosen(batch: Batch) -> Floats:
    """Log-probability of every move under a table's distribution, 0 where it was not drawn from one."""
    action, logp = batch.ragged("legal.action"), batch.ragged("legal.logp")
    hit = action.data == np.repeat(batch["turn.action"], action.lengths)
    return segment_sum(np.where(hit, logp.data.astype(np.float64), 0.0), action.starts)
