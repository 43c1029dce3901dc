// The functions by which tests steer and question the stand-in. Texts are written like snprintf's: the result is the
// length that the whole needs, without the terminating zero.
#include "objc_metal.h"

#include <algorithm>
#include <cstring>

namespace sim::objc {

namespace {

struct Log {
  std::mutex mutex;
  std::deque<std::string> dispatches;
};

Log &dispatch_log() {
  static auto *log = new Log;
  return *log;
}

constexpr size_t kept_dispatches = 1 << 14;

std::string dim(const Dim &d) {
  return format("[%lu,%lu,%lu]", (unsigned long)d.x, (unsigned long)d.y, (unsigned long)d.z);
}

uint64_t write_text(const std::string &text, char *out, uint64_t size) {
  if (out && size) {
    uint64_t n = std::min<uint64_t>(text.size(), size - 1);
    memcpy(out, text.data(), n);
    out[n] = 0;
  }
  return text.size();
}

} // namespace

std::string dispatch_json(const Command &c, const Outcome *counted) {
  uint64_t memory = c.pipeline->kernel->static_threadgroup_bytes;
  for (auto [index, length] : c.memory) memory += length;
  std::string out = format("{\"kernel\":%s,\"threads\":%s,\"threads_per_threadgroup\":%s,\"threadgroup_memory\":%lu,\"buffers\":[",
                           quoted(c.pipeline->kernel->name).c_str(), dim(c.threads).c_str(),
                           dim(c.threads_per_threadgroup).c_str(), (unsigned long)memory);
  for (size_t i = 0; i < c.buffers.size(); ++i) {
    const BoundBuffer &b = c.buffers[i];
    out += format("%s{\"index\":%u,\"label\":%s,\"offset\":%lu,\"length\":%lu", i ? "," : "", b.index,
                  quoted(b.memory ? b.memory->label : "setBytes").c_str(), (unsigned long)b.offset,
                  (unsigned long)(b.memory ? b.memory->length : b.bytes->size()));
    if (counted) {
      const BindingCounters &n = counted->buffers[b.index];
      out += format(",\"loaded_bytes\":%lu,\"stored_bytes\":%lu,\"distinct_bytes\":%lu", (unsigned long)n.loaded_bytes,
                    (unsigned long)n.stored_bytes, (unsigned long)n.distinct_bytes);
    }
    out += "}";
  }
  out += "]";
  if (const Counters *n = counted ? &counted->counters : nullptr)
    for (auto [name, value] : std::initializer_list<std::pair<const char *, uint64_t>>{
             {"loads", n->loads},
             {"stores", n->stores},
             {"loaded_bytes", n->loaded_bytes},
             {"stored_bytes", n->stored_bytes},
             {"distinct_bytes", n->distinct_bytes},
             {"load_lines", n->load_lines},
             {"load_groups", n->load_groups},
             {"threadgroup_loaded_bytes", n->threadgroup_loaded_bytes},
             {"threadgroup_stored_bytes", n->threadgroup_stored_bytes},
             {"simd_ops", n->simd_ops},
             {"barriers", n->barriers},
             {"simdgroup_barriers", n->simdgroup_barriers},
             {"float_ops", n->float_ops}})
      out += format(",\"%s\":%lu", name, (unsigned long)value);
  return out + "}";
}

void log_dispatch(const CommandBuffer *cb, const Command &command, const Outcome *counted) {
  std::string line = dispatch_json(command, counted);
  line.insert(1, format("\"command_buffer\":%lu,", (unsigned long)cb->commit_number));
  std::lock_guard lock(dispatch_log().mutex);
  auto &dispatches = dispatch_log().dispatches;
  dispatches.push_back(std::move(line));
  if (dispatches.size() > kept_dispatches) dispatches.pop_front();
}

} // namespace sim::objc

using namespace sim::objc;

extern "C" {

// The order in which threads run: 0 ascending, 1 descending, 2 shuffled by the seed.
void sim_set_order(int order, uint64_t seed) {
  settings.order = order;
  settings.seed = seed;
}

// Whether modules are built with instrumentation from now on: exact checks, hazards and counters.
void sim_set_counting(int on) { settings.counting = on; }

// The dispatches since the last reset (the latest 16384), a JSON list; counters only of instrumented ones.
uint64_t sim_counters(char *out, uint64_t size) {
  std::string text = "[";
  {
    std::lock_guard lock(dispatch_log().mutex);
    for (auto &line : dispatch_log().dispatches) text += (text.size() > 1 ? ",\n" : "") + line;
  }
  return write_text(text + "]", out, size);
}

// The residency sets that live, a JSON list.
uint64_t sim_residency(char *out, uint64_t size) { return write_text(residency_json(), out, size); }

// The live objects since the last reset: a line each for class, tab, label, tab, count.
uint64_t sim_leaks(char *out, uint64_t size) {
  std::string lines;
  live_objects(&lines);
  return write_text(lines, out, size);
}

// Takes the oldest misuse of the API off the record; 0 when there is none.
uint64_t sim_take_error(char *out, uint64_t size) {
  std::string text;
  return take_error(&text) ? write_text(text, out, size) : 0;
}

// Sets a limit by its name in struct Limits. 0 when there is no such limit.
int sim_set_limit(const char *name, uint64_t value) {
  static const struct {
    const char *name;
    std::atomic<uint64_t> Limits::*field;
  } all[] = {{"maxBufferLength", &Limits::maxBufferLength},
             {"recommendedMaxWorkingSetSize", &Limits::recommendedMaxWorkingSetSize},
             {"maxThreadsPerThreadgroup", &Limits::maxThreadsPerThreadgroup},
             {"maxThreadgroupMemoryLength", &Limits::maxThreadgroupMemoryLength},
             {"family", &Limits::family},
             {"nonUniformThreadgroups", &Limits::nonUniformThreadgroups},
             {"residencySets", &Limits::residencySets},
             {"capture", &Limits::capture},
             {"failAllocation", &Limits::failAllocation},
             {"failResidencySet", &Limits::failResidencySet},
             {"deviceLost", &Limits::deviceLost},
             {"emptyLibrary", &Limits::emptyLibrary},
             {"flushHalf", &Limits::flushHalf},
             {"matrixLayout", &Limits::matrixLayout},
             {"eventGrace", &Limits::eventGrace},
             {"workers", &Limits::workers},
             {"compute", &Limits::compute}};
  for (auto &limit : all)
    if (strcmp(limit.name, name) == 0) {
      limits.*limit.field = value;
      return 1;
    }
  return 0;
}

// Forgets errors, counters, limits, order and the objects that live now.
void sim_reset() {
  limits.reset();
  sim_set_order(0, 0);
  sim_set_counting(0);
  clear_errors();
  forget_live_objects();
  std::lock_guard lock(dispatch_log().mutex);
  dispatch_log().dispatches.clear();
}

// The Objective-C type encoding of a method; "+" before the class's name asks for a class method. 0 when there is none.
uint64_t sim_signature(const char *class_name, const char *selector, char *out, uint64_t size) {
  bool on_class = *class_name == '+';
  Class *c = find_class(class_name + on_class);
  const Method *m = c ? c->find(intern(selector), on_class) : nullptr;
  return m ? write_text(m->types, out, size) : 0;
}

} // extern "C"
