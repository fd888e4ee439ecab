// What one side knows, in words; and what its action numbers mean.
'use strict';

const {FIRST_MOVE, PER_GIMMICK, PER_MOVE} = require('./options');

const GIMMICKS = ['', ', mega evolved', ' as a Z-move', ', Dynamax', ', terastallized'];
const LETTER = 'ab';
const STATS = {atk: 'Attack', def: 'Defense', spa: 'Sp. Atk', spd: 'Sp. Def', spe: 'Speed', accuracy: 'accuracy', evasion: 'evasion'};

const name = (dex, id) => dex.conditions.get(id).name || id;
const turns = n => `${n} turn${n === 1 ? '' : 's'}`;
const species = (dex, member) => dex.species.get(member.species).name;

function member(one, dex, slots, picking) {
  const parts = [`${one.number} ${species(dex, one)}`];
  if (one.slot >= 0) parts.push(slots > 1 ? `in slot ${LETTER[one.slot]}` : 'in play');
  if (picking && one.picked) parts.push(`picked as ${one.picked}`);
  if (one.own && !one.brought && !picking) parts.push('not brought');
  parts.push(one.fainted ? 'fainted' : one.own ? `${one.health}/${one.stats.hp} HP` : `${one.health}% HP`);
  if (one.status) parts.push(one.status);
  if (one.fainted) return parts.join(', ');
  parts.push(`level ${one.level}`, one.types.join('/'));
  const boosts = Object.keys(STATS).filter(stat => one.boosts[stat]).map(stat => `${STATS[stat]} ${one.boosts[stat] > 0 ? '+' : ''}${one.boosts[stat]}`);
  parts.push(...boosts);
  const volatiles = one.volatiles.map(id => name(dex, id)).sort();
  if (volatiles.length) parts.push(`under ${volatiles.join(' and ')}`);
  if (one.stats) parts.push(`Attack ${one.stats.atk}, Defense ${one.stats.def}, Sp. Atk ${one.stats.spa}, Sp. Def ${one.stats.spd}, Speed ${one.stats.spe}`);
  if (one.ability) parts.push(`ability ${dex.abilities.get(one.ability).name}`);
  if (one.itemKnown) parts.push(one.item ? `item ${dex.items.get(one.item).name}` : 'no item');
  if (one.tera) parts.push(one.terastallized ? 'terastallized' : `Terastal type ${one.tera}`);
  const moves = one.moves.map(({id, disabled}) => `${dex.moves.get(id).name}${disabled ? ' (disabled)' : ''}`);
  if (moves.length) parts.push(`moves ${moves.join(', ')}`);
  return parts.join(', ');
}

function conditions(side, dex, turn) {
  return Object.entries(side.conditions).map(([id, {layers, since}]) => `${name(dex, id)}${layers > 1 ? ` x${layers}` : ''} (${turns(turn - since)} ago)`);
}

function asked(seen) {
  if (seen.asks === 'teampreview') return `Before the battle: pick ${seen.picks}, those that lead first.`;
  if (seen.asks === 'switch') return `Turn ${seen.turn}: send in a replacement.`;
  return `Turn ${seen.turn}.`;
}

function text(seen, dex, acts) {
  const lines = [asked(seen)];
  if (seen.happened.length) lines.push(`Just before: ${seen.happened.map(([seat, words]) => `${seat === seen.seat ? 'your' : 'their'} ${words}`).join('; ')}.`);
  const field = [];
  if (seen.weather) field.push(`${name(dex, seen.weather.id)} (${turns(seen.turn - seen.weather.since)} ago)`);
  for (const [id, since] of Object.entries(seen.fields)) field.push(`${name(dex, id)} (${turns(seen.turn - since)} ago)`);
  if (field.length) lines.push(`Field: ${field.join(', ')}.`);
  seen.sides.forEach((side, k) => {
    const on = conditions(side, dex, seen.turn);
    lines.push(`${k ? 'Their' : 'Your'} side${on.length ? ` (${on.join(', ')})` : ''}:`, ...side.team.map(one => member(one, dex, seen.slots, seen.asks === 'teampreview')));
  });
  if (acts && seen.chosen) {
    seen.chosen.forEach((action, k) => lines.push(`Slot ${LETTER[k]}: ${label(seen, dex, action, k)}.`));
    lines.push(`Decide for slot ${LETTER[seen.chosen.length]}.`);
  } else if (acts && seen.slots > 1) {
    acts.slots.forEach((slot, k) => {
      const choices = [...slot.keys()].map(action => `${action} ${label(seen, dex, action, k)}`);
      lines.push(`Numbers for slot ${LETTER[k]}: ${choices.join('; ')}.`);
    });
  }
  return lines.join('\n');
}

/** An action of one slot as players write it. */
function label(seen, dex, action, slot) {
  const [own, other] = seen.sides.map(side => side.team);
  if (action === 0) return 'pass';
  if (action < FIRST_MOVE) return `${seen.asks === 'teampreview' ? 'pick' : 'switch to'} ${action} ${species(dex, own[action - 1])}`;
  const [gimmick, rest] = [Math.floor((action - FIRST_MOVE) / PER_GIMMICK), (action - FIRST_MOVE) % PER_GIMMICK];
  const [move, target] = [Math.floor(rest / PER_MOVE), (rest % PER_MOVE) - 2];
  const user = own.find(one => one.slot === slot);
  const words = `${user?.moves[move] ? dex.moves.get(user.moves[move].id).name : `move ${move + 1}`}${GIMMICKS[gimmick]}`;
  if (!target) return words;
  const at = (target > 0 ? other : own).find(one => one.slot === Math.abs(target) - 1);
  return `${words} at ${target > 0 ? 'their' : 'own'} ${LETTER[Math.abs(target) - 1]}${at ? ` ${species(dex, at)}` : ''}`;
}

module.exports = {text, label};
