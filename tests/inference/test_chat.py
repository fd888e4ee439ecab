"""Prompts through other models' chat templates, and conversations that grow without being rendered again."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from marl_llm import registry
from marl_llm.errors import UserError
from marl_llm.inference.chat import Chat
from tests.inference.models import tokenizer_of

LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN = (  # keeps thinking in the last turn only
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and not loop.last and '</think>' in m['content'] %}"
    "{{ m['content'].split('</think>')[-1].lstrip('\n') }}"
    "{% else %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
STYLES = {"llama": (LLAMA, "<|eot_id|>"), "qwen": (QWEN, "<|im_end|>"), "gemma": (GEMMA, "<end_of_turn>")}
VIEW, MOVES = "You are player 1. Your card is K. Moves so far: none.", ("pass", "bet")


@pytest.fixture(params=STYLES)
def speaker(request):
    """A tokenizer of that style: its template, its turn-end token, and for gemma another end-of-text token."""
    template, end = STYLES[request.param]
    tokenizer = copy.deepcopy(tokenizer_of("kuhn_poker"))
    tokenizer.add_special_tokens({"bos_token": "<bos>", "additional_special_tokens": [end, "<|im_start|>", "<start_of_turn>"]})
    if request.param != "gemma":
        tokenizer.eos_token = end
    tokenizer.chat_template = template
    return request.param, tokenizer, end


def test_rules_and_view_are_in_the_prompt_once(speaker):
    style, tokenizer, _ = speaker
    game = registry.game("kuhn_poker")
    text = tokenizer.decode(Chat(tokenizer).decision(game, 0, VIEW, MOVES).prompt)
    assert text.count(game.rules(0)) == text.count(VIEW) == 1
    assert text.rstrip().endswith(("assistant", "assistant<|end_header_id|>", "model"))
    assert ("system" in text) == (style != "gemma"), "gemma has no system message: the rules go to the user's"
    assert text.count("<bos>") == (style != "qwen")


def test_a_reply_may_end_by_the_template_s_own_token(speaker):
    style, tokenizer, end = speaker
    ends = Chat(tokenizer).ends
    assert tokenizer.convert_tokens_to_ids(end) in ends
    assert tokenizer.eos_token_id in ends
    assert len(ends) == (2 if style == "gemma" else 1)
    legal = Chat(tokenizer).decision(registry.game("kuhn_poker"), 0, VIEW, MOVES).trie.replies
    assert {tokenizer.decode(reply[-1]) for reply in legal} == {end}, "what is chosen ends as the template ends it"


def test_a_conversation_grows_as_the_template_would_render_it(speaker):
    """What is appended after a reply and its end is what the template puts there, and what went before stays as it was."""
    style, tokenizer, end = speaker
    game, chat = registry.game("kuhn_poker"), Chat(tokenizer)
    first = chat.decision(game, 0, VIEW, MOVES).prompt
    said = [*tokenizer.encode("<think>high card</think>\nbet", add_special_tokens=False), tokenizer.convert_tokens_to_ids(end)]
    whole = np.concatenate([first, said, chat.more("You see a bet.", MOVES)])
    talk = [*chat.messages(game, 0, VIEW, MOVES), {"role": "assistant", "content": "<think>high card</think>\nbet"}]
    talk += [{"role": "user", "content": "You see a bet."}]
    rendered = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    if style == "qwen":
        assert "<think>" not in rendered, "this template strips earlier thinking; our stream keeps what was said"
        rendered = rendered.replace("assistant\nbet", "assistant\n<think>high card</think>\nbet")
    assert tokenizer.decode(whole) == rendered
    assert whole[: len(first)].tolist() == first.tolist()


def test_free_prompts_show_the_form_of_an_answer():
    chat = Chat(tokenizer_of("kuhn_poker"), free=True)
    text = tokenizer_of("kuhn_poker").decode(chat.decision(registry.game("kuhn_poker"), 0, VIEW, MOVES).prompt)
    assert "Answer with one of: <move>pass</move>, <move>bet</move>" in text


def test_a_tokenizer_that_cannot_chat_is_refused():
    tokenizer = copy.deepcopy(tokenizer_of("kuhn_poker"))
    tokenizer.eos_token = None
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(UserError, match="no token that ends a reply"):
        Chat(tokenizer).decision(registry.game("kuhn_poker"), 0, VIEW, MOVES)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        Chat(tokenizer)
