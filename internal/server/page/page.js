// The page: what is shown, and what the reader does with it. A chat is stored after each change; one answer at a time is
// being written, and opening another chat stops it.

import { complete, models, ServerError } from "./api.js";
import { render } from "./markdown.js";
import { Settings } from "./settings.js";
import { memoryStorage, newChat, Store } from "./store.js";
import { language, t, translate } from "./words.js";

const $ = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 50rem)");
const touch = matchMedia("(hover: none) and (pointer: coarse)"); // there Enter is the only way to a new line

const { local, session } = storages();
const store = new Store(local);
const settings = new Settings(store, session, { onFull: () => notify(t("full")), onKey: () => (retry ?? greet)() });
let model = ""; // its name, once the server has told it
let chat = newChat(); // what is shown
let views = []; // the elements of its messages
let answer; // what is being written: {chat, message, abort, begun, first, last, deltas, usage, saved, dropped}
let retry; // what the notice's button does
let follow = true; // whether the end stays in sight while an answer grows
let lastTop = 0;

function storages() {
  try {
    localStorage.setItem("glm4-metal/try", "");
    localStorage.removeItem("glm4-metal/try");
    return { local: localStorage, session: sessionStorage };
  } catch (e) {
    if (e.name === "QuotaExceededError") return { local: localStorage, session: sessionStorage };
    queueMicrotask(() => notify(t("noStorage")));
    return { local: memoryStorage(), session: memoryStorage() };
  }
}

// Chats.

function openChat(next) {
  stop();
  chat = next;
  try {
    session.setItem("glm4-metal/open", chat.id);
  } catch {} // full: only a reload is poorer
  notify();
  $("log").ariaLive = "off"; // what is old is not read out
  showMessages();
  showChats();
  document.body.classList.remove("aside");
  toEnd();
}

function keep(chat) {
  chat.updated = Date.now();
  const asked = chat.messages.find((m) => m.role === "user");
  chat.title = (asked?.content.trim().split("\n")[0] ?? "").slice(0, 80);
  try {
    store.save(chat);
  } catch {
    notify(t("full"));
  }
}

function showChats() {
  const items = store.chats().map((c) => {
    const item = $("t-chat").content.cloneNode(true).firstElementChild;
    translate(item);
    const [open, remove] = item.children;
    open.textContent = open.title = c.title || t("untitled");
    if (c.id === chat.id) open.ariaCurrent = "true";
    open.onclick = () => {
      openChat(c);
      $("text").focus();
    };
    remove.onclick = () => {
      if (!confirm(t("reallyDelete", c.title || t("untitled")))) return;
      if (answer?.chat.id === c.id) answer.dropped = true; // its end saves nothing
      if (c.id === chat.id) openChat(newChat());
      store.remove(c.id);
      showChats();
      $("new").focus();
    };
    return item;
  });
  if (!items.length) {
    const none = document.createElement("li");
    none.textContent = t("noChats");
    items.push(none);
  }
  $("chats").replaceChildren(...items);
}

