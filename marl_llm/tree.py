"""A small game unrolled once into arrays: the substrate of exact evaluation and of the fastest boards.

Nodes stand in order of depth. A decision node belongs to one seat; a simultaneous move is a chain of decision nodes, one
a seat, whose information sets do not see each other's choice. Where information is perfect and nothing is gained before
the end, positions with equal keys at equal depth are one node (tic-tac-toe: 5,478 instead of 549,946).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from marl_llm.boards import Boards, BrokenRule, BrokenView, Line, Views, checked, shaped, table_of
from marl_llm.game import Discrete, Game, Seat, State
from marl_llm.ragged import Ragged, segment_sum, spans
from marl_llm.seeding import uniform

CHANCE, OVER = -1, -2
MAX_NODES = 200_000


class TooLarge(ValueError):
    """The game's tree does not fit the node budget."""


class Tree:
    """All positions of a game. Flat arrays:

    per node     ``seat`` (or CHANCE, OVER), ``children`` (Ragged of nodes), ``gains`` [nodes, seats] cumulative returns,
                 ``infoset`` (-1 where nobody decides), ``depth``, ``actors`` (Ragged: seats that move together here)
    per edge     (aligned with ``children.data``) ``chance`` its probability (1 at decisions), ``mass`` the same cumulated
                 in its row, ``edge_node`` the node above, ``edge_choice`` its index into ``legal.data`` (-1 at chance)
    per infoset  ``owner``, ``keys``, ``legal`` (Ragged of actions), ``own_depth`` (own earlier decisions),
                 ``own_parent`` (index into ``legal.data`` of the own decision before it, -1 if none)

    A policy of all seats is one array aligned with ``legal.data``.
    """

    def __init__(self, game: Game, max_nodes: int = MAX_NODES) -> None:
        self.game, self.info = game, game.info
        if not isinstance(game.info.action, Discrete):
            raise TooLarge(f"{game.info.name} has {type(game.info.action).__name__} actions; only Discrete ones can be unrolled")
        if game.info.message is not None:
            raise TooLarge(f"{game.info.name} has messages; what can be said cannot be unrolled")
        built = _Builder(game, max_nodes)
        built.build()
        self.seat, self.infoset, self.depth = (np.asarray(x, np.int64) for x in (built.seat, built.infoset, built.depth))
        self.gains = np.asarray(built.gains)
        self.children, self.actors = Ragged.of(built.children), Ragged.of(built.actors)
        self.actor_infoset = Ragged.of(built.actor_infosets).data
        self.chance = Ragged.of(built.chance, np.float64).data
        self.mass = Ragged.of([list(accumulate(row)) for row in built.chance], np.float64).data
        self.sequential = bool((self.actors.lengths <= 1).all())
        self.owner, self.own_depth = np.asarray(built.owner, np.int64), np.asarray(built.own_depth, np.int64)
        self.keys, self.legal, self.lines = list(built.codes), Ragged.of(built.legal), built.lines
        self.own_parent = np.asarray([-1 if i < 0 else self.legal.starts[i] + slot for i, slot in built.own], np.int64)
        self.merged, self.perfect_recall = built.merge, built.perfect_recall
        self.slot = np.full((len(self.keys), game.info.action.n), -1, np.int64)
        """Place of each action among the legal ones of an information set."""
        self.slot[self.legal.row_of(), self.legal.data] = spans(self.legal.starts, np.arange(len(self.legal)))[0] - np.repeat(
            self.legal.starts[:-1], self.legal.lengths
        )
        self.edge_node = self.children.row_of()
        decided = self.infoset[self.edge_node] >= 0
        place = np.arange(len(self.edge_node)) - self.children.starts[self.edge_node]
        self.edge_choice = np.where(decided, self.legal.starts[self.infoset[self.edge_node]] + place, -1)
        self.states: dict[int, State] = {}
        """The matches at nodes whose whole table has been asked for."""
        bounds = np.flatnonzero(np.diff(self.depth)) + 1
        self.layers = [slice(a, b) for a, b in pairwise([0, *bounds.tolist(), len(self.depth)])]

    def text(self, infoset: int) -> str:
        """What the seat reads at an information set."""
        return checked(self.lines[infoset].view(int(self.owner[infoset])).text, str, "view().text")

    def vector(self, infoset: int) -> NDArray[np.float32]:
        """What the seat sees there as numbers."""
        return shaped(self.lines[infoset].view(int(self.owner[infoset])).vector, self.info)

    def action_texts(self, infoset: int) -> list[str]:
        """The legal actions there as text."""
        state, seat = self.lines[infoset].state, int(self.owner[infoset])
        return [state.action_text(seat, action) for action in self.legal[infoset].tolist()]

    def table(self, node: int) -> NDArray[np.float32]:
        """The whole table at a node where no move is half made, as numbers."""
        return table_of(self._state(node), self.info)

    def _state(self, node: int) -> State:
        """The match at a node, played from its start by the one way there that was found first."""
        if node in self.states:
            return self.states[node]
        if not node:
            state = self.game.start(0)
        else:
            edges, joint, above = self.above, {}, node
            while True:
                edge = int(edges[above])
                above, slot = int(self.edge_node[edge]), int(edge - self.children.starts[self.edge_node[edge]])
                if self.seat[above] != CHANCE:
                    joint[int(self.seat[above])] = int(self.legal[int(self.infoset[above])][slot])
                if self.seat[above] == CHANCE or len(self.actors[above]):
                    break
            state = self._state(above).clone()
            if joint:
                state.apply(joint)
            else:
                state.apply_chance(state.chance()[slot][0])
        self.states[node] = state
        return state

    @cached_property
    def above(self) -> NDArray[np.int64]:
        """For every node but the first an edge that leads to it."""
        edges = np.full(len(self.seat), -1)
        edges[self.children.data[::-1]] = np.arange(len(self.children.data))[::-1]
        return edges

    def views(self, infosets: NDArray[np.int64]) -> TreeViews:
        """Views of information sets."""
        return TreeViews(self, infosets)

    def uniform_policy(self) -> NDArray[np.float64]:
        """The policy that plays every legal action equally often."""
        return np.repeat(1.0 / self.legal.lengths, self.legal.lengths)


