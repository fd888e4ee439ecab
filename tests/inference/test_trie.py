"""The trie of legal replies: probabilities that sum to 1 whatever the texts, and what is forced costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marl_llm.inference.trie import Trie

END = 0
texts = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple), min_size=1, max_size=12, unique=True)


@given(texts, st.integers(0, 2**32 - 1))
def test_probabilities_sum_to_one(replies, seed):
    trie = Trie.of(replies, END)
    rng = np.random.default_rng(seed)
    logits = [rng.normal(0, 3, len(support)) for support in trie.supports]
    nodes = [x - np.log(np.exp(x).sum()) for x in logits]
    assert np.exp(trie.log_probs(nodes)).sum() == pytest.approx(1, abs=1e-12)


def test_a_text_that_is_a_prefix_of_another():
    """Replies [1] and [1, 2]: after 1 the model chooses between ending and going on; 1 itself is forced."""
    trie = Trie.of([(1,), (1, 2)], END)
    assert trie.replies == ((1, END), (1, 2, END))
    assert trie.paths == ((1,),)
    assert set(trie.supports[0]) == {END, 2}
    assert trie.node == ((-1, 0), (-1, 0, -1))
    assert np.exp(trie.log_probs([np.log([0.25, 0.75])])) == pytest.approx([0.25, 0.75])


def test_a_single_reply_is_forced():
    trie = Trie.of([(3, 4)], END)
    assert trie.paths == ()
    assert trie.log_probs([]) == pytest.approx([0.0])


@pytest.mark.parametrize("replies", [[(1, 2), (1, 2)], [(), (1,)]])
def test_equal_or_empty_texts_are_refused(replies):
    with pytest.raises(ValueError, match="distinct, non-empty"):
        Trie.of(replies, END)
