// Tests of the page in headless Chromium. scripts/page/test runs it with PLAYWRIGHT (the module's folder) and CHROMIUM (the
// program); SHOTS is a folder for pictures.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { fake } from "./fake.mjs";

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT);
const shots = process.env.SHOTS;
let files, browser, server, context, page, errors;

before(async () => {
  files = spawn(process.env.SERVE, { stdio: ["ignore", "pipe", "inherit"] });
  const address = await new Promise((done) => files.stdout.once("data", (d) => done(String(d).trim())));
  server = await fake(address);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  server?.close();
  files?.kill();
});

beforeEach(async () => {
  Object.assign(server, { requests: [], gone: 0, key: "", offline: false });
  await open();
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(errors, [], "errors, violations of the policy and requests elsewhere");
});

async function open(options = {}) {
  await context?.close();
  context = await browser.newContext({ locale: "en-US", viewport: { width: 1100, height: 760 }, ...options });
  errors = [];
  page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("console", (m) => m.type() === "error" && !/Failed to load resource/.test(m.text()) && errors.push(m.text()));
  page.on("request", (r) => r.url().startsWith(server.url) || /^(data|blob):/.test(r.url()) || errors.push(r.url()));
  await page.goto(server.url);
}

const shot = (name) => shots && page.screenshot({ path: `${shots}/${name}.png` });
const answers = () => page.locator("article.assistant .body");
const last = () => answers().last();
const act = (role, name) => page.locator(`article.${role}`).last().locator(`[data-act=${name}]`).click();
const messages = () => server.requests.at(-1).messages.map((m) => `${m.role}: ${m.content}`);
const contains = (locator, text) => locator.filter({ hasText: text }).first().waitFor();

async function say(text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

async function done() {
  await page.locator("#send").waitFor();
  await page.locator("#stop").waitFor({ state: "hidden" });
}

async function ask(text) {
  await say(text);
  await done();
}

test("An answer streams, and says how fast it was", async () => {
  assert.equal(await page.locator("#model").textContent(), "GLM-4-9B-0414-4bit");
  await shot("empty");
  await ask("Explain GEMV");
  await contains(last(), "The bandwidth decides");
  assert.match(await page.locator(".stats").last().textContent(), /^42 tokens · [\d.]+ tokens\/s · first after [\d.]+ s$/);
  const { messages, ...rest } = server.requests[0];
  assert.deepEqual(rest, { model: "GLM-4-9B-0414-4bit", stream: true, stream_options: { include_usage: true } });
  assert.equal(await last().locator("th").nth(2).evaluate((e) => getComputedStyle(e).textAlign), "right");
  await shot("light-end");
  await page.locator("#log").evaluate((e) => (e.scrollTop = 0));
  await shot("light");
  await ask("bytes");
  await contains(last().locator("strong"), "done");
  await contains(last(), "汉字🎉");
  await ask("limit");
  await contains(page.locator(".stats").last(), "Cut off");
});

test("Stop ends the request and keeps what came", async () => {
  await say("slow");
  await contains(last(), "Line 2");
  assert.equal(await page.locator("article.assistant").getAttribute("aria-busy"), "true");
  assert.equal(await page.locator("#log").getAttribute("aria-live"), "polite");
  await page.click("#stop");
  await done();
  assert.equal(await page.evaluate(() => document.activeElement.id), "text");
  const text = await last().textContent();
  await page.waitForTimeout(200);
  assert.equal(await last().textContent(), text);
  assert.equal(server.gone, 1);
  assert.match(await page.locator(".stats").last().textContent(), /^≈/);
  await say("mute");
  await page.keyboard.press("Escape");
  await done();
  assert.equal(await answers().count(), 1, "an answer without text is none");
  await page.reload();
  await contains(answers().first(), "Line 2");
  assert.equal(await page.locator("#status").textContent(), "");
});

test("Again and edit cut the chat where they are", async () => {
  await ask("one");
  await ask("two");
  await act("assistant", "again");
  await done();
  assert.equal(await last().textContent(), "Answer 3 to two");
  assert.deepEqual(messages(), ["user: one", "assistant: Answer 1 to one", "user: two"]);
  await page.locator("article.user").first().hover();
  await page.locator("[data-act=edit]").first().click();
  assert.equal(await page.locator(".editor textarea").inputValue(), "one");
  assert.ok(await page.getByText("What follows this message").isVisible());
  await shot("edit");
  await page.locator(".editor textarea").fill("uno");
  await page.keyboard.press("Control+Enter");
  await done();
  assert.deepEqual(messages(), ["user: uno"]);
  assert.deepEqual(await page.locator("article .body").allTextContents(), ["uno", "Answer 4 to uno"]);
  await act("user", "edit");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".editor").count(), 0);
  await act("assistant", "edit");
  await page.locator(".editor textarea").fill("Mine.");
  await page.locator(".editor .primary").click();
  await ask("and");
  assert.deepEqual(messages(), ["user: uno", "assistant: Mine.", "user: and"]);
});

