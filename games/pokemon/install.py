"""``python -m games.pokemon.install``: the battle simulator of Pokemon Showdown, from npm, into the user's cache folder.

Battles run in node by the packages below, each at one version. They are not part of this distribution.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from marl_llm.cache import cache_folder
from marl_llm.errors import UserError

PACKAGES = {
    "@pkmn/sim": "0.10.11",
    "@pkmn/randoms": "0.10.6",
    "@pkmn/sets": "5.2.0",
    "@pkmn/streams": "1.1.0",
    "@pkmn/types": "4.0.0",
    "ts-chacha20": "1.2.0",
}
NODE = 18
"""The oldest node that will do."""
COMMAND = "python -m games.pokemon.install"
FETCH_S = 600


def folder() -> Path:
    """Where these versions of the packages are, or will be."""
    return cache_folder() / "pokemon" / hashlib.sha256(json.dumps(PACKAGES).encode()).hexdigest()[:16]


def node() -> str:
    """The path of node; UserError where it is missing or too old."""
    found = shutil.which("node")
    if found is None:
        raise UserError(f"Pokemon battles run in node, and there is no node on the PATH; install Node.js {NODE} or newer, then: {COMMAND}")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    version = re.match(r"v(\d+)\.", told)
    if version is None or int(version[1]) < NODE:
        raise UserError(f"{found} is node {told or 'of no version'}; Pokemon battles need Node.js {NODE} or newer")
    return found


def installed() -> Path:
    """The folder with the packages; UserError where they are not installed."""
    if not (folder() / "node_modules").is_dir():
        raise UserError(f"the Pokemon simulator @pkmn/sim {PACKAGES['@pkmn/sim']} is not installed; run: {COMMAND}")
    return folder()


def install() -> Path:
    """Fetch the packages, unless they are there; their folder. Nothing half-fetched is left."""
    node()
    target = folder()
    if (target / "node_modules").is_dir():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("the Pokemon simulator comes from npm, and there is no npm on the PATH; install it beside node")
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    aside.mkdir(parents=True)
    try:
        exact = {"private": True, "dependencies": PACKAGES, "overrides": {name: f"${name}" for name in PACKAGES}}
        (aside / "package.json").write_text(json.dumps(exact, indent=2))
        words = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
        try:
            done = subprocess.run(words, cwd=aside, capture_output=True, text=True, timeout=FETCH_S)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"npm install took over {FETCH_S} s; look at the network, then run again: {COMMAND}") from error
        if done.returncode:
            why = " ".join(done.stderr.split())[:300] or f"it exited with {done.returncode}"
            raise UserError(f"npm could not install @pkmn/sim {PACKAGES['@pkmn/sim']}: {why}; put that right, then run again: {COMMAND}")
        if not target.exists():  # another process may have been faster; its packages are the same
            aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


if __name__ == "__main__":
    try:
        print(install())
    except UserError as error:
        sys.exit(f"marl-llm: {error}")
