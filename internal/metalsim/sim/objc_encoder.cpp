// The compute command encoder, and what all encoders share. A command is judged as far as possible when it is encoded,
// so that the message can name the call.
#include "objc_metal.h"

#include <algorithm>

namespace sim::objc {

// Encoder

Encoder::Encoder(const char *name, CommandBuffer *cb, Pass::Kind kind, bool concurrent)
    : Object(name), command_buffer(cb), pass(kind, concurrent) {
  cb->open_encoder = this;
}

Encoder::~Encoder() {
  if (ended) return;
  command_buffer->open_encoder = nullptr;
  command_buffer->poison(misuse("%s is released before endEncoding", describe().c_str()));
}

bool Encoder::usable() {
  if (ended) misuse("%s is used after endEncoding", describe().c_str());
  return !ended;
}

// Only the first fault of a command buffer counts: what follows is often its consequence.
void Encoder::fault(const char *text, ...) {
  if (command_buffer && !command_buffer->mistake.empty()) return;
  va_list list;
  va_start(list, text);
  std::string out = format_list(text, list);
  va_end(list);
  out = misuse("%s%s", out.c_str(), context().c_str());
  if (command_buffer) command_buffer->poison(out);
}

namespace {

void end_encoding(Encoder *self, Selector) {
  if (!self->usable()) return;
  self->ended = true;
  self->pass.label = self->label;
  self->command_buffer->open_encoder = nullptr;
  self->command_buffer->passes.push_back(std::move(self->pass));
  self->command_buffer = {};
  self->let_go();
}

void fence_command(Encoder *self, Object *fence, Command::Kind kind) {
  if (!self->usable()) return;
  auto *f = checked<Fence>(fence, "the fence");
  if (!f) return;
  Command c{kind};
  c.fence = Ref<Fence>(f);
  self->pass.commands.push_back(std::move(c));
}

void update_fence(Encoder *self, Selector, Object *fence) { fence_command(self, fence, Command::update_fence); }
void wait_for_fence(Encoder *self, Selector, Object *fence) { fence_command(self, fence, Command::wait_fence); }
void debug_text(Encoder *self, Selector, Object *text) {
  if (self->usable()) text_of(text, "the text");
}
void pop_group(Encoder *self, Selector) { self->usable(); }
Device *device_of(Object *, Selector) { return default_device(); }

} // namespace

std::vector<Method> encoder_methods() {
  return {method("endEncoding", end_encoding),      method("updateFence:", update_fence),
          method("waitForFence:", wait_for_fence),  method("pushDebugGroup:", debug_text),
          method("popDebugGroup", pop_group),       method("insertDebugSignpost:", debug_text),
          method("label", get_label),               method("setLabel:", set_label),
          method("device", device_of)};
}

// MTLComputeCommandEncoder

namespace {

struct ComputeEncoder : Encoder {
  static constexpr const char *class_name = "MTLComputeCommandEncoder";
  Ref<Pipeline> pipeline;
  BoundBuffer buffers[buffer_slots];
  uint64_t memory[memory_slots] = {};

