// Many battles in one process. Each message is a frame on stdin (length, JSON), each answer one on stdout (lengths, JSON, numbers);
// all that is asked of any number of battles at once is one message. The worker ends when stdin does, or when its parent is gone.
'use strict';

const fs = require('fs');
const {Worker, isMainThread, workerData} = require('worker_threads');

if (!isMainThread) {
  // a battle that never ends its turn reads no stdin: this thread sees that the parent is gone all the same
  setInterval(() => process.ppid !== workerData && process.kill(process.pid, 'SIGKILL'), 1000);
} else {
  new Worker(__filename, {workerData: process.ppid, stdout: true, stderr: true}).unref(); // or stdout would no longer block
  serve();
}

function readAll(size) {
  const bytes = Buffer.allocUnsafe(size);
  for (let have = 0; have < size;) {
    const got = fs.readSync(0, bytes, have, size - have, null);
    if (!got) process.exit(0);
    have += got;
  }
  return bytes;
}

function writeAll(bytes) {
  for (let done = 0; done < bytes.length;) done += fs.writeSync(1, bytes, done);
}

function serve() {
  const {Match, facts, formats} = require('./match');
  const {picture} = require('./picture');
  const {text, label} = require('./text');
  const {vector, LAYOUT, SIZE} = require('./vector');
  const {dex} = require('./dex');
  const {judge} = require('./teams');
  const {samples} = require('./logs');
  const matches = new Map();

  /** {id, start, moves}: begin a battle where start is given, and play moves, a list of joint ones. */
  function advance({id, start, moves}) {
    try {
      if (start) matches.set(id, new Match(start));
      const match = matches.get(id);
      for (const joint of moves) match.play(joint);
      const seats = match.seats.map(({acts, digest}) => acts && [acts.slots.map(slot => [...slot.keys()]), acts.joint, digest]);
      return [seats, match.over, match.result, match.fault];
    } catch (error) {
      return [[null, null], true, 0, `the simulator failed: ${error.message}`];
    }
  }

  const looks = {
    pictures: (match, seat, chosen) => picture(match, seat, chosen),
    texts: (match, seat, chosen) => text(picture(match, seat, chosen), match.battle.dex, match.seats[seat].acts),
    labels: (match, seat) => {
      const seen = picture(match, seat, null);
      return match.seats[seat].acts.slots.map((slot, k) => [...slot.keys()].map(action => label(seen, match.battle.dex, action, k)));
    },
    logs: match => match.battle.log.filter(line => !line.startsWith('|t:|')),
  };

  function look({what, at}) {
    if (what !== 'vectors') return [at.map(([id, ...who]) => looks[what](matches.get(id), ...who)), new Float32Array(0)];
    const numbers = new Float32Array(at.length * SIZE);
    at.forEach(([id, ...who], k) => vector(picture(matches.get(id), ...who), matches.get(id).battle.dex, numbers, k * SIZE));
    return [null, numbers];
  }

  /** What a look gives, or why it failed. */
  function looked(message) {
    try {
      return look(message);
    } catch (error) {
      return [{failed: error.stack.split('\n').slice(0, 2).join(' ')}, new Float32Array(0)];
    }
  }

  const answers = {
    battles: ({battles}) => battles.map(advance),
    facts: ({format}) => facts(format),
    dex: ({format}) => dex(format),
    teams: ({format, teams}) => judge(format, teams),
    formats: () => formats(),
    layout: () => LAYOUT,
  };

  for (;;) {
    const message = JSON.parse(readAll(readAll(4).readUInt32LE()).toString());
    for (const id of message.drop) matches.delete(id);
    let answer, numbers = new Float32Array(0);
    if (message.ask === 'look') [answer, numbers] = looked(message);
    else if (message.ask === 'log') [answer, numbers] = samples(message.text);
    else answer = answers[message.ask](message);
    const words = Buffer.from(JSON.stringify(answer));
    const head = Buffer.alloc(8);
    head.writeUInt32LE(words.length, 0);
    head.writeUInt32LE(numbers.byteLength, 4);
    writeAll(Buffer.concat([head, words, Buffer.from(numbers.buffer)]));
  }
}
