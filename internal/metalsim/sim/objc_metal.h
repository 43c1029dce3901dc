// The Metal objects of the stand-in, as the files objc_*.cpp share them. Each class has the name of Metal's protocol.
#pragma once

#include "objc.h"
#include "sim.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace sim::objc {

constexpr uint64_t page_size = 16384; // of Apple silicon
constexpr uint32_t buffer_slots = 31, memory_slots = 31;
constexpr uint64_t simd_width = 32, max_set_bytes = 4096;

// What the device allows. Tests lower these with sim_set_limit, by the same names.
struct Limits {
  std::atomic<uint64_t> maxBufferLength, recommendedMaxWorkingSetSize;
  std::atomic<uint64_t> maxThreadsPerThreadgroup, maxThreadgroupMemoryLength;
  std::atomic<uint64_t> family;                // MTLGPUFamilyApple1 + n: 1007 is Apple7
  std::atomic<uint64_t> nonUniformThreadgroups; // 0: as before Apple4
  std::atomic<uint64_t> residencySets;         // 0: as before macOS 15
  std::atomic<uint64_t> capture;               // 0: as without MTL_CAPTURE_ENABLED
  std::atomic<uint64_t> failAllocation;        // the n-th allocation from now on fails
  std::atomic<uint64_t> failResidencySet;      // 1: no residency set is made
  std::atomic<uint64_t> deviceLost;            // 1: every command buffer fails
  std::atomic<uint64_t> emptyLibrary;          // 1: a library that is made has no functions
  std::atomic<uint64_t> flushHalf;             // 1: a library's kernels take subnormal halves for zero
  std::atomic<uint64_t> matrixLayout;          // 1: they deal a simdgroup matrix to the lanes row by row
  std::atomic<uint64_t> eventGrace;            // milliseconds without progress until a wait counts as a deadlock
  std::atomic<uint64_t> workers;               // OS threads of a dispatch; 0: one a core
  std::atomic<uint64_t> compute;               // 0: dispatches are judged and put on record, but not run
  Limits() { reset(); }
  void reset();
};
extern Limits limits;

// How the executor is to run things.
struct Settings {
  std::atomic<int> order{0};
  std::atomic<uint64_t> seed{0};
  std::atomic<bool> counting{false};
};
extern Settings settings;

enum ResourceOptions : uint64_t {
  storage_managed = 1 << 4,
  storage_private = 2 << 4,
  storage_memoryless = 3 << 4,
  storage_mask = 15 << 4,
  untracked = 1 << 8,
  tracked = 2 << 8,
};

struct Device : Object {
  static constexpr const char *class_name = "MTLDevice";
  Device();
};
Device *default_device();

// The bytes of a buffer. Command buffers keep them past the buffer's own life, so that a program's mistake is an error
// and not a crash.
struct Memory {
  const uint64_t id; // never used again
  void *address = nullptr;
  uint64_t length = 0;
  bool owned = false, tracked = true;
  std::string label;
  std::atomic<int> unretained_uses{0}; // by command buffers that do not retain it and have not completed
  Memory();
  ~Memory();
  std::string describe() const;
};
std::shared_ptr<Memory> allocate_memory(uint64_t length); // null when out of memory
uint64_t allocated_size();

struct Buffer : Object {
  static constexpr const char *class_name = "MTLBuffer";
  std::shared_ptr<Memory> memory;
  uint64_t options;
  Buffer(std::shared_ptr<Memory> memory, uint64_t options);
  ~Buffer() override;
};

// A shader module in memory, with function constants of its own.
struct LoadedModule {
  void *handle = nullptr;
  int file = -1;
  const Module *module = nullptr;
  ~LoadedModule();
};
std::shared_ptr<LoadedModule> load_module(const std::string &path, std::string *error);
// Has the shader text compiled: the path of its module, or the compiler's text.
bool compile_source(const std::string &source, const std::string &options, bool counted, std::string *path,
                    std::string *error);

// The names of the function constants that a kernel cannot do without, by the text of the shader.
std::set<std::string> reached_constants(const std::string &source, const Module &, const std::string &kernel);

struct ConstantValues : Object {
  static constexpr const char *class_name = "MTLFunctionConstantValues";
  struct Value {
    uint64_t type;
    std::vector<uint8_t> bytes;
  };
  std::map<uint64_t, Value> by_index;
  std::map<std::string, Value> by_name;
  ConstantValues() : Object(class_name) {}
};

