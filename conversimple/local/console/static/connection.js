// The one WebSocket: dialled again when it is lost, and no command is sent twice.

import { waitBefore } from "./backoff.js";
import { parse } from "./json.js";

const TOKEN_KEY = "conversimple-console-token";

/** A command that was not carried out, or of which that is not known. */
export class CommandFailed extends Error {
  constructor(type, message) {
    super(message);
    this.type = type;
  }
}

export class Connection extends EventTarget {
  #url;
  #socket = null;
  #attempt = 0;
  #timer = null;
  #lastId = 0;
  #pending = new Map();
  #dueAt = null;

  /** Events: `message` with the message in `detail`, and `change` of `isLive`. */
  constructor(url) {
    super();
    this.#url = url;
  }

  get isLive() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** When the next try begins, in milliseconds since the epoch; null while one runs. */
  get dueAt() {
    return this.#dueAt;
  }

  start() {
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retry();
    });
    this.#dial();
  }

  /** Try now instead of later. */
  retry() {
    if (this.#timer !== null) this.#dial();
  }

  /**
   * Have a command carried out. Gives the value of the reply.
   *
   * Throws CommandFailed: it was refused; or the connection was lost meanwhile, and
   * whether it was carried out is not known: it is not sent again.
   */
  ask(command, fields = {}) {
    if (!this.isLive) {
      const text = "The platform is away; the console comes back by itself.";
      return Promise.reject(new CommandFailed("away", text));
    }
    this.#lastId += 1;
    const id = this.#lastId;
    const text = JSON.stringify({ ...fields, id, command });
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(text);
    });
  }

  #dial() {
    clearTimeout(this.#timer);
    this.#timer = this.#dueAt = null;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#changed());
    socket.addEventListener("message", (event) => this.#receive(event.data));
    socket.addEventListener("close", () => this.#lost(socket));
    this.#changed();
  }

  #receive(text) {
    const message = parse(text);
    if (message.type === "hello") this.#attempt = 0;
    if (message.type === "reply") this.#settle(message);
    else this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  #settle(reply) {
    const waiting = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(new CommandFailed(reply.error.type, reply.error.message));
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    const text = "The connection was lost before the reply; the timeline shows what was done.";
    for (const { reject } of lost) reject(new CommandFailed("lost", text));
    const wait = waitBefore(this.#attempt);
    this.#attempt += 1;
    this.#dueAt = Date.now() + wait;
    this.#timer = setTimeout(() => this.#dial(), wait);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Where the platform's socket is, with the token that the address brought. */
export function socketUrl() {
  const url = new URL("/console/socket", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  const token = takeToken();
  if (token !== null) url.searchParams.set("token", token);
  return url;
}

function takeToken() {
  const brought = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (brought !== null) sessionStorage.setItem(TOKEN_KEY, brought);
  } catch {
    // Then it is asked for again after a reload.
  }
  if (brought !== null) {
    history.replaceState(null, "", location.pathname + location.search);
    return brought;
  }
  try {
    return sessionStorage.getItem(TOKEN_KEY);
  } catch {
    return null;
  }
}
