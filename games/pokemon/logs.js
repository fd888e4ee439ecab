// From the log of a battle that anybody may watch: what each side knew at each of its decisions, and what it chose, as far as that shows.
// Team sheets must be open, or nobody knows which of its moves a side used. What does not show is UNKNOWN: the choice of who never got
// to act, and the aim of a move that may have been drawn or turned elsewhere. Stats are estimated, as of sets without effort values.
'use strict';

const {Dex} = require('@pkmn/sim');
const {numberOf} = require('./options');
const {foe, effects} = require('./picture');
const {Tracker, effect, seatOf, slotOf} = require('./tracker');
const {vector, SIZE} = require('./vector');

const UNKNOWN = -1, PASS = 0, COMES = 'comes';
const AIMED = ['normal', 'any', 'adjacentAlly', 'adjacentAllyOrSelf', 'adjacentFoe'];
const DRAWS = ['followme', 'ragepowder', 'spotlight'];
const TURNS = ['lightningrod', 'stormdrain']; // abilities that draw moves
const LEAVES = ['ejectbutton', 'ejectpack', 'emergencyexit', 'wimpout']; // what makes somebody leave who has not acted
const GOES_ON = /^(-.*|move|cant|faint|turn|upkeep|win|tie)$/; // after which nobody else is sent in beside those that have been
const GIMMICKS = {'-mega': 1, '-zpower': 2, '-terastallize': 4};

/** The lines that anybody is told, of a log that may have more. */
function* told(text) {
  const lines = text.split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    if (lines[i].startsWith('|split|')) i += 2;
    if (lines[i]?.startsWith('|')) yield lines[i];
  }
}

function estimate({species, level}, dex) {
  const {baseStats} = dex.species.get(species);
  const of = stat => Math.floor(((2 * baseStats[stat] + 31) * level) / 100);
  return Object.fromEntries(Object.keys(baseStats).map(stat => [stat, of(stat) + (stat === 'hp' ? level + 10 : 5)]));
}

class Reader {
  constructor(text) {
    const lines = [...told(text)];
    const first = kind => lines.find(line => line.startsWith(`|${kind}|`))?.split('|')[2];
    this.slots = {singles: 1, doubles: 2}[first('gametype')];
    if (!this.slots) throw new Error(`it is of ${first('gametype') || 'no battle'}, and only singles and doubles are read`);
    if (lines.filter(line => line.startsWith('|showteam|')).length !== 2) throw new Error('its team sheets are not open');
    if (lines.some(line => line.startsWith('|replace|'))) throw new Error('it has an illusion');
    this.picks = Number(first('teampreview')) || this.slots;
    this.dex = Dex.forGen(Number(first('gen')));
    this.tracker = new Tracker({dex: this.dex, sides: [0, 1].map(() => ({active: Array(this.slots).fill(null)}))});
    this.brought = [[], []]; // mons in the order in which they came in
    this.turn = null; // what may still show of a turn: for each slot of each side an action, null as long as none has shown
    this.sent = null; // the same of replacements
    this.found = []; // decisions: whose, what it knew, and its action, which fills up as it shows
    this.players = [];
    this.result = 0;
    for (const line of lines) this.step(line);
    for (const one of this.found) this.finish(one);
  }

  // ---- lines

  step(line) {
    const [, kind, ...words] = line.split('|');
    if (GOES_ON.test(kind)) this.sent = null;
    if (kind === 'start') this.previews();
    if (kind === 'switch') this.switches(words);
    else if (/^p\d[ab]:/.test(words[0] || '')) this.acts(kind, words);
    if (kind === 'upkeep') this.turn = null;
    this.tracker.read([line]);
    if (kind === 'player' && words[1]) this.players[seatOf(words[0])] = words[1];
    if (kind === 'win') this.result = words[0] === this.players[0] ? 1 : -1;
    if (kind === 'turn') this.begin();
    if (kind === 'switch' || kind === 'drag') this.enters(words[0]);
  }

  begin() {
    const actions = this.tracker.sides.map(side => side.active.map(mon => (mon ? null : PASS)));
    this.turn = {
      actions,
      gimmicks: [[], []],
      standing: this.tracker.sides.map(side => side.active.filter(Boolean).length),
      blurred: [false, false], // sides that have changed places or lost somebody, at whom nobody's aim is certain any more
      drawing: [[], []], // slots that draw moves
    };
    actions.forEach((action, seat) => this.found.push({seat, action, picture: this.picture(seat, 'move', [])}));
  }

  acts(kind, words) {
    const {turn} = this;
    if (!turn) return;
    const [seat, slot] = [seatOf(words[0]), slotOf(words[0])];
    const what = effect(words[1]);
    if (kind === 'move') this.moves(seat, slot, words);
    else if (kind in GIMMICKS) turn.gimmicks[seat][slot] = GIMMICKS[kind];
    else if (kind === '-start' && what === 'dynamax') turn.gimmicks[seat][slot] = 3;
    else if (kind === '-singleturn' && DRAWS.includes(what)) turn.drawing[seat].push(slot);
    else if (kind === '-activate' && TURNS.includes(what)) turn.drawing[seat].push(slot);
    else if (kind === 'cant' || kind === 'drag' || LEAVES.includes(what) || (kind === '-start' && what === 'encore')) this.conceal(seat, [slot]);
    else if (kind === 'faint') this.conceal(seat, [slot], true);
    else if (kind === 'swap') this.conceal(seat, [0, 1], true);
  }

  /** What these slots were to do will not show; blurred, nor where others aimed at them. */
  conceal(seat, slots, blurred = false) {
    for (const slot of slots) this.turn.actions[seat][slot] ??= UNKNOWN;
    this.turn.blurred[seat] ||= blurred;
  }

