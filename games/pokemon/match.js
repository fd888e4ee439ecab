// One battle: from its seed and teams through both sides' choices to its result.
'use strict';

const {createHash} = require('crypto');
const {Battle, Dex, Teams} = require('@pkmn/sim');
const {TeamGenerators} = require('@pkmn/randoms');
const {options, picked} = require('./options');
const {Tracker} = require('./tracker');

Teams.setGeneratorFactory(TeamGenerators);

class Match {
  /** setup: {format, seed, teams: [{team} or {seed}, ...], open}; seeds are the simulator's own strings. */
  constructor(setup) {
    this.fault = '';
    this.read = 0;
    this.rejected = '';
    const {format, seed, teams, open} = setup;
    this.battle = new Battle({formatid: format, seed, send: (type, data) => this.heard(type, data)});
    teams.forEach((team, n) => this.battle.setPlayer(`p${n + 1}`, {name: `Player ${n + 1}`, ...team}));
    if (open) this.battle.showOpenTeamSheets();
    this.tracker = new Tracker(this.battle);
    this.seats = this.battle.sides.map((side, n) => ({
      side,
      members: [...side.pokemon],
      picks: [],
      acts: null,
      digest: createHash('md5').update(`${n} ${format} ${open} ${Teams.pack(side.team)}`).digest('base64'),
    }));
    this.look([]);
  }

  heard(type, data) {
    const error = type === 'sideupdate' && data.split('|error|')[1];
    if (error) this.rejected = error;
  }

  get over() {
    return this.battle.ended || this.fault !== '';
  }

  /** What the first side gains: 1 won, 0 drawn or not over, -1 lost. */
  get result() {
    const {ended, winner, sides} = this.battle;
    return ended && winner ? (winner === sides[0].name ? 1 : -1) : 0;
  }

  /** moves: [[seat, [action of each slot]], ...] of all that act. */
  play(moves) {
    try {
      for (const [seat, action] of moves) this.choose(this.seats[seat], action);
      this.look(moves);
    } catch (error) {
      this.fault = `the simulator failed: ${error.message}`;
    }
  }

  choose(seat, action) {
    const {side} = seat;
    const words = action.map((number, slot) => seat.acts.slots[slot].get(number));
    if (words.includes(undefined)) throw new Error(`${side.id} chose ${action}, and one of these it may not`);
    let choice = words.join(', ');
    if (side.requestState === 'teampreview') {
      seat.picks.push(...action.filter(Boolean).map(number => number - 1));
      if (seat.picks.length < picked(this.battle, side)) return;
      choice = `team ${seat.picks.map(k => k + 1).join(',')}`;
    }
    this.rejected = '';
    if (this.battle.choose(side.id, choice)) return;
    // a choice that only what is hidden forbids is made again, with what has been learned by it
    if (!this.rejected.startsWith('[Unavailable')) throw new Error(`it rejected ${side.id}'s ${choice}: ${this.rejected}`);
  }

  /** Read what has happened, and find who acts next and what it may do. */
  look(moves) {
    const {battle} = this;
    const lines = battle.log.slice(this.read);
    this.read = battle.sentLogPos = battle.log.length; // nobody is sent updates
    this.tracker.read(lines);
    this.seats.forEach((seat, n) => {
      const {side} = seat;
      const acts = !this.over && side.requestState !== '' && !side.isChoiceDone();
      seat.acts = acts ? options(battle, side, seat.members, seat.picks) : null;
      const own = moves.filter(([who]) => who === n);
      const told = JSON.stringify([own, heardBy(lines, side.id), acts && seat.acts.slots.map(slot => [...slot])]);
      seat.digest = createHash('md5').update(seat.digest).update(told).digest('base64');
    });
  }
}

/** The lines of a log that a side is told: its own form of those that come in two. */
function heardBy(lines, id) {
  const heard = [];
  for (let i = 0; i < lines.length; i++) {
    const split = lines[i].startsWith('|split|');
    if (!split && !lines[i].startsWith('|t:|')) heard.push(lines[i]);
    if (split) {
      heard.push(lines[i].endsWith(id) ? lines[i + 1] : lines[i + 2]);
      i += 2;
    }
  }
  return heard;
}

/** Whether teams come with a format: it says so, and a generator of this format is there. */
function makes(format) {
  try {
    return Boolean(format.team && Teams.getGenerator(format));
  } catch {
    return false;
  }
}

/** What must be known of a format before it is played. */
function facts(id) {
  const format = Dex.formats.get(id);
  if (!format.exists || format.effectType !== 'Format') return null;
  const {gen} = Dex.forFormat(format);
  const rules = Dex.formats.getRuleTable(format);
  return {
    name: format.name,
    type: format.gameType,
    gen,
    players: format.playerCount,
    random: Boolean(format.team),
    makes: makes(format),
    open: rules.has('openteamsheets') || rules.has('forceopenteamsheets'),
    preview: rules.has('teampreview'),
    picked: rules.pickedTeamSize || 0,
    size: rules.maxTeamSize,
  };
}

const formats = () => Dex.formats.all().filter(format => format.effectType === 'Format').map(format => format.id);

module.exports = {Match, facts, formats};
