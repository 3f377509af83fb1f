// usage: compare.js REPORTS RECORDED
//
// Compares what both runners reported of each case, and what the target counted. REPORTS holds `ours` and `theirs`, each
// with CASE.json, CASE.exit and CASE.server.json; RECORDED holds older ones of Artillery. Counts, codes and exit codes must be equal but for what is listed
// below; times must be of the same size. Prints every difference and ends with 1 if there is one.
'use strict';
const fs = require('fs'), path = require('path');

const [, , folder, recorded] = process.argv;
const read = (who, name) => fs.readFileSync(path.join(folder, who, name), 'utf8');
const json = (who, name) => JSON.parse(read(who, name));
const names = fs.readdirSync(path.join(folder, 'ours')).filter(f => f.endsWith('.exit')).map(f => f.slice(0, -5)).sort();

// Where Artillery is wrong or blind: [counter, what ours is, given Artillery's and what the target counted].
const differs = {
  '06-ws-chat': [['websocket.messages_received', (theirs, server) => server.wsOut]],
  '08-ws-trouble': [['errors.Unexpected server response: 401', theirs => theirs / 2]],
  '25-ws-answers': [['websocket.messages_received', (theirs, server) => server.wsOut]],
  '26-ws-mute': [['errors.undefined', () => undefined]],
};
// How many of a room's messages reach those who come and go depends on milliseconds.
const unsteady = new Set(['conns', 'wsOut']);

const problems = [];
const expect = (name, what, ours, wanted) => {
  if (ours !== wanted) problems.push(`${name}: ${what}: ${ours}, expected ${wanted}`);
};
const union = (a, b) => [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();

function compareCounters(name, ours, theirs, server) {
  const rules = new Map(differs[name] || []);
  for (const counter of union(ours, theirs)) {
    if (counter.endsWith('downloaded_bytes')) continue;
    const rule = rules.get(counter);
    expect(name, counter, ours[counter], rule ? rule(theirs[counter], server) : theirs[counter]);
  }
}

function compareTimes(name, ours, theirs) {
  for (const metric of Object.keys(theirs)) {
    const [a, b] = [ours[metric], theirs[metric]];
    if (!a) { problems.push(`${name}: ${metric} is missing`); continue; }
    // Artillery records an answered event of Socket.IO twice.
    if (metric !== 'socketio.response_time') expect(name, `${metric} count`, a.count, b.count);
    // On a busy machine the smallest says most. Artillery may be the slower one, so only what is longer is a difference.
    if (a.min > b.min * 1.5 + 250) problems.push(`${name}: ${metric} min: ${a.min}, expected about ${b.min}`);
  }
}

// A user that is much faster than one on a quiet machine has left something out, such as thinking.
function compareLengths(name, ours, recorded) {
  const [a, b] = [ours['vusers.session_length'], recorded['vusers.session_length']];
  if (a && b && a.min < b.min * 0.8 - 50) problems.push(`${name}: a user took ${a.min}, expected at least ${b.min}`);
}

function compareServers(name, ours, theirs) {
  for (const key of union(ours, theirs)) {
    if (!unsteady.has(key)) expect(name, `target ${key}`, JSON.stringify(sorted(ours[key])), JSON.stringify(sorted(theirs[key])));
  }
}

function sorted(value) {
  return value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).sort()) : value;
}

for (const name of names) {
  const [ours, theirs] = [json('ours', `${name}.json`).aggregate, json('theirs', `${name}.json`).aggregate];
  const server = json('ours', `${name}.server.json`);
  expect(name, 'exit code', read('ours', `${name}.exit`).trim(), read('theirs', `${name}.exit`).trim());
  compareCounters(name, ours.counters, theirs.counters, server);
  compareTimes(name, ours.summaries, theirs.summaries);
  compareServers(name, server, json('theirs', `${name}.server.json`));
  const file = path.join(recorded, `${name}.json`);
  if (fs.existsSync(file)) {
    const before = JSON.parse(fs.readFileSync(file)).aggregate;
    compareCounters(name, ours.counters, before.counters, server);
    compareLengths(name, ours.summaries, before.summaries);
    compareServers(name, server, JSON.parse(fs.readFileSync(path.join(recorded, `${name}.server.json`))));
  }
}
console.log(problems.length ? problems.join('\n') : `${names.length} cases: both runners report the same`);
process.exit(problems.length ? 1 : 0);
