"""Node workers, each a process with many battles: one frame asks something of any number of them, one frame answers.

A worker that does not answer in time is killed, as one that has died is replaced: a battle is its setup and its moves, so whoever
asks next plays it again in the new worker, and nothing is lost or counted twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from games.pokemon.install import installed, node
from marl_llm.errors import UserError

ANSWER_S = 60.0
"""A worker that has not answered for so long is killed; one that is asked of many battles has this for every hundred."""
HERE = Path(__file__).parent


class Unanswered(RuntimeError):
    """A worker died or was killed, and what it was asked has no answer; ``str`` says why."""


class Worker:
    """One node process. ``generation`` counts the processes that have stood here: battles of an older one are gone."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self.answer_s, self.generation = answer_s, 0
        self.dropped: list[int] = []
        """Battles that nobody needs any more; the next message tells."""
        self._process: subprocess.Popen[bytes] | None = None
        self._owes, self._deadline = False, 0.0

    def settle(self) -> None:
        """End the process where whoever asked last was interrupted: what is in its pipes would be taken for the next answer."""
        if self._owes:
            self.close()

    def send(self, ask: str, **message: Any) -> None:
        """Ask, and go on; each ``send`` is followed by a ``receive``."""
        self.settle()
        process = self._process or self._start()
        self._owes = True
        dropped, self.dropped = self.dropped, []
        words = json.dumps({"ask": ask, "drop": dropped, **message}).encode()
        frame = memoryview(struct.pack("<I", len(words)) + words)
        assert process.stdin is not None
        battles = len(message.get("battles", message.get("at", ())))
        self._deadline = monotonic() + self.answer_s * (1 + battles // 100)
        pipe = process.stdin.fileno()
        while frame:
            self._wait(writes=pipe)
            try:
                frame = frame[os.write(pipe, frame) :]
            except BrokenPipeError:
                self._lost("it has died")

    def receive(self) -> tuple[Any, NDArray[np.float32]]:
        """The answer to the last ``send``: JSON, and numbers."""
        words, numbers = struct.unpack("<II", self._read(8))
        answer = json.loads(self._read(words))
        values = np.frombuffer(self._read(numbers), np.float32)
        self._owes = False
        return answer, values

    def ask(self, ask: str, **message: Any) -> tuple[Any, NDArray[np.float32]]:
        """``send`` and ``receive``."""
        self.send(ask, **message)
        return self.receive()

    def close(self) -> None:
        """End the process and all its children."""
        if self._process is not None:
            self._end()

    def _end(self) -> bytes:
        """What it wrote to stderr."""
        process, self._process = self._process, None
        assert process is not None
        self.generation, self._owes = self.generation + 1, False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[1]

    def _start(self) -> subprocess.Popen[bytes]:
        packages: Mapping[str, str] = {**os.environ, "NODE_PATH": str(installed() / "node_modules")}
        words = [node(), "--require", str(HERE / "handlers.js"), str(HERE / "worker.js")]
        # a group of its own: Ctrl-C in the terminal is ours to hear, and one signal ends whatever it has started
        self._process = process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=packages, bufsize=0, start_new_session=True
        )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _read(self, size: int) -> bytearray:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, have = self._process.stdout.fileno(), bytearray()
        while len(have) < size:
            self._wait(reads=pipe)
            got = os.read(pipe, min(size - len(have), 1 << 20))
            if not got:
                self._lost("it has died")
            have += got
        return have

    def _wait(self, *, reads: int | None = None, writes: int | None = None) -> None:
        poll = select.poll()
        for pipe, event in ((reads, select.POLLIN), (writes, select.POLLOUT)):
            if pipe is not None:
                poll.register(pipe, event)
        if not poll.poll(max(self._deadline - monotonic(), 0) * 1000):
            self._lost(f"it did not answer within {self.answer_s:g} s")

    def _lost(self, why: str) -> None:
        told = [line.strip() for line in self._end().decode(errors="replace").splitlines() if "Error" in line]
        raise Unanswered(f"a Pokemon worker is gone: {why}" + (f" ({told[0][:200]})" if told else ""))


_WORKERS: list[Worker] = []
_OWNER = os.getpid()


def workers(count: int) -> list[Worker]:
    """The first ``count`` of this process's workers, which all games share; each starts when it is first asked something."""
    global _OWNER
    if os.getpid() != _OWNER:  # a fork: the workers are the parent's
        _WORKERS.clear()
        _OWNER = os.getpid()
    _WORKERS.extend(Worker() for _ in range(count - len(_WORKERS)))
    return _WORKERS[:count]


def cores() -> int:
    """How many workers can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def known(ask: str, **message: Any) -> Any:
    """What the simulator says of itself; UserError where it cannot be run."""
    try:
        return workers(1)[0].ask(ask, **message)[0]
    except Unanswered as error:
        raise UserError(f"the Pokemon simulator cannot be run: {error}; try node {HERE / 'worker.js'}") from error
