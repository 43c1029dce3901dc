// A server that speaks the streaming protocol with what the last message asks for, and passes all else on to the page.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export const attack = `# <img src=x onerror="window.hacked=1">

<script>window.hacked=1</script> **<b onclick=alert(1)>bold</b>** [go](javascript:window.hacked=1) [data](data:text/html,<script>1</script>)

![pixel](https://example.invalid/pixel.png) <https://example.invalid/> <svg onload="window.hacked=1">

- <iframe src="javascript:window.hacked=1"></iframe>

| <img src=x> | b |
|---|---|
| <style>*{display:none}</style> | [x](vbscript:x) |

\`\`\`html"><script>window.hacked=1</script>
</code></pre><script>window.hacked=1</script>
\`\`\`
`;

export const showcase = `## Matrix times vector

A row of the matrix meets the whole vector, so **each weight is read once**. In *Go*:

\`\`\`go
// GEMV computes y = W x; W has rows × columns.
func GEMV(y, w, x []float32) {
	for r := range y {
		for c, v := range x {
			y[r] += w[r*len(x)+c] * v // a long comment, to see how the block scrolls when it is narrow
		}
	}
}
\`\`\`

1. Read \`W\` in the order of memory.
2. Keep \`x\` in the cache:
   - 4,096 values are 16 KB;
   - see [Roofline](https://example.invalid/roofline).

| Bits | Bytes a token | tokens/s |
|:--|:-:|--:|
| 16 | 18.8 GB | 21.3 |
| 4 | 5.3 GB | 75.4 |

> The bandwidth decides: **内存带宽。**而不是算力。
`;

// fake starts it; requests are the bodies that came, gone counts the streams whose reader left.
export async function fake(page) {
  const state = { requests: [], gone: 0, key: "", offline: false };
  const server = createServer(async (req, res) => {
    if (!req.url.startsWith("/v1/")) {
      const r = await fetch(page + req.url, { method: req.method });
      const { date, "content-length": length, ...headers } = Object.fromEntries(r.headers);
      res.writeHead(r.status, headers).end(Buffer.from(await r.arrayBuffer()));
      return;
    }
    if (state.offline) return void req.socket.destroy();
    const fail = (status, code, message, headers) =>
      res.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify({ error: { code, message } }));
    if (state.key && req.headers.authorization !== `Bearer ${state.key}`) return fail(401, "invalid_api_key", "no key");
    if (req.url === "/v1/models") {
      res.setHeader("Content-Type", "application/json").end(JSON.stringify({ data: [{ id: "GLM-4-9B-0414-4bit" }] }));
      return;
    }
    let body = "";
    for await (const part of req) body += part;
    const request = JSON.parse(body);
    state.requests.push(request);
    const asked = request.messages.at(-1).content;
    if (asked === "fail") return fail(500, "", "the GPU is on fire");
    if (asked === "busy") return fail(503, "", "queue is full", { "Retry-After": "7" });
    if (asked === "long") return fail(400, "context_length_exceeded", "9000 tokens do not fit 8192");
    res.on("close", () => (state.gone += res.writableEnded ? 0 : 1));
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    const chunk = (delta, more = {}) => `data: ${JSON.stringify({ choices: [{ index: 0, delta, ...more }] })}\n\n`;
    const words = async (text, key = "content", ms = 0) => {
      for (const [word] of text.matchAll(/[^]{1,6}/gu)) {
        if (res.destroyed) return;
        res.write(chunk({ [key]: word }));
        if (ms) await sleep(ms);
      }
    };
    res.write(": still here\n");
    res.write(chunk({ role: "assistant", content: "" }));
    if (asked === "slow") {
      for (let i = 0; !res.destroyed; i++) await words(`Line ${i} of many.\n\n`, "content", 10);
      return;
    }
    if (asked === "mute") return;
    if (asked === "cut") return words("half an ans", "content", 5).then(() => setTimeout(() => res.destroy(), 50));
    if (asked === "break") {
      await words("half");
      res.end(`data: ${JSON.stringify({ error: { message: "out of memory" } })}\n\n`);
      return;
    }
    if (asked === "think") await words("First I **consider** it.\n\nThen I decide.", "reasoning_content", 20);
    if (asked === "attack") await words(attack);
    else if (asked.startsWith("Explain")) await words(showcase, "content", 2);
    else if (asked === "bytes") {
      for (const byte of Buffer.from(chunk({ content: "汉字🎉 **done**" }).replaceAll("\n", "\r\n"))) {
        res.write(Buffer.from([byte]));
        await sleep(1);
      }
    } else await words(`Answer ${state.requests.length} to ${asked}`);
    res.write(chunk({}, { finish_reason: asked === "limit" ? "length" : "stop" }));
    res.write(`data: ${JSON.stringify({ choices: [], usage: { completion_tokens: 42 } })}\n\n`);
    res.end("data: [DONE]\n\n");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return Object.assign(state, { url: `http://127.0.0.1:${server.address().port}/`, close: () => (server.closeAllConnections(), server.close()) });
}
