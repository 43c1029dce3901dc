// The contract between the three parts of the stand-in:
//
//   shader module   MSL, rewritten and compiled to a shared object against msl/
//   executor        exec*.cpp: runs one dispatch of a kernel, and judges what its threads do
//   Metal objects   objc*.cpp: the Objective-C runtime and the classes that a Metal program calls
//
// A module is loaded once for each specialisation, so that its function constants are its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sim {

enum class Space : uint8_t { device, constant, threadgroup };

// Built-in kernel arguments, by their MSL attribute.
enum class Builtin : uint8_t {
  none,
  thread_position_in_grid,
  thread_position_in_threadgroup,
  thread_index_in_threadgroup,
  threadgroup_position_in_grid,
  threads_per_grid,
  threads_per_threadgroup,
  dispatch_threads_per_threadgroup,
  threadgroups_per_grid,
  thread_index_in_simdgroup,
  simdgroup_index_in_threadgroup,
  simdgroups_per_threadgroup,
  threads_per_simdgroup,
  thread_execution_width,
  thread_index_in_quadgroup,
  quadgroup_index_in_threadgroup,
  quadgroups_per_threadgroup,
};

// One parameter of a kernel.
struct Argument {
  enum Kind : uint8_t { buffer, threadgroup_memory, builtin } kind;
  Space space;      // of a buffer or threadgroup memory
  bool read_only;   // const, or constant
  bool reference;   // T& rather than T*: the bytes of one T must be bound
  Builtin which;    // of a builtin
  uint32_t index;   // [[buffer(index)]], [[threadgroup(index)]]
  uint32_t size;    // of T in bytes, or of the builtin's type
  uint32_t align;   // of T
  uint32_t line;    // in the MSL source
  const char *name; // as in the source
  const char *type; // as in the source
  bool (*enabled)();  // of [[function_constant(name)]]: asked once the constants are set; 0: always there
};

struct Thread;

struct Kernel {
  const char *name;       // host name
  const Argument *arguments;
  uint32_t argument_count;
  uint32_t max_threads;   // [[max_total_threads_per_threadgroup(n)]], 0: none
  uint32_t static_threadgroup_bytes; // of the threadgroup variables that the kernel declares
  uint32_t line;
  // Runs the kernel for the current thread. buffers and memory are by index; a missing one is dummy memory.
  void (*run)(Thread *, void *const *buffers, void *const *memory);
  // Indices into Module.constants of the function constants that the kernel reaches. Null: not known.
  const uint32_t *constants;
  uint32_t constant_count;
};

struct FunctionConstant {
  const char *name;
  uint32_t index;
  uint32_t type;    // MTLDataType, such as 3 float, 29 int, 33 uint, 53 bool
  uint32_t size;
  bool *defined;    // read by is_function_constant_defined
  void *value;      // set before the kernel runs
  bool optional;    // the source asks is_function_constant_defined of it, so that it may be left out
};

// Where in the MSL source something happens; line 0 when unknown.
struct Site {
  uint32_t line, column;
};

