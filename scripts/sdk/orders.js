// The two scripts here do what the system tests order. An order is a line of
// JSON on stdin, {"order":"send",…}; each is answered by one line, in turn:
// {"answer":…} or {"error":"…"}. What happens without an order is a line
// {"event":"…",…}. The end of stdin ends the script.
'use strict';

const readline = require('node:readline');

function write(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

// happened tells the test of something that it did not order.
function happened(event, facts) {
  write({ event, ...facts });
}

// take carries orders out, one after the other; table maps their names to
// functions of the order.
async function take(table) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      const order = JSON.parse(line);
      if (!Object.hasOwn(table, order.order)) {
        throw new Error(`there is no order ${order.order}`);
      }
      write({ answer: (await table[order.order](order)) ?? null });
    } catch (err) {
      write({ error: `${err.name}: ${err.message}` });
    }
  }
  process.exit(0);
}

module.exports = { happened, take };
