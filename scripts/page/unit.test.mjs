// Tests of the page's parts that need no browser: node --test scripts/page/unit.test.mjs
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { parse, render } = await load("markdown.js");
const { EventParser } = await load("api.js");
const { Store, memoryStorage, newChat } = await load("store.js");

// outline writes a tree as text: tag(kids).
const outline = (n) =>
  typeof n === "string" ? JSON.stringify(n) : `${n.tag}${n.href ? `<${n.href}>` : ""}(${n.kids.map(outline).join(" ")})`;
const md = (text) => parse(text).map(outline).join(" ");

test("Markdown gives the tree that a reader expects", () => {
  for (const [text, want] of [
    ["a\nb", 'p("a" br() "b")'],
    ["# Title #\ntext", 'h2("Title") p("text")'],
    ["####### no", 'p("####### no")'],
    ["a **b *c* d** e", 'p("a " strong("b " em("c") " d") " e")'],
    ["***x*** ~~y~~ _z_", 'p(em(strong("x")) " " del("y") " " em("z"))'],
    ["**重点。**这样", 'p(strong("重点。") "这样")'],
    ["snake_case_name 2*3*4 a * b * c", 'p("snake_case_name 2*3*4 a * b * c")'],
    ["**open", 'p("**open")'],
    ["`a*b*` ``c`d`` `e", 'p(code("a*b*") " " code("c`d") " `e")'],
    ["\\*a\\* \\<b\\>", 'p("*a* <b>")'],
    ["[a *b*](https://x.org/c_(d)) e", 'p(a<https://x.org/c_(d)>("a " em("b")) " e")'],
    ["见https://x.org/a。好", 'p("见" a<https://x.org/a>("https://x.org/a") "。好")'],
    ["(http://x.org/a).", 'p("(" a<http://x.org/a>("http://x.org/a") ").")'],
    ["<mailto:a@x.org>", 'p(a<mailto:a@x.org>("mailto:a@x.org"))'],
    ["\\(a_1*b*\\) $$x*y*$$", 'p(span("\\\\(a_1*b*\\\\)") " " span("$$x*y*$$"))'],
    ["> a\nb\n\nc", 'blockquote(p("a" br() "b")) p("c")'],
    ["- a\n- b\n  - c\n\n    d\n- e", 'ul(li("a") li("b" ul(li("c" p("d")))) li("e"))'],
    ["1. a\n   ```go\n   x\n\n   y\n   ```\n2. b", 'ol(li("a" pre("x\\n\\ny")) li("b"))'],
    ["* a\n\n* b\n\ntext", 'ul(li("a") li("b")) p("text")'],
    ["```\n# no\n**no**", 'pre("# no\\n**no**")'],
    ["````md\n```\n````\nx", 'pre("```") p("x")'],
    ["***\n---", "hr() hr()"],
    ["a | b\n:-: | -\n`x|y` | c\\|d", 'table(thead(tr(th("a") th("b"))) tbody(tr(td(code("x|y")) td("c|d"))))'],
    ["a | b\nc", 'p("a | b" br() "c")'],
  ]) assert.equal(md(text), want, text);
  assert.equal(parse("3) a\n4) b")[0].start, 3);
});

test("Links lead to http, https and mailto alone", () => {
  for (const address of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "//x.org", "/v1/models",
    "file:///etc/passwd", "&#106;avascript:alert(1)", "\u0001javascript:alert(1)", " java\tscript:alert(1)", "blob:https://x.org/a"]) {
    for (const text of [`[a](${address})`, `<${address}>`, address, `![a](${address})`, `[a](<${address}>)`]) {
      const hrefs = [...JSON.stringify(parse(text)).matchAll(/"href":"([^"]*)"/g)].map((m) => m[1]);
      for (const href of hrefs) assert.match(href, /^https?:\/\//, text);
    }
  }
});

// document for the renderer, which records what is made.
class Node {
  childNodes = [];
  append(...nodes) {
    for (const n of nodes) this.childNodes.push(Object.assign(typeof n === "string" ? { text: n } : n, { parent: this }));
  }
  remove() {
    this.parent.childNodes.splice(this.parent.childNodes.indexOf(this), 1);
  }
  get lastChild() {
    return this.childNodes.at(-1);
  }
}
let made = [];
globalThis.document = {
  createElement: (tag) => (made.push(tag), Object.assign(new Node(), { tag })),
  createTextNode: (text) => Object.assign(new Node(), { text }),
};

test("HTML of the model makes no element", () => {
  const allowed = /^(p|h[2-6]|hr|br|ul|ol|li|blockquote|table|thead|tbody|tr|th|td|pre|code|strong|em|del|a|span|div|button)$/;
  made = [];
  const attacks = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "<style>*{}</style>",
    "![x](https://x.org/a.png)", "<iframe src=https://x.org>", '[a](https://x.org"onclick="alert(1))', "```<img>\n</code></pre><script>\n```"];
  for (const a of attacks) for (const text of [a, `- ${a}`, `> ${a}`, `| ${a} | b |\n|-|-|\n| ${a} | c |`, `**${a}**`, `# ${a}`]) {
    render(new Node(), text, "Copy");
  }
  for (const tag of made) assert.match(tag, allowed);
});