function exportChats() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([store.export()], { type: "application/json" }));
  link.download = `glm4-metal-chats-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function importChats() {
  const [file] = $("file").files;
  if (!file) return;
  try {
    notify(t("imported", store.import(await file.text())));
  } catch (e) {
    notify(e.name === "QuotaExceededError" ? t("full") : t("badImport", e.message));
  }
  $("file").value = "";
  showChats();
}

// Messages.

function showMessages() {
  views = chat.messages.map(newView);
  $("messages").replaceChildren(...views);
  chat.messages.forEach((_, i) => showMessage(i));
  controls();
}

function newView(message) {
  const view = $("t-message").content.cloneNode(true).firstElementChild;
  translate(view);
  view.className = message.role;
  view.firstElementChild.textContent = t(message.role);
  if (message.role === "assistant") view.querySelector(".body").classList.add("md");
  return view;
}

function showMessage(i) {
  const [view, m] = [views[i], chat.messages[i]];
  const written = answer?.message === m;
  const details = view.querySelector("details");
  details.hidden = !m.reasoning;
  if (m.reasoning) {
    details.firstElementChild.textContent = t(written && !m.content ? "thinking" : "reasoning");
    render(details.lastElementChild, m.reasoning, t("copy"));
  }
  const body = view.querySelector(".body");
  if (m.role === "user") body.textContent = m.content;
  else render(body, m.content, t("copy"));
  view.classList.toggle("waiting", written && !m.content && !m.reasoning);
  view.ariaBusy = written ? "true" : null;
  view.querySelector(".tools").hidden = written;
  view.querySelector("[data-act=again]").hidden = m.role === "user" && i < chat.messages.length - 1;
  view.querySelector(".stats").textContent = written ? "" : statistics(m);
}

function statistics({ finish, stats: s }) {
  const parts = [];
  if (s?.tokens > 1 && s.seconds > 0.05) { // in less, the network's buffers are measured
    const about = s.exact ? "" : "≈ ";
    const rate = (s.tokens - 1) / s.seconds;
    parts.push(t("stats", about + s.tokens, about + rate.toFixed(rate < 100 ? 1 : 0), s.first.toFixed(s.first < 10 ? 2 : 0)));
  }
  if (finish === "length") parts.push(t("length"));
  return parts.join(" · ");
}

// cut removes the messages from i on.
function cut(i) {
  chat.messages.length = i;
  views.splice(i).forEach((v) => v.remove());
}

function add(message) {
  chat.messages.push(message);
  views.push(newView(message));
  $("messages").append(views.at(-1));
  for (let i = Math.max(0, views.length - 2); i < views.length; i++) showMessage(i);
}

function controls() {
  const busy = Boolean(answer);
  if ([$("send"), $("stop")].includes(document.activeElement)) $("text").focus();
  $("send").hidden = busy;
  $("stop").hidden = !busy;
  $("send").disabled = !$("text").value.trim();
  $("empty").hidden = views.length > 0;
  for (const b of document.querySelectorAll("[data-act=edit], [data-act=again], .editor .primary")) b.disabled = busy;
}

function edit(i) {
  const [view, message] = [views[i], chat.messages[i]];
  const form = $("t-edit").content.cloneNode(true).firstElementChild;
  translate(form);
  const text = form.querySelector("textarea");
  const save = form.querySelector(".primary");
  text.value = message.content;
  save.textContent = t(message.role === "user" ? "send" : "save");
  form.querySelector("p").hidden = i === chat.messages.length - 1;
  const close = () => {
    form.remove();
    view.classList.remove("editing");
    view.querySelector("[data-act=edit]").focus();
  };
  form.querySelector("[data-act=cancel]").onclick = close;
  form.onkeydown = (e) => {
    if (composing(e)) return;
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) form.requestSubmit();
    else if (e.key === "Escape") close();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  form.onsubmit = (e) => {
    e.preventDefault();
    if (answer || !text.value.trim()) return;
    close();
    cut(i + 1);
    message.content = text.value;
    if (message.role === "assistant") delete message.stats;
    keep(chat);
    if (message.role === "user") ask();
    showMessage(i);
    showChats();
  };
  view.classList.add("editing");
  view.append(form);
  grow(text);
  text.focus();
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // not there on plain HTTP from another machine
    const area = document.createElement("textarea");
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  status(t("copied"));
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1500);
}

// Answers.

function send() {
  const content = $("text").value;
  if (answer || !content.trim()) return;
  $("text").value = "";
  grow($("text"));
  add({ role: "user", content });
  keep(chat);
  ask();
  showChats();
}

// ask has the server answer the chat as it stands.
async function ask() {
  if (answer) return;
  const job = { chat, message: { role: "assistant", content: "", reasoning: "" }, abort: new AbortController() };
  const messages = chat.messages.map(({ role, content }) => ({ role, content }));
  const { system, temperature, max_tokens } = settings.values; // undefined is left out
  if (system) messages.unshift({ role: "system", content: system });
  job.begun = job.saved = performance.now();
  job.deltas = 0;
  answer = job;
  notify();
  $("log").ariaLive = "polite";
  status(t("answering"));
  add(job.message);
  controls();
  toEnd();
  let failure;
  try {
    if (!model) await learnModel();
    const request = { model, messages, temperature, max_tokens };
    for await (const delta of complete(request, settings.key, job.abort.signal)) take(job, delta);
  } catch (e) {
    failure = e;
  }
  finish(job, failure);
}

function take(job, { content, reasoning, finish, usage }) {
  const { message } = job;
  if (finish) message.finish = finish;
  if (usage) job.usage = usage;
  if (!content && !reasoning) return;
  message.content += content;
  message.reasoning += reasoning;
  job.last = performance.now();
  job.first ??= job.last;
  job.deltas++;
  if (job.last - job.saved > 2000) {
    job.saved = job.last;
    keep(job.chat);
  }
  job.frame ??= requestAnimationFrame(() => {
    job.frame = undefined;
    show(job);
  });
}

function show(job) {
  const i = job.chat === chat ? chat.messages.indexOf(job.message) : -1;
  if (i < 0) return;
  showMessage(i);
  if (follow) toEnd();
}

function finish(job, failure) {
  const { message, usage } = job;
  answer = undefined;
  if (!message.reasoning) delete message.reasoning;
  if (job.first !== undefined) {
    message.stats = {
      tokens: usage?.completion_tokens ?? job.deltas, // a delta is mostly a token
      seconds: (job.last - job.first) / 1000,
      first: (job.first - job.begun) / 1000,
      exact: usage?.completion_tokens !== undefined,
    };
    show(job);
  } else {
    job.chat.messages.splice(job.chat.messages.indexOf(message), 1);
    if (job.chat === chat) showMessages();
  }
  if (!job.dropped) keep(job.chat);
  showChats();
  controls();
  const stopped = job.abort.signal.aborted;
  status(stopped ? t("stopped") : failure ? "" : t("answered"));
  if (failure && !stopped && job.chat === chat) fail(failure, again);
}

const stop = () => answer?.abort.abort();

// again has the last answer, or what is there of it, written anew.
function again(i = views.length - 1) {
  if (answer || i < 0) return;
  cut(chat.messages[i].role === "assistant" ? i : i + 1);
  ask();
}

async function learnModel() {
  [model = ""] = await models(settings.key);
  $("model").textContent = $("model").title = model;
  document.title = model ? `${model} · glm4-metal` : "glm4-metal";
}

function greet() {
  notify();
  learnModel().catch((e) => fail(e, greet));
}

// Notices.

function notify(text = "", then) {
  retry = then;
  $("notice").hidden = !text;
  $("notice").className = then ? "bad" : "";
  $("notice").firstElementChild.textContent = text;
  $("retry").hidden = !then;
  if (text && follow) toEnd();
}

function fail(error, then) {
  const words = explain(error);
  const said = error.message && !words.includes(error.message) && !["offline", "cut"].includes(error.code);
  const detail = said ? `\n${error.message}` : "";
  notify(words + detail, then);
  if (error.status === 401) settings.open(true);
}

function explain(e) {
  if (!(e instanceof ServerError)) return String(e);
  if (e.status === 401) return t("unauthorized");
  if (e.code === "context_length_exceeded") return t("tooLong");
  if (e.status === 429 || e.status === 503) return e.retryAfter ? t("busyFor", e.retryAfter) : t("busy");
  if (e.status) return t("failed", e.status);
  return t(["offline", "cut", "garbled"].includes(e.code) ? e.code : "brokeOff");
}

const status = (text) => ($("status").textContent = text);

// Keys and scrolling.

// composing tells whether a key belongs to an input method: Enter then takes a candidate. Safari ends the composition before
// the key, and only its code tells.
const composing = (e) => e.isComposing || e.keyCode === 229;

function onTextKey(e) {
  if (e.key !== "Enter" || composing(e) || e.shiftKey || e.altKey) return;
  if (touch.matches && !e.ctrlKey && !e.metaKey) return;
  e.preventDefault();
  send();
}

function onKey(e) {
  if (e.key !== "Escape" || composing(e) || $("dialog").open) return;
  if (narrow.matches && document.body.classList.contains("aside")) toggleSide();
  else stop();
}

function toggleSide() {
  const open = document.body.classList.toggle("aside");
  if (narrow.matches) $(open ? "new" : "menu").focus();
}

// grow gives a text field the height of its text where CSS cannot.
function grow(area) {
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

function toEnd() {
  const log = $("log");
  log.scrollTop = log.scrollHeight;
  follow = true;
  $("latest").hidden = true;
}

// onScroll lets go of the end when the reader moves up, and takes hold of it again there.
function onScroll() {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  if (atEnd) follow = true;
  else if (log.scrollTop < lastTop) follow = false;
  lastTop = log.scrollTop;
  $("latest").hidden = follow;
}

function onLogClick({ target }) {
  const button = target.closest("button");
  const i = views.indexOf(target.closest("article"));
  if (!button || i < 0) return;
  if (button.className === "copy-code") copy(button.closest(".code").querySelector("code").textContent, button);
  else if (button.closest(".editor")) return;
  else if (button.dataset.act === "copy") copy(chat.messages[i].content, button);
  else if (button.dataset.act === "edit") edit(i);
  else again(i);
}

// onStorage follows what another window did.
function onStorage({ key }) {
  showChats();
  if (answer || key !== `glm4-metal/chat/${chat.id}` || document.querySelector(".editor")) return;
  openChat(store.load(chat.id) ?? newChat());
}

document.documentElement.lang = language;
translate(document);
const handlers = {
  new: () => (openChat(newChat()), $("text").focus()),
  export: exportChats,
  import: () => $("file").click(),
  menu: toggleSide,
  shade: toggleSide,
  stop,
  latest: toEnd,
  retry: () => retry?.(),
  dismiss: () => notify(),
  log: onLogClick,
};
for (const [id, handler] of Object.entries(handlers)) $(id).addEventListener("click", handler);
$("file").addEventListener("change", importChats);
$("composer").addEventListener("submit", (e) => (e.preventDefault(), send()));
$("text").addEventListener("keydown", onTextKey);
$("text").addEventListener("input", () => (grow($("text")), controls()));
$("log").addEventListener("scroll", onScroll, { passive: true });
addEventListener("keydown", onKey);
addEventListener("resize", () => follow && toEnd());
addEventListener("storage", onStorage);
addEventListener("pagehide", () => answer && keep(answer.chat));
openChat(store.load(session.getItem("glm4-metal/open")) ?? newChat());
greet();