test("Enter that takes a candidate of an input method sends nothing", async () => {
  await page.focus("#text");
  const cdp = await context.newCDPSession(page);
  await cdp.send("Input.imeSetComposition", { text: "ni", selectionStart: 2, selectionEnd: 2 });
  const key = (type, windowsVirtualKeyCode) => cdp.send("Input.dispatchKeyEvent", { type, key: "Enter", code: "Enter", windowsVirtualKeyCode });
  await key("rawKeyDown", 229);
  await key("rawKeyDown", 13); // while composing
  await page.waitForTimeout(100);
  assert.equal(server.requests.length, 0);
  await cdp.send("Input.insertText", { text: "你好" });
  await page.locator("#text").evaluate((e) => // Safari: after the composition, with its code
    e.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true })));
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.insertText("世界");
  assert.equal(server.requests.length, 0);
  await page.keyboard.press("Enter");
  await done();
  assert.deepEqual(messages(), ["user: 你好\n世界"]);
});

test("Markdown of the model runs nothing and loads nothing", async () => {
  await ask("attack");
  await contains(last(), "</code></pre>");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("#messages").locator("script, img, iframe, style, b, [onclick], [onerror], [style], .body svg").count(), 0);
  const hrefs = await page.locator("#messages a").evaluateAll((all) => all.map((a) => [a.href, a.rel]));
  assert.deepEqual(hrefs.map(([h]) => h), ["https://example.invalid/pixel.png", "https://example.invalid/"]);
  for (const [, rel] of hrefs) assert.equal(rel, "noopener noreferrer");
  await shot("attack");
  // The policy would stop what came through all the same.
  const blocked = await page.evaluate(() => {
    try {
      document.body.innerHTML = "<b>x</b>";
      return false;
    } catch {
      return true;
    }
  });
  assert.ok(blocked);
  errors = errors.filter((e) => !/TrustedHTML|Trusted Type/i.test(e));
});

test("Reasoning is folded, and not sent back", async () => {
  await say("think");
  await contains(page.locator(".assistant summary"), "Thinking…");
  await done();
  await contains(page.locator(".assistant summary"), "Reasoning");
  assert.equal(await page.locator("details strong").isVisible(), false);
  await page.locator(".assistant summary").click();
  assert.ok(await page.locator("details strong").isVisible());
  await shot("reasoning");
  await ask("next");
  assert.deepEqual(messages(), ["user: think", "assistant: Answer 1 to think", "user: next"]);
});

test("Errors are told in words, and can be tried again", async () => {
  for (const [text, words] of [["fail", "could not answer (status 500).\nthe GPU is on fire"], ["busy", "try again in 7 s"],
    ["long", "longer than the model can take"], ["break", "broke the answer off.\nout of memory"], ["cut", "connection broke"]]) {
    await ask(text);
    const notice = await page.locator("#notice p").textContent();
    assert.ok(notice.includes(words), notice);
    await page.click("#new");
    assert.equal(await page.locator("#notice").isVisible(), false);
  }
  server.offline = true;
  await ask("hello");
  await contains(page.locator("#notice"), "Is glm4-metal serve running?");
  await shot("error");
  server.offline = false;
  await page.click("#retry");
  await contains(last(), "to hello");
  assert.equal(await page.locator("#notice").isVisible(), false);
  assert.equal(await page.locator("article").count(), 2);
});

