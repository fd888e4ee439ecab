"""The index of papers: each is somewhere, or has a reason why not."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from marl_llm import cli, papers
from marl_llm.catalogue import catalogue
from marl_llm.errors import UserError
from marl_llm.papers import Paper
from tests.algorithms.test_group_recipes import RECIPES

INDEX = papers.papers()
LEFT_OUT = [
    "DINO-R1", "TSPO", "AvatarShield", "BigCharts-R1", "Patho-R1", "Q-Insight", "UI-R1", "AutoTriton", "WirelessMathLM", "open-rs",
]  # fmt: skip


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry.paper)
def test_every_paper_is_here_or_has_a_reason(entry: Paper):
    names = {**catalogue()["algorithms"], **catalogue()["games"], **catalogue()["agents"]}
    assert set(entry.here) <= set(names), "names of algorithms, games or agents"
    assert entry.here or len(entry.left_out.split()) >= 8, "a reason is a sentence"
    assert entry.arxiv is None or re.fullmatch(r"\d{4}\.\d{4,5}", entry.arxiv)


def test_no_paper_twice():
    known = [entry.arxiv for entry in INDEX if entry.arxiv]
    assert len(known) == len(set(known))
    assert len(INDEX) == len({entry.paper for entry in INDEX})


def test_those_without_code_are_told():
    left_out = [entry.paper for entry in INDEX if entry.left_out]
    assert all(any(paper.startswith(name) for paper in left_out) for name in LEFT_OUT)


def test_recipes_over_groups_name_their_papers():
    """Whoever adds such a recipe adds its paper; open-rs, among those left out, names the last."""
    assert set(RECIPES) - {name for entry in INDEX for name in entry.here} == {"cosine-length"}


def test_the_list_as_people_and_programs_read_it(capsys):
    assert cli.main(["algorithms", "--papers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "RiskPO\t2510.00911\triskpo" in lines
    assert any(line.startswith("UI-R1\t2503.21620\tleft out: ") for line in lines)
    assert cli.main(["algorithms", "entropy-shaped", "--papers", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["papers"]
    assert [paper["arxiv"] for paper in found] == ["2506.14758", "2508.05118"]


def test_a_recipe_is_told_by_its_own_words(capsys):
    for name, words in (
        ("riskpo", "the lower tail of sums over bundles"),
        ("psro", "Policy-space response oracles"),
        ("algorithms.recipes.riskpo:recipe", "A composed"),
    ):
        assert cli.main(["algorithms", name]) == 0
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"paper": "A"}, "'A' in .*papers.yaml must say where it is"),
        ({"paper": "A", "here": ["grpo"], "left_out": "no"}, "one of the two"),
        ({"paper": "A", "here": ["grpo"], "arXiv": "1"}, r"unknown key of 'A' in .* 'arXiv'; did you mean arxiv"),
        ({"paper": "A", "here": ["grpo"], "arxiv": 2402.033}, "has arxiv 2402.033; quote it"),
        ("A", "expected a mapping with a paper"),
    ],
)
def test_a_malformed_entry_is_told(entry, told, tmp_path, monkeypatch):
    monkeypatch.setattr(papers, "files", lambda: {tmp_path / "catalogue.yaml": "mine"})
    (tmp_path / "papers.yaml").write_text(yaml.safe_dump([entry]))
    with pytest.raises(UserError, match=told):
        papers.papers()
