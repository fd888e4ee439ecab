"""Training-free GRPO: a frozen model that learns by advice to itself, one list a seat (arXiv 2510.08191).

For every group of matches of one seat on one deal that did not all end alike (with results of 0 and 1: whose mean is between them), the
model reads the group's transcripts with their results and proposes at most ``lessons`` edits of the seat's list, ADD, UPDATE or DELETE;
the list is told after the rules from then on, and saved with the player. As in the authors' code an edit without content is skipped and
an UPDATE of an unknown number adds. Different here: transcripts stand for the model's own summaries of them, and have what a prompt
says beyond what all prompts of the group share; the edits of a batch are merged by rule, in order, not by another question to the
model; the likeliest reply is taken. To write advice asks more of a model than to play: 135 million parameters are too few for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from algorithms.parts import Credited, Learner, Loss, Policy
from marl_llm.algorithm import Unsuitable
from marl_llm.checkpoint import load_json, save_json
from marl_llm.errors import UserError
from marl_llm.inference.chat import Chat
from marl_llm.inference.folder import read
from marl_llm.records import Batch

EDIT = re.compile(r"^[\W\d]*(ADD|UPDATE|DELETE)\b\s*(?:G(\d+)\b)?\W*(.*)$", re.IGNORECASE)
HEAD = "What you learned in earlier matches:"
ASK = (
    "What should a player do in later matches, seeing what the good attempts did and the bad ones did not? Higher results are better. "
    "Answer with at most {most} lines, each of them one of:\nADD: new advice\nUPDATE G0: better words for G0\nDELETE G0"
)
SHOWN = (
    "The game:\nBoth players name a number at once; the larger one wins, but more than 5 loses.\n\nThere is no advice so far.\n\n"
    "Attempt 1, result 1:\nName a number. -> 5\n\nAttempt 2, result -1:\nName a number. -> 9",
    "ADD: Name the largest number that is still allowed.",
)
"""A question and its answer, of no game: of a small model's replies few are well-formed without them."""

Edit = tuple[str, int, str]
"""What is done (ADD, UPDATE or DELETE), to which number (-1: none), and the content."""


def edits(reply: str, most: int) -> list[Edit]:
    """The first ``most`` well-formed edits of a reply, one a line; all else is passed over."""
    found = [match for line in reply.splitlines() if (match := EDIT.match(line.strip()))]
    return [(one[1].upper(), int(one[2] or -1), one[3].strip()) for one in found][:most]


def edited(advice: Sequence[str], changes: Sequence[Edit], size: int) -> list[str]:
    """``advice`` after all ``changes``, whose numbers are those before any of them; the newest ``size`` of it, numbered anew."""
    kept = dict(enumerate(advice))
    for fresh, (what, number, content) in enumerate(changes, len(advice)):
        if what == "DELETE":
            kept.pop(number, None)
        elif content and content not in kept.values():
            kept[number if what == "UPDATE" and number in kept else fresh] = content
    return list(kept.values())[-size:]


def _common(a: str, b: str) -> str:
    """What both begin with."""
    return a[: next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))]


def _closing(texts: Sequence[str]) -> int:
    """How many characters the last lines have that all ``texts`` end with: the template's call for a reply."""
    back = [text[::-1] for text in texts]
    return _common(min(back), max(back)).rfind("\n") + 1


@dataclass(frozen=True, kw_only=True)
class Experience(Learner):
    """Edits advice; no parameter moves."""

    groups: int = 4
    """Groups a seat and iteration that are learned from."""
    transcripts: int = 4
    """Matches of a group that are read, the best and the worst among them."""
    lessons: int = 2
    """Edits a group."""
    size: int = 8
    """Pieces of advice that a seat keeps."""
    shared: bool = False
    """One list for all seats, edited from what any of them lived through."""
    writer: str = ""
    """Folder of the model that writes advice, such as a larger one; the player's own if left out."""
    tokens: int = 64
    """Most tokens of a reply with edits."""

    def __post_init__(self) -> None:
        if self.transcripts < 2:
            raise UserError(f"learner.transcripts is {self.transcripts}; expected at least 2, a good match and a bad one")

    def start(self, policy: Policy, loss: Loss, horizon: int, seed: int) -> Advising:
        return Advising(self, policy)


