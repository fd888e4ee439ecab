"""The house's own rules: who imports whom, nothing heavy in the core, one idea a file, no pickle, no global randomness."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("marl_llm", "games", "algorithms", "tournaments")
MAY_IMPORT = {name: {"marl_llm", name} for name in PACKAGES}
MOST_LINES = 400
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield node.module or ""


def wrong_imports(package: str, source: str) -> list[str]:
    tops = {name.split(".")[0] for name in imported(ast.parse(source))}
    return sorted(tops & set(PACKAGES) - MAY_IMPORT[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_marl_llm_and_none_of_each_other(package: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / package)]
    assert files
    wrong = {str(path.relative_to(ROOT)): wrong_imports(package, path.read_text()) for path in files}
    assert not {path: names for path, names in wrong.items() if names}


def test_what_is_forbidden_is_seen() -> None:
    wrong = ["import pickle", "x = torch.load(f)", "random.seed(1)", "np.random.choice(3)", "torch.manual_seed(0)"]
    right = [
        "np.load(f, allow_pickle=False)",
        "rng.random()",
        "np.random.Generator(np.random.Philox(key=1))",
        "torch.Generator().manual_seed(0)",
    ]
    assert all(any(pattern.search(line) for pattern in FORBIDDEN.values()) for line in wrong)
    assert not any(pattern.search(line) for pattern in FORBIDDEN.values() for line in right)


def test_the_walk_sees_an_import_anywhere() -> None:
    source = "def f():\n    from games.openspiel.game import OpenSpiel\n    import tournaments.host as h\n"
    assert wrong_imports("algorithms", source) == ["games", "tournaments"]
    assert wrong_imports("marl_llm", source) == ["games", "tournaments"]


def test_namespace_packages_have_no_init() -> None:
    assert [path for path in FILES if path.name == "__init__.py"] == [ROOT / "marl_llm" / "__init__.py"]


def test_a_file_is_one_idea() -> None:
    long = {str(path.relative_to(ROOT)): n for path in FILES if (n := len(path.read_text().splitlines())) > MOST_LINES}
    assert not long, f"past {MOST_LINES} lines, look for the second idea"


FORBIDDEN = {
    "pickle": re.compile(r"\bimport (pickle|cPickle|dill|cloudpickle|shelve|joblib)\b|allow_pickle=True|torch\.(load|save)\("),
    "a global generator": re.compile(
        r"\b(np\.)?random\.(seed|set_state|setstate|random|rand|randn|randint|choice|choices|shuffle|sample|uniform|normal|permutation)\("
        r"|\btorch\.(manual_)?seed\("
    ),
}
FORKED = re.compile(r"with torch\.random\.fork_rng\(.*\):.*\n\s+torch\.manual_seed\(")
"""The one way to give a seed to libraries that draw from torch's generator: it is put back as it was."""


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nowhere(what: str) -> None:
    texts = {path.relative_to(ROOT): re.sub(FORKED, "", path.read_text()) for path in FILES}
    found = [f"{path}: {match[0].strip()}" for path, text in texts.items() for match in FORBIDDEN[what].finditer(text)]
    assert not found


def test_the_core_imports_nothing_heavy() -> None:
    core = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if path.parent == ROOT / "marl_llm" and path.stem != "__init__"
    ]
    code = (
        f"import sys, importlib; [importlib.import_module(name) for name in {core!r}]; "
        "print(sorted({'torch', 'ray', 'transformers', 'pyspiel', 'open_spiel', 'pettingzoo', 'tensorboard'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


pytest_plugins = ["pytester"]


def test_a_slow_default_test_fails_and_a_marked_one_does_not(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text().replace("LIMIT_S = 20.0", "LIMIT_S = 0.05"))
    pytester.makeini("[pytest]\nmarkers = learn")
    pytester.makepyfile(
        "import time, pytest\ndef test_slow(): time.sleep(0.1)\ndef test_fast(): pass\n"
        "@pytest.mark.learn\ndef test_marked(): time.sleep(0.1)\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*took 0.1 s; a default test may take 0.05 s*"])
