package model

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/glm4-metal/glm4-metal/internal/chatformat"
)

// The parts of a conversation.
type (
	// Message is one turn: Role, Content, and for an assistant's turn Reasoning and ToolCalls.
	Message = chatformat.Message
	// Role says who speaks.
	Role = chatformat.Role
	// Tool is a function that the model may call; ParseTools reads them from JSON.
	Tool = chatformat.Tool
	// ToolCall is the model's wish to call a tool: Name, and Arguments as JSON text.
	ToolCall = chatformat.ToolCall
	// Delta is a piece of an answer, exactly one of Text, Reasoning and Call.
	Delta = chatformat.Delta
)

// The roles. An observation is the result of a tool call.
const (
	RoleSystem      = chatformat.System
	RoleUser        = chatformat.User
	RoleAssistant   = chatformat.Assistant
	RoleObservation = chatformat.Observation
)

// ParseTools reads a JSON array of tools, each {"type": "function", "function": {...}} or the bare function.
func ParseTools(data []byte) ([]Tool, error) { return chatformat.ParseTools(data) }

// Chat is a conversation: its messages, and a session that remembers what has been computed of them. It is for one
// goroutine at a time. Close it to free the session's cache.
type Chat struct {
	m        *Model
	session  *Session
	system   string
	tools    []Tool
	options  Options
	onToken  func(Token)
	messages []Message
	result   Result
}

// ChatOption sets up a chat.
type ChatOption func(*Chat)

// System puts a system message in front of the conversation.
func System(text string) ChatOption { return func(c *Chat) { c.system = text } }

// Tools declares the tools that the model may call.
func Tools(tools ...Tool) ChatOption { return func(c *Chat) { c.tools = tools } }

// Generation sets how answers are generated.
func Generation(o Options) ChatOption { return func(c *Chat) { c.options = o } }

// OnToken calls f for each token of an answer, before the deltas that it gives.
func OnToken(f func(Token)) ChatOption { return func(c *Chat) { c.onToken = f } }

// NewChat starts a conversation. Whether the checkpoint has a chat template shows at the first answer.
func (m *Model) NewChat(options ...ChatOption) *Chat {
	c := &Chat{m: m, session: m.NewSession()}
	for _, option := range options {
		option(c)
	}
	c.Clear()
	return c
}

// Send adds the user's message and streams the answer, which joins the history when the loop ends, also when it was
// cut short. Where not even a beginning of an answer came, the user's message is taken back.
func (c *Chat) Send(ctx context.Context, text string) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		before := len(c.messages)
		c.Add(Message{Role: RoleUser, Content: text})
		c.Reply(ctx)(yield)
		if len(c.messages) == before+1 {
			c.messages = c.messages[:before]
		}
	}
}

// Reply streams an answer to the history as it stands, for instance after Add has put in the results of tool calls.
func (c *Chat) Reply(ctx context.Context) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		c.result = refused
		_, ids, err := c.m.Prompt(ctx, c.messages, c.tools, true)
		if err != nil {
			yield(Delta{}, err)
			return
		}
		answer := Message{Role: RoleAssistant}
		parser := c.m.format.NewParser(chatformat.DeclaredTools(c.messages, chatformat.Options{Tools: c.tools}), "")
		listening := true
		say := func(deltas []Delta) bool {
			for _, d := range deltas {
				answer.Add(d)
				listening = listening && yield(d, nil)
			}
			return listening
		}
		err = c.generate(ctx, ids, parser, say)
		say(parser.Close())
		if len(answer.ToolCalls) > 0 && c.result.FinishReason == FinishStop {
			c.result.FinishReason = FinishToolCalls
		}
		if answer.Content != "" || answer.Reasoning != "" || len(answer.ToolCalls) > 0 || err == nil {
			c.messages = append(c.messages, answer)
		}
		if err != nil && listening {
			yield(Delta{}, err)
		}
	}
}