struct CompileOptions : Object {
  static constexpr const char *class_name = "MTLCompileOptions";
  bool fast_math = true, preserve_invariance = false;
  uint64_t language_version = 0, optimization_level = 0;
  int64_t math_mode = 2; // MTLMathModeFast
  std::vector<std::pair<std::string, std::string>> macros;
  CompileOptions() : Object(class_name) {}
};

struct Library : Object {
  static constexpr const char *class_name = "MTLLibrary";
  std::string source, options;
  bool empty = false; // without functions
  std::mutex mutex;
  std::string paths[2];                   // of the compiled module, [1] with instrumentation
  std::shared_ptr<LoadedModule> plain[2]; // without constants set
  Library() : Object(class_name) {}
  // The module in the current mode of counting: one that is shared, or a fresh copy to set constants in.
  std::shared_ptr<LoadedModule> load(bool fresh, std::string *error);
};

struct Function : Object {
  static constexpr const char *class_name = "MTLFunction";
  std::shared_ptr<LoadedModule> module;
  const Kernel *kernel = nullptr;
  std::string missing; // names of function constants that the kernel needs and that are not set
  Function() : Object(class_name) {}
};

struct Pipeline : Object {
  static constexpr const char *class_name = "MTLComputePipelineState";
  std::shared_ptr<LoadedModule> module;
  const Kernel *kernel;
  uint64_t max_threads;
  bool multiple_of_width = false;
  Pipeline(Function *, uint64_t max_threads);
};

struct Event : Object {
  static constexpr const char *class_name = "MTLEvent";
  uint64_t value = 0; // under scheduler().mutex
  std::map<uint64_t, std::set<uint64_t>> signals; // passes that are over at a value; under the hazards' mutex
  explicit Event(const char *name = class_name) : Object(name) {}
};

struct SharedEvent : Event {
  static constexpr const char *class_name = "MTLSharedEvent";
  SharedEvent() : Event(class_name) {}
};

struct Fence : Object {
  static constexpr const char *class_name = "MTLFence";
  std::set<uint64_t> passes; // that are over when the fence has been updated; under the hazards' mutex
  Fence() : Object(class_name) {}
};

// Commands, as an encoder records them.

struct BoundBuffer {
  uint32_t index = 0;
  std::shared_ptr<Memory> memory;              // of setBuffer
  std::shared_ptr<std::vector<uint8_t>> bytes; // of setBytes
  uint64_t offset = 0;
  explicit operator bool() const { return memory || bytes; }
};

struct Command {
  enum Kind { dispatch, copy, fill, barrier, resource_barrier, wait_fence, update_fence } kind;
  Ref<Pipeline> pipeline;
  std::vector<BoundBuffer> buffers; // of dispatch; of copy: from, to; of fill: to; of resource_barrier
  std::vector<std::pair<uint32_t, uint64_t>> memory; // index and length of threadgroup memory
  Dim threads{}, threads_per_threadgroup{};
  uint64_t bytes = 0; // of copy and fill
  uint8_t value = 0;  // of fill
  Ref<Fence> fence;
  explicit Command(Kind kind) : kind(kind) {}
};

// One encoder's work, or a signal or wait of an event between encoders.
struct Pass {
  enum Kind { compute, blit, signal, wait } kind;
  bool concurrent;
  std::string label;
  std::vector<Command> commands;
  Ref<Event> event;
  uint64_t value = 0;
  explicit Pass(Kind kind, bool concurrent = false) : kind(kind), concurrent(concurrent) {}
};

struct QueueState;
struct Encoder;

struct Queue : Object {
  static constexpr const char *class_name = "MTLCommandQueue";
  std::shared_ptr<QueueState> state;
  std::map<Object *, Ref<Object>> residency;
  Queue(uint64_t max_command_buffers);
  ~Queue() override;
};

struct CommandBuffer : Object {
  static constexpr const char *class_name = "MTLCommandBuffer";
  enum Status : uint64_t { not_enqueued, enqueued, committed, scheduled, completed, error };
  Ref<Queue> queue;
  bool retains;
  std::vector<Pass> passes;
  std::vector<Ref<Object>> retained;
  std::vector<std::shared_ptr<Memory>> borrowed; // when it does not retain
  Encoder *open_encoder = nullptr;
  uint64_t encoders = 0;
  Status status = not_enqueued; // this and what follows under scheduler().mutex
  std::string mistake;          // the first misuse while encoding; it fails the command buffer
  Ref<Error> failure;
  double gpu_start = 0, gpu_end = 0;
  uint64_t commit_number = 0;
  CommandBuffer(Queue *queue, bool retains);
  ~CommandBuffer() override;
  void keep(Buffer *); // until completion
  void poison(const std::string &text);
  bool encoding_allowed();         // reports when it is committed or an encoder is open
};

