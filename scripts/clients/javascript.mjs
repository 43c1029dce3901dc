// Talks to a running server with the official JavaScript clients, openai and @anthropic-ai/sdk, as python.py does.
//
//     npm install                                  (in this folder or in another with a copy of package.json)
//     glm4-metal serve --port 8080 &
//     node javascript.mjs http://127.0.0.1:8080 [KEY]      (where the packages are installed)
//
// It prints a line for each check and ends with status 1 where one fails.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(resolve("package.json"));
const { OpenAI } = require("openai");
const { Anthropic } = require("@anthropic-ai/sdk");

const [url, key] = process.argv.slice(2);
const limits = { maxRetries: 0, timeout: 60_000 };
const client = (apiKey = key ?? "none") => new OpenAI({ baseURL: url + "/v1", apiKey, ...limits });
const claude = (apiKey = key ?? "none") => new Anthropic({ baseURL: url, apiKey, ...limits });
const openai = client();
const anthropic = claude();

const model = "glm-4";
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const question = "What is the weather in Paris?";

/** An object of JSON, as the arguments of a call are. */
function argumentsOf(text) {
  const value = JSON.parse(text);
  assert.equal(typeof value, "object");
  assert.ok(value !== null && !Array.isArray(value), text);
}

/** The error of a request that must fail. */
async function failure(error, promise, word) {
  try {
    await promise;
  } catch (e) {
    assert.ok(e instanceof error, e);
    assert.ok(e.message.includes(word), e.message);
    return e;
  }
  assert.fail("no " + error.name);
}

/** Reads one event of a stream and goes. */
async function leave(stream) {
  for await (const event of stream) {
    assert.ok(event);
    stream.controller.abort();
    break;
  }
}

const function_ = { name: "get_weather", parameters };
const chatTools = [{ type: "function", function: function_ }];
const chat = (more) =>
  openai.chat.completions.create({
    model, temperature: 0, max_tokens: 64, messages: [{ role: "user", content: "Hello" }], ...more,
  });

/** POST /v1/chat/completions */
const chatChecks = {
  async answer() {
    const c = await chat();
    assert.ok(c.choices[0].message.content);
    assert.equal(c.usage.total_tokens, c.usage.prompt_tokens + c.usage.completion_tokens);
  },
  async stream() {
    const whole = (await chat()).choices[0];
    let text = "", finish, usage;
    for await (const chunk of await chat({ stream: true, stream_options: { include_usage: true } })) {
      usage = chunk.usage ?? usage;
      for (const choice of chunk.choices) {
        text += choice.delta.content ?? "";
        finish = choice.finish_reason ?? finish;
      }
    }
    assert.deepEqual([text, finish], [whole.message.content, whole.finish_reason]);
    assert.ok(usage.completion_tokens > 0);
  },
  async tools_over_three_turns() {
    const messages = [{ role: "user", content: question }];
    for (let turn = 0; turn < 2; turn++) {
      let m = (await chat({ messages, tools: chatTools, tool_choice: "required" })).choices[0].message;
      assert.ok(m.tool_calls?.length, JSON.stringify(m));
      messages.push(m);
      for (const call of m.tool_calls) {
        argumentsOf(call.function.arguments);
        messages.push({ role: "tool", tool_call_id: call.id, content: "sunny" });
      }
      m = (await chat({ messages, tools: chatTools, tool_choice: "none" })).choices[0].message;
      assert.ok(!m.tool_calls, JSON.stringify(m));
      messages.push(m, { role: "user", content: "And tomorrow?" });
    }
  },
  async streamed_tools() {
    const stream = openai.chat.completions.stream({
      model, temperature: 0, max_tokens: 64, messages: [{ role: "user", content: question }], tools: chatTools,
      tool_choice: "required",
    });
    const call = (await stream.finalChatCompletion()).choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "get_weather");
    argumentsOf(call.function.arguments);
  },
  async logprobs() {
    const tokens = (await chat({ logprobs: true, top_logprobs: 2 })).choices[0].logprobs.content;
    assert.ok(tokens.length);
    for (const token of tokens) {
      assert.ok(token.logprob <= 0 && token.top_logprobs.length === 2, JSON.stringify(token));
    }
  },
  async errors() {
    const e = await failure(OpenAI.BadRequestError, chat({ temperature: "hot" }), "temperature");
    assert.deepEqual([e.param, e.type], ["temperature", "invalid_request_error"]);
    await failure(OpenAI.BadRequestError, chat({ response_format: { type: "json_object" } }), "response_format");
    await failure(OpenAI.BadRequestError, chat({ messages: [] }), "messages");
    if (key) await failure(OpenAI.AuthenticationError, client("wrong").models.list(), "401");
  },
  async cancellation() {
    await leave(await chat({ stream: true }));
    await chatChecks.answer();
  },
};

const responseTools = [{ type: "function", strict: false, ...function_ }, { type: "web_search" }];
const respond = (more) =>
  openai.responses.create({ model, temperature: 0, max_output_tokens: 64, input: "Hello", ...more });