// generate reads the answer to a prompt with a parser and gives it to say until that is false. Where the reasoning has
// reached its limit it is closed, and the answer goes on in another part.
func (c *Chat) generate(ctx context.Context, prompt []int32, parser *chatformat.Parser, say func([]Delta) bool) error {
	ids, o, thought := prompt, c.options, newReasoning(parser, c.options.MaxReasoning)
	next, _ := c.m.tokenizer.Special(c.m.family.Assistant)
	end := c.m.tokenizer.Encode(chatformat.ReasoningEnd)
	if thought.over() {
		ids = append(ids, end...)
		parser.Write(chatformat.ReasoningEnd)
	}
	o.enough = thought.over
	for {
		listening := true
		for tok, err := range c.session.GenerateTokens(ctx, ids, o) {
			if err != nil {
				c.result.then(c.session.Result())
				return err
			}
			if tok.ID >= 0 {
				ids = append(ids, tok.ID)
				if c.onToken != nil {
					c.onToken(tok)
				}
			}
			deltas := parser.Write(tok.Text)
			if tok.ID == next {
				deltas = append(deltas, parser.Boundary()...)
			}
			thought.count(tok)
			if listening = say(deltas); !listening {
				break
			}
		}
		c.result.then(c.session.Result())
		o.answered, o.OnPrefill = c.result.CompletionTokens, nil
		if !listening || c.result.FinishReason != FinishLength || !thought.over() ||
			o.answered == o.MaxTokens || len(ids)+len(end) >= c.m.context {
			return nil
		}
		ids = append(ids, end...)
		if !say(parser.Write(chatformat.ReasoningEnd)) {
			c.result.FinishReason = FinishCancelled
			return nil
		}
	}
}

// Regenerate takes the last answer back and streams another one; where nothing comes of that, the old one stays. A
// seed in the options gives the same again.
func (c *Chat) Regenerate(ctx context.Context) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		n := len(c.messages)
		for n > 0 && c.messages[n-1].Role == RoleAssistant {
			n--
		}
		if n == 0 || c.messages[n-1].Role == RoleSystem {
			c.result = refused
			yield(Delta{}, errors.New("there is no question to answer again"))
			return
		}
		before := slices.Clone(c.messages)
		c.messages = c.messages[:n]
		c.Reply(ctx)(yield)
		if len(c.messages) == n {
			c.messages = before
		}
	}
}

// Add puts messages at the end of the history without an answer.
func (c *Chat) Add(messages ...Message) { c.messages = append(c.messages, messages...) }

// Messages gives the history, the system message first if there is one.
func (c *Chat) Messages() []Message { return slices.Clone(c.messages) }

// SetMessages replaces the history, system message and all.
func (c *Chat) SetMessages(messages []Message) { c.messages = slices.Clone(messages) }

// SetSystem sets the system message for the messages so far and to come; "" removes it.
func (c *Chat) SetSystem(text string) {
	c.system = text
	rest := slices.DeleteFunc(c.messages, func(m Message) bool { return m.Role == RoleSystem })
	c.Clear()
	c.Add(rest...)
}

// Clear forgets everything but the system message.
func (c *Chat) Clear() {
	c.messages = nil
	if c.system != "" {
		c.Add(Message{Role: RoleSystem, Content: c.system})
	}
}

// Tools gives the tools that SetTools or the option Tools declared.
func (c *Chat) Tools() []Tool { return slices.Clone(c.tools) }

// SetTools changes the tools that the model may call from the next answer on.
func (c *Chat) SetTools(tools ...Tool) { c.tools = tools }

// Options gives what SetOptions or Generation set.
func (c *Chat) Options() Options { return c.options }

// SetOptions changes how the next answers are generated.
func (c *Chat) SetOptions(o Options) { c.options = o }

// Session is the chat's session, for its length and its cache's size.
func (c *Chat) Session() *Session { return c.session }

// Result tells about the last answer, once its loop has ended.
func (c *Chat) Result() Result { return c.result }

// Close frees the session.
func (c *Chat) Close() error { return c.session.Close() }
