// What programs do with the Node client, against the server given as the only argument (host:port).
//
// Started by scripts/clients, which restarts the server when this program writes the line "restart" to its standard
// output; the answer is a line on its standard input.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import {
  AuthorizationError,
  connect as dial,
  credsAuthenticator,
  headers as newHeaders,
  InvalidArgumentError,
  nkeyAuthenticator,
  RequestError,
} from "@nats-io/transport-node";

const servers = process.argv[2];
const patience = 20_000;

// How TLS is spoken, if it is.
let secure = {};

const connect = (options = {}) => dial({ servers, ...secure, ...options });

async function subscribe(nc, subject, options = {}) {
  const sub = nc.subscribe(subject, options);
  await nc.flush();
  return sub;
}

async function take(sub, n) {
  const messages = [];
  if (n === 0) return messages;
  for await (const message of sub) {
    messages.push(message);
    if (messages.length === n) break;
  }
  return messages;
}

async function publishAndSubscribe() {
  const [one, two] = [await connect(), await connect()];
  const here = await subscribe(one, "greet");
  const there = await subscribe(two, "greet");
  const wanted = Array.from({ length: 500 }, (_, i) => `hello ${i}`);
  for (const text of wanted) one.publish("greet", text);
  for (const sub of [here, there]) {
    assert.deepEqual((await take(sub, 500)).map((m) => m.string()), wanted);
  }
  await one.close();
  await two.close();
}

async function wildcards() {
  const [one, two] = [await connect(), await connect()];
  const star = await subscribe(one, "a.*.c");
  const rest = await subscribe(one, "a.>");
  for (const subject of ["a.b.c", "a", "a.b", "a.x.c", "b.b.c"]) two.publish(subject);
  await two.flush();
  await one.flush();
  assert.equal(star.getReceived(), 2);
  assert.equal(rest.getReceived(), 3);
  assert.deepEqual((await take(star, 2)).map((m) => m.subject), ["a.b.c", "a.x.c"]);
  assert.deepEqual((await take(rest, 3)).map((m) => m.subject), ["a.b.c", "a.b", "a.x.c"]);
  await one.close();
  await two.close();
}

async function queueGroups() {
  const count = 400;
  const publisher = await connect();
  const members = [];
  const counts = [0, 0];
  let done;
  const all = new Promise((resolve) => (done = resolve));
  for (const member of [0, 1]) {
    const nc = await connect();
    await subscribe(nc, "work", {
      queue: "workers",
      callback: () => {
        counts[member] += 1;
        if (counts[0] + counts[1] === count) done();
      },
    });
    members.push(nc);
  }
  for (let i = 0; i < count; i++) publisher.publish("work", "x");
  await all;
  for (const nc of [publisher, ...members]) await nc.flush();
  assert.equal(counts[0] + counts[1], count);
  assert.ok(Math.min(...counts) >= (count * 35) / 100, `spread ${counts}`);
  for (const nc of [publisher, ...members]) await nc.close();
}

async function requests() {
  const [asker, answerer] = [await connect(), await connect()];
  await subscribe(answerer, "double", { callback: (_, m) => m.respond(String(2 * Number(m.string()))) });
  for (let n = 0; n < 200; n++) {
    const answer = await asker.request("double", String(n), { timeout: patience });
    assert.equal(Number(answer.string()), 2 * n);
  }
  await asker.close();
  await answerer.close();
}

async function headers() {
  const [one, two] = [await connect(), await connect()];
  const sub = await subscribe(two, "h");
  const h = newHeaders();
  h.append("Trace", "7f");
  h.append("Many", "first");
  h.append("Many", "second: with a colon");
  one.publish("h", "body", { headers: h });
  const [message] = await take(sub, 1);
  assert.equal(message.headers.get("Trace"), "7f");
  assert.deepEqual(message.headers.values("Many"), ["first", "second: with a colon"]);
  assert.equal(message.string(), "body");
  await one.close();
  await two.close();
}

async function noResponders() {
  const nc = await connect();
  await assert.rejects(nc.request("nobody.home", "", { timeout: patience }), (error) => {
    return error instanceof RequestError && error.isNoResponders();
  });
  await nc.close();
}

async function unsubscribeAfter() {
  const [one, two] = [await connect(), await connect()];
  const sub = await subscribe(one, "few", { max: 3 });
  for (let i = 0; i < 10; i++) two.publish("few");
  await two.flush();
  await one.flush();
  let got = 0;
  for await (const _ of sub) got += 1;
  assert.equal(got, 3);
  await one.close();
  await two.close();
}

