"""Talks to a running server with the official Python clients, openai and anthropic, and checks every answer and every
event of a stream against the clients' own types.

    pip install openai anthropic
    glm4-metal serve --port 8080 &
    python scripts/clients/python.py http://127.0.0.1:8080 [--key KEY] [chat] [responses] [messages]

It prints a line for each check and ends with status 1 where one fails.
"""

import argparse
import json
import sys
import traceback

import anthropic
import openai

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is the weather in Paris?"


def valid(value):
    """The clients build their objects without a look at the types; this looks."""
    type(value).model_validate(value.to_dict())
    return value


def arguments(text):
    value = json.loads(text)
    assert isinstance(value, dict), value


def fails(error, call, *words):
    try:
        call()
    except error as e:
        for word in words:
            assert word in str(e), (word, str(e))
        return e
    raise AssertionError(f"no {error.__name__}")


class Chat:
    """POST /v1/chat/completions"""

    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]

    def __init__(self, o):
        self.client = openai.OpenAI(base_url=o.url + "/v1", api_key=o.key or "none", max_retries=0, timeout=60)
        self.wrong = openai.OpenAI(base_url=o.url + "/v1", api_key="wrong", max_retries=0) if o.key else None
        self.model = o.model

    def create(self, **more):
        return self.client.chat.completions.create(
            **{"model": self.model, "temperature": 0, "max_tokens": 64,
               "messages": [{"role": "user", "content": "Hello"}], **more})

    def answer(self):
        c = valid(self.create())
        assert c.choices[0].message.content
        assert c.usage.total_tokens == c.usage.prompt_tokens + c.usage.completion_tokens

    def stream(self):
        whole = self.create().choices[0]
        text, finish, usage = "", None, None
        for chunk in self.create(stream=True, stream_options={"include_usage": True}):
            valid(chunk)
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
        assert (text, finish) == (whole.message.content, whole.finish_reason), text
        assert usage.completion_tokens > 0

    def tools_over_three_turns(self):
        messages = [{"role": "user", "content": QUESTION}]
        for _ in range(2):
            m = valid(self.create(messages=messages, tools=self.tools, tool_choice="required")).choices[0].message
            assert m.tool_calls, m
            messages.append(m.to_dict())
            for call in m.tool_calls:
                arguments(call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
            m = valid(self.create(messages=messages, tools=self.tools, tool_choice="none")).choices[0].message
            assert not m.tool_calls, m
            messages += [{"role": "assistant", "content": m.content}, {"role": "user", "content": "And tomorrow?"}]

    def streamed_tools(self):
        with self.client.chat.completions.stream(
                model=self.model, temperature=0, max_tokens=64, messages=[{"role": "user", "content": QUESTION}],
                tools=self.tools, tool_choice="required") as stream:
            call = stream.get_final_completion().choices[0].message.tool_calls[0]
        assert call.function.name == "get_weather"
        arguments(call.function.arguments)

    def logprobs(self):
        for token in valid(self.create(logprobs=True, top_logprobs=2)).choices[0].logprobs.content:
            assert token.logprob <= 0 and len(token.top_logprobs) == 2

    def errors(self):
        e = fails(openai.BadRequestError, lambda: self.create(temperature="hot"), "temperature")
        assert e.param == "temperature" and e.type == "invalid_request_error", e.body
        fails(openai.BadRequestError, lambda: self.create(response_format={"type": "json_object"}), "response_format")
        fails(openai.BadRequestError, lambda: self.create(messages=[]), "messages")
        if self.wrong:
            fails(openai.AuthenticationError, lambda: self.wrong.models.list())

    def cancellation(self):
        stream = self.create(stream=True)
        next(iter(stream))
        stream.close()
        self.answer()


class Responses(Chat):
    """POST /v1/responses"""

    tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}, {"type": "web_search"}]
    streamed_tools = logprobs = None

    def create(self, **more):
        return self.client.responses.create(
            **{"model": self.model, "temperature": 0, "max_output_tokens": 64, "input": "Hello", **more})

    def answer(self):
        r = valid(self.create(instructions="Be brief.", metadata={"a": "b"}))
        assert r.output_text and r.status in ("completed", "incomplete"), r
        assert r.metadata == {"a": "b"}
        assert r.usage.total_tokens == r.usage.input_tokens + r.usage.output_tokens

    def stream(self):
        whole = self.create()
        text, last = "", None
        for i, event in enumerate(self.create(stream=True)):
            valid(event)
            assert event.sequence_number == i
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event
        assert text == whole.output_text == last.response.output_text, text
        assert last.type == "response." + whole.status, last.type

    def helper(self):
        with self.client.responses.stream(model=self.model, input="Hello", temperature=0) as stream:
            for _ in stream:
                pass
            assert stream.get_final_response().output_text

    def tools_over_three_turns(self):
        items, previous = QUESTION, None
        for _ in range(2):
            r = valid(self.create(input=items, previous_response_id=previous, tools=self.tools, tool_choice="required"))
            calls = [item for item in r.output if item.type == "function_call"]
            assert calls, r.output
            for call in calls:
                arguments(call.arguments)
            items = [{"type": "function_call_output", "call_id": c.call_id, "output": "sunny"} for c in calls]
            r = valid(self.create(input=items, previous_response_id=r.id, tools=self.tools, tool_choice="none"))
            assert r.output[-1].type == "message", r.output
            items, previous = "And tomorrow?", r.id

    def history_of_the_client(self):
        items = [{"role": "user", "content": QUESTION}]
        r = self.create(input=items, tools=self.tools, tool_choice="required", store=False)
        assert r.output[-1].type == "function_call", r.output
        items += [item.to_dict() for item in r.output]
        items += [{"type": "function_call_output", "call_id": c.call_id, "output": "sunny"}
                  for c in r.output if c.type == "function_call"]
        assert valid(self.create(input=items, tools=self.tools, tool_choice="none", store=False)).output_text
        fails(openai.NotFoundError, lambda: self.client.responses.retrieve(r.id), r.id)

    def stored(self):
        r = self.create()
        assert valid(self.client.responses.retrieve(r.id)).to_dict() == r.to_dict()
        self.client.responses.delete(r.id)
        fails(openai.NotFoundError, lambda: self.client.responses.retrieve(r.id), r.id)
        e = fails(openai.BadRequestError, lambda: self.create(previous_response_id=r.id), r.id)
        assert e.code == "previous_response_not_found", e.body

    def errors(self):
        e = fails(openai.BadRequestError, lambda: self.create(temperature="hot"), "temperature")
        assert e.param == "temperature" and e.type == "invalid_request_error", e.body
        fails(openai.BadRequestError, lambda: self.create(text={"format": {"type": "json_object"}}), "text.format")
        fails(openai.BadRequestError, lambda: self.create(input=[]), "input")
        if self.wrong:
            fails(openai.AuthenticationError, lambda: self.wrong.responses.create(model=self.model, input="a"))


