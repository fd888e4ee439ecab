// The simulator's word on teams.
'use strict';

const {Dex, TeamValidator, Teams} = require('@pkmn/sim');

/** Of each packed team {team}, with the simulator's own names, or its {problems}; null for a format that there is not. */
function judge(format, packed) {
  if (!Dex.formats.get(format).exists) return null;
  const validator = new TeamValidator(format);
  return packed.map(line => {
    const sets = Teams.unpack(line);
    const problems = sets ? validator.validateTeam(sets) : ['The team cannot be read.'];
    return problems ? {problems} : {team: Teams.pack(sets)};
  });
}

module.exports = {judge};
