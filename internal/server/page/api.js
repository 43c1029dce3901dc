// The server's API: server-sent events, chat completions, models.

// EventParser takes the text of an event stream in pieces, cut anywhere, and gives the data of its events.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
export class EventParser {
  rest = "";
  data = [];
  begun = false;

  push(text) {
    if (!this.begun && text) {
      this.begun = true;
      text = text.replace(/^\uFEFF/, "");
    }
    this.rest += text;
    const events = [];
    const line = /([^\r\n]*)(?:\r\n|\n|\r(?!$))/y; // a CR at the end may be half of a CRLF: it waits
    let end = 0;
    for (let m; (m = line.exec(this.rest)); end = line.lastIndex) this.line(m[1], events);
    this.rest = this.rest.slice(end);
    return events;
  }

  // end is for when nothing follows; an event without its empty line is dropped.
  end() {
    return this.rest.endsWith("\r") ? this.push("\n") : [];
  }

  line(line, events) {
    if (line === "") {
      if (this.data.length) events.push(this.data.join("\n"));
      this.data = [];
    } else if (line === "data" || line.startsWith("data:")) {
      this.data.push(line.slice(5).replace(/^ /, ""));
    } // comments and other fields say nothing to us
  }
}

// ServerError is what the server, or the lack of one, said. code is the API's, or "offline", "cut", "garbled".
export class ServerError extends Error {
  constructor(code, message, status = 0, retryAfter = "") {
    super(message);
    Object.assign(this, { code, status, retryAfter });
  }
}

async function call(path, key, init = {}) {
  const headers = { ...init.headers };
  if (key) headers.Authorization = "Bearer " + key;
  let response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store", credentials: "same-origin" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new ServerError("offline", e.message);
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {} // a proxy's page, perhaps
  const message = String(error.message ?? "") || text.slice(0, 300) || response.statusText;
  throw new ServerError(String(error.code ?? ""), message, response.status, response.headers.get("Retry-After") ?? "");
}

// models gives the names of the server's models.
export async function models(key) {
  const response = await call("v1/models", key);
  const body = await response.json().catch(() => ({}));
  return (Array.isArray(body.data) ? body.data : []).map((m) => String(m.id));
}

// complete yields what a chat completion adds: {content, reasoning, finish, usage}, each only when there.
export async function* complete(request, key, signal) {
  const response = await call("v1/chat/completions", key, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  let ended = false;
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      throw new ServerError("garbled", data.slice(0, 300));
    }
    if (chunk?.error) throw new ServerError(String(chunk.error.code ?? ""), String(chunk.error.message ?? data));
    const choice = chunk?.choices?.[0];
    ended ||= Boolean(choice?.finish_reason);
    yield {
      content: choice?.delta?.content ?? "",
      reasoning: choice?.delta?.reasoning_content ?? "",
      finish: choice?.finish_reason ?? undefined,
      usage: chunk?.usage ?? undefined,
    };
  }
  if (!ended) throw new ServerError("cut", "");
}

async function* events(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((e) => {
        throw e.name === "AbortError" ? e : new ServerError("cut", e.message);
      });
      if (done) break;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
    yield* parser.end();
  } finally {
    reader.cancel().catch(() => {}); // also when the caller has seen enough
  }
}
