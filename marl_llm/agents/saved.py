"""Agents from disk. A saved agent's folder has ``agent.json`` with the catalogue name of its loader, never a class path."""

from __future__ import annotations

from pathlib import Path

from marl_llm import checkpoint, registry
from marl_llm.agent import Agent
from marl_llm.catalogue import lookup
from marl_llm.errors import UserError


def model(folder: str | None) -> Agent:
    """``model:FOLDER``: an agent saved by any algorithm, or an ordinary Hugging Face model."""
    if not folder or not Path(folder).is_dir():
        raise UserError(f"there is no model folder {folder!r}; expected model:FOLDER")
    return load_agent(Path(folder))


def from_checkpoint(argument: str | None) -> Agent:
    """``checkpoint:RUN`` or ``checkpoint:RUN@STEP``: the agent that a run trained, at its newest or at the given step."""
    run, at, step = (argument or "").partition("@")
    if not run or (at and not step.isdigit()):
        raise UserError(f"cannot read 'checkpoint:{argument or ''}'; expected checkpoint:RUN or checkpoint:RUN@STEP")
    return of_checkpoint(checkpoint.at(Path(run), int(step)) if at else checkpoint.newest(Path(run)))


def of_checkpoint(folder: Path) -> Agent:
    """The agent of a verified checkpoint; UserError if it has several."""
    agents = sorted((folder / "agents").glob("*/agent.json"))
    if len(agents) != 1:
        names = ", ".join(f"model:{path.parent}" for path in agents) or "none"
        raise UserError(f"checkpoint {folder} has {len(agents)} agents; expected one. Name the one you mean: {names}")
    return load_agent(agents[0].parent)


def load_agent(folder: Path) -> Agent:
    """The agent saved in ``folder``, by the loader it names; a folder without ``agent.json`` is a Hugging Face model."""
    card = folder / "agent.json"
    loader = checkpoint.load_json(card).get("loader") if card.exists() else "language"
    if not isinstance(loader, str):
        raise UserError(f"{card} names no loader; expected {{'loader': NAME}}")
    return registry.load(lookup("loaders", loader), "loader")(folder)
