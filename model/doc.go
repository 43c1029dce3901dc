// Package model runs GLM-4 checkpoints: it loads one, orchestrates the forward pass over a backend's ops, samples,
// and holds conversations.
//
//	m, err := model.Load(ctx, "path/to/GLM-4-9B-0414-4bit") // "" loads the built-in demo
//	if err != nil { ... }
//	defer m.Close()
//
//	chat := m.NewChat(model.System("Answer in one sentence."))
//	for delta, err := range chat.Send(ctx, "Why is the sky blue?") {
//		if err != nil { ... }
//		fmt.Print(delta.Text)
//	}
//
// A [Model] is the weights on a device; it may be used from several goroutines, and their steps take turns. A
// [Session] is one timeline of tokens with its KV cache; [Session.Generate] continues a text and reuses what the
// cache already holds of it. A [Chat] keeps the messages of a conversation, renders them as the model's family wants
// them and reads its replies.
package model
