// What each slot of one side may do now: by slot a map from action number to the words that the simulator understands.
//
// Numbers are the same in all formats: 0 passes, 1 to 6 send in (or pick, before the battle) that member of the team, and
// 7 + 20 gimmick + 5 move + (target + 2) moves: gimmick 0 none, 1 mega evolution, 2 Z-move, 3 Dynamax or Ultra Burst, 4 Terastal;
// target -1 and -2 the side's own slots, 1 and 2 the other side's, 0 none to choose.
'use strict';

const PASS = 0, FIRST_MOVE = 7, PER_GIMMICK = 20, PER_MOVE = 5, GIMMICKS = 5;
const ACTIONS = FIRST_MOVE + PER_GIMMICK * GIMMICKS;
const FREE = 0, ONE_PASSES = 1; // of two slots that must be filled when one member is left, one passes

const numberOf = (gimmick, move, target) => FIRST_MOVE + PER_GIMMICK * gimmick + PER_MOVE * move + target + 2;

/** How many members a side picks before the battle: those it brings, or where it brings all those that lead. */
function picked(battle, side) {
  return Math.min(side.pokemon.length, battle.ruleTable.pickedTeamSize || side.active.length);
}

function preview(battle, side, members, picks) {
  const wanted = picked(battle, side) - picks.length;
  return side.active.map((_, slot) => {
    if (slot >= wanted) return new Map([[PASS, 'pass']]);
    return new Map(members.flatMap((_member, k) => (picks.includes(k) ? [] : [[k + 1, `${k + 1}`]])));
  });
}

function sendable(side, members, wanted) {
  const found = [];
  members.forEach((member, k) => {
    const place = side.pokemon.indexOf(member);
    if (wanted(member, place)) found.push([k + 1, `switch ${place + 1}`]);
  });
  return found;
}

const onBench = side => (member, place) => place >= side.active.length && !member.fainted;

function replacements(side, members) {
  return side.active.map((pokemon, slot) => {
    if (!pokemon?.switchFlag) return new Map([[PASS, 'pass']]);
    if (side.slotConditions[slot].revivalblessing) {
      return new Map(sendable(side, members, (member, place) => place >= 0 && member.fainted));
    }
    const found = new Map(sendable(side, members, onBench(side)));
    if (side.choice.forcedPassesLeft) found.set(PASS, 'pass');
    return found;
  });
}

/** Where a move may be aimed; [0] where there is nothing to choose. */
function targets(battle, pokemon, type) {
  const side = pokemon.side;
  if (side.active.length < 2 || !battle.actions.targetTypeChoices(type)) return [0];
  const valid = [-2, -1, 1, 2].filter(target => battle.validTargetLoc(target, pokemon, type));
  const standing = valid.filter(target => {
    const at = (target > 0 ? side.foe : side).active[Math.abs(target) - 1];
    return at && !at.fainted;
  });
  return standing.length ? standing : valid; // a move may be aimed at a place that has become empty, if at no other
}

function moves(battle, pokemon, request) {
  const found = new Map();
  const add = (gimmick, j, move, words) => {
    if (!move || move.disabled) return;
    const place = pokemon.moveSlots.findIndex(slot => slot.id === request.moves[j].id);
    for (const target of targets(battle, pokemon, move.target)) {
      const aim = target ? ` ${target > 0 ? '+' : ''}${target}` : '';
      found.set(numberOf(gimmick, place < 0 ? j : place, target), `move ${j + 1}${aim}${words}`);
    }
  };
  request.moves.forEach((move, j) => {
    const large = request.maxMoves?.maxMoves[j];
    add(0, j, large && !request.canDynamax ? large : move, '');
    if (request.canMegaEvo) add(1, j, move, ' mega');
    if (request.canZMove) add(2, j, request.canZMove[j], ' zmove');
    if (request.canDynamax) add(3, j, large, ' dynamax');
    if (request.canUltraBurst) add(3, j, move, ' ultra');
    if (request.canTerastallize) add(4, j, move, ' terastallize');
  });
  return found;
}

function turns(battle, side, members) {
  return side.active.map((pokemon, slot) => {
    if (!pokemon || pokemon.fainted || pokemon.volatiles.commanding) return new Map([[PASS, 'pass']]);
    const request = side.activeRequest.active[slot];
    const found = moves(battle, pokemon, request);
    if (!request.trapped) for (const [action, words] of sendable(side, members, onBench(side))) found.set(action, words);
    return found;
  });
}

/** {slots, joint}: joint says which pairs the slots may not form, beside sending in one member twice and one gimmick twice. */
function options(battle, side, members, picks) {
  switch (side.requestState) {
    case 'teampreview':
      return {slots: preview(battle, side, members, picks), joint: FREE};
    case 'switch': {
      const slots = replacements(side, members);
      const both = slots.every(slot => slot.size > 1);
      return {slots, joint: both && side.choice.forcedPassesLeft ? ONE_PASSES : FREE};
    }
    default:
      return {slots: turns(battle, side, members), joint: FREE};
  }
}

module.exports = {options, picked, numberOf, ACTIONS, FIRST_MOVE, PER_GIMMICK, PER_MOVE};
