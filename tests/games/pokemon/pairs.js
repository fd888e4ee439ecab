// Plays a seeded doubles battle by a fixed rule; at every choice of a side, prints what its slots may do and which of all pairs the
// simulator accepts, as a line of JSON. node pairs.js FORMAT SEED [TEAM]
'use strict';

const {Match} = require('../../../games/pokemon/match');

const [format, seed, team] = process.argv.slice(2);
const number = Number(seed);
const teams = [2, 3].map(k => (team ? {team} : {seed: `gen5,${String(number * k).padStart(16, '0')}`}));
const match = new Match({format, seed: `gen5,${seed.padStart(16, '0')}`, teams, open: false});
for (let k = number; !match.over;) {
  const moves = match.seats.flatMap(({side, acts}, seat) => {
    if (!acts) return [];
    if (side.requestState === 'teampreview') return [[seat, [...acts.slots[0].keys()].slice(0, 2)]];
    const [first, second] = acts.slots;
    const accepted = [];
    for (const a of first.keys()) {
      for (const b of second.keys()) {
        side.choice.cantUndo = false;
        if (side.choose(`${first.get(a)}, ${second.get(b)}`) && side.isChoiceDone()) accepted.push([a, b]);
      }
    }
    side.choice.cantUndo = false;
    side.clearChoice();
    console.log(JSON.stringify({slots: [[...first.keys()], [...second.keys()]], joint: acts.joint, accepted}));
    k = (k * 1103515245 + 12345) % 2147483648;
    return [[seat, accepted[(k >> 8) % accepted.length]]];
  });
  match.play(moves);
}
if (match.fault) throw new Error(match.fault);
