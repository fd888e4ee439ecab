// What is known of every species and move of a format's generation, for whoever goes by rules of thumb.
'use strict';

const {Dex} = require('@pkmn/sim');

const TAKEN = [1, 2, 0.5, 0]; // of the simulator's codes of what a type takes from another

const species = ({types, baseStats}) => ({types, base: baseStats});

const move = ({basePower, type, category, accuracy, multihit, target, nonGhostTarget}) => ({
  power: basePower, type, category, accuracy: accuracy === true ? 1 : accuracy / 100, hits: multihit || 1, target,
  shy: Boolean(nonGhostTarget), // aimed only by a Ghost
});

function dex(format) {
  const {species: all, moves, types} = Dex.forFormat(format);
  const named = (list, facts) => Object.fromEntries(list.map(one => [one.id, facts(one)]));
  const forms = all.all().flatMap(one => [one, ...(one.cosmeticFormes || []).map(name => all.get(name))]);
  const names = types.all().map(type => type.name);
  const chart = Object.fromEntries(types.all().map(({name, damageTaken}) => [
    name, Object.fromEntries(names.map(by => [by, TAKEN[damageTaken[by] || 0]])),
  ]));
  return {species: named(forms, species), moves: named(moves.all(), move), chart};
}

module.exports = {dex};