test("A stream builds only the blocks that change", () => {
  const root = new Node();
  render(root, "one\n\ntwo", "Copy");
  const [first, second] = root.childNodes;
  render(root, "one\n\ntwo more\n\nthree", "Copy");
  assert.equal(root.childNodes.length, 3);
  assert.equal(root.childNodes[0], first);
  assert.notEqual(root.childNodes[1], second);
  render(root, "one", "Copy");
  assert.deepEqual(root.childNodes, [first]);
});

// A pattern that takes quadratic time would take minutes here, and the script's limit ends it.
test("Markdown made to be slow is parsed in linear time", () => {
  const n = 300_000;
  const long = (s, of) => s.repeat(of / s.length);
  const texts = ["*", "_a", "**a *b ", "[", "[a](", "![", "`", "`` ` ", "\\(", "\\[", "$$", "> ", "- ", "1. ", " ", "|", "|a", "~~~", "<http",
    "https://a...", "a|b\n", "- a\n", "> a\n", "***", "a**b", "("].map((s) => long(s, n));
  texts.push(`# ${long(" ", n)}x`, `# ${long("#", n)}x`, `\`\`\`${long(" ", n)}\``, `[a](${long(" ", n)}`, `https://x.org/${long(".", n)}x`,
    `a|b\n${long("-", n)} x`, `a|b\n|${long(" ", n)}x`);
  for (const text of texts) assert.ok(parse(text).length >= 0, text.slice(0, 20));
});

test("An event stream cut anywhere gives the same events", () => {
  const text = "\uFEFF: ping\ndata: {\"a\":1}\n\n:\r\n\r\nevent: x\r\ndata: two\r\ndata:lines\r\rid: 1\ndata\n\nretry: 5\n\ndata: 汉字🎉\n\ndata: unfinished\n";
  const want = ['{"a":1}', "two\nlines", "", "汉字🎉"];
  for (let a = 0; a <= text.length; a++) for (let b = a; b <= text.length; b++) {
    const p = new EventParser();
    const got = [text.slice(0, a), text.slice(a, b), text.slice(b)].flatMap((part) => p.push(part));
    assert.deepEqual([...got, ...p.end()], want, `cut at ${a} and ${b}`);
  }
  const p = new EventParser();
  assert.deepEqual([...text].flatMap((c) => p.push(c)), want);
  const last = new EventParser();
  assert.deepEqual([...last.push("data: x\r\r"), ...last.end()], ["x"]);
});

test("An import takes all or nothing, and says what is wrong", () => {
  const store = new Store(memoryStorage());
  const chat = { ...newChat(), title: "T", messages: [{ role: "user", content: "a" }, { role: "assistant", content: "b", evil: 1 }] };
  const file = (...chats) => JSON.stringify({ format: "glm4-metal-chats", version: 1, chats });
  assert.equal(store.import(file(chat)), 1);
  assert.equal(store.load(chat.id).messages[1].evil, undefined);
  assert.equal(store.import(store.export()), 0, "what is there already");
  assert.equal(store.import(file({ ...chat, title: "U" })), 1, "another state is a copy");
  assert.equal(store.chats().length, 2);
  for (const [text, message] of [
    ["[]", /format is undefined/],
    ["{", /JSON/],
    [JSON.stringify({ format: "glm4-metal-chats", version: 2 }), /version is 2/],
    [file({ ...chat, id: "a/b" }), /chats\[0\]\.id/],
    [file(chat, { ...newChat(), messages: [{ role: "system", content: "" }] }), /chats\[1\]\.messages\[0\]\.role/],
    [file({ ...newChat(), messages: [{ role: "user", content: 1 }] }), /content is no text/],
  ]) assert.throws(() => store.import(text), message);
  assert.equal(store.chats().length, 2);
});

test("An import that does not fit leaves nothing behind", () => {
  const storage = memoryStorage();
  const store = new Store(storage);
  const set = storage.setItem;
  storage.setItem = (k, v) => {
    if (storage.length) throw Object.assign(new Error("full"), { name: "QuotaExceededError" });
    set(k, v);
  };
  const text = JSON.stringify({ format: "glm4-metal-chats", version: 1, chats: [newChat(), newChat()] });
  assert.throws(() => store.import(text), { name: "QuotaExceededError" });
  assert.equal(storage.length, 0);
});

test("Damaged entries hide no others", () => {
  const storage = memoryStorage();
  const store = new Store(storage);
  store.save(newChat());
  storage.setItem("glm4-metal/chat/x", "{");
  storage.setItem("glm4-metal/chat/y", "null");
  storage.setItem("else", "1");
  storage.setItem("glm4-metal/settings", "[");
  assert.equal(store.chats().length, 1);
  assert.deepEqual(store.settings(), {});
});
