// What everybody may know of a battle: read from the public form of the simulator's messages alone, so that nothing hidden can enter.
// (The messages: Pokemon Showdown, sim/SIM-PROTOCOL.md.)
'use strict';

const {Teams, toID} = require('@pkmn/sim');

const NO_BOOSTS = {atk: 0, def: 0, spa: 0, spd: 0, spe: 0, accuracy: 0, evasion: 0};
const STRIKES_LATER = ['futuresight', 'doomdesire']; // they lie on a place, not on who uses them
const effect = words => toID((words || '').replace(/^(move|ability|item): ?/, ''));
const seatOf = ident => Number(ident[1]) - 1;
const slotOf = ident => (ident[2] === ':' ? -1 : ident.charCodeAt(2) - 97);
const nameOf = ident => ident.slice(ident.indexOf(':') + 1).trim();

function health(condition) {
  const [share, status = ''] = condition.split(' ');
  if (status === 'fnt') return {hp: 0, status: ''};
  const [now, most] = share.split('/').map(parseFloat);
  return {hp: now / most, status};
}

function details(words) {
  const [species, ...rest] = words.split(', ');
  const level = rest.find(word => /^L\d+$/.test(word));
  return {species: toID(species.replace('-*', '')), level: level ? Number(level.slice(1)) : 100};
}

class Tracker {
  constructor(battle) {
    this.dex = battle.dex;
    this.turn = 0;
    this.weather = null; // {id, since}
    this.fields = {}; // id -> turn it began
    this.happened = {before: [], now: []}; // in the last turn and in this one: [seat, in words]
    this.sides = battle.sides.map(side => ({conditions: {}, mons: [], active: side.active.map(() => null), terastallized: false}));
  }

  read(lines) {
    for (let i = 0; i < lines.length; i++) {
      const split = lines[i].startsWith('|split|');
      const line = split ? lines[(i += 2)] : lines[i];
      if (!line || line[0] !== '|') continue;
      const [, kind, ...words] = line.split('|');
      this.reveal(kind, words);
      this[`on${kind.replace('-', '_')}`]?.(...words);
    }
  }

  at(ident) {
    const side = this.sides[seatOf(ident)];
    return side.active[slotOf(ident)] || side.mons.find(mon => mon.name === nameOf(ident));
  }

  /** All of a side that have been shown: its team, and an illusion whose likeness has come in beside it. */
  members(n) {
    const {mons, active} = this.sides[n];
    return [...mons, ...active.filter(mon => mon && !mons.includes(mon))];
  }

  fresh(words) {
    const {species, level} = details(words);
    return {
      name: '', species, base: species, level, hp: 1, status: '', boosts: {...NO_BOOSTS}, volatiles: {}, types: null, moves: new Map(),
      last: '', ability: '', item: '', itemKnown: false, tera: '', terastallized: '', seen: false, since: 0,
    };
  }

  /** Who had an item or ability to which an event is put down. */
  reveal(kind, words) {
    const from = words.find(word => word.startsWith('[from] ability:') || word.startsWith('[from] item:'));
    if (!from) return;
    const what = effect(from.slice(7));
    const of = words.find(word => word.startsWith('[of] '))?.slice(5);
    const traced = kind === '-ability' && what === 'trace';
    // [of] names whose ability or item it is, or where it is that of who is healed or gets an item, from whom that came
    const other = traced || (kind === '-heal' && what !== 'hospitality') || (kind === '-item' && what !== 'frisk');
    const ident = of && !other ? of : words[0];
    const mon = /^p\d/.test(ident) && this.at(ident);
    if (traced && of && this.at(of)) this.at(of).ability = toID(words[1]);
    if (!mon) return;
    if (traced) mon.returns = what; // when it leaves
    if (from.startsWith('[from] ability')) mon.ability = mon.ability || what;
    else if (mon.item || !mon.itemKnown) [mon.item, mon.itemKnown] = [what, true]; // else it has just been used up
  }

  onturn(turn) {
    this.turn = Number(turn);
    this.happened = {before: this.happened.now, now: []};
  }

  note(ident, words) {
    this.happened.now.push([seatOf(ident), `${this.dex.species.get(this.at(ident).species).name} ${words}`]);
  }

  onpoke(player, words) { this.sides[seatOf(player)].mons.push(this.fresh(words)); }

  onshowteam(player, ...packed) {
    const {mons} = this.sides[seatOf(player)];
    Teams.unpack(packed.join('|')).forEach((set, k) => {
      const mon = mons[k] || (mons[k] = this.fresh(`${set.species || set.name}, L${set.level || 100}`));
      mon.species = mon.base = toID(set.species || set.name);
      for (const move of set.moves) mon.moves.set(toID(move), 0);
      Object.assign(mon, {ability: toID(set.ability), item: toID(set.item), itemKnown: true, tera: set.teraType || ''});
    });
  }

