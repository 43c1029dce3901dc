// The device, its limits, and its buffers.
#include "objc_metal.h"

#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace sim::objc {

Limits limits;
Settings settings;

void Limits::reset() {
  uint64_t memory = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGE_SIZE));
  maxBufferLength = memory / 2 / page_size * page_size;
  recommendedMaxWorkingSetSize = memory / 4 * 3 / page_size * page_size;
  maxThreadsPerThreadgroup = 1024;
  maxThreadgroupMemoryLength = 32768;
  family = 1007;
  nonUniformThreadgroups = 1;
  residencySets = 1;
  capture = 1;
  failAllocation = 0;
  failResidencySet = 0;
  deviceLost = 0;
  emptyLibrary = 0;
  flushHalf = 0;
  matrixLayout = 0;
  eventGrace = 1000;
  workers = 0;
  compute = 1;
}

// Memory

namespace {
std::atomic<uint64_t> allocated{0};
}

uint64_t allocated_size() { return allocated; }

std::shared_ptr<Memory> allocate_memory(uint64_t length) {
  if (limits.failAllocation && --limits.failAllocation == 0) return nullptr;
  void *address = allocate(length);
  if (!address) return nullptr;
  auto memory = std::make_shared<Memory>();
  memory->address = address;
  memory->length = length;
  memory->owned = true;
  allocated += length;
  return memory;
}

Memory::Memory() : id([] {
  static std::atomic<uint64_t> last{0};
  return ++last;
}()) {}

Memory::~Memory() {
  if (!owned) return;
  sim::release(address, length);
  allocated -= length;
}

std::string Memory::describe() const {
  return label.empty() ? format("a buffer of %lu bytes", (unsigned long)length)
                       : format("buffer \"%s\" of %lu bytes", label.c_str(), (unsigned long)length);
}

// Buffer

Buffer::Buffer(std::shared_ptr<Memory> m, uint64_t options)
    : Object(class_name), memory(std::move(m)), options(options) {
  memory->tracked = !(options & untracked);
}

Buffer::~Buffer() {
  if (memory->unretained_uses > 0)
    misuse("%s is deallocated while a command buffer that does not retain it has not completed", describe().c_str());
}

