"""Names become things, and a wrong name becomes one helpful line."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from marl_llm import catalogue as catalogues
from marl_llm import checkpoint, registry
from marl_llm.agents.callable import CallableAgent
from marl_llm.agents.pool import AgentPool
from marl_llm.agents.random import RandomAgent
from marl_llm.catalogue import Entry, catalogue
from marl_llm.errors import MissingExtra, UserError

NIM = """
from marl_llm.templates.new_game.game import NewGame

class Nim(NewGame):
    def __init__(self, piles=1, names=("a",), stones=5):
        super().__init__(stones)
        self.piles, self.names = piles, names

class Odd:
    pass

def loud(text, legal):
    return legal[-1]
"""


@pytest.fixture
def nim(tmp_path: Path) -> Path:
    path = tmp_path / "nim.py"
    path.write_text(NIM)
    return path


def test_a_game_by_name_is_made_once() -> None:
    assert registry.game("kuhn_poker") is registry.game("kuhn_poker")
    assert registry.game("kuhn_poker").spec == "kuhn_poker"
    assert registry.game("kuhn_poker(players=3)").info.seats == 3
    assert registry.game("openspiel:leduc_poker(players=3)").info.seats == 3
    assert registry.game("public_goods(seats=7)").info.seats == 7


def test_a_game_by_file(nim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = registry.game(f"{nim}:Nim(piles=2, names=('x', 'y'))")
    assert (made.piles, made.names) == (2, ("x", "y"))  # type: ignore[attr-defined]
    monkeypatch.chdir(nim.parent)
    again = registry.game("nim.py:Nim(piles=2, names=('x', 'y'))")
    assert again is made
    assert again.spec == f"{nim}:Nim(piles=2, names=('x', 'y'))", "an absolute path, so that any process can load it"
    before = registry.file_hash("nim.py:Nim(piles=2)")
    nim.write_text(NIM + "\n# changed\n")
    assert before
    assert registry.file_hash(made.spec) != before
    assert registry.file_hash("kuhn_poker") is None


def test_a_game_by_module(nim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nim.rename(nim.parent / "nim_by_module.py")
    monkeypatch.syspath_prepend(str(nim.parent))
    assert registry.game("nim_by_module:Nim(stones=9)").stones == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("kuhn_pokr", ["unknown game 'kuhn_pokr'", "kuhn_poker"]),
        ("public_goods(seat=3)", ["'seat'", "seats"]),
        ("public_goods(3)", ["(3)", "key=value"]),
        ("public_goods(seats=)", ["key=value"]),
        ("public_goods(seats=2))", ["public_goods(seats=2))"]),
        ("(", ["cannot be read"]),
        ("nowhere.nim:Nim", ["nowhere.nim", "check the name"]),
        ("/nowhere/nim.py:Nim", ["no file /nowhere/nim.py"]),
        ("NIM:Nimm", ["unknown name", "Nimm", "did you mean Nim"]),
        ("NIM:Odd", ["is a Odd", "expected a marl_llm.game.Game"]),
        ("NIM:Nim(stones='many')", ["cannot be made"]),
        ("openspiel:kuhn_pokr", ["kuhn_pokr", "kuhn_poker"]),
    ],
)
def test_a_wrong_game_is_one_line(nim: Path, spec: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        registry.game(spec.replace("NIM", str(nim)))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("body", ["raise ValueError('no')", "import sys; sys.exit(3)", "def (", "import not_there_at_all"])
def test_a_file_that_cannot_be_imported_is_one_line(tmp_path: Path, body: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(body)
    with pytest.raises(UserError, match=r"cannot import .*bad\.py"):
        registry.game(f"{path}:Game")


def test_agents(nim: Path) -> None:
    assert isinstance(registry.agent("random"), RandomAgent)
    assert isinstance(registry.agent(f"{nim}:loud"), CallableAgent)
    assert isinstance(registry.agent("marl_llm.agents.random:RandomAgent"), RandomAgent)
    for name, words in {
        "mtcs:100": "did you mean mcts:100",
        "randm": "did you mean random",
        "random:3": "takes no argument",
        "nowhere:3": "unknown agent 'nowhere:3'",
        f"{nim}:NIM": "unknown name",
        f"{nim}:Odd": "expected a function",
        "checkpoint": "expected checkpoint:RUN",
        "checkpoint:nowhere": "has no checkpoint",
        "checkpoint:nowhere@new": "expected checkpoint:RUN",
        "model:nowhere": "no model folder 'nowhere'",
    }.items():
        with pytest.raises(UserError, match=words):
            registry.agent(name)


def test_pool_prefers_live_agents_and_keeps_the_others() -> None:
    live = RandomAgent()
    pool = AgentPool({"learner": live})
    assert pool.resolve("learner") is live
    assert pool.resolve("random") is pool.resolve("random")
    assert pool.resolve("random") is not live


def test_a_saved_agent_names_its_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {**catalogue(), "loaders": {"folder": Entry("folder", "pathlib:Path")}}  # a loader is called with the folder
    monkeypatch.setattr(catalogues, "catalogue", lambda: entries)

    def fill(folder: Path) -> None:
        (folder / "agents" / "main").mkdir(parents=True)
        checkpoint.save_json(folder / "agents" / "main" / "agent.json", {"loader": "folder"})

    for step in (0, 4):
        checkpoint.write(checkpoint.path_of(tmp_path, step), fill)
    assert registry.agent(f"checkpoint:{tmp_path}") == tmp_path / "checkpoints" / "000004" / "agents" / "main"
    assert registry.agent(f"checkpoint:{tmp_path}@0") == tmp_path / "checkpoints" / "000000" / "agents" / "main"
    folder = tmp_path / "saved"
    folder.mkdir()
    checkpoint.save_json(folder / "agent.json", {"loader": "pathlib:Path"})
    with pytest.raises(UserError, match="unknown loader 'pathlib:Path'"):
        registry.agent(f"model:{folder}")


def test_a_missing_extra_has_its_pip_line(tmp_path: Path) -> None:
    path = tmp_path / "needy.py"
    path.write_text("import not_there_at_all")
    entry = Entry("needy", f"{path}:Needy", extra="llm", distribution="my-games")
    with pytest.raises(MissingExtra, match=r"agent 'needy' needs the extra 'llm': pip install 'my-games\[llm\]'"):
        registry.load(entry, "agent")


def test_recipes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Mine:\n    lr: float = 0.1\n"
        "    def build(self, setup): ...\nmine = Mine(0.5)\n"
    )
    assert registry.recipe(f"{path}:mine").lr == 0.5  # type: ignore[attr-defined]
    assert registry.recipe(f"{path}:Mine").lr == 0.1  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="expected a recipe"):
        registry.recipe(f"{path}:dataclass")
    with pytest.raises(UserError, match="unknown algorithm 'no_such'"):
        registry.recipe("no_such")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catalogues are read anew in this test, and after it."""
    catalogue.cache_clear()
    monkeypatch.setattr(registry, "_GAMES", {})
    yield  # type: ignore[misc]
    catalogue.cache_clear()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("games: {a: {summary: no target}}", ["games: a", "module:attribute"]),
        ("games: {a: {target: 'x:y', sumary: b}}", ["sumary", "did you mean summary"]),
        ("game: {}", ["section", "did you mean games"]),
        ("games: [", ["not YAML"]),
        ("games: 3", ["expected a mapping"]),
        ("games: {kuhn_poker: {target: 'x:y'}}", ["kuhn_poker", "declared by", "uninstall one"]),
    ],
)
def test_a_malformed_catalogue_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: list[str]) -> None:
    plug(tmp_path, text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError) as caught:
        catalogue()
    assert all(word in str(caught.value) for word in words), caught.value


