// The inside of the executor.
//
//   exec.cpp           a dispatch is shared out to workers, OS threads of the executor's own
//   exec_schedule.cpp  a worker runs a threadgroup: its threads as fibers, barriers, simd operations
//   exec_signal.cpp    faults of kernels, and kernels that never end
//   exec_error.cpp     the words of an error
//   exec_check.cpp     counted builds: bounds, alignment, unwritten memory, counters
//   exec_race.cpp      counted builds: races
//   exec_memory.cpp    memory between guard pages
#pragma once

#include "fiber.h"
#include "sim.h"

#include <atomic>
#include <pthread.h>
#include <string>
#include <vector>

namespace sim {

constexpr uint32_t simd_width = 32;
constexpr uint32_t max_threads = 1024;
constexpr uint32_t max_simdgroups = max_threads / simd_width;
constexpr uint32_t slot_bytes = 256;     // most that a lane hands over in one simd operation
constexpr uint32_t memory_bytes = 65536; // most of one piece of threadgroup memory
constexpr uint32_t argument_slots = 31;
constexpr uint32_t piece_count = argument_slots + 1; // dynamic threadgroup memory by index, then the static

enum class State : uint8_t { ready, simd, quad, barrier, done };

struct Simdgroup;

struct Thread {
  void *sp;      // saved while another runs
  int32_t stack; // index, -1 before the start
  uint32_t index;
  uint32_t lane, place; // in the simdgroup, and in its order
  uint32_t position[3]; // in the threadgroup
  State state;
  uint32_t bytes;  // left in the slot
  uint32_t flags;  // of a barrier
  const char *op;  // where it waits
  Site site;
  Simdgroup *simdgroup;
  uint64_t steps;
};

// A time within a threadgroup: the number of barriers that ordered memory before it.
using Time = uint32_t;

struct Simdgroup {
  Thread *lanes;
  uint32_t count, live;
  uint32_t ready;   // mask over places in the order
  uint32_t waiting; // lanes at a simd operation
  uint32_t at_barrier;
  uint32_t parity;  // which half of the slots the last operation filled
  uint32_t active;  // lanes that took part in the last operation
  uint8_t order[simd_width];  // place to lane
  uint32_t quad_parity[8], quad_active[8]; // parity and active of each quad
  Time since[2];    // last simdgroup barrier for device and threadgroup memory
  char *slots;      // 2 × 32 × slot_bytes, then the same for quads
};

struct Checker;

struct Span {
  uintptr_t begin, end;
};

// What all workers of one dispatch share.
struct Job {
  const Dispatch *dispatch;
  Dim groups;
  uint64_t group_count, chunk, mul, add; // shuffled: group i*mul+add
  uint64_t step_limit;
  uint64_t stall_ns;
  uint32_t simdgroups_most;
  void *buffers[argument_slots];
  Checker *checker;
  Span images[2]; // the module and this library: what a kernel reads there is its own constants

  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  uint32_t workers_wanted, workers_in = 0; // under the pool's mutex
  char *error = nullptr;                   // under the pool's mutex
  std::atomic<bool> page_fault{false};     // a page of a buffer is gone
  uint64_t simd_ops = 0, barriers = 0, simdgroup_barriers = 0;
};

// Whether a kernel has a parameter: one with [[function_constant]] may be switched off.
inline bool present(const Argument &a) { return !a.enabled || a.enabled(); }

struct Fault {
  int signal; // 0: none
  const void *address;
  bool stalled;
  bool gone; // a page that was mapped from a file, which has shrunk or cannot be read
};

struct Worker {
  Thread *current;
  void *scheduler;  // saved stack pointer while a kernel runs
  char *arena;      // stacks, slots and argument arrays: what a kernel may touch without being judged
  size_t arena_bytes;
  volatile bool in_kernel;
  volatile bool failing;
  volatile bool kill; // set by the watchdog
  Fault fault;
  bool failed;        // the current threadgroup

  Job *job;
  const Kernel *kernel;
  void **buffers;
  void **memory;
  char *pieces;       // threadgroup memory: piece_count pieces between guards
  char *piece_begin[piece_count];
  uint32_t piece_length[piece_count];

  Dim group;          // position in the grid
  uint64_t group_index;
  uint32_t size[3];   // of this threadgroup
  uint32_t thread_count, simdgroup_count, live;
  uint8_t simdgroup_order[max_simdgroups];
  Thread threads[max_threads];
  Simdgroup simdgroups[max_simdgroups];
  int32_t free_stacks[max_threads];
  uint32_t free_stack_count;
  uint32_t stacks_ready; // stacks below this index have their pages

  Time now;
  Time since[2];      // last threadgroup barrier for device and threadgroup memory
  uint64_t simd_ops, barriers, simdgroup_barriers;
  std::atomic<uint64_t> progress;
  pthread_t thread;
  clockid_t clock;
};

// The worker that this OS thread is, if it is one.
extern thread_local Worker *worker __attribute__((tls_model("initial-exec")));

constexpr int device_space = 0, threadgroup_space = 1;

// exec_schedule.cpp
void run_threadgroup(Worker &, uint64_t index);
const void *simd_exchange(const char *, const void *, uint32_t, uint32_t *, uint64_t *, Site);
const void *quad_exchange(const char *, const void *, uint32_t, uint32_t *, uint64_t *, Site);
void threadgroup_barrier(uint32_t, Site);
void simdgroup_barrier(uint32_t, Site);
void leave_fiber(Worker &); // gives up the current threadgroup; does not return

// exec_signal.cpp
void install_fault_handler();
void set_alternate_stack();
void stop_stalled(Worker &);

// exec_error.cpp
// Records the error of thread t of the worker's threadgroup, t null: of the threadgroup.
void record(Worker &, const Thread *t, Site, const std::string &what);
[[noreturn]] void fail_thread(Worker &, Site, const std::string &what);
void record_fault(Worker &);
std::string describe_address(Worker &, const void *address); // "buffer 2 'x' of 64 bytes at offset 68"
std::string thread_name(Worker &, uint32_t index);           // "thread (1,0,0)"
std::string group_name(Worker &, uint64_t index);            // "threadgroup (1,0,0)"
bool keep_error(Job &, char *);                              // exec.cpp: the first error of a job stays

// exec_memory.cpp
char *reserve(size_t bytes);                  // address space that faults
void *unbound_address(uint32_t index);        // faults, and tells which buffer is missing
int unbound_index(const void *address);       // -1: not such an address
// The allocation around an address, guards included; false when there is none.
bool allocation_at(const void *address, const void **begin, uint64_t *length);

// exec_check.cpp
Checker *new_checker(Job &);
void finish_checker(Checker *, Outcome *); // fills the outcome and frees
void start_interval(Checker *);            // lanes meet: what follows are other instructions
void count_operation(Checker *, const char *op, uint32_t lanes);
void check_access(const void *, uint32_t, uint32_t, uint32_t, uint32_t);
void check_store(void *, const void *, uint32_t, uint32_t, uint32_t, uint32_t);
void check_copy(const void *, const void *, uint64_t, uint32_t, uint32_t);
void check_fill(void *, uint32_t, uint64_t, uint32_t, uint32_t);
void check_float_ops(uint32_t);

} // namespace sim