async function drain() {
  const [one, two] = [await connect(), await connect()];
  let got = 0;
  await subscribe(one, "in", { callback: () => (got += 1) });
  const out = await subscribe(two, "out");
  for (let i = 0; i < 200; i++) {
    two.publish("in");
    one.publish("out");
  }
  await two.flush();
  await one.drain();
  await one.closed();
  assert.equal(got, 200);
  assert.equal((await take(out, 200)).length, 200);
  await two.close();
}

async function largePayloads() {
  const [one, two] = [await connect(), await connect()];
  const limit = one.info.max_payload;
  assert.equal(limit, 1024 * 1024);
  const sub = two.subscribe("large");
  await two.flush();
  const messages = sub[Symbol.asyncIterator]();
  for (const size of [65535, 65536, 500000, limit - 1, limit]) {
    const payload = Buffer.alloc(size).fill("0123456789a");
    one.publish("large", payload);
    const { value } = await messages.next();
    assert.ok(payload.equals(value.data), `${size} bytes came changed`);
  }
  assert.throws(() => one.publish("large", Buffer.alloc(limit + 1)), InvalidArgumentError);
  await one.close();
  await two.close();
}

async function reconnect() {
  const one = await connect({ reconnectTimeWait: 20, reconnectJitter: 0, maxReconnectAttempts: -1 });
  const sub = await subscribe(one, "still");
  const back = (async () => {
    for await (const status of one.status()) {
      if (status.type === "reconnect") return;
    }
  })();
  process.stdin.resume();
  process.stdout.write("restart\n");
  await once(process.stdin, "data");
  process.stdin.pause();
  await back;
  await one.flush();
  const two = await connect();
  two.publish("still", "there");
  assert.equal((await take(sub, 1))[0].string(), "there");
  await one.close();
  await two.close();
}

// Presents credentials or the seed of a key, in files of this folder: the right ones let in, others do not.
async function identify(form, folder) {
  const [present, right, wrong] = {
    creds: [credsAuthenticator, "plain.creds", "revoked.creds"],
    nkey: [(seed) => nkeyAuthenticator(seed.subarray(0, 58)), "key.seed", "stranger.seed"],
  }[form];
  const authenticator = (name) => present(new Uint8Array(readFileSync(`${folder}/${name}`)));
  const nc = await connect({ authenticator: authenticator(right) });
  const sub = await subscribe(nc, "who");
  nc.publish("who", "me");
  assert.equal((await take(sub, 1))[0].string(), "me");
  await nc.close();
  await assert.rejects(connect({ authenticator: authenticator(wrong), reconnect: false }), AuthorizationError);
}

// Goes through a part of the list, with the certificates of this folder.
async function overTls(form, folder) {
  const tls = { caFile: `${folder}/ca.pem` };
  if (form === "mutual") {
    await assert.rejects(dial({ servers, tls, reconnect: false }));
    Object.assign(tls, { certFile: `${folder}/client.pem`, keyFile: `${folder}/client.key` });
  }
  if (form === "first") tls.handshakeFirst = true;
  await assert.rejects(dial({ servers, tls: {}, reconnect: false, timeout: 5000 }));
  secure = { tls };
  await publishAndSubscribe();
  await largePayloads();
  await reconnect();
}

if (["tls", "mutual", "first"].includes(process.argv[3])) {
  await overTls(process.argv[3], process.argv[4]);
  process.stderr.write(`  ok   ${process.argv[3]}\n`);
  process.exit(0);
}

if (process.argv.length > 3) {
  await identify(process.argv[3], process.argv[4]);
  process.stderr.write(`  ok   ${process.argv[3]}\n`);
  process.exit(0);
}

const steps = {
  "publish and subscribe": publishAndSubscribe,
  wildcards,
  "queue groups": queueGroups,
  "requests and replies": requests,
  headers,
  "no responders": noResponders,
  "unsubscribe after": unsubscribeAfter,
  drain,
  "large payloads": largePayloads,
  reconnect,
};
for (const [name, run] of Object.entries(steps)) {
  let late;
  const limit = new Promise((_, reject) => (late = setTimeout(reject, 3 * patience, new Error(`${name} takes too long`))));
  await Promise.race([run(), limit]);
  clearTimeout(late);
  process.stderr.write(`  ok   ${name}\n`);
}
process.exit(0);
