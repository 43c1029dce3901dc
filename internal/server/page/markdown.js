// Markdown as models write it, made into DOM nodes and never into HTML: elements come from the list below, text goes in as
// text, and the only attributes that hold text of the model are href (http, https, mailto), title and data-lang.
//
// parse gives a tree of strings and {tag, kids, ...}; render puts it into an element.

// No pattern here takes more than linear time, whatever a model writes.
const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])(?:([ \t]+)(.*)|$)/;
const DEPTH = 12; // of quotes and lists within each other; deeper ones are text

// parse gives the blocks of text; each holds its source in raw.
export function parse(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) {
      at++;
      continue;
    }
    const [block, next] = parseBlock(lines, at, depth);
    block.raw = lines.slice(at, next).join("\n");
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function parseBlock(lines, at, depth) {
  const line = lines[at];
  let m;
  if ((m = FENCE.exec(line))) return fence(lines, at, m);
  if ((m = HEADING.exec(line))) {
    const title = (m[2] ?? "").trim().replace(/(^|[ \t])#+$/, "");
    return [{ tag: `h${Math.min(6, m[1].length + 1)}`, kids: inline(title.trim()) }, at + 1]; // the page has an h1
  }
  if (RULE.test(line)) return [{ tag: "hr", kids: [] }, at + 1];
  if (depth < DEPTH && QUOTE.test(line)) {
    let end = at + 1;
    while (end < lines.length && lines[end].trim() && (QUOTE.test(lines[end]) || !starts(lines, end))) end++;
    const inner = lines.slice(at, end).map((l) => l.replace(QUOTE, "")).join("\n");
    return [{ tag: "blockquote", kids: parse(inner, depth + 1) }, end];
  }
  if (depth < DEPTH && ITEM.test(line)) return list(lines, at, depth);
  if (isTable(lines, at)) return table(lines, at);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !starts(lines, end)) end++;
  return [{ tag: "p", kids: inline(lines.slice(at, end).map((l) => l.trim()).join("\n")) }, end];
}

// starts tells whether a line ends the paragraph before it.
function starts(lines, at) {
  const line = lines[at];
  return [FENCE, HEADING, RULE, QUOTE, ITEM].some((r) => r.test(line)) || isTable(lines, at);
}

function fence(lines, at, [opening, marks, info]) {
  const indent = opening.search(/\S/);
  const close = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}\\s*$`);
  let end = at + 1;
  while (end < lines.length && !close.test(lines[end])) end++;
  const text = lines.slice(at + 1, end).map((l) => dedent(l, indent)).join("\n");
  return [{ tag: "pre", lang: info.trim().split(/\s/)[0].slice(0, 40), kids: [text] }, Math.min(end + 1, lines.length)];
}

// dedent takes up to n columns of space away.
function dedent(line, n) {
  let i = 0;
  for (let column = 0; column < n && (line[i] === " " || line[i] === "\t"); i++) column += line[i] === "\t" ? 4 : 1;
  return line.slice(i);
}

const columns = (space) => space.replace(/\t/g, "    ").length;
const kind = (marker) => (/\d/.test(marker) ? marker.at(-1) : marker);

// list takes all items of one kind at one depth. What is indented further than the marker belongs to the item, since models
// are careless about how far.
function list(lines, at, depth) {
  const [, space, first] = ITEM.exec(lines[at]);
  const outer = columns(space);
  const items = [];
  while (at < lines.length) {
    const m = ITEM.exec(lines[at]);
    if (!m || RULE.test(lines[at]) || columns(m[1]) > outer + 1 || columns(m[1]) < outer || kind(m[2]) !== kind(first)) break;
    const width = outer + m[2].length + Math.min(columns(m[3] ?? " "), 4);
    const body = [m[4] ?? ""];
    let blank = false;
    for (at++; at < lines.length; at++) {
      const line = lines[at];
      if (!line.trim()) blank = true;
      else if (columns(/^\s*/.exec(line)[0]) > outer) blank = false;
      else if (blank || starts(lines, at)) break;
      body.push(dedent(line, width));
    }
    let kids = parse(body.join("\n"), depth + 1);
    if (kids[0]?.tag === "p") kids = [...kids[0].kids, ...kids.slice(1)];
    items.push({ tag: "li", kids });
  }
  return [/\d/.test(first) ? { tag: "ol", start: parseInt(first, 10), kids: items } : { tag: "ul", kids: items }, at];
}

function isTable(lines, at) {
  const rule = lines[at + 1] ?? "";
  if (!lines[at].includes("|") || !/^[ \t|:-]+$/.test(rule)) return false;
  const columns = cells(rule);
  return columns.every((c) => /^:?-+:?$/.test(c)) && cells(lines[at]).length === columns.length;
}

function cells(line) {
  const text = line.trim().replace(/^\|/, "");
  const found = [""];
  for (const [part] of text.matchAll(/\\\||`[^`]*`|\||[^|\\`]+|[\\`]/g)) {
    if (part === "|") found.push("");
    else found[found.length - 1] += part === "\\|" ? "|" : part;
  }
  if (found.length > 1 && !found.at(-1).trim()) found.pop();
  return found.map((c) => c.trim());
}