  /** The record of who comes in: known by name, or not met yet and of this species in the preview, or new. */
  known(side, name, words) {
    const {species} = details(words);
    const kin = this.dex.species.get(species).baseSpecies;
    const met = side.mons.find(mon => mon.name === name);
    const shown = side.mons.find(mon => !mon.name && this.dex.species.get(mon.base).baseSpecies === kin);
    const mon = met || shown || this.fresh(words);
    if (!met && !shown) side.mons.push(mon);
    return Object.assign(mon, {name, ...details(words), base: species, seen: true});
  }

  enter(ident, words, condition, from = '') {
    const side = this.sides[seatOf(ident)];
    const slot = slotOf(ident);
    const passed = this.passed(side.active[slot], from);
    this.leave(side.active[slot]);
    const mon = this.known(side, nameOf(ident), words);
    this.leave(mon);
    const {hp, status, moves, ability, item, itemKnown} = mon;
    mon.entered = {hp, status, moves: new Map(moves), ability, item, itemKnown}; // as it is, should this be another in its likeness
    Object.assign(mon, passed);
    // who stands in another slot and turns out not to be this one is somebody's illusion
    side.active = side.active.map((other, k) => (k === slot ? mon : other === mon ? {...mon, name: ''} : other));
    mon.since = this.turn;
    if (condition) Object.assign(mon, health(condition));
  }

  /** What who goes leaves to who comes. */
  passed(mon, from) {
    if (from.includes('Baton Pass')) return {boosts: {...mon.boosts}, volatiles: {...mon.volatiles}};
    return from.includes('Shed Tail') ? {volatiles: {substitute: this.turn}} : {};
  }

  leave(mon) {
    if (!mon) return;
    if (mon.returns !== undefined) [mon.ability, mon.returns] = [mon.returns, undefined];
    Object.assign(mon, {species: mon.base, boosts: {...NO_BOOSTS}, volatiles: {}, types: null, last: ''});
  }

  onswitch(ident, words, condition, from) {
    this.enter(ident, words, condition, from);
    this.note(ident, 'came in');
  }

  ondrag(ident, words, condition) { this.onswitch(ident, words, condition); }

  onreplace(ident, words) { // an illusion ends: what has been seen of it since it came in was of another
    const disguise = this.at(ident);
    const {hp, status, boosts, volatiles, since, entered} = disguise;
    Object.assign(disguise, entered);
    this.enter(ident, words);
    Object.assign(this.at(ident), {hp, status, boosts, volatiles, since});
  }

  ondetailschange(ident, words) {
    const {species, level} = details(words);
    const {abilities} = this.dex.species.get(species);
    Object.assign(this.at(ident), {species, level, base: species});
    if (Object.keys(abilities).length === 1) Object.assign(this.at(ident), {ability: toID(abilities[0]), returns: undefined}); // its only one
  }

  on_formechange(ident, words) { this.at(ident).species = details(words).species; }
  on_mega(ident) { this.at(ident).volatiles.mega = this.turn; }

  on_transform(ident, other) {
    const mon = this.at(ident);
    const {species, types, boosts, ability} = this.at(other);
    Object.assign(mon, {species, types, boosts: {...boosts}, ability, returns: mon.ability});
    mon.volatiles.transform = this.turn;
  }

  on_terastallize(ident, type) {
    const mon = this.at(ident);
    mon.tera = mon.terastallized = type;
    this.note(ident, `became ${type}`);
    this.sides[seatOf(ident)].terastallized = true;
  }

  onfaint(ident) {
    const side = this.sides[seatOf(ident)];
    const mon = this.at(ident);
    this.note(ident, 'fainted');
    Object.assign(mon, {hp: 0, status: ''});
    this.leave(mon);
    side.active = side.active.map(other => (other === mon ? null : other));
  }

  on_damage(ident, condition) { Object.assign(this.at(ident), health(condition)); }
  on_heal(ident, condition) { Object.assign(this.at(ident), health(condition)); }
  on_sethp(ident, condition) { Object.assign(this.at(ident), health(condition)); }
  on_status(ident, status) { this.at(ident).status = status; }
  on_curestatus(ident) { const mon = this.at(ident); if (mon) mon.status = ''; }
  on_cureteam(ident) { for (const mon of this.sides[seatOf(ident)].mons) mon.status = ''; }

