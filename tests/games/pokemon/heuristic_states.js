// For heuristic_states.py: battles, one message a line. {start} begins one and {moves} plays it on; the answer has what each side is
// told and asked in the simulator's own words, and what an agent of ours would see.
'use strict';

const home = '../../../games/pokemon';
const {extractChannelMessages} = require('@pkmn/sim');
const {Match} = require(`${home}/match`);
const {picture} = require(`${home}/picture`);
const {dex} = require(`${home}/dex`);

let match, told;

function answer() {
  const {battle, seats} = match;
  const lines = extractChannelMessages(battle.log.slice(told).join('\n'), [1, 2]);
  told = battle.log.length;
  return {
    over: match.over,
    fault: match.fault,
    sides: seats.map(({side, acts}, n) => ({
      lines: lines[n + 1],
      request: side.activeRequest,
      picture: acts && picture(match, n),
      slots: acts && acts.slots.map(slot => [...slot.keys()]),
      joint: acts && acts.joint,
    })),
  };
}

require('readline').createInterface({input: process.stdin}).on('line', line => {
  const {start, moves, format} = JSON.parse(line);
  if (format) return console.log(JSON.stringify(dex(format)));
  if (start) [match, told] = [new Match(start), 0];
  else match.play(moves);
  return console.log(JSON.stringify(answer()));
});