class _Builder:
    """Breadth-first unrolling, one layer of positions at a time, so that parents stand before their children."""

    def __init__(self, game: Game, max_nodes: int) -> None:
        self.game, self.info, self.max_nodes = game, game.info, max_nodes
        self.merge = self.info.perfect_information and self.info.rewards_at_end and self.info.key_kind == "state"
        self.seat: list[int] = []
        self.infoset: list[int] = []
        self.depth: list[int] = []
        self.gains: list[list[float]] = []
        self.children: list[list[int]] = []
        self.chance: list[list[float]] = []
        self.actors: list[Sequence[int]] = []
        self.actor_infosets: list[list[int]] = []
        self.codes: dict[str, int] = {}
        self.owner: list[int] = []
        self.legal: list[list[int]] = []
        self.own: list[tuple[int, int]] = []
        self.own_depth: list[int] = []
        self.lines: list[Line] = []
        self.perfect_recall = True

    def build(self) -> None:
        none = ((-1, -1),) * self.info.seats  # each seat's last own decision: (infoset, slot)
        layer: list[_Place] = [(Line(self.info, self.game.start(0)), none, (), {}, -1, 0)]
        depth = 0
        while layer:
            below: list[_Place] = []
            seen: dict[tuple[Seat, str], int] = {}
            for place in layer:
                node = self._node(place, depth, below, seen)
                parent, slot = place[4:]
                if parent >= 0:
                    self.children[parent][slot] = node
            layer, depth = below, depth + 1

    def _node(self, place: _Place, depth: int, below: list[_Place], seen: dict[tuple[Seat, str], int]) -> int:
        line, own, waiting, moves, _, _ = place
        actors: tuple[Seat, ...] = ()
        if not waiting:
            outcomes = line.chance()
            if outcomes:
                node = self._add(CHANCE, -1, depth, line, [p for _, p in outcomes])
                for slot, (outcome, _) in enumerate(outcomes):
                    child = line.clone()
                    child.apply_chance(outcome)
                    below.append((child, own, (), {}, node, slot))
                return node
            waiting = actors = line.to_act()
            if not actors:
                return self._add(OVER, -1, depth, line, [])
        seat = waiting[0]
        if self.merge and len(actors) == 1:
            known = seen.get((seat, line.key(seat)))
            if known is not None:
                return known
        infosets = [self._infoset(line, actor, own) for actor in actors]
        infoset = infosets[0] if infosets else self.codes[line.key(seat)]
        legal = self.legal[infoset]
        node = self._add(seat, infoset, depth, line, [1.0] * len(legal), actors, infosets)
        seen[seat, line.key(seat)] = node
        for slot, action in enumerate(legal):
            after = (*own[:seat], (infoset, slot), *own[seat + 1 :])
            joint = {**moves, seat: action}
            child = line
            if not waiting[1:]:
                child = line.clone()
                child.apply(joint)
                joint = {}
            below.append((child, after, waiting[1:], joint, node, slot))
        return node

    def _infoset(self, line: Line, seat: Seat, own: tuple[tuple[int, int], ...]) -> int:
        key, legal = line.key(seat), line.legal(seat)
        code = self.codes.setdefault(key, len(self.codes))
        if code == len(self.owner):
            last = own[seat]
            self.owner.append(seat)
            self.legal.append(legal)
            self.own.append(last)
            self.own_depth.append(0 if last[0] < 0 else self.own_depth[last[0]] + 1)
            self.lines.append(line)
        elif self.owner[code] != seat:
            raise BrokenRule(f"view().key {key!r} belongs to seat {self.owner[code]} and to seat {seat}; put the seat into the key")
        elif self.legal[code] != legal:
            raise BrokenRule(f"legal({seat}) differs inside one information set, key {key!r}: {self.legal[code]} and {legal}")
        elif self.own[code] != own[seat]:
            self.perfect_recall = False
        return code

    def _add(
        self,
        seat: int,
        infoset: int,
        depth: int,
        line: Line,
        chance: list[float],
        actors: Sequence[Seat] = (),
        infosets: Sequence[int] = (),
    ) -> int:
        if len(self.seat) >= self.max_nodes:
            raise TooLarge(f"the tree of {self.info.name} has more than {self.max_nodes:,} positions")
        self.seat.append(seat)
        self.infoset.append(infoset)
        self.depth.append(depth)
        known_zero = self.info.rewards_at_end and seat != OVER
        self.gains.append([0.0] * self.info.seats if known_zero else line.returns())
        self.children.append([-1] * len(chance))
        self.chance.append(chance)
        self.actors.append(actors)
        self.actor_infosets.append(list(infosets))
        return len(self.seat) - 1