  moves(seat, slot, [, name, target, ...rest]) {
    const {turn, tracker} = this;
    if (turn.actions[seat][slot] !== null) return;
    const from = rest.find(word => word.startsWith('[from]'));
    if (from?.includes('lockedmove')) this.conceal(seat, [slot]); // nothing was chosen
    if (from) return; // or another move called it
    const mon = tracker.sides[seat].active[slot];
    const move = this.dex.moves.get(name);
    const place = mon.volatiles.transform === undefined ? [...mon.moves.keys()].slice(0, 4).indexOf(move.id) : -1;
    const aim = this.aim(seat, slot, mon, move, target || '', rest);
    const known = place >= 0 && aim !== null;
    turn.actions[seat][slot] = known ? numberOf(turn.gimmicks[seat][slot] || 0, place, aim) : UNKNOWN;
  }

  /** Where a move was aimed by who chose it: null where that is not certain. */
  aim(seat, slot, mon, move, target, rest) {
    const types = mon.types || this.dex.species.get(mon.species).types;
    if (this.slots === 1 || !AIMED.includes(move.target) || (move.nonGhostTarget && !types.includes('Ghost'))) return 0;
    if (move.id === 'terastarstorm' && mon.species === 'terapagosstellar') return 0;
    if (move.target === 'adjacentAlly') return slot - 2;
    if (!/^p\d[ab]:/.test(target) || rest.some(word => word.startsWith('[spread]'))) return null;
    const [other, at] = [seatOf(target), slotOf(target)];
    if (other === seat) return this.turn.blurred[seat] ? null : -1 - at;
    if (this.turn.standing[other] > 1 && (this.turn.blurred[other] || this.turn.drawing[other].includes(at))) return null;
    return 1 + at;
  }

  switches([ident]) {
    const [seat, slot] = [seatOf(ident), slotOf(ident)];
    if (this.tracker.turn === 0) return; // those that lead
    if (this.turn?.actions[seat][slot] === null) this.turn.actions[seat][slot] = COMES;
    else this.replaces(seat, slot);
  }

  replaces(seat, slot) {
    if (!this.sent) {
      const leaving = this.tracker.sides.map((side, n) => side.active.map((mon, k) => !mon || (n === seat && k === slot)));
      this.sent = {actions: leaving.map(each => each.map(() => PASS))};
      this.sent.actions.forEach((action, n) => this.found.push({seat: n, action, picture: this.picture(n, 'switch', leaving[n])}));
    }
    this.sent.actions[seat][slot] = COMES;
  }

  /** Somebody has come in: only now it is known who. */
  enters(ident) {
    const [seat, slot] = [seatOf(ident), slotOf(ident)];
    const {mons, active} = this.tracker.sides[seat];
    const number = mons.indexOf(active[slot]) + 1;
    if (!this.brought[seat].includes(number)) this.brought[seat].push(number);
    for (const shown of [this.turn, this.sent]) if (shown?.actions[seat][slot] === COMES) shown.actions[seat][slot] = number;
  }

  // ---- what a side knew

  previews() {
    for (const seat of [0, 1]) {
      for (let first = 0; first < this.picks; first += this.slots) {
        this.found.push({seat, first, picture: this.picture(seat, 'teampreview', [])});
      }
    }
  }

  picture(seat, asks, forced) {
    const {tracker, dex, slots, picks} = this;
    const [mine, theirs] = [tracker.sides[seat], tracker.sides[1 - seat]];
    const team = side => side.mons.map((mon, k) => foe(mon, k, side.active, dex, tracker.turn));
    const flags = Array.from({length: slots}, (_, slot) => Boolean(forced[slot]));
    const own = team(mine).map(one => {
      const stats = estimate(one, dex);
      if (one.fainted) Object.assign(one, {terastallized: false, types: dex.species.get(one.species).types});
      return {...one, own: true, place: one.number - 1, seen: true, stats, health: Math.round(one.hp * stats.hp)};
    });
    const seen = {
      seat, asks, slots, picks, turn: tracker.turn, forced: flags, trapped: flags.map(() => false),
      weather: tracker.weather, fields: tracker.fields,
      sides: [{...effects(mine), team: own}, {...effects(theirs), team: team(theirs)}],
    };
    return structuredClone(seen); // the tracker goes on
  }

  /** What the whole log tells: who was brought, and what was picked before the battle. */
  finish(one) {
    const came = this.brought[one.seat];
    const {picture} = one;
    const [lead, back] = [came.slice(0, this.slots), came.slice(this.slots, this.picks).sort((a, b) => a - b)];
    const order = [...lead, ...back];
    if (picture.asks === 'teampreview') {
      const known = one.first === 0 || came.length === this.picks;
      one.action = Array.from({length: this.slots}, (_, k) => (one.first + k >= this.picks ? PASS : (known && order[one.first + k]) || UNKNOWN));
    } else {
      one.action = one.action.map(each => each ?? UNKNOWN);
    }
    for (const member of picture.sides[0].team) {
      member.picked = order.slice(0, one.first).indexOf(member.number) + 1;
      member.brought = picture.asks !== 'teampreview' && member.picked > 0;
    }
  }
}

/** Of a log its result, as of Match, the seats, actions and pictures of its decisions, and these as numbers; or why there are none. */
function samples(text) {
  try {
    const {result, found, dex} = new Reader(text);
    const some = found.filter(one => one.action.some(each => each > PASS));
    const numbers = new Float32Array(some.length * SIZE);
    some.forEach(({picture}, k) => vector(picture, dex, numbers, k * SIZE));
    return [{result, samples: some.map(({seat, action, picture}) => [seat, action, picture])}, numbers];
  } catch (error) {
    return [{failed: error.message}, new Float32Array(0)];
  }
}

module.exports = {samples};