def plug(site: Path, text: str | None, package: str = "plugged_catalogue") -> None:
    """What installing a distribution leaves on the path: its package, and its metadata."""
    (site / package).mkdir()
    if text is not None:
        (site / package / "catalogue.yaml").write_text(text)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{catalogues.GROUP}]\n{package} = {package}:catalogue.yaml\n")


@pytest.mark.usefixtures("fresh")
def test_a_lost_catalogue_is_passed_over_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    plug(tmp_path, None)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "kuhn_poker" in catalogue()["games"]
    assert "passed over: plugged_catalogue declares the catalogue plugged_catalogue:catalogue.yaml" in caplog.text


@pytest.mark.usefixtures("fresh")
def test_a_namespace_folder_of_the_same_name_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "games").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "kuhn_poker" in catalogue()["games"]


BEYOND_DEV = {"foraging", "textarena"}
"""Extras that the tests do without."""


def test_every_installed_target_is_there() -> None:
    assert len(list(entry_points(group=catalogues.GROUP))) >= 4
    for section, entries in catalogue().items():
        for entry in entries.values():
            with suppress(MissingExtra) if entry.extra in BEYOND_DEV else nullcontext():
                assert callable(registry.load(entry, section)) or section == "algorithms", entry


@pytest.mark.usefixtures("fresh")
def test_another_checkout_that_one_stands_in_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "games").mkdir()
    (tmp_path / "games" / "catalogue.yaml").write_text("games:\n  kuhn_poker:\n    target: elsewhere:Game\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert catalogue()["games"]["kuhn_poker"].target == "games.openspiel.game:OpenSpiel"
