// What one side knows, as numbers: the row of the field, then a row for each of the six members of either team, the side's own first.
// Names of species, abilities, items and moves stand as places in the sorted list of all of them, times 2^-11: exact in float32, so
// that they can be looked up, and of the size of the rest where they are not. 0 is unknown or none.
'use strict';

const {Dex} = require('@pkmn/sim');

const TEAM = 6, MOVES = 4, SCALE = 2 ** -11;
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
const ASKS = ['teampreview', 'move', 'switch'];

/** Writes numbers one after the other, and once for each layout their names. */
class Row {
  constructor(out, at, names) { Object.assign(this, {out, at, names}); }
  put(name, value) {
    this.names?.push(name);
    this.out[this.at++] = value;
  }
  each(name, all, value) { for (const one of all) this.put(`${name} ${one}`, value(one)); }
}

const age = (since, turn) => 1 / (1 + turn - since); // 1 in the turn it began, and less ever after

function field(row, seen) {
  row.put('turn', seen.turn / 20);
  row.each('asks', ASKS, ask => Number(seen.asks === ask));
  row.each('forced slot', [0, 1], slot => Number(seen.forced[slot] || 0));
  row.each('trapped slot', [0, 1], slot => Number(seen.trapped[slot] || 0));
  row.each('weather', WEATHERS, id => (seen.weather?.id === id ? age(seen.weather.since, seen.turn) : 0));
  row.each('field', FIELDS, id => (id in seen.fields ? age(seen.fields[id], seen.turn) : 0));
  seen.sides.forEach((side, k) => {
    const whose = k ? 'theirs' : 'own';
    row.each(`${whose} condition`, CONDITIONS, id => (side.conditions[id] ? age(side.conditions[id].since, seen.turn) : 0));
    row.each(`${whose} layers`, ['spikes', 'toxicspikes'], id => (side.conditions[id]?.layers || 0) / 3);
    row.put(`${whose} left`, side.team.filter(member => !member.fainted).length / TEAM);
    row.put(`${whose} has used Terastal`, Number(side.terastallized));
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
    statics.set(key, [
      IDS.move.get(move.id) || 0, move.basePower / 150, move.accuracy === true ? 1 : move.accuracy / 100, move.priority / 5,
      Number(Boolean(move.flags.contact)), Number(Boolean(move.flags.protect)), Number(Boolean(move.drain || move.heal)),
      Number(Boolean(move.selfSwitch)), Number(Boolean(move.stallingMove)), ...sort, ...kind, ...type,
    ]);
  }
  return statics.get(key);
}

const MOVE_NAMES = [
  'id', 'power', 'accuracy', 'priority', 'contact', 'blocked by Protect', 'heals', 'switches', 'protects', ...CATEGORIES, ...Object.keys(AIMS), ...TYPES,
];

function member(row, one, dex) {
  const species = one && dex.species.get(one.species);
  const flag = value => Number(Boolean(one && value(one)));
  row.put('species', one ? IDS.species.get(species.id) || 0 : 0);
  row.put('ability', one ? IDS.ability.get(one.ability) || 0 : 0);
  row.put('item', one ? IDS.item.get(one.item) || 0 : 0);
  row.put('there', flag(() => true));
  row.put('own', flag(m => m.own));
  row.put('seen', flag(m => m.seen));
  row.put('brought', flag(m => m.brought));
  row.put('picked', flag(m => m.picked));
  row.put('fainted', flag(m => m.fainted));
  row.put('item known', flag(m => m.itemKnown));
  row.put('item none', flag(m => m.itemKnown && !m.item));
  row.each('slot', [0, 1], slot => flag(m => m.slot === slot));
  row.put('just in', flag(m => m.slot >= 0 && m.since <= 1));
  row.put('hp', one ? one.hp : 0);
  row.put('level', one ? one.level / 100 : 0);
  row.each('status', STATUSES, status => flag(m => m.status === status));
  row.each('type', TYPES, type => flag(m => m.types.includes(type)));
  row.each('Terastal type', TYPES, type => flag(m => m.tera === type));
  row.put('terastallized', flag(m => m.terastallized));
  row.each('base', STATS, stat => (one ? species.baseStats[stat] / 150 : 0));
  row.each('stat', STATS, stat => (one?.stats?.[stat] || 0) / 300);
  row.each('boost', BOOSTS, stat => (one ? one.boosts[stat] / 6 : 0));
  row.each('volatile', VOLATILES, id => flag(m => m.volatiles.includes(id)));
  for (let k = 0; k < MOVES; k++) {
    const move = one?.moves[k];
    row.put(`move ${k} pp`, move ? move.pp : 0);
    row.put(`move ${k} disabled`, Number(Boolean(move?.disabled)));
    row.put(`move ${k} was last`, Number(Boolean(move?.last)));
    const about = move && aboutMove(dex, move.id);
    MOVE_NAMES.forEach((name, i) => row.put(`move ${k} ${name}`, about ? about[i] : 0));
  }
}

function layout() {
  const names = {field: [], member: []};
  const nothing = {turn: 0, asks: '', forced: [], trapped: [], weather: null, fields: {}, sides: [0, 1].map(() => ({conditions: {}, team: []}))};
  field(new Row([], 0, names.field), nothing);
  member(new Row([], 0, names.member), null, Dex);
  return {...names, rows: 1 + 2 * TEAM, width: Math.max(names.field.length, names.member.length)};
}

const LAYOUT = layout();
const SIZE = LAYOUT.rows * LAYOUT.width;

/** Write into `out` from `at` on; the row of the field is filled up with zeros. */
function vector(seen, dex, out, at) {
  field(new Row(out, at), seen);
  seen.sides.forEach((side, k) => {
    for (let i = 0; i < TEAM; i++) member(new Row(out, at + LAYOUT.width * (1 + k * TEAM + i)), side.team[i], dex);
  });
}

module.exports = {vector, LAYOUT, SIZE};
