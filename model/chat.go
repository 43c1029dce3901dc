package model

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
)

// Chat is a conversation: its messages, and a session that remembers what has been computed of them; [Model.NewChat]
// makes it. It is for one goroutine at a time. Close it to free the session's cache.
//
// While an answer runs, up to the end of its loop, another answer and all that would change the messages gives
// [ErrBusy] and does nothing. So the result of a tool call is added, and answered, behind the loop that brought the
// call.
type Chat struct {
	m        *Model
	session  *Session
	running  sync.Mutex // held while an answer runs
	system   string
	tools    []Tool
	options  Options
	messages []Message
	result   Result
}

// ChatOption sets up a chat.
type ChatOption func(*Chat)

// System puts a system message in front of the conversation; "" puts none.
func System(text string) ChatOption { return func(c *Chat) { c.system = text } }

// Tools declares the tools that the model may call.
func Tools(tools ...Tool) ChatOption { return func(c *Chat) { c.tools = tools } }

// Generation sets how answers are generated. Options.ParseSpecial means nothing here.
func Generation(o Options) ChatOption { return func(c *Chat) { c.options = o } }

// NewChat starts a conversation. Whether the checkpoint has a chat template shows at the first answer, or in
// Text.ChatFormat.
func (m *Model) NewChat(options ...ChatOption) *Chat {
	c := &Chat{m: m, session: m.NewSession()}
	for _, option := range options {
		option(c)
	}
	c.reset()
	return c
}

// Send adds the user's message and streams the answer, which joins the history when the loop ends, also when it was
// cut short. Where not even a beginning of an answer came, the user's message is taken back.
//
// The generation runs while the loop does; leaving the loop ends it. An error ends the loop, in a last turn without an
// event. It is one of those of [Text.Prompt] or [Session.Generate].
func (c *Chat) Send(ctx context.Context, text string) iter.Seq2[Event, error] {
	return c.turn(func(yield func(Event, error) bool) {
		before := len(c.messages)
		c.messages = append(c.messages, UserMessage(text))
		c.answer(ctx, yield)
		if len(c.messages) == before+1 {
			c.messages = c.messages[:before]
		}
	})
}

// Reply streams an answer to the history as it stands, for instance after Add has put in the results of tool calls.
// Otherwise it is Send.
func (c *Chat) Reply(ctx context.Context) iter.Seq2[Event, error] {
	return c.turn(func(yield func(Event, error) bool) { c.answer(ctx, yield) })
}

// Regenerate takes the last answer back and streams another one; where nothing comes of that, the old one stays. A
// seed in the options gives the same again. Otherwise it is Send.
func (c *Chat) Regenerate(ctx context.Context) iter.Seq2[Event, error] {
	return c.turn(func(yield func(Event, error) bool) {
		n := len(c.messages)
		for n > 0 && c.messages[n-1].Role == RoleAssistant {
			n--
		}
		if n == 0 || c.messages[n-1].Role == RoleSystem {
			c.result = refused
			yield(Event{}, errors.New("there is no question to answer again"))
			return
		}
		before := slices.Clone(c.messages)
		c.messages = c.messages[:n]
		c.answer(ctx, yield)
		if len(c.messages) == n {
			c.messages = before
		}
	})
}

// turn is a sequence that is refused while another one runs.
func (c *Chat) turn(run func(yield func(Event, error) bool)) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if !c.running.TryLock() {
			yield(Event{}, ErrBusy)
			return
		}
		defer c.running.Unlock()
		run(yield)
	}
}

// answer streams an answer to the messages and adds it to them.
func (c *Chat) answer(ctx context.Context, yield func(Event, error) bool) {
	c.result = refused
	q, err := c.ask(ctx)
	if err != nil {
		c.result.FinishReason = failure(ctx, err)
		yield(Event{}, err)
		return
	}
	c.respond(ctx, q, yield)
}

// question is what an answer is generated from.
type question struct {
	ids     []int32            // the prompt
	parser  *chatformat.Parser // of the answer
	thought *reasoning
}

// ask makes the prompt for an answer to the messages. Where that is not to reason, it ends with the end of reasoning.
func (c *Chat) ask(ctx context.Context) (q question, err error) {
	if _, q.ids, err = c.m.text.Prompt(ctx, c.messages, c.tools, true); err != nil {
		return q, err
	}
	q.parser = c.m.text.format.NewParser(formatTools(c.tools), "")
	q.thought = newReasoning(q.parser, c.options.MaxReasoning)
	if q.thought.over() {
		q.ids = append(q.ids, c.reasoningEnd()...)
		q.parser.Write(chatformat.ReasoningEnd)
	}
	return q, nil
}

func (c *Chat) reasoningEnd() []int32 { return c.m.text.tokenizer.Encode(chatformat.ReasoningEnd) }

