// Command queues and command buffers, as the program sees them. objc_scheduler.cpp runs them.
#include "objc_metal.h"

namespace sim::objc {

// MTLCommandQueue

Queue::Queue(uint64_t max_command_buffers) : Object(class_name), state(std::make_shared<QueueState>()) {
  state->max_command_buffers = max_command_buffers;
}

Queue::~Queue() {
  std::lock_guard lock(scheduler().mutex);
  state->closed = true;
  scheduler().changed.notify_all();
}

namespace {

CommandBuffer *make_command_buffer(Queue *queue, bool retains) {
  return wait_for_slot(queue->state.get()) ? autoreleased(new CommandBuffer(queue, retains)) : nullptr;
}

CommandBuffer *command_buffer(Queue *self, Selector) { return make_command_buffer(self, true); }
CommandBuffer *unretained_command_buffer(Queue *self, Selector) { return make_command_buffer(self, false); }
Device *device_of(Object *, Selector) { return default_device(); }

Registration queue("MTLCommandQueue", "NSObject",
                   {method("commandBuffer", command_buffer),
                    method("commandBufferWithUnretainedReferences", unretained_command_buffer),
                    method("device", device_of), method("label", get_label), method("setLabel:", set_label)});

} // namespace

// MTLCommandBuffer

CommandBuffer::CommandBuffer(Queue *q, bool retains) : Object(class_name), queue(q), retains(retains) {
  std::lock_guard lock(scheduler().mutex);
  ++q->state->alive;
}

CommandBuffer::~CommandBuffer() {
  for (auto &memory : borrowed) --memory->unretained_uses;
  if (status >= completed) return;
  std::lock_guard lock(scheduler().mutex);
  --queue->state->alive;
  ++scheduler().progress;
  scheduler().changed.notify_all();
}

void CommandBuffer::keep(Buffer *buffer) {
  if (retains) {
    retained.emplace_back(buffer);
  } else {
    ++buffer->memory->unretained_uses;
    borrowed.push_back(buffer->memory);
  }
}

void CommandBuffer::poison(const std::string &text) {
  if (mistake.empty()) mistake = text;
}

bool CommandBuffer::encoding_allowed() {
  Status now;
  {
    std::lock_guard lock(scheduler().mutex);
    now = status;
  }
  if (now >= committed) {
    misuse("%s has been committed: nothing more can be encoded", describe().c_str());
    return false;
  }
  if (open_encoder) {
    poison(misuse("%s is still encoding to %s: call endEncoding first", open_encoder->describe().c_str(),
                  describe().c_str()));
    return false;
  }
  return true;
}

namespace {

void do_commit(CommandBuffer *self, Selector) {
  {
    std::lock_guard lock(scheduler().mutex);
    if (self->status >= CommandBuffer::committed) {
      misuse("%s is committed twice", self->describe().c_str());
      return;
    }
  }
  if (self->open_encoder)
    self->poison(misuse("%s is committed while %s is open: call endEncoding first", self->describe().c_str(),
                        self->open_encoder->describe().c_str()));
  enqueue(self->queue->state, self, CommandBuffer::committed);
}

void do_enqueue(CommandBuffer *self, Selector) {
  {
    std::lock_guard lock(scheduler().mutex);
    if (self->status >= CommandBuffer::enqueued) {
      misuse("%s is enqueued already", self->describe().c_str());
      return;
    }
  }
  enqueue(self->queue->state, self, CommandBuffer::enqueued);
}

void wait_completed(CommandBuffer *self, Selector) { wait_for(self, CommandBuffer::completed); }
void wait_scheduled(CommandBuffer *self, Selector) { wait_for(self, CommandBuffer::scheduled); }

uint64_t get_status(CommandBuffer *self, Selector) {
  CommandBuffer::Status now;
  {
    std::lock_guard lock(scheduler().mutex);
    now = self->status;
  }
  if (now >= CommandBuffer::completed) host_observed(self);
  return now;
}

Error *get_error(CommandBuffer *self, Selector) {
  std::lock_guard lock(scheduler().mutex);
  return self->failure.get();
}

double start_time(CommandBuffer *self, Selector) {
  std::lock_guard lock(scheduler().mutex);
  return self->gpu_start;
}

double end_time(CommandBuffer *self, Selector) {
  std::lock_guard lock(scheduler().mutex);
  return self->gpu_end;
}

void encode_event(CommandBuffer *self, Object *event, uint64_t value, Pass::Kind kind) {
  Object *e = checked(event, "MTLEvent", "the event", false);
  if (!e || !self->encoding_allowed()) return;
  Pass pass{kind};
  pass.event = Ref<Event>(static_cast<Event *>(e));
  pass.value = value;
  self->passes.push_back(std::move(pass));
}

void encode_signal(CommandBuffer *self, Selector, Object *event, uint64_t value) {
  encode_event(self, event, value, Pass::signal);
}
void encode_wait(CommandBuffer *self, Selector, Object *event, uint64_t value) {
  encode_event(self, event, value, Pass::wait);
}

bool retained_references(CommandBuffer *self, Selector) { return self->retains; }
Queue *get_queue(CommandBuffer *self, Selector) { return self->queue.get(); }
void no_blocks(CommandBuffer *, Selector, void *) { misuse("the stand-in has no blocks: wait for the command buffer"); }
void push_group(Object *, Selector, Object *name) { text_of(name, "the name"); }
void pop_group(Object *, Selector) {}

Registration commands("MTLCommandBuffer", "NSObject",
                      {method("commit", do_commit), method("enqueue", do_enqueue),
                       method("waitUntilCompleted", wait_completed), method("waitUntilScheduled", wait_scheduled),
                       method("status", get_status), method("error", get_error), method("GPUStartTime", start_time),
                       method("GPUEndTime", end_time), method("kernelStartTime", start_time),
                       method("kernelEndTime", end_time), method("encodeSignalEvent:value:", encode_signal),
                       method("encodeWaitForEvent:value:", encode_wait),
                       method("retainedReferences", retained_references), method("commandQueue", get_queue),
                       method("addCompletedHandler:", no_blocks), method("addScheduledHandler:", no_blocks),
                       method("pushDebugGroup:", push_group), method("popDebugGroup", pop_group),
                       method("device", device_of), method("label", get_label), method("setLabel:", set_label)});

} // namespace

} // namespace sim::objc