function table(lines, at) {
  const align = cells(lines[at + 1]).map((c) => (c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : ""));
  const row = (line, tag) => {
    const texts = cells(line);
    const kids = align.map((a, i) => {
      const parts = (texts[i] ?? "").split(/<br *\/?>/i).map((t) => inline(t));
      return { tag, align: a, kids: parts.flatMap((p, j) => (j ? [{ tag: "br", kids: [] }, ...p] : p)) };
    });
    return { tag: "tr", kids };
  };
  const head = { tag: "thead", kids: [row(lines[at], "th")] };
  const body = { tag: "tbody", kids: [] };
  for (at += 2; at < lines.length && lines[at].trim() && lines[at].includes("|"); at++) body.kids.push(row(lines[at], "td"));
  return [{ tag: "table", kids: [head, body] }, at];
}

const PLAIN = /[^\\`*_~[!<hm\n$]+/y;
const WORD = /[\p{L}\p{N}]/u;
const ESCAPE = /\\([!-/:-@[-`{-~])/y;
const MATH = /\\\([^]+?\\\)|\\\[[^]+?\\\]|\$\$[^]+?\$\$/y; // shown as it is
const LINK = /!?\[((?:[^[\]\\]|\\.)*)\]\(\s{0,3}<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s{1,3}"[^"]*")?\s{0,3}\)/y;
const BARE = /<?((?:https?:\/\/|mailto:)[^\s<>"'`*，。；：！？、（）「」《》]+)>?/iy;
const RUN = /\*+|_+|~+/y;

// inline gives the text and elements of a paragraph.
export function inline(text, links = true) {
  const out = [];
  const open = []; // delimiters that may yet be closed: {mark, length, at}, at is their place in out
  const unclosed = new Set(); // runs of backticks that nothing closes from here on
  const match = (r) => {
    r.lastIndex = at;
    return r.exec(text);
  };
  let at = 0;
  while (at < text.length) {
    let m;
    if ((m = match(PLAIN))) out.push(m[0]);
    else if (text[at] === "\n") out.push({ tag: "br", kids: [] }), (m = ["\n"]);
    else if (text[at] === "`") m = code(text, at, unclosed, out);
    else if (!unclosed.has(text.slice(at, at + 2)) && /\\[([]|\$\$/.test(text.slice(at, at + 2))) {
      if ((m = match(MATH))) out.push({ tag: "span", math: true, kids: [m[0]] });
      else unclosed.add(text.slice(at, at + 2));
      if (!m) continue;
    } else if ((m = match(ESCAPE))) out.push(m[1]);
    else if (links && (m = match(LINK))) out.push(link(m[2], inline(m[1], false)));
    else if (links && !/\w/.test(text[at - 1] ?? "") && (m = match(BARE))) m = bare(m, out);
    else if ((m = match(RUN))) emphasis(m[0], text[at - 1] ?? " ", text[at + m[0].length] ?? " ", out, open);
    else out.push((m = [text[at]])[0]);
    at += m[0].length;
  }
  return merge(out);
}

// merge joins neighbouring texts.
function merge(nodes) {
  const out = [];
  for (const n of nodes) {
    if (typeof n === "string" && typeof out.at(-1) === "string") out[out.length - 1] += n;
    else if (n !== "") out.push(n);
  }
  return out;
}

function code(text, at, unclosed, out) {
  const run = /`+/y;
  run.lastIndex = at;
  const [marks] = run.exec(text);
  let end = unclosed.has(marks) ? -1 : text.indexOf(marks, at + marks.length);
  while (end >= 0 && text[end + marks.length] === "`") { // a longer run
    while (text[end] === "`") end++;
    end = text.indexOf(marks, end);
  }
  if (end < 0) {
    unclosed.add(marks);
    out.push(marks);
    return [marks];
  }
  let inner = text.slice(at + marks.length, end).replace(/\n/g, " ");
  if (inner.startsWith(" ") && inner.endsWith(" ") && inner.trim()) inner = inner.slice(1, -1);
  out.push({ tag: "code", kids: [inner] });
  return [text.slice(at, end + marks.length)];
}

// link is plain text unless the address names a scheme that is safe to follow.
function link(address, kids) {
  if (!/^(?:https?:\/\/|mailto:)/i.test(address)) return { tag: "span", kids };
  return { tag: "a", href: address, kids: kids.length ? kids : [address] };
}

function bare(m, out) {
  if (m[0].startsWith("<")) {
    const whole = m[0].endsWith(">");
    out.push(whole ? link(m[1], [m[1]]) : "<");
    return [whole ? m[0] : "<"];
  }
  let [address] = m[1].includes("(") ? [m[1]] : m[1].split(")");
  while (".,;:!?".includes(address.at(-1))) address = address.slice(0, -1);
  out.push(link(address, [address]));
  return [address];
}

// emphasis closes what a run of * _ or ~ can close, and keeps the rest to be closed later. Unlike CommonMark it lets a run
// next to punctuation open and close, for **重点。**这样 to work.
function emphasis(run, before, after, out, open) {
  const mark = run[0];
  const inWord = mark === "_" ? WORD.test(before) && WORD.test(after) : /\d/.test(before) && /\d/.test(after); // 2*3*4
  let left = run.length;
  if (!inWord && /\S/.test(before)) {
    for (let i = open.length - 1; i >= 0 && left; i--) {
      const o = open[i];
      if (o.mark !== mark || (mark === "~" && (left < 2 || o.length < 2)) || out.length === o.at + 1) continue;
      const use = left >= 2 && o.length >= 2 ? 2 : 1;
      const kids = out.splice(o.at + 1);
      o.length -= use;
      left -= use;
      out[o.at] = mark.repeat(o.length);
      out.push({ tag: mark === "~" ? "del" : use === 2 ? "strong" : "em", kids: merge(kids) });
      open.length = o.length ? i + 1 : i; // those within it stay text
      if (o.length) i++;
    }
  }
  if (!left) return;
  out.push(mark.repeat(left));
  const opens = !inWord && /\S/.test(after) && (mark !== "_" || !WORD.test(before)) && !(mark === "~" && left < 2);
  if (opens && left <= 3 && open.length < 32) open.push({ mark, length: left, at: out.length - 1 });
}

// render makes element show text. Blocks whose source has not changed stay, so that a stream costs what it adds, and what
// the reader has selected stays selected. copy is the label of the buttons over code.
export function render(element, text, copy) {
  const blocks = parse(text);
  const old = element.blocks ?? [];
  let same = 0;
  while (same < old.length && same < blocks.length && old[same] === blocks[same].raw) same++;
  while (element.childNodes.length > same) element.lastChild.remove();
  for (const b of blocks.slice(same)) element.append(build(b, copy));
  element.blocks = blocks.map((b) => b.raw);
}

function make(tag, kids, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...kids);
  return element;
}

function build(node, copy) {
  if (typeof node === "string") return document.createTextNode(node);
  if (node.tag === "pre") {
    const button = make("button", [copy], { type: "button", className: "copy-code" });
    const bar = make("div", [make("span", [node.lang]), button], { className: "bar" });
    return make("div", [bar, make("pre", [make("code", node.kids)], { tabIndex: 0 })], { className: "code" });
  }
  const properties = {};
  if (node.tag === "a") {
    Object.assign(properties, { href: node.href, title: node.href, rel: "noopener noreferrer", target: "_blank" });
  }
  if (node.start !== undefined) properties.start = node.start;
  if (node.align) properties.className = node.align;
  if (node.math) properties.className = "math";
  const element = make(node.tag, node.kids.map((k) => build(k, copy)), properties);
  return node.tag === "table" ? make("div", [element], { className: "scroll", tabIndex: 0 }) : element;
}