// What compute and blit encoders share.
struct Encoder : Object {
  Ref<CommandBuffer> command_buffer; // until endEncoding
  Pass pass;
  bool ended = false;
  Encoder(const char *class_name, CommandBuffer *, Pass::Kind, bool concurrent);
  ~Encoder() override;
  virtual std::string context() const { return ""; } // for messages
  virtual void let_go() {}                            // of what is bound, at endEncoding
  bool usable(); // reports use after endEncoding
  void fault(const char *format, ...) __attribute__((format(printf, 2, 3)));
};
std::vector<Method> encoder_methods();

// Work in flight on all queues.

struct Scheduler {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<QueueState *> queues;
  uint64_t progress = 0; // counts every change that may unblock a wait
  std::atomic<uint64_t> commits{0};
};
Scheduler &scheduler();

struct QueueState {
  uint64_t max_command_buffers, alive = 0; // command buffers that exist and have not completed
  std::deque<CommandBuffer *> pending;     // in order; retained
  bool started = false, closed = false;
  bool running = false;
  Event *blocked_on = nullptr;             // the wait that the first pending one is in
  uint64_t blocked_value = 0;
  std::string give_up;         // set by who detects a deadlock
};

// Takes a place in the queue, as enqueued or as committed.
void enqueue(const std::shared_ptr<QueueState> &, CommandBuffer *, CommandBuffer::Status);
void wait_for(CommandBuffer *, CommandBuffer::Status);
bool wait_for_slot(QueueState *);

// Runs the passes of a command buffer. The text of the failure and its code, or empty.
std::string execute_command_buffer(CommandBuffer *, QueueState *, int64_t *code);
// Waits on the queue's thread; false with a text when it can never be met.
bool wait_for_event(QueueState *, Event *, uint64_t value, std::string *why);
void signal_event(Event *, uint64_t value);

// Hazards between commands that nothing orders.

// Bytes of a buffer that a command reads or writes: the ranges that the executor has seen, or, in plain mode, the first
// element of what a kernel's pointer is bound to, which is all that is known then.
struct Access {
  const Memory *memory;
  const char *begin, *end;
  bool written;
  uint32_t line; // in the shader, 0 when unknown
};

// What the passes before this one are, and what this one has done so far.
class PassHazards {
public:
  PassHazards(const CommandBuffer *, const Pass &, const std::set<uint64_t> &ancestors);
  // The text of a conflict with a command that may not have finished, or empty. Accesses are exact, or of what is bound.
  std::string add(const std::string &name, const std::vector<Access> &, bool exact);
  void barrier() { unordered.clear(); }
  void barrier(const std::vector<BoundBuffer> &);
  void wait(const Fence *);
  void update(Fence *) const;
  uint64_t id() const;

private:
  struct Node;
  struct Hazards;
  friend void host_observed(const CommandBuffer *);
  friend void host_observed(Event *, uint64_t value);
  friend void hazards_signal(const CommandBuffer *, const std::set<uint64_t> &passes, Event *, uint64_t value);
  friend void hazards_committed(const CommandBuffer *);
  friend void hazards_wait(const Event *, uint64_t value, std::set<uint64_t> *passes);
  friend void hazards_completed(const CommandBuffer *);
  static Hazards &hazards();

  std::shared_ptr<Node> node;
  struct Command {
    std::string name;
    std::vector<Access> accesses;
  };
  std::vector<Command> unordered; // since the last barrier of a concurrent encoder
  bool concurrent;
};

// The program has seen the end of a command buffer, or an event at a value: what it commits from now on comes after.
void host_observed(const CommandBuffer *);
void host_observed(Event *, uint64_t value);
// An event is signalled after these passes; who waits for it comes after them.
void hazards_signal(const CommandBuffer *, const std::set<uint64_t> &passes, Event *, uint64_t value);
void hazards_wait(const Event *, uint64_t value, std::set<uint64_t> *passes);
void hazards_committed(const CommandBuffer *);
void hazards_completed(const CommandBuffer *);

// For sim_residency.
std::string residency_json();

// For sim_counters and captures. The outcome is null when nothing was counted.
std::string dispatch_json(const Command &, const Outcome *);
void log_dispatch(const CommandBuffer *, const Command &, const Outcome *);
void trace_command_buffer(const CommandBuffer *); // into the capture, if one is open

} // namespace sim::objc
