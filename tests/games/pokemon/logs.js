// Plays seeded battles by a fixed rule and prints a hash of each one's log. node [-r handlers.js] logs.js FORMAT COUNT
'use strict';

const {createHash} = require('crypto');
const {Match} = require('../../../games/pokemon/match');

const [format, count, team] = process.argv.slice(2);
for (let n = 1; n <= Number(count); n++) {
  const teams = [2, 3].map(k => (team ? {team} : {seed: `gen5,${String(n * k).padStart(16, '0')}`}));
  const match = new Match({format, seed: `gen5,${String(n).padStart(16, '0')}`, teams, open: false});
  for (let k = n; !match.over;) {
    const moves = match.seats.flatMap(({acts}, seat) => {
      if (!acts) return [];
      const action = [];
      for (const slot of acts.slots) {
        const may = [...slot.keys()].filter(number => !action.includes(number) && (number < 27 || !action.some(other => other >= 27)));
        k = (k * 1103515245 + 12345) % 2147483648;
        action.push(acts.joint && action.length ? (action[0] ? 0 : may.find(Boolean)) : may[(k >> 8) % may.length]);
      }
      return [[seat, action]];
    });
    match.play(moves);
  }
  if (match.fault) throw new Error(match.fault);
  const log = match.battle.log.filter(line => !line.startsWith('|t:|')).join('\n');
  console.log(match.battle.turn, createHash('sha256').update(log).digest('hex'));
}
