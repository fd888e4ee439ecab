// Loaded before the worker (node -r): the simulator asks every effect for every event's handler, nearly always in vain, and a
// lookup of a name that is not there walks the whole object. So the names that each effect has are remembered. Battles stay the same.
'use strict';

const {Battle} = require('@pkmn/sim');

const names = new WeakMap();
const lookup = Battle.prototype.getCallback;

function namesOf(effect) {
  const found = new Set();
  for (const name in effect) found.add(name);
  names.set(effect, found);
  return found;
}

Battle.prototype.getCallback = function (target, effect, name) {
  // onSwitchIn may stand for onStart
  if (name !== 'onSwitchIn' && !(names.get(effect) || namesOf(effect)).has(name)) return undefined;
  return lookup.call(this, target, effect, name);
};
