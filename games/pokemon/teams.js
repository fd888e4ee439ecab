// Validates teams: a JSON list of {format, team: packed} on stdin, a list of {team: packed with the simulator's names, problems} on stdout.
'use strict';
const {Dex, TeamValidator, Teams} = require('@pkmn/sim');
const validators = new Map();

function validate({format, team}) {
  if (!Dex.formats.get(format).exists) return {unknown: format};
  if (!validators.has(format)) validators.set(format, new TeamValidator(format));
  const sets = Teams.unpack(team);
  if (!sets) return {problems: ['The team cannot be read.']};
  const problems = validators.get(format).validateTeam(sets);
  return problems ? {problems} : {team: Teams.pack(sets)};
}

const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(asked.map(validate)));
