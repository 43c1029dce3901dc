// Chats and settings in the browser's storage. A chat is {id, title, updated, messages}; a message is {role, content} and,
// of an answer, reasoning, finish, and stats {tokens, seconds, first, exact}. Every chat has an entry of its own, so that
// two windows do not overwrite each other's.

const PREFIX = "glm4-metal/chat/";
const SETTINGS = "glm4-metal/settings";
const FORMAT = "glm4-metal-chats";

export class Store {
  constructor(storage) {
    this.storage = storage;
  }

  // chats are all that can be read, newest first.
  chats() {
    const found = [];
    for (let i = 0; i < this.storage.length; i++) {
      const key = this.storage.key(i);
      const chat = key.startsWith(PREFIX) && this.load(key.slice(PREFIX.length));
      if (chat) found.push(chat);
    }
    return found.sort((a, b) => b.updated - a.updated);
  }

  load(id) {
    try {
      return checkChat(JSON.parse(this.storage.getItem(PREFIX + id)), "chat");
    } catch {
      return undefined; // not there, or not ours
    }
  }

  // save throws when the storage is full.
  save(chat) {
    this.storage.setItem(PREFIX + chat.id, JSON.stringify(chat));
  }

  remove(id) {
    this.storage.removeItem(PREFIX + id);
  }

  export() {
    return JSON.stringify({ format: FORMAT, version: 1, chats: this.chats() }, null, 1);
  }

  // import adds the chats of an export, all or none, and gives how many were new. A chat that is there in another state
  // comes in as a copy.
  import(text) {
    const file = JSON.parse(text);
    if (file?.format !== FORMAT) throw new Error(`format is ${JSON.stringify(file?.format)}, not "${FORMAT}"`);
    if (file.version !== 1) throw new Error(`version is ${JSON.stringify(file.version)}, not 1`);
    if (!Array.isArray(file.chats)) throw new Error("chats is no list");
    const added = [];
    const chats = file.chats.map((c, i) => checkChat(c, `chats[${i}]`));
    try {
      for (const chat of chats) {
        const old = this.load(chat.id);
        if (old && JSON.stringify(old) === JSON.stringify(chat)) continue;
        if (old) chat.id = newID();
        this.save(chat);
        added.push(chat.id);
      }
    } catch (e) {
      added.forEach((id) => this.remove(id));
      throw e;
    }
    return added.length;
  }

  settings() {
    try {
      return JSON.parse(this.storage.getItem(SETTINGS)) ?? {};
    } catch {
      return {};
    }
  }

  saveSettings(settings) {
    this.storage.setItem(SETTINGS, JSON.stringify(settings));
  }
}

export function newChat() {
  return { id: newID(), title: "", updated: Date.now(), messages: [] };
}

function newID() {
  const random = crypto.getRandomValues(new Uint32Array(2)); // randomUUID is only there on HTTPS and loopback
  return Date.now().toString(36) + [...random].map((n) => n.toString(36)).join("");
}

// checkChat gives a copy that has the known fields alone, or throws what is wrong at which path.
function checkChat(c, path) {
  const need = (ok, what) => {
    if (!ok) throw new Error(path + what);
  };
  need(c && typeof c === "object", " is no chat");
  need(typeof c.id === "string" && /^\w{1,64}$/.test(c.id), ".id is no name");
  need(Array.isArray(c.messages), ".messages is no list");
  const messages = c.messages.map((m, i) => {
    need(m?.role === "user" || m?.role === "assistant", `.messages[${i}].role is neither user nor assistant`);
    need(typeof m.content === "string", `.messages[${i}].content is no text`);
    const copy = { role: m.role, content: m.content };
    if (typeof m.reasoning === "string" && m.reasoning) copy.reasoning = m.reasoning;
    if (typeof m.finish === "string") copy.finish = m.finish;
    const s = m.stats;
    if (s && [s.tokens, s.seconds, s.first].every(Number.isFinite)) {
      copy.stats = { tokens: s.tokens, seconds: s.seconds, first: s.first, exact: s.exact === true };
    }
    return copy;
  });
  const updated = Number.isFinite(c.updated) ? c.updated : 0;
  return { id: c.id, title: typeof c.title === "string" ? c.title.slice(0, 200) : "", updated, messages };
}

// memoryStorage is for when the browser allows none: chats last as long as the page.
export function memoryStorage() {
  const map = new Map();
  return {
    get length() {
      return map.size;
    },
    key: (i) => [...map.keys()][i],
    getItem: (k) => map.get(k) ?? null,
    setItem: (k, v) => void map.set(k, v),
    removeItem: (k) => void map.delete(k),
  };
}