namespace {

void *contents(Buffer *self, Selector) {
  return (self->options & storage_mask) == storage_private ? nullptr : self->memory->address;
}
uint64_t buffer_length(Buffer *self, Selector) { return self->memory->length; }
uint64_t gpu_address(Buffer *self, Selector) { return reinterpret_cast<uint64_t>(self->memory->address); }
uint64_t resource_options(Buffer *self, Selector) { return self->options; }
uint64_t storage_mode(Buffer *self, Selector) { return (self->options & storage_mask) >> 4; }
uint64_t hazard_mode(Buffer *self, Selector) { return self->memory->tracked ? 2 : 1; }
Device *device_of(Object *, Selector) { return default_device(); }

void set_buffer_label(Buffer *self, Selector selector, Object *label) {
  set_label(self, selector, label);
  self->memory->label = self->label;
}

void did_modify_range(Buffer *self, Selector, NSRange range) {
  if ((self->options & storage_mask) != storage_managed)
    misuse("%s is not managed: didModifyRange: is for MTLStorageModeManaged", self->describe().c_str());
  else if (range.location + range.length > self->memory->length)
    misuse("range %lu+%lu is beyond %s", (unsigned long)range.location, (unsigned long)range.length,
           self->memory->describe().c_str());
}

Registration buffer("MTLBuffer", "NSObject",
                    {method("contents", contents), method("length", buffer_length), method("gpuAddress", gpu_address),
                     method("allocatedSize", buffer_length), method("resourceOptions", resource_options),
                     method("storageMode", storage_mode), method("hazardTrackingMode", hazard_mode),
                     method("device", device_of), method("label", get_label), method("setLabel:", set_buffer_label),
                     method("didModifyRange:", did_modify_range)});

// Device

bool good_length(uint64_t length, uint64_t options) {
  if (length == 0) {
    misuse("length 0: a buffer has at least one byte");
    return false;
  }
  if (length > limits.maxBufferLength) {
    misuse("length %lu exceeds maxBufferLength, %lu", (unsigned long)length, (unsigned long)limits.maxBufferLength);
    return false;
  }
  uint64_t storage = options & storage_mask;
  if (storage == storage_memoryless || storage > storage_memoryless || (options & ~uint64_t(0x3FF)) ||
      (options & (untracked | tracked)) == (untracked | tracked)) {
    misuse("options 0x%lx are not valid for a buffer", (unsigned long)options);
    return false;
  }
  return true;
}

Buffer *new_buffer(Device *, Selector, uint64_t length, uint64_t options) {
  if (!good_length(length, options)) return nullptr;
  auto memory = allocate_memory(length);
  return memory ? new Buffer(memory, options) : nullptr;
}

Buffer *new_buffer_with_bytes(Device *self, Selector selector, const void *bytes, uint64_t length, uint64_t options) {
  if (!bytes) {
    misuse("the pointer is NULL");
    return nullptr;
  }
  if ((options & storage_mask) == storage_private) {
    misuse("a private buffer cannot be made from bytes");
    return nullptr;
  }
  Buffer *b = new_buffer(self, selector, length, options);
  if (b) memcpy(b->memory->address, bytes, length);
  return b;
}

Buffer *new_buffer_no_copy(Device *, Selector, void *pointer, uint64_t length, uint64_t options, void *deallocator) {
  if (!good_length(length, options)) return nullptr;
  if (!pointer || reinterpret_cast<uint64_t>(pointer) % page_size) {
    misuse("pointer %p is not aligned to a page of %lu bytes", pointer, (unsigned long)page_size);
    return nullptr;
  }
  if (length % page_size) {
    misuse("length %lu is not a multiple of the page size, %lu bytes", (unsigned long)length, (unsigned long)page_size);
    return nullptr;
  }
  if ((options & storage_mask) == storage_private) {
    misuse("a private buffer cannot wrap the program's memory");
    return nullptr;
  }
  if (deallocator) {
    misuse("the stand-in has no blocks: the deallocator must be nil");
    return nullptr;
  }
  auto memory = std::make_shared<Memory>();
  memory->address = pointer;
  memory->length = length;
  return new Buffer(memory, options);
}

String *device_name(Device *, Selector) { return autoreleased(new String("metalsim")); }
uint64_t registry_id(Device *, Selector) { return 1; }
uint64_t working_set(Device *, Selector) { return limits.recommendedMaxWorkingSetSize; }
uint64_t max_buffer_length(Device *, Selector) { return limits.maxBufferLength; }
uint64_t max_threadgroup_memory(Device *, Selector) { return limits.maxThreadgroupMemoryLength; }
uint64_t current_allocated(Device *, Selector) { return allocated_size(); }
bool yes(Device *, Selector) { return true; }
bool no(Device *, Selector) { return false; }

MTLSize max_threads(Device *, Selector) {
  uint64_t n = limits.maxThreadsPerThreadgroup;
  return {n, n, n};
}

// Apple1 to the device's, Common1 to 3, Mac2 from Apple7 on, and Metal3 likewise: Metal Feature Set Tables.
bool supports_family(Device *, Selector, int64_t family) {
  int64_t apple = limits.family;
  return (family > 1000 && family <= apple) || (family > 3000 && family <= 3003) ||
         (apple >= 1007 && (family == 2002 || family == 5001));
}

Queue *new_queue(Device *, Selector) { return new Queue(64); }

Queue *new_queue_with_max(Device *, Selector, uint64_t count) {
  if (count) return new Queue(count);
  misuse("maxCommandBufferCount is 0");
  return nullptr;
}

Event *new_event(Device *, Selector) { return new Event; }
SharedEvent *new_shared_event(Device *, Selector) { return new SharedEvent; }
Fence *new_fence(Device *, Selector) { return new Fence; }
void set_concurrent_compilation(Device *, Selector, bool) {}

Registration device("MTLDevice", "NSObject",
                    {method("name", device_name), method("registryID", registry_id),
                     method("recommendedMaxWorkingSetSize", working_set), method("maxBufferLength", max_buffer_length),
                     method("maxThreadgroupMemoryLength", max_threadgroup_memory),
                     method("maxThreadsPerThreadgroup", max_threads), method("currentAllocatedSize", current_allocated),
                     method("hasUnifiedMemory", yes), method("isLowPower", no), method("isHeadless", no),
                     method("isRemovable", no), method("supportsFamily:", supports_family),
                     method("newBufferWithLength:options:", new_buffer),
                     method("newBufferWithBytes:length:options:", new_buffer_with_bytes),
                     method("newBufferWithBytesNoCopy:length:options:deallocator:", new_buffer_no_copy),
                     method("newCommandQueue", new_queue),
                     method("newCommandQueueWithMaxCommandBufferCount:", new_queue_with_max),
                     method("newEvent", new_event), method("newSharedEvent", new_shared_event),
                     method("setShouldMaximizeConcurrentCompilation:", set_concurrent_compilation),
                     method("newFence", new_fence)});

} // namespace

Device::Device() : Object(class_name) { immortal(this); }

Device *default_device() {
  static auto *device = new Device;
  return device;
}

} // namespace sim::objc

using namespace sim::objc;

extern "C" {

// Both follow the Create rule: the caller owns the result.
Object *MTLCreateSystemDefaultDevice() { return retain(default_device()); }

Object *MTLCopyAllDevices() {
  auto *all = new Array;
  all->items.emplace_back(default_device());
  return all;
}

} // extern "C"
