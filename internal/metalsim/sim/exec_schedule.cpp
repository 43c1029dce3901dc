// One threadgroup on one worker. The lanes of a simdgroup run one after the other, each as far as its next simd operation
// or barrier, in the order of the schedule; the last to arrive completes the operation, and the first goes on.
#include "exec.h"

#include <cstdio>
#include <cstring>
#include <sys/mman.h>

namespace sim {

namespace {

constexpr const char *barrier_name = "threadgroup_barrier";
constexpr const char *simdgroup_barrier_name = "simdgroup_barrier";
constexpr uint32_t is_simdgroup_barrier = 1u << 31;

bool same_place(const Thread &a, const Thread &b) {
  return a.site.line == b.site.line && a.site.column == b.site.column && (a.op == b.op || !strcmp(a.op, b.op));
}

std::string place_of(Worker &w, const Thread &t) {
  char text[64];
  snprintf(text, sizeof text, " at %u:%u", t.site.line, t.site.column);
  return thread_name(w, t.index) + (t.state == State::done ? " has returned" : std::string(" is in ") + t.op + text);
}

// Two live lanes of a simdgroup wait for each other in different places.
[[noreturn]] void diverged(Worker &w, Simdgroup &g) {
  // Name first a lane at a simd operation: with a barrier in the other lane that is the wrong one more often.
  Thread *a = nullptr, *b = nullptr;
  for (State s : {State::simd, State::quad, State::barrier})
    for (uint32_t i = 0; i < g.count && !a; i++)
      if (g.lanes[i].state == s) a = &g.lanes[i];
  for (uint32_t i = 0; i < g.count && !b; i++) {
    Thread &t = g.lanes[i];
    if (t.state != State::done && (t.state != a->state || !same_place(*a, t))) b = &t;
  }
  w.current = a;
  fail_thread(w, a->site, std::string(a->op) + " is missed by other lanes of the simdgroup: " + place_of(w, *b));
}

void order_memory(Worker &w, Time since[2], uint32_t mem_flags) {
  w.now++;
  if (mem_flags & 1) since[device_space] = w.now;
  if (mem_flags & 2) since[threadgroup_space] = w.now;
}

// Completes what the lanes of a simdgroup wait for, none being ready. False when they wait at a barrier of the
// threadgroup or have all returned.
bool complete(Worker &w, Simdgroup &g) {
  if (g.live == 0) return false;
  if (g.waiting == g.live) {
    Thread *first = nullptr;
    uint32_t ready = 0, active = 0;
    for (uint32_t i = 0; i < g.count; i++) {
      Thread &t = g.lanes[i];
      if (t.state != State::simd) continue;
      if (!first) first = &t;
      else if (!same_place(*first, t)) diverged(w, g);
      t.state = State::ready;
      ready |= 1u << t.place;
      active |= 1u << i;
    }
    g.parity ^= 1;
    g.active = active;
    g.waiting = 0;
    g.ready = ready;
    if (first->flags & is_simdgroup_barrier) {
      w.simdgroup_barriers++;
      order_memory(w, g.since, first->flags);
    } else {
      w.simd_ops++;
    }
    if (Checker *c = w.job->checker) {
      count_operation(c, first->op, __builtin_popcount(active));
      start_interval(c);
    }
    return true;
  }
  bool released = false;
  for (uint32_t q = 0; q * 4 < g.count; q++) {
    Thread *first = nullptr;
    bool together = true;
    for (uint32_t i = q * 4; i < q * 4 + 4 && i < g.count; i++) {
      Thread &t = g.lanes[i];
      if (t.state == State::done) continue;
      if (t.state != State::quad || (first && !same_place(*first, t))) together = false;
      if (!first) first = &t;
    }
    if (!first || !together) continue;
    g.quad_active[q] = 0;
    for (uint32_t i = q * 4; i < q * 4 + 4 && i < g.count; i++) {
      Thread &t = g.lanes[i];
      if (t.state != State::quad) continue;
      t.state = State::ready;
      g.quad_active[q] |= 1u << (i % 4);
      g.ready |= 1u << t.place;
    }
    g.quad_parity[q] ^= 1;
    w.simd_ops++;
    released = true;
  }
  if (released) return true;
  if (g.at_barrier == g.live) return false;
  diverged(w, g);
}

// The lane to run next, null when the simdgroup can't go on by itself.
Thread *pick(Worker &w, Simdgroup &g) {
  while (!g.ready)
    if (!complete(w, g)) return nullptr;
  return &g.lanes[g.order[__builtin_ctz(g.ready)]];
}

void fiber_main();

void *saved_stack(Worker &w, Thread &t) {
  if (t.stack < 0) {
    t.stack = w.free_stacks[--w.free_stack_count];
    char *base = w.arena + size_t(t.stack) * stack_pitch + stack_guard;
    if (uint32_t(t.stack) >= w.stacks_ready) {
      mprotect(base, stack_bytes, PROT_READ | PROT_WRITE);
      w.stacks_ready = t.stack + 1;
    }
    t.sp = fiber_start(base, t.stack, fiber_main);
  }
  return t.sp;
}

void wait(Worker &w, Thread &t, State state, const char *op, Site site, uint32_t flags) {
  Simdgroup &g = *t.simdgroup;
  t.state = state;
  t.op = op;
  t.site = site;
  t.flags = flags;
  g.ready &= ~(1u << t.place);
  if (state == State::simd) g.waiting++;
  else if (state == State::barrier) g.at_barrier++;
  Thread *next = pick(w, g);
  w.current = next;
  if (next == &t) return;
  sim_fiber_switch(&t.sp, next ? saved_stack(w, *next) : w.scheduler);
}

void fiber_main() {
  for (;;) {
    Worker &w = *worker;
    Thread &t = *w.current;
    w.kernel->run(&t, w.buffers, w.memory);
    Simdgroup &g = *t.simdgroup;
    t.state = State::done;
    g.ready &= ~(1u << t.place);
    g.live--;
    w.live--;
    Thread *next = pick(w, g);
    w.current = next;
    if (next && next->stack < 0) { // goes on with the warm stack
      next->stack = t.stack;
      continue;
    }
    w.free_stacks[w.free_stack_count++] = t.stack;
    void *left;
    sim_fiber_switch(&left, next ? next->sp : w.scheduler);
  }
}

uint64_t random_bits(uint64_t &s) { // splitmix64
  uint64_t z = (s += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void lay_order(uint8_t *order, uint32_t n, Order kind, uint64_t &seed) {
  for (uint32_t i = 0; i < n; i++) order[i] = kind == Order::descending ? n - 1 - i : i;
  if (kind != Order::shuffled) return;
  for (uint32_t i = n; i > 1; i--) std::swap(order[i - 1], order[random_bits(seed) % i]);
}

void start_threads(Worker &w) {
  const Dispatch &d = *w.job->dispatch;
  w.thread_count = w.size[0] * w.size[1] * w.size[2];
  w.simdgroup_count = (w.thread_count + simd_width - 1) / simd_width;
  w.live = w.thread_count;
  w.now = 1;
  w.since[0] = w.since[1] = 0;
  for (uint32_t i = 0; i < max_threads; i++) w.free_stacks[i] = max_threads - 1 - i;
  w.free_stack_count = max_threads;
  uint64_t seed = d.seed * 0x9e3779b97f4a7c15 + w.group_index;
  lay_order(w.simdgroup_order, w.simdgroup_count, d.order, seed);
  uint32_t i = 0;
  for (uint32_t z = 0; z < w.size[2]; z++)
    for (uint32_t y = 0; y < w.size[1]; y++)
      for (uint32_t x = 0; x < w.size[0]; x++, i++) {
        Thread &t = w.threads[i];
        t.stack = -1;
        t.index = i;
        t.lane = i % simd_width;
        t.position[0] = x, t.position[1] = y, t.position[2] = z;
        t.state = State::ready;
        t.simdgroup = &w.simdgroups[i / simd_width];
        t.steps = 0;
      }
  for (uint32_t s = 0; s < w.simdgroup_count; s++) {
    Simdgroup &g = w.simdgroups[s];
    g.lanes = &w.threads[s * simd_width];
    g.count = g.live = std::min(simd_width, w.thread_count - s * simd_width);
    g.ready = g.count == 32 ? ~0u : (1u << g.count) - 1;
    g.waiting = g.at_barrier = 0;
    g.parity = 0;
    memset(g.quad_parity, 0, sizeof g.quad_parity);
    g.since[0] = g.since[1] = 0;
    lay_order(g.order, g.count, d.order, seed);
    for (uint32_t p = 0; p < g.count; p++) g.lanes[g.order[p]].place = p;
  }
}

// Every live thread waits at a threadgroup barrier, and nobody else is left to run.
void release_barrier(Worker &w) {
  Thread *first = nullptr, *gone = nullptr;
  for (uint32_t i = 0; i < w.thread_count; i++) {
    Thread &t = w.threads[i];
    if (t.state == State::done) gone = &t;
    else if (!first) first = &t;
    else if (!same_place(*first, t)) {
      record(w, first, first->site, std::string(barrier_name) + " is missed by other threads: " + place_of(w, t));
      return;
    }
  }
  if (gone) {
    record(w, first, first->site, std::string(barrier_name) + " is missed by other threads: " + place_of(w, *gone));
    return;
  }
  w.barriers++;
  order_memory(w, w.since, first->flags);
  for (uint32_t s = 0; s < w.simdgroup_count; s++) {
    Simdgroup &g = w.simdgroups[s];
    g.at_barrier = 0;
    for (uint32_t i = 0; i < g.count; i++) {
      g.lanes[i].state = State::ready;
      g.ready |= 1u << g.lanes[i].place;
    }
  }
}

} // namespace

void run_threadgroup(Worker &w, uint64_t index) {
  const Job &job = *w.job;
  const Dispatch &d = *job.dispatch;
  w.group_index = index;
  w.group = {index % job.groups.x, index / job.groups.x % job.groups.y, index / job.groups.x / job.groups.y};
  w.size[0] = std::min(d.threads_per_threadgroup.x, d.threads.x - w.group.x * d.threads_per_threadgroup.x);
  w.size[1] = std::min(d.threads_per_threadgroup.y, d.threads.y - w.group.y * d.threads_per_threadgroup.y);
  w.size[2] = std::min(d.threads_per_threadgroup.z, d.threads.z - w.group.z * d.threads_per_threadgroup.z);
  w.failed = false;
  w.failing = false;
  w.kill = false;
  start_threads(w);
  for (uint32_t p = 0; p < piece_count; p++) // not zero, so that a missing store shows: as float and half a NaN
    if (w.piece_length[p]) memset(w.piece_begin[p], 0xff, w.piece_length[p]);
  while (w.live) {
    for (uint32_t s = 0; s < w.simdgroup_count; s++) {
      Simdgroup &g = w.simdgroups[w.simdgroup_order[s]];
      if (!g.ready) continue;
      if (job.checker) start_interval(job.checker);
      w.current = pick(w, g);
      void *stack = saved_stack(w, *w.current);
      w.in_kernel = true;
      sim_fiber_switch(&w.scheduler, stack);
      w.in_kernel = false;
      if (w.fault.signal) record_fault(w);
      if (w.failed) return;
    }
    if (w.live) release_barrier(w);
    if (w.failed) return;
  }
}

void leave_fiber(Worker &w) {
  void *left;
  sim_fiber_switch(&left, w.scheduler);
  __builtin_unreachable();
}

const void *simd_exchange(const char *op, const void *value, uint32_t bytes, uint32_t *stride, uint64_t *active, Site site) {
  Worker &w = *worker;
  Thread &t = *w.current;
  Simdgroup &g = *t.simdgroup;
  uint32_t step = (bytes + 15) & ~15u;
  if (step > slot_bytes) fail_thread(w, site, std::string(op) + " of a type larger than 256 bytes");
  memcpy(g.slots + (g.parity ^ 1) * simd_width * slot_bytes + t.lane * step, value, bytes);
  wait(w, t, State::simd, op, site, 0);
  *stride = step;
  *active = g.active;
  return g.slots + g.parity * simd_width * slot_bytes;
}

const void *quad_exchange(const char *op, const void *value, uint32_t bytes, uint32_t *stride, uint64_t *active, Site site) {
  Worker &w = *worker;
  Thread &t = *w.current;
  Simdgroup &g = *t.simdgroup;
  uint32_t step = (bytes + 15) & ~15u, q = t.lane / 4;
  if (step > slot_bytes) fail_thread(w, site, std::string(op) + " of a type larger than 256 bytes");
  char *slots = g.slots + 2 * simd_width * slot_bytes + q * 4 * slot_bytes;
  memcpy(slots + (g.quad_parity[q] ^ 1) * simd_width * slot_bytes + t.lane % 4 * step, value, bytes);
  wait(w, t, State::quad, op, site, 0);
  *stride = step;
  *active = g.quad_active[q];
  return slots + g.quad_parity[q] * simd_width * slot_bytes;
}

void threadgroup_barrier(uint32_t mem_flags, Site site) {
  Worker &w = *worker;
  wait(w, *w.current, State::barrier, barrier_name, site, mem_flags);
}

void simdgroup_barrier(uint32_t mem_flags, Site site) {
  Worker &w = *worker;
  wait(w, *w.current, State::simd, simdgroup_barrier_name, site, mem_flags | is_simdgroup_barrier);
}

} // namespace sim
