"""Settings of a command or a recipe: dataclasses that dotted flags and a YAML file may re-number, through tyro.

    settings = parse(Settings(), argv)      --loss.clip 0.1      --config FILE, in which: {loss: {clip: 0.1}}

A file may change values, never the parts themselves: no class is named in it, so none of its contents is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import MISSING, fields, is_dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar, get_type_hints, overload

import tyro
import yaml

from marl_llm.errors import UserError, unknown

T = TypeVar("T")


@overload
def parse(settings: type[T], argv: Sequence[str], *, prog: str | None = None, description: str = "") -> T: ...
@overload
def parse(settings: T, argv: Sequence[str], *, prog: str | None = None, description: str = "") -> T: ...
def parse(settings: Any, argv: Sequence[str], *, prog: str | None = None, description: str = "") -> Any:
    """``settings`` with the flags of ``argv``; what a ``--config FILE`` says counts less than a flag.

    A class gives its defaults, and its fields without one are required flags. ``--help`` prints and exits with 0.
    Raises UserError in one line for an unknown flag or key (the nearest name) and a value of the wrong kind.
    """
    flags, file = _without_config(argv)
    described = f"{description} --config FILE sets the same names from YAML; flags count more.".strip()
    default: dict[str, Any] = {} if isinstance(settings, type) else {"default": settings}
    kind = settings if isinstance(settings, type) else type(settings)
    errors = StringIO()
    try:
        with redirect_stderr(errors):
            return tyro.cli(kind, args=[*_from_file(settings, file), *flags], prog=prog, description=described, **default)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(_one_line(errors.getvalue()) + (f" (settings also come from {file})" if file else "")) from None


def dump(settings: Any) -> str:
    """YAML that ``parse(..., ["--config", FILE])`` reads back to equal settings."""
    return yaml.safe_dump(_plain(settings), sort_keys=False)


def _without_config(argv: Sequence[str]) -> tuple[list[str], Path | None]:
    rest, file = list(argv), None
    for i, word in enumerate(rest):
        if word == "--config" or word.startswith("--config="):
            words = rest[i : i + 1 if "=" in word else i + 2]
            value = word.partition("=")[2] if "=" in word else words[-1]
            if value in ("", "--config"):
                raise UserError("--config needs a file; expected --config FILE.yaml")
            del rest[i : i + len(words)]
            file = Path(value)
            break
    return rest, file


def _from_file(settings: Any, file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        values = yaml.safe_load(file.read_text()) or {}
    except OSError as error:
        raise UserError(f"cannot read --config {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UserError(f"--config {file} is not YAML: {' '.join(str(error).split())}") from error
    return list(_flags(settings, values, f"setting in {file}", ""))


def _flags(part: Any, values: Any, what: str, above: str) -> Iterator[str]:
    """Flags that say what a mapping of ``values`` says about the fields of ``part``."""
    known = _fields(part)
    if not isinstance(values, Mapping):
        raise UserError(f"{what} {above.rstrip('.') or 'top level'} is {values!r}; expected a mapping of {', '.join(known)}")
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise unknown(what, f"{above}{name}", [f"{above}{field}" for field in known])
        yield from _flag(*known[name], value, what, f"{above}{name}")


def _flag(kind: Any, current: Any, value: Any, what: str, name: str) -> Iterator[str]:
    if is_dataclass(current):
        yield from _flags(current, value, what, f"{name}.")
    elif isinstance(current, (tuple, list)) and any(is_dataclass(part) for part in current):
        if not isinstance(value, list) or len(value) != len(current):
            raise UserError(f"{what} {name!r} is {value!r}; expected a list of {len(current)} mappings, one for each part")
        for i, (part, inner) in enumerate(zip(current, value, strict=True)):
            yield from _flags(part, inner, what, f"{name}.{i}.")
    elif kind is bool and isinstance(value, bool):
        head, _, last = name.rpartition(".")
        yield f"--{name}" if value else f"--{head}{'.' if head else ''}no-{last}"
    elif isinstance(value, list):
        if value or current:
            yield from (f"--{name}", *map(str, value))
    elif isinstance(value, Mapping):
        yield from (f"--{name}", *(str(word) for pair in value.items() for word in pair))
    else:
        yield f"--{name}={value}"


def _fields(part: Any) -> dict[str, tuple[Any, Any]]:
    """Type and present value of every field; a class stands for its defaults."""
    hints = get_type_hints(part if isinstance(part, type) else type(part))
    found = {}
    for field in fields(part):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        value = default if isinstance(part, type) else getattr(part, field.name)
        found[field.name] = hints[field.name], hints[field.name] if value is MISSING else value
    return found


def _one_line(box: str) -> str:
    """The message of one of tyro's boxes, and the flag it offers instead; the box is ASCII where the terminal is."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    blocks = [block.split() for block in re.split(r"^[─-]{5,}$", "\n".join(lines), flags=re.MULTILINE)]
    message, *rest = blocks if "╭" in box else blocks[1:]  # an ASCII box begins with its title
    near = [word for block in rest for word in block if word.startswith("--") and word != "--help"]
    hint = f"did you mean {near[0]}?" if near and message[0] == "Unrecognized" else "--help lists them all"
    return f"{re.sub(r' (?=[.,])', '', ' '.join(message)).rstrip('.')}; {hint}"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: _plain(part) for name, part in inner.items() if is_dataclass(part) or not callable(part)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