/** POST /v1/responses */
const responsesChecks = {
  async answer() {
    const r = await respond({ instructions: "Be brief.", metadata: { a: "b" } });
    assert.ok(r.output_text && ["completed", "incomplete"].includes(r.status), JSON.stringify(r));
    assert.deepEqual(r.metadata, { a: "b" });
    assert.equal(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens);
  },
  async stream() {
    const whole = await respond();
    let text = "", last, number = 0;
    for await (const event of await respond({ stream: true })) {
      assert.equal(event.sequence_number, number++);
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
    assert.equal(text, whole.output_text);
    assert.equal(last.type, "response." + whole.status);
  },
  async helper() {
    const r = await openai.responses.stream({ model, temperature: 0, input: "Hello" }).finalResponse();
    assert.ok(r.output_text);
  },
  async tools_over_three_turns() {
    let input = question, previous_response_id;
    for (let turn = 0; turn < 2; turn++) {
      let r = await respond({ input, previous_response_id, tools: responseTools, tool_choice: "required" });
      const calls = r.output.filter((item) => item.type === "function_call");
      assert.ok(calls.length, JSON.stringify(r.output));
      for (const call of calls) argumentsOf(call.arguments);
      input = calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" }));
      r = await respond({ input, previous_response_id: r.id, tools: responseTools, tool_choice: "none" });
      assert.equal(r.output.at(-1).type, "message");
      [input, previous_response_id] = ["And tomorrow?", r.id];
    }
  },
  async stored() {
    const r = await respond();
    assert.equal((await openai.responses.retrieve(r.id)).output_text, r.output_text);
    await openai.responses.delete(r.id);
    await failure(OpenAI.NotFoundError, openai.responses.retrieve(r.id), r.id);
    const e = await failure(OpenAI.BadRequestError, respond({ previous_response_id: r.id }), r.id);
    assert.equal(e.code, "previous_response_not_found");
  },
  async errors() {
    const e = await failure(OpenAI.BadRequestError, respond({ temperature: "hot" }), "temperature");
    assert.deepEqual([e.param, e.type], ["temperature", "invalid_request_error"]);
    await failure(OpenAI.BadRequestError, respond({ text: { format: { type: "json_object" } } }), "text.format");
    await failure(OpenAI.BadRequestError, respond({ input: [] }), "input");
    if (key) {
      await failure(OpenAI.AuthenticationError, client("wrong").responses.create({ model, input: "a" }), "401");
    }
  },
  async cancellation() {
    await leave(await respond({ stream: true }));
    await responsesChecks.answer();
  },
};

const claudeTools = [
  { name: "get_weather", input_schema: parameters }, { type: "web_search_20250305", name: "web_search" },
];
const body = (more) =>
  ({ model, temperature: 0, max_tokens: 64, messages: [{ role: "user", content: "Hello" }], ...more });
const message = (more) => anthropic.messages.create(body(more));
const system = [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }];
const input = (usage) => usage.input_tokens + usage.cache_read_input_tokens;

/** POST /v1/messages */
const messagesChecks = {
  async answer() {
    const m = await message({ system });
    assert.ok(m.content[0].text && ["end_turn", "max_tokens"].includes(m.stop_reason), JSON.stringify(m));
    assert.ok(m.usage.output_tokens > 0);
  },
  async stream() {
    const whole = await message();
    let text = "";
    for await (const event of await message({ stream: true })) {
      if (event.type === "content_block_delta") text += event.delta.text;
    }
    assert.equal(text, whole.content[0].text);
  },
  async helper() {
    const whole = await message();
    const m = await anthropic.messages.stream(body()).finalMessage();
    assert.deepEqual([m.content, m.stop_reason], [whole.content, whole.stop_reason]);
    assert.equal(input(m.usage), input(whole.usage));
  },
  async tools_over_three_turns() {
    const messages = [{ role: "user", content: question }];
    for (let turn = 0; turn < 2; turn++) {
      let m = await message({ messages, tools: claudeTools, tool_choice: { type: "any" } });
      const calls = m.content.filter((block) => block.type === "tool_use");
      assert.ok(calls.length && m.stop_reason === "tool_use", JSON.stringify(m));
      messages.push({ role: "assistant", content: m.content }, {
        role: "user",
        content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "sunny" })),
      });
      m = await message({ messages, tools: claudeTools, tool_choice: { type: "none" } });
      assert.notEqual(m.stop_reason, "tool_use");
      messages.push({ role: "assistant", content: m.content }, { role: "user", content: "And tomorrow?" });
    }
  },
  async streamed_tools() {
    const m = await anthropic.messages.stream(body({
      messages: [{ role: "user", content: question }], tools: claudeTools,
      tool_choice: { type: "tool", name: "get_weather" },
    })).finalMessage();
    assert.equal(m.content.at(-1).name, "get_weather");
    assert.equal(typeof m.content.at(-1).input, "object");
  },
  async count() {
    const more = { system, tools: claudeTools };
    const { messages } = body();
    const n = await anthropic.messages.countTokens({ model, messages, ...more });
    assert.equal(n.input_tokens, input((await message(more)).usage));
  },
  async errors() {
    const e = await failure(Anthropic.BadRequestError, message({ temperature: "hot" }), "temperature");
    assert.equal(e.error.error.type, "invalid_request_error");
    await failure(Anthropic.BadRequestError, message({ messages: [] }), "messages");
    await failure(Anthropic.BadRequestError, message({ max_tokens: 0 }), "max_tokens");
    const long = [{ role: "user", content: "word ".repeat(200_000) }];
    await failure(Anthropic.BadRequestError, message({ messages: long }), "prompt is too long");
    if (key) await failure(Anthropic.AuthenticationError, claude("wrong").messages.create(body()), "401");
  },
  async cancellation() {
    await leave(await message({ stream: true }));
    await messagesChecks.answer();
  },
};

let failed = 0;
for (const [name, checks] of Object.entries({ chat: chatChecks, responses: responsesChecks, messages: messagesChecks })) {
  for (const [check, run] of Object.entries(checks)) {
    try {
      await run();
      console.log("ok    ", name, check);
    } catch (e) {
      failed++;
      console.log("FAILED", name, check);
      console.error(e);
    }
  }
}
const version = (name) => name + " " + require(name + "/version").VERSION;
console.log(`${version("openai")}, ${version("@anthropic-ai/sdk")}: ${failed || "nothing"} failed`);
process.exitCode = failed && 1;