// What a shader's threads ask of the executor.
struct Runtime {
  uint32_t version; // of this struct: 1
  // Called by the instrumentation for each load and store of the source (in the counted and checked builds only).
  void (*access)(const void *address, uint32_t bytes, uint32_t store, uint32_t line, uint32_t column);
  // Before a copy of a run of bytes.
  void (*copy)(const void *to, const void *from, uint64_t bytes, uint32_t line, uint32_t column);
  // float operations of a basic block, each lane of a vector counted, a fused multiply-add as two.
  void (*float_ops)(uint32_t n);
  // Barriers.
  void (*threadgroup_barrier)(uint32_t mem_flags, Site);
  void (*simdgroup_barrier)(uint32_t mem_flags, Site);
  // Rendezvous of the simdgroup: every live lane leaves `bytes` bytes at value and gets the address of all 32 slots,
  // `stride` bytes apart, with a mask of the lanes that took part. op is for messages and for the counters.
  // The slots stay valid until this lane's next rendezvous.
  const void *(*simd_exchange)(const char *op, const void *value, uint32_t bytes, uint32_t *stride, uint64_t *active, Site);
  // The same within the lanes of a quad.
  const void *(*quad_exchange)(const char *op, const void *value, uint32_t bytes, uint32_t *stride, uint64_t *active, Site);
  // Memory of a threadgroup variable: the same address for every thread of a threadgroup, poisoned at its start.
  void *(*threadgroup_variable)(uint32_t offset);
  // An error of the shader itself, such as an atomic on a misaligned address. Does not return.
  void (*fail)(const char *message, Site);
  // The value of a builtin for the current thread: up to three uints.
  void (*builtin)(Builtin which, uint32_t value[3]);
  // Before a store: the value that will be stored, and in flags, as in access's store: bit 0 a store, bit 1 atomic, bit 2 a
  // load too, bit 3 a copy that may hold padding, bits 8-15 the binary logarithm of the alignment that the type asks for, bits 16-31 which instruction it is.
  void (*store)(void *address, const void *value, uint32_t bytes, uint32_t flags, uint32_t line, uint32_t column);
  // Before a run of bytes is set to one value.
  void (*fill)(void *to, uint32_t byte, uint64_t bytes, uint32_t line, uint32_t column);
};

// What a module exports:  extern "C" const sim::Module *sim_module(const sim::Runtime *);
struct Module {
  uint32_t version; // of this contract: 1
  bool counted;     // built with instrumentation
  bool flush;       // float32 denormals are zero, as on Apple's GPUs
  const Kernel *kernels;
  uint32_t kernel_count;
  const FunctionConstant *constants;
  uint32_t constant_count;
};

struct Dim {
  uint64_t x, y, z;
};

// A piece of memory bound to [[buffer(index)]]. length counts from address to the end of the buffer.
struct Binding {
  void *address;
  uint64_t length;
  const char *label; // for messages: the buffer's label, or "setBytes"
  const void *base;  // of the whole buffer, for hazards
  bool bound;
};

enum class Order : uint8_t { ascending, descending, shuffled };

struct Counters {
  uint64_t loads, stores;             // instructions, device and constant memory
  uint64_t loaded_bytes, stored_bytes;
  uint64_t distinct_bytes;            // read or written at least once
  uint64_t load_lines, load_groups;   // lines of 128 bytes touched, summed over the loads of simdgroups, and how many those are
  uint64_t threadgroup_loaded_bytes, threadgroup_stored_bytes;
  uint64_t simd_ops, barriers, simdgroup_barriers, float_ops;
};

// What of that belongs to one buffer argument. Where bindings overlap, as parts of one buffer do, a byte belongs to the
// one that begins last before it.
struct BindingCounters {
  uint64_t loaded_bytes, stored_bytes, distinct_bytes;
};

struct Range {
  const void *begin, *end;
  bool written;
  uint32_t line;
};

struct Dispatch {
  const Kernel *kernel;
  bool counted;                   // the module has instrumentation: check and count
  bool flush;                     // float32 denormals are zero
  const Binding *buffers;         // 31
  const uint64_t *memory_lengths; // 31, dynamic threadgroup memory
  Dim threads;                    // of the whole grid; a ragged edge makes smaller threadgroups
  Dim threads_per_threadgroup;
  Order order;
  uint64_t seed;                  // of shuffled
  uint32_t workers;               // OS threads to use, 0: one a core
};

struct Outcome {
  char *error;        // 0 when all was well; malloc'd: kernel, line, threadgroup and thread, and what was wrong
  bool page_fault;    // what was wrong is a page of a buffer that can no longer be read
  Counters counters;
  BindingCounters buffers[31]; // by index
  Range *ranges;      // what was read and written in device memory, merged; malloc'd; only when counted
  size_t range_count;
};

// The runtime table that modules get.
const Runtime *runtime();

// Runs a dispatch to its end on threads of the executor's own.
void execute(const Dispatch &, Outcome *);

// Memory for buffers: the length rounded up to pages, between guard pages; zeroed, page-aligned. bytes exact to the
// end are checked in counted builds, to the page in plain ones.
void *allocate(uint64_t length);
void release(void *address, uint64_t length);

} // namespace sim
