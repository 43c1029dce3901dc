// Executes the passes of one command buffer, on its queue's thread.
#include "objc_metal.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace sim::objc {

namespace {

enum ErrorCode : int64_t { internal = 1, page_fault = 3, invalid_resource = 9, device_removed = 11 }; // MTLCommandBufferError

char *start_of(const BoundBuffer &b) {
  return b.memory ? static_cast<char *>(b.memory->address) + b.offset : reinterpret_cast<char *>(b.bytes->data());
}

const char *end_of(const Memory &memory) { return static_cast<const char *>(memory.address) + memory.length; }

// What a dispatch may touch, by its bindings: all that is known without instrumentation.
std::vector<Access> bound_accesses(const Command &command) {
  const Kernel &kernel = *command.pipeline->kernel;
  std::vector<Access> accesses;
  for (uint32_t i = 0; i < kernel.argument_count; ++i) {
    const Argument &a = kernel.arguments[i];
    if (a.kind != Argument::buffer) continue;
    for (const BoundBuffer &b : command.buffers) {
      if (b.index != a.index || !b.memory) continue;
      const char *begin = start_of(b);
      const char *end = std::min(begin + std::max<uint32_t>(a.size, 1), end_of(*b.memory));
      accesses.push_back({b.memory.get(), begin, end, a.space == Space::device && !a.read_only, 0});
    }
  }
  return accesses;
}

// What it has touched, by the executor's account. What belongs to no bound buffer is setBytes.
std::vector<Access> seen_accesses(const Command &command, const Outcome &outcome) {
  std::vector<Access> accesses;
  for (size_t i = 0; i < outcome.range_count; ++i) {
    const Range &r = outcome.ranges[i];
    auto *begin = static_cast<const char *>(r.begin), *end = static_cast<const char *>(r.end);
    for (const BoundBuffer &b : command.buffers) {
      if (!b.memory || begin < static_cast<const char *>(b.memory->address) || begin >= end_of(*b.memory)) continue;
      accesses.push_back({b.memory.get(), begin, std::min(end, end_of(*b.memory)), r.written, r.line});
      break;
    }
  }
  return accesses;
}

// Metal's compiler takes it that memory which an argument writes is that argument's alone. Which argument an access
// belongs to is not known, so only bindings that begin at the same place are judged.
std::string aliased(const Command &command, const std::vector<Access> &accesses) {
  const Kernel &kernel = *command.pipeline->kernel;
  auto bound = [&](const Argument &a) -> const BoundBuffer * {
    for (const BoundBuffer &b : command.buffers)
      if (a.kind == Argument::buffer && b.index == a.index && b.memory) return &b;
    return nullptr;
  };
  auto written = [&](const BoundBuffer &b) {
    return std::any_of(accesses.begin(), accesses.end(), [&](const Access &a) {
      return a.written && a.memory == b.memory.get() && a.end > start_of(b);
    });
  };
  for (uint32_t i = 0; i < kernel.argument_count; ++i)
    for (uint32_t j = 0; j < i; ++j) {
      const Argument &a = kernel.arguments[j], &b = kernel.arguments[i];
      const BoundBuffer *x = bound(a), *y = bound(b);
      if (!x || !y || (a.read_only && b.read_only) || start_of(*x) != start_of(*y) || !written(*x)) continue;
      return format("kernel %s: [[buffer(%u)]] '%s' and [[buffer(%u)]] '%s' are the same memory, which it writes: Metal's "
                    "compiler takes it that they are not",
                    kernel.name, a.index, a.name, b.index, b.name);
    }
  return "";
}

std::string run_dispatch(const CommandBuffer *cb, const Command &command, PassHazards *hazards, int64_t *code) {
  const Pipeline &pipeline = *command.pipeline.get();
  const Kernel &kernel = *pipeline.kernel;
  Binding bindings[buffer_slots] = {};
  std::string labels[buffer_slots];
  for (const BoundBuffer &b : command.buffers) {
    labels[b.index] = b.bytes ? "setBytes" : b.memory->label;
    bindings[b.index] = {start_of(b), b.bytes ? b.bytes->size() : b.memory->length - b.offset, labels[b.index].c_str(),
                         b.bytes ? b.bytes->data() : b.memory->address, true};
  }
  uint64_t memory_lengths[memory_slots] = {};
  for (auto [index, length] : command.memory) memory_lengths[index] = length;

  Dispatch dispatch{};
  dispatch.kernel = &kernel;
  dispatch.counted = pipeline.module->module->counted;
  dispatch.flush = pipeline.module->module->flush;
  dispatch.buffers = bindings;
  dispatch.memory_lengths = memory_lengths;
  dispatch.threads = command.threads;
  dispatch.threads_per_threadgroup = command.threads_per_threadgroup;
  dispatch.order = Order(settings.order.load());
  dispatch.seed = settings.seed;
  dispatch.workers = limits.workers;

  Outcome outcome{};
  if (limits.compute) execute(dispatch, &outcome);
  log_dispatch(cb, command, dispatch.counted ? &outcome : nullptr);
  std::string error = outcome.error ? outcome.error : "";
  if (outcome.page_fault) *code = page_fault;
  std::vector<Access> accesses = dispatch.counted ? seen_accesses(command, outcome) : bound_accesses(command);
  if (error.empty() && dispatch.counted) error = aliased(command, accesses);
  if (error.empty()) error = hazards->add(format("kernel %s", kernel.name), accesses, dispatch.counted);
  free(outcome.error);
  free(outcome.ranges);
  return error;
}

Access blit_access(const BoundBuffer &b, uint64_t bytes, bool written) {
  return {b.memory.get(), start_of(b), start_of(b) + bytes, written, 0};
}

// Whether memory of the program's own, such as a mapped file, can be read. Before Linux 5.14 nothing is known of that.
bool readable(const char *address, uint64_t bytes) {
  constexpr int populate_read = 22; // MADV_POPULATE_READ
  auto begin = reinterpret_cast<uintptr_t>(address) / sysconf(_SC_PAGESIZE) * sysconf(_SC_PAGESIZE);
  auto end = reinterpret_cast<uintptr_t>(address) + bytes;
  return !madvise(reinterpret_cast<void *>(begin), end - begin, populate_read) || errno != EFAULT;
}

std::string run_command(const CommandBuffer *cb, const Command &command, PassHazards *hazards, int64_t *code) {
  switch (command.kind) {
  case Command::dispatch:
    return run_dispatch(cb, command, hazards, code);
  case Command::copy: {
    const BoundBuffer &from = command.buffers[0], &to = command.buffers[1];
    if (!from.memory->owned && !readable(start_of(from), command.bytes)) {
      *code = page_fault;
      return "a blit copy: page fault in " + from.memory->describe() + ", which is mapped from a file and can no longer be read";
    }
    memcpy(start_of(to), start_of(from), command.bytes);
    return hazards->add("a blit copy", {blit_access(from, command.bytes, false), blit_access(to, command.bytes, true)}, true);
  }
  case Command::fill:
    memset(start_of(command.buffers[0]), command.value, command.bytes);
    return hazards->add("a blit fill", {blit_access(command.buffers[0], command.bytes, true)}, true);
  case Command::barrier:
    hazards->barrier();
    return "";
  case Command::resource_barrier:
    hazards->barrier(command.buffers);
    return "";
  case Command::wait_fence:
    hazards->wait(command.fence.get());
    return "";
  case Command::update_fence:
    hazards->update(command.fence.get());
    return "";
  }
  return "";
}

} // namespace

