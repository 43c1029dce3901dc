// Package model runs GLM-4 checkpoints: it loads one onto the GPU of a Mac or onto the CPU, generates from it, and
// holds conversations. This is a whole program:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"os"
//		"os/signal"
//
//		"github.com/glm4-metal/glm4-metal/model"
//	)
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
//		defer stop()
//		m, err := model.Load(ctx, "glm4:9b-4bit") // or a folder; "" loads a small built-in demo
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer m.Close()
//		chat := m.NewChat(model.System("Answer in one sentence."), model.Generation(model.Options{Temperature: 0.7}))
//		defer chat.Close()
//		for event, err := range chat.Send(ctx, "Why is the sky blue?") {
//			if err != nil {
//				log.Fatal(err)
//			}
//			fmt.Print(event.Text)
//		}
//		fmt.Println()
//	}
//
// # What there is
//
// [Find] knows checkpoints by their names on the Hugging Face hub, and [Pull] fetches them.
//
// A [Model] is the weights on a device, which all that follows shares. A [Chat] keeps the messages of a conversation,
// renders them as the model's family wants them, and reads reasoning and tool calls out of its answers. Below it, a
// [Session] is one timeline of tokens with its KV cache: it continues a text, or ids, and computes only what its cache
// does not hold of them; [Session.Logits] is for evaluation. A [Pool] answers the requests of many, as a server gets
// them, with a bounded number of sessions, and finds the one that knows most of a prompt. A [Text] is the tokenizer and
// the chat template, also without weights: [OpenText].
//
// # Generations
//
// An answer is a sequence of [Event] to range over, computed while the loop runs. It ends with the model's stop token,
// a text or number of tokens of [Options], the end of ctx, or by leaving the loop; Result then tells which it was, and
// the speed. What was generated before a cancellation stays, in the history and in the cache.
//
// Greedy decoding is the default. Otherwise the same Options.Seed, prompt and options give the same tokens on one
// device; another rounds otherwise, so that tokens may differ from some point on.
//
// # Goroutines
//
// A Model, a Pool and a Text may be used from several goroutines. A Session and a Chat are for one at a time: make one
// for each conversation; they cost the memory of their cache, [Info].KVBytes a token. The steps of all sessions of a
// model take turns. While a generation runs in a session or a chat, up to the end of its loop, what would disturb it
// gives [ErrBusy].
//
// # Errors
//
// The functions say which errors they give. What a program may want to tell apart is a value or a type: [ErrBusy],
// [ErrClosed], [ErrQueueFull], [ErrUnsupported], [*OptionError], [*ContextError], [*NotFoundError],
// [*loader.FaultError], [fs.ErrNotExist], [fs.ErrPermission] and the errors of a context. The texts are one line for a
// person: the file, the field, the value, and the way out.
package model