_Place = tuple[Line, tuple[tuple[int, int], ...], tuple[Seat, ...], dict[Seat, int], int, int]


_TREES: WeakKeyDictionary[Game, Tree] = WeakKeyDictionary()


def tree_of(game: Game, max_nodes: int = MAX_NODES) -> Tree:
    """The game's tree, unrolled on first use and kept as long as the game lives."""
    tree = _TREES.get(game)
    if tree is None:
        tree = _TREES[game] = Tree(game, max_nodes)
    return tree


class TreeViews(Views):
    """Views of information sets; they never go stale, for a tree does not move. ``rows`` are the board rows they are seen from, and
    ``nodes`` the positions, where they are seen in a match."""

    def __init__(
        self,
        tree: Tree,
        infosets: NDArray[np.int64],
        rows: NDArray[np.int64] | None = None,
        nodes: NDArray[np.int64] | None = None,
    ) -> None:
        self.tree, self.infosets, self.game, self.codes = tree, infosets, tree.game, tree.keys
        self.rows = np.arange(len(infosets)) if rows is None else rows
        self.nodes = nodes

    def keys(self) -> NDArray[np.int64]:
        return self.infosets

    def texts(self) -> list[str]:
        told, place = self._told(self.tree.text)
        return [told[i] for i in place]

    def vectors(self) -> NDArray[np.float32]:
        told, place = self._told(self.tree.vector)
        return np.stack(told)[place]

    def tables(self) -> NDArray[np.float32]:
        if self.nodes is None:
            raise TypeError("an information set outside of a match has no table")
        told, place = self._told(self.tree.table, self.nodes)
        return np.stack(told)[place]

    def action_texts(self) -> list[list[str]]:
        told, place = self._told(self.tree.action_texts)
        return [told[i] for i in place]

    def _told(self, read: Callable[[int], Any], what: NDArray[np.int64] | None = None) -> tuple[list[Any], NDArray[np.int64]]:
        """What ``read`` gives for every distinct information set (or of ``what``), and every row's place among them."""
        known, first, place = np.unique(self.infosets if what is None else what, return_index=True, return_inverse=True)
        told = []
        for infoset, row in zip(known.tolist(), self.rows[first].tolist(), strict=True):
            try:
                told.append(read(infoset))
            except (Exception, SystemExit) as error:
                raise BrokenView(row, error) from error
        return told, place

    def take(self, rows: NDArray[np.int64]) -> Views:
        return TreeViews(self.tree, self.infosets[rows], self.rows[rows], None if self.nodes is None else self.nodes[rows])

    def states(self) -> list[State]:
        return [self.tree.lines[i].state.clone() for i in self.infosets.tolist()]