  on_boost(ident, stat, by) { this.shift(ident, stat, Number(by)); }
  on_unboost(ident, stat, by) { this.shift(ident, stat, -Number(by)); }
  shift(ident, stat, by) { const {boosts} = this.at(ident); boosts[stat] = Math.max(-6, Math.min(6, boosts[stat] + by)); }
  on_setboost(ident, stat, to) { this.at(ident).boosts[stat] = Number(to); }

  on_swapboost(ident, other, stats) {
    const [one, two] = [this.at(ident).boosts, this.at(other).boosts];
    const named = stats && !stats.startsWith('[') ? stats.split(', ') : Object.keys(NO_BOOSTS);
    for (const stat of named) [one[stat], two[stat]] = [two[stat], one[stat]];
  }

  on_copyboost(ident, from) { this.at(ident).boosts = {...this.at(from).boosts}; }
  on_invertboost(ident) { this.reset(ident, value => -value); }
  on_clearboost(ident) { this.reset(ident, () => 0); }
  on_clearpositiveboost(ident) { this.reset(ident, value => Math.min(value, 0)); }
  on_clearnegativeboost(ident) { this.reset(ident, value => Math.max(value, 0)); }
  on_clearallboost() { for (const side of this.sides) for (const mon of side.active) if (mon) mon.boosts = {...NO_BOOSTS}; }
  reset(ident, to) { const {boosts} = this.at(ident); for (const stat in boosts) boosts[stat] = to(boosts[stat]); }

  on_ability(ident, words) {
    const mon = this.at(ident);
    const own = toID(this.dex.species.get(mon.species).abilities[0]);
    mon.ability = own.startsWith('asone') ? own : toID(words); // As One is told by the names of its parts
  }

  on_item(ident, item) { Object.assign(this.at(ident), {item: toID(item), itemKnown: true}); }
  on_enditem(ident) { Object.assign(this.at(ident), {item: '', itemKnown: true}); }

  onmove(ident, name, _target, ...rest) {
    const mon = this.at(ident);
    const move = this.dex.moves.get(name);
    if (mon) this.note(ident, `used ${move.name}`);
    if (!mon || move.isZ || move.isMax || mon.volatiles.transform !== undefined) return;
    if (rest.some(word => word.startsWith('[from]') && !word.includes('lockedmove'))) return; // called by another move
    delete mon.volatiles.twoturnmove;
    mon.moves.set(move.id, (mon.moves.get(move.id) || 0) + 1);
    mon.last = move.id;
  }

  on_start(ident, words, type) {
    const mon = this.at(ident);
    const id = effect(words).replace(/^(protosynthesis|quarkdrive).*/, '$1');
    if (id === 'typechange' && type && !type.startsWith('[')) mon.types = type.split('/');
    else if (id === 'typeadd') mon.types = [...(mon.types || this.dex.species.get(mon.species).types), type];
    else if (/^perish\d$/.test(id)) mon.volatiles.perishsong = this.turn;
    else if (!STRIKES_LATER.includes(id)) mon.volatiles[id] = this.turn;
  }

  on_end(ident, words) { const mon = this.at(ident); if (mon) delete mon.volatiles[effect(words)]; }
  on_prepare(ident) { this.at(ident).volatiles.twoturnmove = this.turn; }
  on_anim(ident) { delete this.at(ident).volatiles.twoturnmove; } // it strikes in the turn it began
  oncant(ident) { delete this.at(ident).volatiles.mustrecharge; }
  on_mustrecharge(ident) { this.at(ident).volatiles.mustrecharge = this.turn; }

  on_weather(words, upkeep) {
    const id = toID(words);
    if (id === 'none') this.weather = null;
    else if (upkeep !== '[upkeep]' || this.weather?.id !== id) this.weather = {id, since: this.turn};
  }

  on_fieldstart(words) { this.fields[effect(words)] = this.turn; }
  on_fieldend(words) { delete this.fields[effect(words)]; }

  on_sidestart(player, words) {
    const {conditions} = this.sides[seatOf(player)];
    const id = effect(words);
    conditions[id] = {layers: (conditions[id]?.layers || 0) + 1, since: this.turn};
  }

  on_sideend(player, words) { delete this.sides[seatOf(player)].conditions[effect(words)]; }

  on_swapsideconditions() {
    const [one, two] = this.sides;
    [one.conditions, two.conditions] = [two.conditions, one.conditions];
  }

  onswap(ident, place) {
    const {active} = this.sides[seatOf(ident)];
    const [from, to] = [slotOf(ident), Number(place)];
    if (Number.isInteger(to)) [active[from], active[to]] = [active[to], active[from]];
  }
}

module.exports = {Tracker, effect, seatOf, slotOf};