test("A key is asked for, sent, and gone with the tab", async () => {
  server.key = "secret";
  await page.reload();
  await page.locator("#dialog").waitFor();
  await shot("key");
  assert.equal(await page.evaluate(() => document.activeElement.name), "key");
  await page.keyboard.type("secret");
  await page.keyboard.press("Enter");
  await contains(page.locator("#model"), "GLM-4");
  await ask("hello");
  assert.equal(await last().textContent(), "Answer 1 to hello");
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("secret")), false);
  const other = await context.newPage();
  await other.goto(server.url);
  await other.locator("#dialog").waitFor();
});

test("Settings are sent and outlive a reload", async () => {
  await page.click("#settings");
  await page.fill("[name=system]", "Be brief.");
  await page.fill("[name=temperature]", "3");
  await page.fill("[name=max_tokens]", "64");
  await page.click("#dialog .primary");
  assert.ok(await page.locator("#dialog").isVisible(), "a temperature of 3 is refused");
  await page.fill("[name=temperature]", "0.5");
  await shot("settings");
  await page.click("#dialog .primary");
  await page.reload();
  await ask("hello");
  const { messages: m, temperature, max_tokens } = server.requests[0];
  assert.deepEqual([m[0], temperature, max_tokens], [{ role: "system", content: "Be brief." }, 0.5, 64]);
});

test("Chats are there after a reload, in a file, and in another browser", async () => {
  await ask("first chat");
  await page.click("#new");
  await ask("second <b>chat</b>");
  await page.reload();
  assert.deepEqual(await page.locator("#chats .open").allTextContents(), ["second <b>chat</b>", "first chat"]);
  assert.equal(await last().textContent(), "Answer 2 to second <b>chat</b>", "the one that was open");
  await page.locator("#chats .open").nth(1).click();
  assert.equal(await last().textContent(), "Answer 1 to first chat");
  const download = page.waitForEvent("download");
  await page.click("#export");
  const path = await (await download).path();
  page.on("dialog", (d) => d.accept());
  await page.locator("#chats li").first().hover();
  await page.locator("#chats .delete").first().click();
  await page.locator("#chats li").first().locator(".delete").click();
  assert.deepEqual(await page.locator("#chats li").allTextContents(), ["No chats yet"]);
  await page.setInputFiles("#file", path);
  await contains(page.locator("#notice"), "2 chats imported.");
  assert.equal(await page.locator("#chats .open").count(), 2);
  await page.setInputFiles("#file", { name: "x.json", mimeType: "application/json", buffer: Buffer.from('{"format":"x"}') });
  await contains(page.locator("#notice"), 'format is "x"');
});

test("A chat that is deleted while it is answered stays deleted", async () => {
  await say("slow");
  await contains(last(), "Line 2");
  page.on("dialog", (d) => d.accept());
  await page.locator("#chats li").hover();
  await page.locator("#chats .delete").click();
  await done();
  assert.equal(server.gone, 1);
  assert.deepEqual(await page.locator("#chats li").allTextContents(), ["No chats yet"]);
  await page.reload();
  assert.deepEqual(await page.locator("#chats li").allTextContents(), ["No chats yet"]);
});

test("A full storage is told, and the chat goes on", async () => {
  await page.evaluate(() => {
    const part = "x".repeat(100_000);
    try {
      for (let i = 0; ; i++) localStorage.setItem("fill" + i, part);
    } catch {}
    try {
      for (let i = 0; ; i++) localStorage.setItem("fine" + i, "x".repeat(100));
    } catch {}
  });
  await ask("hello ".repeat(40));
  await contains(last(), "Answer 1");
  await contains(page.locator("#notice"), "storage is full");
});

test("Another window's change shows", async () => {
  await ask("hello");
  const other = await context.newPage();
  await other.goto(server.url);
  await other.locator("#chats .open").click();
  await other.fill("#text", "from there");
  await other.press("#text", "Enter");
  await contains(last(), "Answer 2 to from there");
});

test("The end stays in sight, unless the reader goes up", async () => {
  await say("slow");
  await contains(last(), "Line 40");
  const gap = () => page.locator("#log").evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  assert.ok((await gap()) < 60);
  await page.locator("#log").hover();
  await page.mouse.wheel(0, -400);
  await page.locator("#latest").waitFor();
  const top = await page.locator("#log").evaluate((e) => e.scrollTop);
  await page.waitForTimeout(400);
  assert.equal(await page.locator("#log").evaluate((e) => e.scrollTop), top);
  await shot("scrolled");
  await page.click("#latest");
  await page.waitForTimeout(200);
  assert.ok((await gap()) < 60);
  await page.keyboard.press("Escape");
  await done();
});