class TreeBoards(Boards):
    """Boards that walk a tree: a step of any number of matches is a few array operations."""

    def __init__(self, tree: Tree, rows: int) -> None:
        self.tree, self.info, self.broken = tree, tree.info, {}
        self.node = np.full(rows, -1, np.int64)
        self.seeds = np.zeros(rows, np.uint64)
        self.draws = np.zeros(rows, np.int64)

    def start(self, row: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        self.node[row], self.seeds[row], self.draws[row] = 0, seeds, 0
        self._settle(row)

    def _settle(self, row: NDArray[np.int64]) -> None:
        tree = self.tree
        while len(row := row[tree.seat[self.node[row]] == CHANCE]):
            node = self.node[row]
            entries, starts = spans(tree.children.starts, node)
            u = uniform(self.seeds[row], self.draws[row])
            passed = segment_sum(tree.mass[entries] <= np.repeat(u, np.diff(starts)), starts)
            last = tree.children.lengths[node] - 1
            self.node[row] = tree.children.data[tree.children.starts[node] + np.minimum(passed, last)]
            self.draws[row] += 1

    def acting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        row = np.flatnonzero(self.node >= 0)
        actors = self.tree.actors.take(self.node[row])
        return np.repeat(row, actors.lengths), actors.data

    def _infosets(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> NDArray[np.int64]:
        node = self.node[row]
        if self.tree.sequential:
            return self.tree.infoset[node]
        entries, starts = spans(self.tree.actors.starts, node)
        mine = self.tree.actors.data[entries] == np.repeat(seat, np.diff(starts))
        return self.tree.actor_infoset[entries[mine]]

    def legal(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Ragged:
        return self.tree.legal.take(self._infosets(row, seat))

    def views(self, row: NDArray[np.int64], seat: NDArray[np.int64]) -> Views:
        return TreeViews(self.tree, self._infosets(row, seat), row, self.node[row])

    def step(self, row: NDArray[np.int64], seat: NDArray[np.int64], moves: NDArray[Any]) -> NDArray[np.int64]:
        tree = self.tree
        left_row, left_moves = row, moves
        while len(left_row):  # once, but for simultaneous moves, whose chain takes one link a turn
            first = np.ones(len(left_row), bool)
            first[1:] = left_row[1:] != left_row[:-1]
            now = left_row[first]
            node = self.node[now]
            self.node[now] = tree.children.data[tree.children.starts[node] + tree.slot[tree.infoset[node], left_moves[first]]]
            left_row, left_moves = left_row[~first], left_moves[~first]
        moved = row if self.tree.sequential else np.unique(row)
        self._settle(moved)
        over = moved[tree.seat[self.node[moved]] == OVER]
        return over

    def stop(self, row: NDArray[np.int64]) -> None:
        self.node[row] = -1

    def returns(self, row: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.tree.gains[self.node[row]]
