#include "exec.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <signal.h>

namespace sim {

namespace {

std::string format(const char *f, ...) {
  char text[512];
  va_list list;
  va_start(list, f);
  vsnprintf(text, sizeof text, f, list);
  va_end(list);
  return text;
}

const Argument *buffer_argument(const Kernel &k, uint32_t index) {
  for (uint32_t i = 0; i < k.argument_count; i++)
    if (k.arguments[i].kind == Argument::buffer && k.arguments[i].index == index) return &k.arguments[i];
  return nullptr;
}

std::string buffer_name(Worker &w, uint32_t index) {
  const Argument *a = buffer_argument(*w.kernel, index);
  const char *label = w.job->dispatch->buffers[index].label;
  std::string name = format("buffer %u", index);
  if (a && a->name) name += format(" '%s'", a->name);
  if (label && *label) name += format(" (%s)", label);
  return name;
}

} // namespace

std::string thread_name(Worker &w, uint32_t index) {
  const uint32_t *p = w.threads[index].position;
  return format("thread (%u,%u,%u)", p[0], p[1], p[2]);
}

std::string group_name(Worker &w, uint64_t index) {
  const Dim &g = w.job->groups;
  return format("threadgroup (%llu,%llu,%llu)", (unsigned long long)(index % g.x), (unsigned long long)(index / g.x % g.y),
                (unsigned long long)(index / g.x / g.y));
}

void record(Worker &w, const Thread *t, Site site, const std::string &what) {
  w.failing = true;
  std::string text = format("kernel '%s', program_source:%u", w.kernel->name, site.line ? site.line : w.kernel->line);
  if (site.line && site.column) text += format(":%u", site.column);
  text += ", " + group_name(w, w.group_index);
  if (t) text += ", " + thread_name(w, t->index);
  text += ": " + what;
  char *copy = strdup(text.c_str());
  if (!keep_error(*w.job, copy)) free(copy);
  w.failed = true;
  w.failing = false;
}

void fail_thread(Worker &w, Site site, const std::string &what) {
  record(w, w.current, site, what);
  leave_fiber(w);
  __builtin_unreachable();
}

std::string describe_address(Worker &w, const void *address) {
  const Dispatch &d = *w.job->dispatch;
  const char *at = (const char *)address;
  int missing = unbound_index(address);
  if (missing >= 0) return buffer_name(w, missing) + ", which is not bound";
  for (uint32_t p = 0; p < piece_count; p++) {
    const char *slot = w.pieces + size_t(p) * 2 * memory_bytes;
    if (at < slot || at >= slot + 2 * memory_bytes) continue;
    std::string name = p == argument_slots ? "threadgroup variables" : format("threadgroup memory %u", p);
    if (!w.piece_length[p]) return name + ", which has no length";
    return name + format(" of %u bytes at offset %lld", w.piece_length[p], (long long)(at - w.piece_begin[p]));
  }
  // The binding whose buffer or guards hold the address, else the nearest.
  const void *begin = nullptr;
  uint64_t length = 0;
  bool known = allocation_at(address, &begin, &length);
  int best = -1;
  uint64_t best_distance = uint64_t(1) << 30;
  for (uint32_t i = 0; i < argument_slots; i++) {
    const Binding &b = d.buffers[i];
    if (!b.bound || !buffer_argument(*w.kernel, i)) continue;
    const char *from = (const char *)b.address, *to = from + b.length;
    uint64_t distance = at < from ? from - at : at >= to ? at - to : 0;
    if (known && (from < (const char *)begin || from >= (const char *)begin + length)) continue;
    if (distance < best_distance) best = i, best_distance = distance;
  }
  if (best >= 0)
    return buffer_name(w, best) + format(" of %llu bytes at offset %lld", (unsigned long long)d.buffers[best].length,
                                         (long long)(at - (const char *)d.buffers[best].address));
  if ((uintptr_t)address < 65536) return format("a null pointer (address %p)", address);
  return format("every buffer (address %p)", address);
}

void record_fault(Worker &w) {
  Fault f = w.fault;
  w.fault = {};
  w.failed = true;
  Thread *t = w.current;
  Site nowhere = {};
  if (f.stalled) return record(w, t, nowhere, "does not end");
  if (f.signal == SIGFPE) return record(w, t, nowhere, "integer division by zero or overflow of a quotient");
  if (f.signal == SIGILL) return record(w, t, nowhere, "reaches code that can't be reached, such as the end of a function that must return a value");
  if (f.gone) {
    w.job->page_fault = true;
    return record(w, t, nowhere, "page fault in " + describe_address(w, f.address) + ", which is mapped from a file and can no longer be read");
  }
  size_t in_arena = (const char *)f.address - w.arena;
  if (in_arena < max_threads * stack_pitch && in_arena % stack_pitch < stack_guard)
    return record(w, t, nowhere, "stack overflow: the thread's variables need more than " + std::to_string(stack_bytes >> 10) +
                                     " KiB, or a function calls itself without end");
  if (!f.address) return record(w, t, nowhere, "access through a null or wild pointer, or to a misaligned vector");
  record(w, t, nowhere, "access outside " + describe_address(w, f.address));
}

} // namespace sim