class Messages:
    """POST /v1/messages"""

    tools = [{"name": "get_weather", "input_schema": SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}]

    def __init__(self, o):
        self.client = anthropic.Anthropic(base_url=o.url, api_key=o.key or "none", max_retries=0, timeout=60)
        self.wrong = anthropic.Anthropic(base_url=o.url, api_key="wrong", max_retries=0) if o.key else None
        self.model = o.model

    def body(self, **more):
        return {"model": self.model, "max_tokens": 64, "extra_body": {"temperature": 0},  # gone from the client's types
                "messages": [{"role": "user", "content": "Hello"}], **more}

    def create(self, **more):
        return self.client.messages.create(**self.body(**more))

    def answer(self):
        m = valid(self.create(system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]))
        assert m.content[0].text and m.stop_reason in ("end_turn", "max_tokens"), m
        assert m.usage.output_tokens > 0

    def stream(self):
        whole = self.create()
        text = ""
        for event in self.create(stream=True):
            valid(event)
            if event.type == "content_block_delta":
                text += event.delta.text
        assert text == whole.content[0].text, text

    def helper(self):
        whole = self.create()
        with self.client.messages.stream(**self.body()) as stream:
            text = "".join(stream.text_stream)
            m = valid(stream.get_final_message())
        assert text == whole.content[0].text
        assert m.stop_reason == whole.stop_reason
        assert m.usage.input_tokens + m.usage.cache_read_input_tokens == \
            whole.usage.input_tokens + whole.usage.cache_read_input_tokens

    def tools_over_three_turns(self):
        messages = [{"role": "user", "content": QUESTION}]
        for _ in range(2):
            m = valid(self.create(messages=messages, tools=self.tools, tool_choice={"type": "any"}))
            calls = [block for block in m.content if block.type == "tool_use"]
            assert calls and m.stop_reason == "tool_use", m
            messages += [{"role": "assistant", "content": [block.to_dict() for block in m.content]},
                         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": c.id, "content": "sunny"}
                                                      for c in calls]}]
            m = valid(self.create(messages=messages, tools=self.tools, tool_choice={"type": "none"}))
            assert m.stop_reason != "tool_use", m
            messages += [m.to_param(), {"role": "user", "content": "And tomorrow?"}]

    def streamed_tools(self):
        with self.client.messages.stream(**self.body(
                messages=[{"role": "user", "content": QUESTION}], tools=self.tools,
                tool_choice={"type": "tool", "name": "get_weather"})) as stream:
            m = stream.get_final_message()
        assert m.content[-1].name == "get_weather" and isinstance(m.content[-1].input, dict), m

    def begun_answer(self):
        text = self.create().content[0].text
        begun = text[:text.index(" ")]
        m = self.create(messages=[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": begun}])
        assert begun + m.content[0].text == text, m

    def stop_sequence(self):
        text = self.create().content[0].text
        m = self.create(stop_sequences=["\0", text[3:6]])
        assert (m.stop_reason, m.stop_sequence) == ("stop_sequence", text[3:6]), m
        assert text[3:6] not in m.content[0].text

    def count(self):
        m = self.create(system="Be brief.", tools=self.tools)
        n = self.client.messages.count_tokens(model=self.model, messages=self.body()["messages"], system="Be brief.",
                                              tools=self.tools)
        assert valid(n).input_tokens == m.usage.input_tokens + m.usage.cache_read_input_tokens, (n, m.usage)

    def errors(self):
        e = fails(anthropic.BadRequestError, lambda: self.create(extra_body={"temperature": "hot"}), "temperature")
        assert e.body["error"]["type"] == "invalid_request_error", e.body
        fails(anthropic.BadRequestError, lambda: self.create(messages=[]), "messages")
        fails(anthropic.BadRequestError, lambda: self.create(max_tokens=0), "max_tokens")
        fails(anthropic.BadRequestError, lambda: self.create(
            messages=[{"role": "user", "content": "word " * 200_000}]), "prompt is too long")
        if self.wrong:
            fails(anthropic.AuthenticationError, lambda: self.wrong.messages.create(**self.body()))

    def cancellation(self):
        stream = self.create(stream=True)
        next(iter(stream))
        stream.close()
        self.answer()


def main():
    apis = {"chat": Chat, "responses": Responses, "messages": Messages}
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("url")
    p.add_argument("apis", nargs="*", help="of " + ", ".join(apis) + "; all without")
    p.add_argument("--key")
    p.add_argument("--model", default="glm-4")
    o = p.parse_args()
    failed = 0
    for name in o.apis or apis:
        api = apis[name](o)
        for check in dir(api):
            if check in ("create", "body") or check.startswith("_") or not callable(getattr(api, check)):
                continue
            try:
                getattr(api, check)()
                print("ok    ", name, check, flush=True)
            except Exception:
                failed += 1
                print("FAILED", name, check, flush=True)
                traceback.print_exc()
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}: {failed or 'nothing'} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
