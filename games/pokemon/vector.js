// What one side knows, as numbers: the row of the field, then a row for each of the six members of either team, the side's own first.
// Names of species, abilities, items and moves stand as places in the sorted list of all of them, times 2^-11: exact in float32, so
// that they can be looked up, and of the size of the rest where they are not. 0 is unknown or none.
'use strict';

const {Dex} = require('@pkmn/sim');
const {ACTIONS} = require('./options');

const TEAM = 6, SCALE = 2 ** -11;
const list = table => new Map(table.all().map(entry => entry.id).sort().map((id, k) => [id, (k + 1) * SCALE]));
const IDS = {species: list(Dex.species), ability: list(Dex.abilities), item: list(Dex.items), move: list(Dex.moves)};
const TYPES = [...Dex.types.all().map(type => type.name), 'Stellar'].filter((name, k, all) => all.indexOf(name) === k);
const STATS = ['hp', 'atk', 'def', 'spa', 'spd', 'spe'];
const BOOSTS = ['atk', 'def', 'spa', 'spd', 'spe', 'accuracy', 'evasion'];
const STATUSES = ['brn', 'par', 'slp', 'frz', 'psn', 'tox'];
const VOLATILES = [
  'aquaring', 'attract', 'commanded', 'commanding', 'confusion', 'curse', 'disable', 'dynamax', 'embargo', 'encore', 'flashfire',
  'focusenergy', 'gastroacid', 'healblock', 'imprison', 'ingrain', 'leechseed', 'lockedmove', 'mustrecharge', 'partiallytrapped',
  'perishsong', 'protosynthesis', 'quarkdrive', 'saltcure', 'slowstart', 'smackdown', 'stall', 'substitute', 'syrupbomb', 'tarshot',
  'taunt', 'throatchop', 'torment', 'transform', 'trapped', 'twoturnmove', 'yawn',
];
const WEATHERS = ['raindance', 'sunnyday', 'sandstorm', 'hail', 'snowscape', 'primordialsea', 'desolateland', 'deltastream'];
const FIELDS = ['electricterrain', 'grassyterrain', 'mistyterrain', 'psychicterrain', 'trickroom', 'gravity', 'magicroom', 'wonderroom', 'fairylock'];
const CONDITIONS = [
  'reflect', 'lightscreen', 'auroraveil', 'tailwind', 'safeguard', 'mist', 'luckychant', 'spikes', 'toxicspikes', 'stealthrock', 'stickyweb',
  'matblock', 'craftyshield',
];
const CATEGORIES = ['Physical', 'Special', 'Status'];
const AIMS = {foe: ['normal', 'any', 'adjacentFoe', 'randomNormal', 'scripted'], foes: ['allAdjacentFoes', 'foeSide'], all: ['allAdjacent', 'all'],
  ally: ['adjacentAlly', 'adjacentAllyOrSelf', 'allies', 'allySide', 'allyTeam'], self: ['self']};
const LAYERED = ['spikes', 'toxicspikes'];
const SLOTS = [0, 1];
const NUMBERS = [...Array(ACTIONS).keys()];
const MOVE = ['move 0', 'move 1', 'move 2', 'move 3'];
const ASKS = ['teampreview', 'move', 'switch'];

/** Writes numbers one after the other, or only their names where there is a list for these. */
class Row {
  constructor(out, at, names) { Object.assign(this, {out, at, names}); }
  put(value, name, of) {
    this.names?.push(of === undefined ? name : `${name} ${of}`);
    this.out[this.at++] = value;
  }
  each(name, all, value) { for (let k = 0; k < all.length; k++) this.put(value(all[k]), name, all[k]); }
  copy(values, name, all) {
    if (this.names) all.forEach(of => this.names.push(`${name} ${of}`));
    this.out.set(values, this.at);
    this.at += values.length;
  }
}

const age = (since, turn) => 1 / (1 + turn - since); // 1 in the turn it began, and less ever after

function field(row, seen) {
  row.put(seen.turn / 20, 'turn');
  row.each('asks', ASKS, ask => Number(seen.asks === ask));
  row.each('forced slot', SLOTS, slot => Number(seen.forced[slot] || 0));
  row.each('trapped slot', SLOTS, slot => Number(seen.trapped[slot] || 0));
  row.each('weather', WEATHERS, id => (seen.weather?.id === id ? age(seen.weather.since, seen.turn) : 0));
  row.each('field', FIELDS, id => (id in seen.fields ? age(seen.fields[id], seen.turn) : 0));
  row.each('decides slot', SLOTS, slot => Number(seen.chosen?.length === slot));
  row.each('slot 0 does', NUMBERS, action => Number(seen.chosen?.[0] === action));
  seen.sides.forEach((side, k) => {
    const whose = k ? 'their' : 'own';
    row.each(`${whose} condition`, CONDITIONS, id => (side.conditions[id] ? age(side.conditions[id].since, seen.turn) : 0));
    row.each(`${whose} layers`, LAYERED, id => (side.conditions[id]?.layers || 0) / 3);
    row.put(side.team.filter(member => !member.fainted).length / TEAM, whose, 'left');
    row.put(Number(side.terastallized), whose, 'Terastal used');
  });
}