std::string execute_command_buffer(CommandBuffer *cb, QueueState *state, int64_t *code) {
  std::string error = cb->mistake;
  *code = invalid_resource;
  if (error.empty() && limits.deviceLost) {
    error = "the device was lost";
    *code = device_removed;
  }
  std::set<uint64_t> before, done; // passes: before the next one; this command buffer's own
  for (const Pass &pass : cb->passes) {
    if (pass.kind == Pass::signal) {
      // After an error too: who waits should not be taken for the one at fault.
      std::set<uint64_t> passes = before;
      passes.insert(done.begin(), done.end());
      hazards_signal(cb, passes, pass.event.get(), pass.value);
      signal_event(pass.event.get(), pass.value);
    }
    if (!error.empty()) continue;
    if (pass.kind == Pass::wait) {
      *code = internal;
      if (wait_for_event(state, pass.event.get(), pass.value, &error))
        hazards_wait(pass.event.get(), pass.value, &before);
    } else if (pass.kind == Pass::compute || pass.kind == Pass::blit) {
      *code = internal;
      PassHazards hazards(cb, pass, before);
      for (const Command &command : pass.commands)
        if (error = run_command(cb, command, &hazards, code); !error.empty()) break;
      done.insert(hazards.id());
    }
  }
  return error;
}

} // namespace sim::objc
