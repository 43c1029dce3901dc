// Runs committed command buffers: in order within a queue, on a thread for each queue, so that queues overlap. Here are
// also the waits, and the search for those that can never be met.
#include "objc_metal.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <pthread.h>
#include <thread>

namespace sim::objc {

Scheduler &scheduler() {
  static auto *s = new Scheduler;
  return *s;
}

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void notify() {
  ++scheduler().progress;
  scheduler().changed.notify_all();
}

// Runs one command buffer to its end, and lets go of what it holds before anyone can see that it has ended.
void run(CommandBuffer *cb, QueueState *state) {
  int64_t code = 0;
  std::string text = execute_command_buffer(cb, state, &code);
  trace_command_buffer(cb);
  Ref<Error> failure;
  if (!text.empty()) {
    auto *error = new Error("MTLCommandBufferErrorDomain", code, text);
    failure = Ref<Error>(error);
    release(error);
  }
  hazards_completed(cb);
  cb->passes.clear();
  cb->retained.clear();
  for (auto &memory : cb->borrowed) --memory->unretained_uses;
  cb->borrowed.clear();

  bool last;
  {
    std::lock_guard lock(scheduler().mutex);
    cb->failure = std::move(failure);
    cb->gpu_end = now();
    cb->status = text.empty() ? CommandBuffer::completed : CommandBuffer::error;
    state->pending.pop_front();
    state->running = false;
    --state->alive;
    // The queue's own reference goes before a waiter wakes, so that a count of live objects is exact.
    last = --cb->references == 0;
    notify();
  }
  if (last) {
    ++cb->references;
    release(cb);
  }
}

void run_queue(std::shared_ptr<QueueState> state) {
  for (;;) {
    CommandBuffer *cb;
    {
      std::unique_lock lock(scheduler().mutex);
      scheduler().changed.wait(lock, [&] {
        return state->pending.empty() ? state->closed : state->pending.front()->status >= CommandBuffer::committed;
      });
      if (state->pending.empty()) {
        std::erase(scheduler().queues, state.get());
        return;
      }
      cb = state->pending.front();
      cb->status = CommandBuffer::scheduled;
      cb->gpu_start = now();
      state->running = true;
      notify();
    }
    run(cb, state.get());
  }
}

// A thread that gets none of the process's signals: Go handles those on threads of its own.
void start(std::shared_ptr<QueueState> state) {
  sigset_t all, before;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::thread(run_queue, std::move(state)).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

} // namespace

void enqueue(const std::shared_ptr<QueueState> &state, CommandBuffer *cb, CommandBuffer::Status status) {
  std::lock_guard lock(scheduler().mutex);
  if (cb->status == CommandBuffer::not_enqueued) {
    retain(cb);
    state->pending.push_back(cb);
  }
  cb->status = status;
  if (status == CommandBuffer::committed) {
    cb->commit_number = ++scheduler().commits;
    hazards_committed(cb);
  }
  if (!state->started) {
    state->started = true;
    scheduler().queues.push_back(state.get());
    start(state);
  }
  notify();
}

// Deadlocks. Nothing moves when no queue has work that it can go on with. The program may still signal an event or
// commit from another thread, so this counts only after a time of grace without any progress.

namespace {

bool stuck() {
  for (QueueState *q : scheduler().queues) {
    if (q->pending.empty()) continue;
    bool blocked = q->blocked_on && q->blocked_on->value < q->blocked_value;
    bool not_committed = q->pending.front()->status < CommandBuffer::committed;
    if (!blocked && !not_committed) return false;
  }
  return true;
}

std::string whose_signal(const Event *event, uint64_t value) {
  for (QueueState *q : scheduler().queues)
    for (CommandBuffer *cb : q->pending)
      for (const Pass &pass : cb->passes)
        if (cb->status >= CommandBuffer::committed && pass.kind == Pass::signal &&
            pass.event.get() == event && pass.value >= value)
          return "its signal is encoded in " + cb->describe() + ", which comes after a wait that is not met either";
  return "no committed command buffer signals that";
}

void break_deadlock() {
  for (QueueState *q : scheduler().queues)
    if (q->blocked_on && q->give_up.empty())
      q->give_up = format("deadlock: %s waits for %s to reach %lu, but it is at %lu: %s",
                          q->pending.front()->describe().c_str(), q->blocked_on->describe().c_str(),
                          (unsigned long)q->blocked_value, (unsigned long)q->blocked_on->value,
                          whose_signal(q->blocked_on, q->blocked_value).c_str());
  notify();
}

} // namespace

void wait_for(CommandBuffer *cb, CommandBuffer::Status target) {
  {
    std::unique_lock lock(scheduler().mutex);
    if (cb->status < CommandBuffer::committed) {
      misuse("%s is waited for before its commit", cb->describe().c_str());
      return;
    }
    while (cb->status < target) {
      uint64_t seen = scheduler().progress;
      auto grace = std::chrono::milliseconds(limits.eventGrace);
      if (scheduler().changed.wait_for(lock, grace, [&] { return cb->status >= target || scheduler().progress != seen; }))
        continue;
      if (!stuck()) continue;
      CommandBuffer *first = cb->queue->state->pending.front();
      if (first->status < CommandBuffer::committed) {
        misuse("deadlock: %s waits behind %s, which is enqueued but not committed", cb->describe().c_str(),
               first->describe().c_str());
        return;
      }
      break_deadlock();
    }
  }
  if (target == CommandBuffer::completed) host_observed(cb);
}

// A queue has a limited number of command buffers: the next one waits for one in flight to complete.
bool wait_for_slot(QueueState *state) {
  std::unique_lock lock(scheduler().mutex);
  while (state->alive >= state->max_command_buffers) {
    if (state->pending.empty()) {
      misuse("deadlock: the queue's %lu command buffers all exist and none is committed",
             (unsigned long)state->max_command_buffers);
      return false;
    }
    uint64_t seen = scheduler().progress;
    auto grace = std::chrono::milliseconds(limits.eventGrace);
    bool moved = scheduler().changed.wait_for(lock, grace, [&] { return scheduler().progress != seen; });
    if (!moved && stuck()) break_deadlock();
  }
  return true;
}

bool wait_for_event(QueueState *state, Event *event, uint64_t value, std::string *why) {
  std::unique_lock lock(scheduler().mutex);
  if (event->value >= value) return true;
  state->blocked_on = event;
  state->blocked_value = value;
  notify();
  scheduler().changed.wait(lock, [&] { return event->value >= value || !state->give_up.empty(); });
  state->blocked_on = nullptr;
  *why = std::exchange(state->give_up, "");
  notify();
  return why->empty();
}

void signal_event(Event *event, uint64_t value) {
  std::lock_guard lock(scheduler().mutex);
  event->value = std::max(event->value, value);
  notify();
}

} // namespace sim::objc