const statics = new Map(); // of a move id, what never changes about it

function aboutMove(dex, id) {
  const key = `${dex.currentMod} ${id}`;
  if (!statics.has(key)) {
    const move = dex.moves.get(id);
    const kind = Object.keys(AIMS).map(aim => Number(AIMS[aim].includes(move.target)));
    const sort = CATEGORIES.map(category => Number(move.category === category));
    const type = TYPES.map(name => Number(move.type === name));
    statics.set(key, Float32Array.of(
      IDS.move.get(move.id) || 0, move.basePower / 150, move.accuracy === true ? 1 : move.accuracy / 100, move.priority / 5,
      Number(Boolean(move.flags.contact)), Number(Boolean(move.flags.protect)), Number(Boolean(move.drain || move.heal)),
      Number(Boolean(move.selfSwitch)), Number(Boolean(move.stallingMove)), ...sort, ...kind, ...type,
    ));
  }
  return statics.get(key);
}

const ABOUT_MOVE = [
  'id', 'power', 'accuracy', 'priority', 'contact', 'blocked by Protect', 'heals', 'switches', 'protects',
  ...CATEGORIES, ...Object.keys(AIMS), ...TYPES,
];
const NO_MOVE = {pp: 0, disabled: false, last: false, about: new Float32Array(ABOUT_MOVE.length)};

function member(row, one, dex) {
  const species = dex.species.get(one.species);
  row.put(IDS.species.get(species.id) || 0, 'species');
  row.put(IDS.ability.get(one.ability) || 0, 'ability');
  row.put(IDS.item.get(one.item) || 0, 'item');
  row.put(1, 'there');
  row.put(Number(one.own), 'own');
  row.put(Number(one.seen), 'seen');
  row.put(Number(one.brought), 'brought');
  row.put(Number(one.picked > 0), 'picked');
  row.put(Number(one.fainted), 'fainted');
  row.put(Number(one.itemKnown), 'item known');
  row.put(Number(one.itemKnown && !one.item), 'item none');
  row.each('slot', SLOTS, slot => Number(one.slot === slot));
  row.put(Number(one.slot >= 0 && one.since <= 1), 'just in');
  row.put(one.hp, 'hp');
  row.put(one.level / 100, 'level');
  row.each('status', STATUSES, status => Number(one.status === status));
  row.each('type', TYPES, type => Number(one.types.includes(type)));
  row.each('Terastal type', TYPES, type => Number(one.tera === type));
  row.put(Number(one.terastallized), 'terastallized');
  row.each('base', STATS, stat => species.baseStats[stat] / 150);
  row.each('stat', STATS, stat => (one.stats ? one.stats[stat] / 300 : 0));
  row.each('boost', BOOSTS, stat => one.boosts[stat] / 6);
  row.each('volatile', VOLATILES, id => Number(one.volatiles.includes(id)));
  for (let k = 0; k < MOVE.length; k++) {
    const move = one.moves[k] || NO_MOVE;
    row.put(move.pp, MOVE[k], 'pp');
    row.put(Number(move.disabled), MOVE[k], 'disabled');
    row.put(Number(move.last), MOVE[k], 'was last');
    row.copy(move.about || aboutMove(dex, move.id), MOVE[k], ABOUT_MOVE);
  }
}

function layout() {
  const names = {field: [], member: []};
  const side = {conditions: {}, terastallized: false, team: []};
  const nobody = {species: '', types: [], boosts: {}, volatiles: [], moves: []};
  field(new Row(new Float32Array(1000), 0, names.field), {forced: [], trapped: [], fields: {}, sides: [side, side]});
  member(new Row(new Float32Array(1000), 0, names.member), nobody, Dex);
  return {...names, rows: 1 + 2 * TEAM, width: Math.max(names.field.length, names.member.length)};
}

const LAYOUT = layout();
const SIZE = LAYOUT.rows * LAYOUT.width;

/** Write into zeros, from `at` on; rows that nobody stands in, and the end of the row of the field, stay so. */
function vector(seen, dex, out, at) {
  field(new Row(out, at), seen);
  seen.sides.forEach((side, k) => {
    side.team.slice(0, TEAM).forEach((one, i) => member(new Row(out, at + LAYOUT.width * (1 + k * TEAM + i)), one, dex));
  });
}

module.exports = {vector, LAYOUT, SIZE};