// respond streams the answer to a question and adds it to the messages.
func (c *Chat) respond(ctx context.Context, q question, yield func(Event, error) bool) {
	answer := Message{Role: RoleAssistant}
	listening := true
	say := func(token *Token, deltas []chatformat.Delta) bool {
		for _, e := range fromDeltas(token, deltas) {
			answer.Add(e)
			listening = listening && yield(e, nil)
		}
		return listening
	}
	err := c.generate(ctx, q, say)
	say(nil, q.parser.Close())
	if len(answer.ToolCalls) > 0 && c.result.FinishReason == FinishStop {
		c.result.FinishReason = FinishToolCalls
	}
	if !answer.empty() || err == nil && c.result.FinishReason != FinishCancelled {
		c.messages = append(c.messages, answer)
	}
	if err != nil && listening {
		yield(Event{}, err)
	}
}

// generate reads the answer to a question and gives it to say until that is false. Where the reasoning has reached its
// limit it is closed, and the answer goes on in another part.
func (c *Chat) generate(ctx context.Context, q question, say func(*Token, []chatformat.Delta) bool) error {
	ids, o, parser, thought := q.ids, c.options, q.parser, q.thought
	next, _ := c.m.text.Special(c.m.text.family.Assistant)
	end := c.reasoningEnd()
	part := part{enough: thought.over}
	for {
		listening := true
		for e, err := range c.session.events(ctx, o, part, func() ([]int32, error) { return ids, nil }) {
			if err != nil {
				if !errors.Is(err, ErrBusy) { // with which the session's result is another generation's
					c.result.then(c.session.Result())
				}
				return err
			}
			deltas := parser.Write(e.Text)
			if e.Token != nil {
				ids = append(ids, e.Token.ID)
				if e.Token.ID == next {
					deltas = append(deltas, parser.Boundary()...)
				}
			}
			thought.count(e)
			if listening = say(e.Token, deltas); !listening {
				break
			}
		}
		c.result.then(c.session.Result())
		part.answered, o.OnPrefill = c.result.CompletionTokens, nil
		if !listening || c.result.FinishReason != FinishLength || !thought.over() ||
			part.answered == o.MaxTokens || len(ids)+len(end) >= c.m.context {
			return nil
		}
		ids = append(ids, end...)
		if !say(nil, parser.Write(chatformat.ReasoningEnd)) {
			c.result.FinishReason = FinishCancelled
			return nil
		}
	}
}

// Add puts messages at the end of the history without an answer. The error is [ErrBusy], or nil.
func (c *Chat) Add(messages ...Message) error {
	return c.change(func() { c.messages = append(c.messages, messages...) })
}

// Messages gives the history, the system message first if there is one. While an answer runs it ends with what that
// answers.
func (c *Chat) Messages() []Message { return slices.Clone(c.messages) }

// SetMessages replaces the history, system message and all: where the first one is a system message, that is the chat's
// from then on. The error is [ErrBusy], or nil.
func (c *Chat) SetMessages(messages []Message) error {
	return c.change(func() {
		c.messages, c.system = slices.Clone(messages), ""
		if len(messages) > 0 && messages[0].Role == RoleSystem {
			c.system = messages[0].Content
		}
	})
}

// SetSystem sets the system message for the messages so far and to come; "" removes it. The error is [ErrBusy], or nil.
func (c *Chat) SetSystem(text string) error {
	return c.change(func() {
		c.system = text
		rest := slices.DeleteFunc(c.messages, func(m Message) bool { return m.Role == RoleSystem })
		c.reset()
		c.messages = append(c.messages, rest...)
	})
}

// Clear forgets everything but the system message. The error is [ErrBusy], or nil.
func (c *Chat) Clear() error { return c.change(c.reset) }

func (c *Chat) reset() {
	c.messages = nil
	if c.system != "" {
		c.messages = []Message{SystemMessage(c.system)}
	}
}

// change changes the messages, unless an answer runs.
func (c *Chat) change(f func()) error {
	if !c.running.TryLock() {
		return ErrBusy
	}
	defer c.running.Unlock()
	f()
	return nil
}

// Tools gives the tools that SetTools or the option Tools declared.
func (c *Chat) Tools() []Tool { return slices.Clone(c.tools) }

// SetTools changes the tools that the model may call from the next answer on.
func (c *Chat) SetTools(tools ...Tool) { c.tools = tools }

// Options gives what SetOptions or Generation set.
func (c *Chat) Options() Options { return c.options }

// SetOptions changes how answers are generated, from the next one on.
func (c *Chat) SetOptions(o Options) { c.options = o }

// Session is the chat's session, for its length and its cache's size.
func (c *Chat) Session() *Session { return c.session }

// Result tells about the last answer, once its loop has ended.
func (c *Chat) Result() Result { return c.result }

// Close frees the session. While an answer runs it does nothing but give [ErrBusy]. Closing twice is no error.
func (c *Chat) Close() error {
	if !c.running.TryLock() {
		return ErrBusy
	}
	defer c.running.Unlock()
	return c.session.Close()
}
