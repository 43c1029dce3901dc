// Races: two threads that access the same byte, one of them writing, with nothing between that orders them.
// What orders: a threadgroup_barrier whose flags name the memory, among the threads of a threadgroup; a simdgroup_barrier
// whose flags name it, among the lanes of a simdgroup. Simd operations and mem_none order no memory. Nothing orders
// threadgroups of one dispatch. Atomic operations don't race with each other. Threads that store the value that is there
// already, as when all lanes store one result, don't race with the writers before them.
#include "exec_check.h"

#include <cstring>

namespace sim {

namespace {

constexpr uint64_t valid = uint64_t(1) << 63;

struct Who {
  uint64_t group;
  Time time;
  uint32_t thread;
  Time since_group, since_simdgroup;
};

uint64_t group_of(Cell c) { return c >> 37 & 0x3ffffff; }
Time time_of(Cell c) { return c >> 13 & 0xffffff; }
uint32_t thread_of(Cell c) { return c >> 3 & 1023; }
uint32_t share_of(Cell c) { return c >> 1 & 3; }
bool atomic_of(Cell c) { return c & 1; }

Cell pack(const Who &w, uint32_t share, bool atomic) {
  return valid | (w.group & 0x3ffffff) << 37 | uint64_t(w.time & 0xffffff) << 13 | uint64_t(w.thread) << 3 | share << 1 | atomic;
}

Who who(Worker &w, int space) {
  const Thread &t = *w.current;
  return {w.group_index & 0x3ffffff, w.now, t.index, w.since[space], t.simdgroup->since[space]};
}

bool same_simdgroup(const Who &w, Cell c) { return group_of(c) == w.group && thread_of(c) / simd_width == w.thread / simd_width; }

bool ordered(const Who &w, Cell c) {
  if (group_of(c) != w.group) return false;
  if (time_of(c) < w.since_group) return true;
  return share_of(c) <= 1 && same_simdgroup(w, c) && time_of(c) < w.since_simdgroup;
}

bool alone(const Who &w, Cell c) { return share_of(c) == 0 && group_of(c) == w.group && thread_of(c) == w.thread; }

bool conflict(const Who &w, Cell c, bool atomic) {
  return (c & valid) && !(atomic && atomic_of(c)) && !alone(w, c) && !ordered(w, c);
}

// Whether w is among the threads for which a shared cell stands.
bool covers(const Who &w, Cell c) {
  switch (share_of(c)) {
  case 0: return false;
  case 1: return same_simdgroup(w, c);
  case 2: return group_of(c) == w.group;
  default: return true;
  }
}

Cell join(const Who &w, Cell c, bool atomic) {
  if (!(c & valid) || ordered(w, c) || alone(w, c)) return pack(w, 0, atomic);
  uint32_t share = same_simdgroup(w, c) ? 1 : group_of(c) == w.group ? 2 : 3;
  return pack(w, std::max(share, share_of(c)), atomic && atomic_of(c));
}

[[noreturn]] void race(Worker &w, const Access &a, Cell other, bool other_wrote, uint32_t at) {
  Who me = who(w, a.space);
  std::string text = "race on " + describe_address(w, a.address + at) + ": " + a.verb + (other_wrote ? " after " : " after a read by ");
  std::string them = thread_name(w, thread_of(other));
  if (group_of(other) != me.group) them += " of " + group_name(w, group_of(other));
  text += them;
  if (other_wrote) text += a.store ? " wrote another value" : " wrote it";
  text += group_of(other) != me.group ? "; nothing orders threadgroups of one dispatch" : ", with no barrier between that orders this memory";
  fail_thread(w, a.site, text);
}

} // namespace

bool written_by_group(Worker &w, Cell c) { return (c & valid) && group_of(c) == (w.group_index & 0x3ffffff); }

void judge_order(Worker &w, const Access &a, Cell *readers, Cell *writers, uint32_t n) {
  Who me = who(w, a.space);
  for (uint32_t i = 0, j; i < n; i = j) {
    Cell r = readers[i], wr = writers ? writers[i] : 0;
    for (j = i + 1; j < n && readers[j] == r && (!writers || writers[j] == wr); j++) {}
    if (a.space == threadgroup_space) { // what an earlier threadgroup left
      if (group_of(r) != me.group) r = 0;
      if (group_of(wr) != me.group) wr = 0;
    }
    bool fight = conflict(me, wr, a.atomic);
    if (!a.store) {
      if (fight && !covers(me, wr)) race(w, a, wr, true, i);
      Cell c = join(me, r, a.atomic);
      for (uint32_t k = i; k < j; k++) readers[k] = c;
      continue;
    }
    bool same = a.value && !memcmp(a.value + i, a.address + i, j - i);
    if (fight && !same) race(w, a, wr, true, i);
    if (!same && conflict(me, r, a.atomic)) race(w, a, r, false, i);
    Cell c = fight ? join(me, wr, a.atomic) : pack(me, 0, a.atomic);
    if (a.atomic && (wr & valid) && atomic_of(wr) && !ordered(me, wr)) c = join(me, wr, true);
    for (uint32_t k = i; k < j; k++) writers[k] = c;
  }
}

} // namespace sim