test("The keyboard reaches everything in the order of the page", async () => {
  await ask("hello");
  await page.evaluate(() => document.activeElement.blur());
  const order = [];
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press("Tab");
    const [name, seen] = await page.evaluate(() => {
      const e = document.activeElement;
      return [e.id || e.dataset.act || e.className.split(" ").pop(), getComputedStyle(e).outlineStyle !== "none" || e.id === "text"];
    });
    if (name === "new" && order.includes("new")) break;
    if (!name) continue; // the browser itself
    order.push(name);
    assert.ok(seen, `${name} shows that it has the focus`);
  }
  const want = "new open delete export import menu theme settings log copy edit copy edit again text".split(" ");
  const start = order.indexOf("new");
  assert.deepEqual([...order.slice(start), ...order.slice(0, start)], want);
  const unnamed = await page.locator("button:visible, textarea:visible").evaluateAll((all) =>
    all.filter((e) => !(e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML));
  assert.deepEqual(unnamed, []);
});

test("Light and dark follow the system and the switch", async () => {
  const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await back();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await back();
  assert.notEqual(dark, light);
  await ask("Explain GEMV");
  await page.locator("#log").evaluate((e) => (e.scrollTop = 0));
  await shot("dark");
  await page.click("#theme");
  assert.equal(await back(), light);
  await page.reload();
  assert.equal(await back(), light);
  await page.click("#theme");
  assert.equal(await back(), dark);
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await back(), light, "switched back, it follows the system");
});

test("Contrast of text is at least 4.5 in both schemes", async () => {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const low = await page.evaluate(() => {
      const luminance = (name) => {
        const probe = document.createElement("i");
        probe.style.color = `var(${name})`;
        document.body.append(probe);
        const rgb = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map((v) => v / 255);
        probe.remove();
        const [r, g, b] = rgb.map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      return [["--text", "--back"], ["--text", "--side"], ["--text", "--card"], ["--faint", "--back"], ["--faint", "--side"], ["--faint", "--card"],
        ["--accent", "--back"], ["--on-accent", "--accent"], ["--bad", "--bad-back"]]
        .map(([a, b]) => [a, b, (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05)])
        .filter(([, , ratio]) => ratio < 4.5);
    });
    assert.deepEqual(low, [], colorScheme);
  }
});

test("Chinese readers read Chinese", async () => {
  await open({ locale: "zh-CN" });
  assert.equal(await page.locator("#text").getAttribute("placeholder"), "输入消息");
  assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
  await ask("think");
  await shot("chinese");
  await contains(page.locator(".assistant summary"), "思考过程");
});

test("A narrow screen holds all of it", async () => {
  await open({ viewport: { width: 375, height: 700 }, hasTouch: true, isMobile: true });
  assert.equal(await page.locator("#side").isVisible(), false);
  await page.fill("#text", "Explain GEMV");
  await page.press("#text", "Enter");
  assert.equal(server.requests.length, 0, "there Enter is a new line");
  await page.fill("#text", "Explain GEMV");
  await page.click("#send");
  await done();
  await page.locator("#log").evaluate((e) => (e.scrollTop = 0));
  await shot("narrow");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth));
  assert.ok(await page.locator("#log").evaluate((e) => e.scrollWidth <= e.clientWidth));
  await page.click("#menu");
  assert.ok(await page.locator("#side").isVisible());
  await shot("narrow-chats");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#side").isVisible(), false);
});

test("Copy copies the source, and the code of a block", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await ask("Explain GEMV");
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await page.locator(".copy-code").click();
  assert.match(await clipboard(), /^\/\/ GEMV computes[^]*\n\}$/);
  await act("assistant", "copy");
  assert.match(await clipboard(), /^## Matrix times vector/);
  await page.evaluate(() => (navigator.clipboard.writeText = () => Promise.reject(new Error("none")))); // as on plain HTTP
  await act("user", "copy");
  await contains(page.locator("#status"), "Copied");
  assert.equal(await clipboard(), "Explain GEMV");
});