class Advising:
    """The lists, and who writes them."""

    def __init__(self, settings: Experience, policy: Policy) -> None:
        self.settings = settings
        self.agent = cast(Any, policy.agent)
        if not hasattr(self.agent, "told"):
            raise Unsuitable("advice is read by language models alone; give --model tiny, smollm2 or a model's folder")
        for parameter in policy.parameters():
            parameter.requires_grad_(False)
        model, tokenizer = self.agent.model, self.agent.tokenizer
        self.special = Chat(tokenizer).special
        if settings.writer:
            if not (Path(settings.writer) / "config.json").exists():
                raise UserError(f"learner.writer is {settings.writer!r}; expected a model's folder with a config.json")
            model, tokenizer = read(Path(settings.writer))
        self.model, self.chat = model.eval(), Chat(tokenizer)
        self.advice: list[list[str]] = []
        """One list a seat, or one."""

    def learn(self, batch: Batch, credited: Credited, step: int) -> Mapping[str, float]:
        seats = int(batch["seat.seat"].max()) + 1
        lists = 1 if self.settings.shared else seats
        self.advice = self.advice or [[] for _ in range(lists)]
        asked = [(seat % lists, rows) for seat in range(seats) for rows in self._groups(batch, credited, seat)]
        prompts = [self._prompt(batch, rows, self.advice[k]) for k, rows in asked]
        replies = self._written(prompts)
        changes = [edits(reply, self.settings.lessons) for reply in replies]
        for k, advice in enumerate(self.advice):
            mine = [edit for (of, _), found in zip(asked, changes, strict=True) if of == k for edit in found]
            self.advice[k] = edited(advice, mine, self.settings.size)
        self._tell(seats)
        return {"groups": float(len(asked)), "edits": float(sum(map(len, changes))), "advice": float(sum(map(len, self.advice)))}

    def _groups(self, batch: Batch, credited: Credited, seat: int) -> list[list[int]]:
        """Seat rows of the first groups that did not all end alike: of each the best and the worst, best first."""
        own = batch.up("turn", "seat")
        rows = np.unique(own[batch["turn.learn"].astype(bool) & (batch["turn.seat"] == seat)])
        if credited.group is None:
            raise Unsuitable("advice is learned from groups, and this credit has none; give a recipe with Terms")
        turn = batch.starts["turn"][rows]
        group, outcome = credited.group[turn], batch["seat.outcome"][rows]
        found = []
        for code in np.unique(group).tolist():
            mine = rows[group == code][np.argsort(-outcome[group == code], kind="stable")].tolist()
            if batch["seat.outcome"][mine[0]] > batch["seat.outcome"][mine[-1]]:
                half = self.settings.transcripts // 2
                found.append(mine if len(mine) <= 2 * half else [*mine[:half], *mine[-half:]])
        return found[: self.settings.groups]

    def _prompt(self, batch: Batch, rows: Sequence[int], advice: Sequence[str]) -> str:
        """What the writer is asked about one group."""
        told = [self._transcript(batch, row) for row in rows]
        every = [asked for turns in told for asked, _ in turns]
        cut, tail = _common(min(every), max(every)).rfind("\n") + 1, _closing(every)
        lines = ["The game:", every[0][:cut].strip(), ""]
        lines += [f"G{k}: {one}" for k, one in enumerate(advice)] or ["There is no advice so far."]
        for number, (row, turns) in enumerate(zip(rows, told, strict=True), 1):
            lines += ["", f"Attempt {number}, result {batch['seat.outcome'][row]:.2g}:"]
            lines += [f"{asked[cut : len(asked) - tail].strip()} -> {said.strip()}" for asked, said in turns]
        return "\n".join(lines)

    def _transcript(self, batch: Batch, row: int) -> list[tuple[str, str]]:
        """What a seat was asked, and what it replied, turn by turn."""
        streams, replies, tokenizer = batch.tables["stream"], batch.ragged("token.id"), self.agent.tokenizer
        turns = []
        for t in range(int(batch.starts["turn"][row]), int(batch.starts["turn"][row + 1])):
            if (stream := int(batch["turn.stream"][t])) >= 0:
                both = streams[stream][: int(batch["turn.prompt_end"][t])], replies[t]
                asked, said = (self.special.sub("\n", tokenizer.decode(ids)) for ids in both)
                turns.append((asked, said))
        return turns

    @torch.no_grad()
    def _written(self, prompts: Sequence[str]) -> list[str]:
        """The likeliest replies to ``prompts``."""
        tokenizer, ask = self.chat.tokenizer, ASK.format(most=self.settings.lessons)
        replies = []
        for prompt in prompts:
            talk = [{"role": "user", "content": f"{SHOWN[0]}\n\n{ask}"}, {"role": "assistant", "content": SHOWN[1]}]
            talk.append({"role": "user", "content": f"{prompt}\n\n{ask}"})
            text = tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
            ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False)], device=self.model.device)
            ends = list(self.chat.ends)
            said = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self.settings.tokens,
                do_sample=False,
                eos_token_id=ends,
                pad_token_id=ends[0],
            )
            replies.append(tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True))
        return replies

    def _tell(self, seats: int) -> None:
        """Give the player its advice."""
        lists = self.advice * (seats if self.settings.shared else 1)
        self.agent.told(tuple("\n".join([HEAD, *(f"- {one}" for one in advice)]) if advice else "" for advice in lists))

    def referred(self, batch: Batch) -> Batch:
        raise Unsuitable("training-free learning has no reference policy")

    def save(self, folder: Path) -> None:
        save_json(folder / "advice.json", {"advice": self.advice, "notes": self.agent.speech.notes})

    def load(self, folder: Path) -> None:
        saved = load_json(folder / "advice.json")
        self.advice = saved["advice"]
        self.agent.told(tuple(saved["notes"]))
