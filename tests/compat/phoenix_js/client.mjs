// The official client of Phoenix, told what to do by lines of JSON on stdin, and
// telling what has happened by lines of JSON on stdout.

import { createInterface } from "node:readline";
import { Socket } from "phoenix";
import WebSocket from "ws";

// Version 1 needs a serializer of its own: the client has only that of version 2.
const SERIALIZERS = {
  "1.0.0": {
    encode: (message, done) => done(JSON.stringify(message)),
    decode: (text, done) => done(JSON.parse(text)),
  },
  "2.0.0": {},
};

const channels = new Map();
let socket;

function tell(happened, details = {}) {
  process.stdout.write(`${JSON.stringify({ happened, ...details })}\n`);
}

function listenTo(channel) {
  const topic = channel.topic;
  channel.onError((reason) => tell("channel_failed", { topic, reason }));
  channel.onClose(() => tell("channel_closed", { topic }));
  channel.onMessage = (event, payload) => {
    if (!/^(phx_|chan_reply_)/.test(event)) {
      tell("received", { topic, event, payload });
    }
    return payload;
  };
}

function tellReplies(push, details) {
  for (const status of ["ok", "error", "timeout"]) {
    push.receive(status, (response) =>
      tell("replied", { ...details, status, response }),
    );
  }
}

const orders = {
  connect({ url, params, vsn, heartbeat }) {
    socket = new Socket(url, {
      transport: WebSocket,
      params,
      vsn,
      heartbeatIntervalMs: heartbeat,
      rejoinAfterMs: () => 10,
      ...SERIALIZERS[vsn],
    });
    socket.onOpen(() => tell("opened"));
    socket.onError((error) => tell("failed", { message: error.message }));
    socket.onClose(({ code }) => tell("closed", { code }));
    socket.onMessage((frame) => tell("frame", frame));
    socket.connect();
  },
  join({ topic }) {
    const channel = socket.channel(topic);
    channels.set(topic, channel);
    listenTo(channel);
    tellReplies(channel.join(), { to: "join", topic });
  },
  push({ topic, event, payload, timeout }) {
    const push = channels.get(topic).push(event, payload, timeout);
    tellReplies(push, { to: event, topic });
  },
  send({ frame }) {
    socket.push({ ...frame, ref: socket.makeRef() });
  },
  leave({ topic }) {
    tellReplies(channels.get(topic).leave(), { to: "leave", topic });
  },
  disconnect() {
    socket.disconnect(() => tell("disconnected"));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { order, ...details } = JSON.parse(line);
  orders[order](details);
}
process.exit(0);
