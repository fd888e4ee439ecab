// What one side knows now: its own team as it is, and of the other side what the tracker has read from the public messages.
'use strict';

const {picked} = require('./options');

const BENCH = -1;

const effects = ({conditions, terastallized}) => ({conditions, terastallized});

function ownMove(slot, request, last) {
  const asked = request?.moves.find(move => move.id === slot.id);
  const disabled = Boolean(request) && (!asked || Boolean(asked.disabled));
  return {id: slot.id, pp: slot.pp / slot.maxpp, disabled, last: slot.id === last};
}

/** A member of the side's own team. */
function own(pokemon, k, seat) {
  const {side} = seat;
  const place = side.pokemon.indexOf(pokemon);
  const active = pokemon.isActive && place < side.active.length && !pokemon.fainted;
  const request = active ? side.activeRequest?.active?.[place] : null;
  const last = active ? pokemon.lastMove?.id : '';
  return {
    own: true,
    number: k + 1,
    place,
    species: pokemon.species.id,
    level: pokemon.level,
    types: pokemon.getTypes(true),
    hp: pokemon.hp / pokemon.maxhp,
    health: pokemon.hp,
    fainted: pokemon.fainted,
    status: pokemon.fainted ? '' : pokemon.status,
    slot: active ? place : BENCH,
    seen: true,
    brought: place >= 0 && side.requestState !== 'teampreview',
    picked: seat.picks.indexOf(k) + 1,
    stats: {hp: pokemon.maxhp, ...pokemon.baseStoredStats},
    ability: pokemon.ability,
    item: pokemon.item,
    itemKnown: true,
    tera: pokemon.teraType || '',
    terastallized: Boolean(pokemon.terastallized),
    boosts: pokemon.boosts,
    volatiles: [...Object.keys(pokemon.volatiles), ...(pokemon.transformed ? ['transform'] : [])],
    since: pokemon.activeTurns,
    moves: pokemon.moveSlots.map(slot => ownMove(slot, request, last)),
  };
}

/** A member of the other side's team, as far as it has been shown. */
function foe(mon, k, active, dex, turn) {
  const slot = active.indexOf(mon);
  const species = dex.species.get(mon.species);
  const changed = mon.terastallized && mon.terastallized !== 'Stellar';
  return {
    own: false,
    number: k + 1,
    species: species.id,
    level: mon.level,
    types: changed ? [mon.terastallized] : mon.types || species.types,
    hp: mon.hp,
    health: Math.round(100 * mon.hp),
    fainted: mon.hp === 0,
    status: mon.status,
    slot,
    seen: mon.seen,
    brought: mon.seen,
    picked: 0,
    stats: null,
    ability: mon.ability,
    item: mon.item,
    itemKnown: mon.itemKnown,
    tera: mon.tera,
    terastallized: mon.terastallized !== '',
    boosts: mon.boosts,
    volatiles: Object.keys(mon.volatiles),
    since: slot < 0 ? 0 : turn - mon.since,
    moves: [...mon.moves].map(([id, uses]) => ({id, pp: Math.max(0, 1 - uses / (1.6 * dex.moves.get(id).pp)), disabled: false, last: id === mon.last})),
  };
}

/** What seat n knows; chosen: null, or what it has decided for its first slots where it decides for one after the other. */
function picture(match, n, chosen) {
  const {battle, tracker} = match;
  const seat = match.seats[n];
  const {side} = seat;
  const [mine, theirs] = [tracker.sides[n], tracker.sides[1 - n]];
  return {
    seat: n,
    turn: tracker.turn,
    asks: seat.acts ? side.requestState : '',
    picks: picked(battle, side),
    slots: side.active.length,
    chosen,
    trapped: side.active.map((_, slot) => Boolean(side.activeRequest?.active?.[slot]?.trapped)),
    forced: side.active.map((_, slot) => Boolean(side.activeRequest?.forceSwitch?.[slot])),
    happened: [...tracker.happened.before, ...tracker.happened.now],
    weather: tracker.weather,
    fields: tracker.fields,
    sides: [
      {...effects(mine), team: seat.members.map((pokemon, k) => own(pokemon, k, seat))},
      {...effects(theirs), team: tracker.members(1 - n).map((mon, k) => foe(mon, k, theirs.active, battle.dex, tracker.turn))},
    ],
  };
}

module.exports = {picture, foe, effects};