  ComputeEncoder(CommandBuffer *cb, bool concurrent) : Encoder(class_name, cb, Pass::compute, concurrent) {}
  std::string context() const override {
    return pipeline ? format(" (kernel %s)", pipeline->kernel->name) : " (no kernel yet)";
  }
  void let_go() override {
    pipeline = {};
    for (BoundBuffer &b : buffers) b = {};
  }
  bool slot(uint64_t index) {
    if (index < buffer_slots) return true;
    fault("index %lu is not a buffer index: they go from 0 to %u", (unsigned long)index, buffer_slots - 1);
    return false;
  }
};

ComputeEncoder *make_encoder(CommandBuffer *cb, bool concurrent) {
  return cb->encoding_allowed() ? autoreleased(new ComputeEncoder(cb, concurrent)) : nullptr;
}

ComputeEncoder *compute_encoder(CommandBuffer *self, Selector) { return make_encoder(self, false); }

ComputeEncoder *compute_encoder_typed(CommandBuffer *self, Selector, uint64_t type) {
  if (type <= 1) return make_encoder(self, type == 1);
  misuse("%lu is not an MTLDispatchType: serial is 0, concurrent 1", (unsigned long)type);
  return nullptr;
}

void set_pipeline(ComputeEncoder *self, Selector, Object *pipeline) {
  if (!self->usable()) return;
  if (auto *p = checked<Pipeline>(pipeline, "the pipeline")) self->pipeline = Ref<Pipeline>(p);
}

void set_buffer(ComputeEncoder *self, Selector, Object *buffer, uint64_t offset, uint64_t index) {
  if (!self->usable() || !self->slot(index)) return;
  if (!buffer) {
    self->buffers[index] = {};
    return;
  }
  auto *b = checked<Buffer>(buffer, "the buffer");
  if (!b) {
    self->command_buffer->poison("setBuffer:offset:atIndex: was given what is not a live buffer" + self->context());
    return;
  }
  if (offset >= b->memory->length) {
    self->fault("offset %lu is beyond the end of %s, index %lu", (unsigned long)offset, b->memory->describe().c_str(),
                (unsigned long)index);
    return;
  }
  self->buffers[index] = {uint32_t(index), b->memory, nullptr, offset};
  self->command_buffer->keep(b);
}

void set_buffer_offset(ComputeEncoder *self, Selector, uint64_t offset, uint64_t index) {
  if (!self->usable() || !self->slot(index)) return;
  BoundBuffer &b = self->buffers[index];
  if (!b) {
    self->fault("there is no buffer at index %lu to set offset %lu of", (unsigned long)index, (unsigned long)offset);
    return;
  }
  uint64_t length = b.memory ? b.memory->length : b.bytes->size();
  if (offset >= length)
    self->fault("offset %lu is beyond the end of %s, index %lu", (unsigned long)offset,
                b.memory ? b.memory->describe().c_str() : format("setBytes of %lu bytes", (unsigned long)length).c_str(),
                (unsigned long)index);
  else if (b.bytes)
    self->fault("index %lu holds setBytes, which have no offset to set", (unsigned long)index);
  else
    b.offset = offset;
}

void set_bytes(ComputeEncoder *self, Selector, const void *bytes, uint64_t length, uint64_t index) {
  if (!self->usable() || !self->slot(index)) return;
  if (!bytes || !length) {
    self->fault("%s at index %lu", bytes ? "length 0" : "the pointer is NULL", (unsigned long)index);
    return;
  }
  if (length > max_set_bytes) {
    self->fault("length %lu at index %lu is over the limit of %lu bytes: use a buffer", (unsigned long)length,
                (unsigned long)index, (unsigned long)max_set_bytes);
    return;
  }
  auto *from = static_cast<const uint8_t *>(bytes);
  self->buffers[index] = {uint32_t(index), nullptr, std::make_shared<std::vector<uint8_t>>(from, from + length), 0};
}

void set_buffers(ComputeEncoder *self, Selector selector, Object *const *buffers, const uint64_t *offsets, NSRange range) {
  for (uint64_t i = 0; i < range.length; ++i) set_buffer(self, selector, buffers[i], offsets[i], range.location + i);
}

void set_memory_length(ComputeEncoder *self, Selector, uint64_t length, uint64_t index) {
  if (!self->usable()) return;
  if (index >= memory_slots)
    self->fault("index %lu is not a threadgroup memory index: they go from 0 to %u", (unsigned long)index,
                memory_slots - 1);
  else if (length % 16)
    self->fault("threadgroup memory length %lu at index %lu is not a multiple of 16", (unsigned long)length,
                (unsigned long)index);
  else if (length > limits.maxThreadgroupMemoryLength)
    self->fault("threadgroup memory length %lu at index %lu is over the device's limit of %lu", (unsigned long)length,
                (unsigned long)index, (unsigned long)limits.maxThreadgroupMemoryLength);
  else
    self->memory[index] = length;
}

// Judges one argument of the kernel against what is bound.
bool check_argument(ComputeEncoder *self, const Argument &a) {
  unsigned long index = a.index;
  if (a.kind == Argument::threadgroup_memory) {
    if (a.index < memory_slots && self->memory[a.index]) return true;
    self->fault("argument %s %s [[threadgroup(%lu)]] has no length: call "
                "setThreadgroupMemoryLength:atIndex:",
                a.type, a.name, index);
    return false;
  }
  if (a.kind != Argument::buffer) return true;
  std::string name = format("%s %s [[buffer(%lu)]]", a.type, a.name, index);
  if (a.index >= buffer_slots || !self->buffers[a.index]) {
    self->fault("argument %s is not bound", name.c_str());
    return false;
  }
  const BoundBuffer &b = self->buffers[a.index];
  if (b.bytes) {
    if (a.space == Space::device && !a.read_only)
      self->fault("argument %s is written by the kernel and cannot be bound with setBytes", name.c_str());
    else if (a.reference && b.bytes->size() != a.size)
      self->fault("argument %s takes %u bytes, but setBytes gave %zu", name.c_str(), a.size, b.bytes->size());
    else
      return true;
    return false;
  }
  // Apple: device pointers to the size of the data type, at least 4 here; constant ones to 4 on Apple GPUs. A constant
  // pointee of greater alignment would be misaligned all the same.
  uint32_t align = std::max<uint32_t>(4, std::min<uint32_t>(a.align, 16));
  if (b.offset % align)
    self->fault("offset %lu of argument %s is not a multiple of %u", (unsigned long)b.offset, name.c_str(), align);
  else if (a.reference && b.memory->length - b.offset < a.size)
    self->fault("argument %s takes %u bytes, but %s has %lu from offset %lu on", name.c_str(), a.size,
                b.memory->describe().c_str(), (unsigned long)(b.memory->length - b.offset), (unsigned long)b.offset);
  else
    return true;
  return false;
}

bool check_threadgroup(ComputeEncoder *self, MTLSize size) {
  uint64_t most = self->pipeline->max_threads;
  std::string text = format("%lu x %lu x %lu", (unsigned long)size.width, (unsigned long)size.height,
                            (unsigned long)size.depth);
  uint64_t each = limits.maxThreadsPerThreadgroup;
  bool too_many = size.width > each || size.height > each || size.depth > each ||
                  size.width * size.height * size.depth > most;
  if (!size.width || !size.height || !size.depth)
    self->fault("threadsPerThreadgroup %s has a 0", text.c_str());
  else if (too_many)
    self->fault("threadsPerThreadgroup %s are more than the pipeline's maxTotalThreadsPerThreadgroup of %lu", text.c_str(),
                (unsigned long)most);
  else if (self->pipeline->multiple_of_width && size.width * size.height * size.depth % simd_width)
    self->fault("threadsPerThreadgroup %s are not a multiple of threadExecutionWidth %lu, as the pipeline's descriptor "
                "promised",
                text.c_str(), (unsigned long)simd_width);
  else
    return true;
  return false;
}

bool check_memory(ComputeEncoder *self) {
  uint64_t fixed = self->pipeline->kernel->static_threadgroup_bytes, total = fixed;
  for (uint64_t length : self->memory) total += length;
  if (total <= limits.maxThreadgroupMemoryLength) return true;
  self->fault("threadgroup memory of %lu bytes set and %lu static is over the device's limit of %lu",
              (unsigned long)(total - fixed), (unsigned long)fixed, (unsigned long)limits.maxThreadgroupMemoryLength);
  return false;
}

// Records a dispatch of a grid of threads, if all is well with it.
void dispatch(ComputeEncoder *self, Dim threads, MTLSize group) {
  const Kernel &kernel = *self->pipeline->kernel;
  if (!check_memory(self)) return;
  Command c{Command::dispatch};
  for (uint32_t i = 0; i < kernel.argument_count; ++i) {
    const Argument &a = kernel.arguments[i];
    if (a.enabled && !a.enabled()) continue;
    if (!check_argument(self, a)) return;
    if (a.kind == Argument::buffer) c.buffers.push_back(self->buffers[a.index]);
    if (a.kind == Argument::threadgroup_memory) c.memory.emplace_back(a.index, self->memory[a.index]);
  }
  c.pipeline = self->pipeline;
  c.threads = threads;
  c.threads_per_threadgroup = {group.width, group.height, group.depth};
  self->pass.commands.push_back(std::move(c));
}

// What both forms ask: a pipeline, a grid that is not empty, a threadgroup that fits.
bool check_grid(ComputeEncoder *self, const char *what, MTLSize grid, MTLSize group) {
  if (!self->usable()) return false;
  if (!self->pipeline) {
    self->fault("there is no pipeline: call setComputePipelineState: first");
    return false;
  }
  if (grid.width && grid.height && grid.depth) return check_threadgroup(self, group);
  self->fault("%s %lu x %lu x %lu has a 0", what, (unsigned long)grid.width, (unsigned long)grid.height,
              (unsigned long)grid.depth);
  return false;
}

void dispatch_threadgroups(ComputeEncoder *self, Selector, MTLSize groups, MTLSize group) {
  if (check_grid(self, "threadgroupsPerGrid", groups, group))
    dispatch(self, {groups.width * group.width, groups.height * group.height, groups.depth * group.depth}, group);
}

void dispatch_threads(ComputeEncoder *self, Selector, MTLSize grid, MTLSize group) {
  if (!check_grid(self, "threadsPerGrid", grid, group)) return;
  bool ragged = grid.width % group.width || grid.height % group.height || grid.depth % group.depth;
  if (ragged && !limits.nonUniformThreadgroups)
    self->fault("threadsPerGrid %lu x %lu x %lu is not a multiple of threadsPerThreadgroup %lu x %lu x %lu, and this device "
                "has no non-uniform threadgroups",
                (unsigned long)grid.width, (unsigned long)grid.height, (unsigned long)grid.depth,
                (unsigned long)group.width, (unsigned long)group.height, (unsigned long)group.depth);
  else
    dispatch(self, {grid.width, grid.height, grid.depth}, group);
}

// MTLBarrierScope: buffers 1, textures 2, render targets 4.
void barrier_scope(ComputeEncoder *self, Selector, uint64_t scope) {
  if (!self->usable()) return;
  if (!scope || scope > 7)
    self->fault("0x%lx is not an MTLBarrierScope", (unsigned long)scope);
  else if (scope & 1)
    self->pass.commands.emplace_back(Command::barrier);
}

void barrier_resources(ComputeEncoder *self, Selector, Object *const *resources, uint64_t count) {
  if (!self->usable()) return;
  Command c{Command::resource_barrier};
  for (uint64_t i = 0; i < count; ++i) {
    auto *b = checked<Buffer>(resources ? resources[i] : nullptr, "a resource");
    if (!b) return;
    c.buffers.push_back({0, b->memory, nullptr, 0});
  }
  if (!count) self->fault("no resources are given");
  self->pass.commands.push_back(std::move(c));
}

// MTLResourceUsage: read 1, write 2, sample 4.
void use_resource(ComputeEncoder *self, Selector, Object *resource, uint64_t usage) {
  if (!self->usable()) return;
  auto *b = checked<Buffer>(resource, "the resource");
  if (!usage || usage > 7) self->fault("0x%lx is not an MTLResourceUsage", (unsigned long)usage);
  else if (b) self->command_buffer->keep(b);
}

uint64_t dispatch_type(ComputeEncoder *self, Selector) { return self->pass.concurrent; }

std::vector<Method> compute_methods() {
  std::vector<Method> all = encoder_methods();
  for (Method m : {method("setComputePipelineState:", set_pipeline), method("setBuffer:offset:atIndex:", set_buffer),
                   method("setBufferOffset:atIndex:", set_buffer_offset),
                   method("setBuffers:offsets:withRange:", set_buffers), method("setBytes:length:atIndex:", set_bytes),
                   method("setThreadgroupMemoryLength:atIndex:", set_memory_length),
                   method("dispatchThreadgroups:threadsPerThreadgroup:", dispatch_threadgroups),
                   method("dispatchThreads:threadsPerThreadgroup:", dispatch_threads),
                   method("memoryBarrierWithScope:", barrier_scope),
                   method("memoryBarrierWithResources:count:", barrier_resources),
                   method("useResource:usage:", use_resource), method("dispatchType", dispatch_type)})
    all.push_back(m);
  return all;
}

Registration encoder("MTLComputeCommandEncoder", "NSObject", compute_methods());
Registration makers("MTLCommandBuffer", nullptr,
                    {method("computeCommandEncoder", compute_encoder),
                     method("computeCommandEncoderWithDispatchType:", compute_encoder_typed)});

} // namespace

} // namespace sim::objc
