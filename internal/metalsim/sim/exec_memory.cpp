// Memory between guards. An access beyond a buffer's pages faults; the guards are wide, so that a stray index of some
// thousand rows still lands in them and is named after its buffer.
#include "exec.h"

#include <map>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace sim {

namespace {

constexpr size_t guard = 4 << 20;
constexpr size_t unbound_pitch = 64 << 20;

size_t page() {
  static const size_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

size_t rounded(uint64_t length) { return (length + page() - 1) / page() * page(); }

struct Allocations {
  std::mutex mutex;
  std::map<uintptr_t, uint64_t> by_begin;
};

Allocations &allocations() {
  static Allocations &a = *new Allocations;
  return a;
}

char *unbound_base() {
  static char *base = reserve(unbound_pitch * argument_slots);
  return base;
}

} // namespace

char *reserve(size_t bytes) {
  void *p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : (char *)p;
}

void *allocate(uint64_t length) {
  size_t bytes = rounded(length ? length : 1);
  if (bytes < length || bytes + 2 * guard < bytes) return nullptr;
  char *base = reserve(bytes + 2 * guard);
  if (!base) return nullptr;
  if (mprotect(base + guard, bytes, PROT_READ | PROT_WRITE)) {
    munmap(base, bytes + 2 * guard);
    return nullptr;
  }
  Allocations &a = allocations();
  std::lock_guard<std::mutex> lock(a.mutex);
  a.by_begin[(uintptr_t)base + guard] = bytes;
  return base + guard;
}

void release(void *address, uint64_t length) {
  if (!address) return;
  {
    Allocations &a = allocations();
    std::lock_guard<std::mutex> lock(a.mutex);
    a.by_begin.erase((uintptr_t)address);
  }
  munmap((char *)address - guard, rounded(length ? length : 1) + 2 * guard);
}

bool allocation_at(const void *address, const void **begin, uint64_t *length) {
  Allocations &a = allocations();
  std::lock_guard<std::mutex> lock(a.mutex);
  uintptr_t at = (uintptr_t)address;
  auto after = a.by_begin.upper_bound(at + guard);
  if (after == a.by_begin.begin()) return false;
  --after;
  if (at >= after->first + after->second + guard) return false;
  *begin = (const void *)after->first;
  *length = after->second;
  return true;
}

void *unbound_address(uint32_t index) { return unbound_base() + index * unbound_pitch + unbound_pitch / 2; }

int unbound_index(const void *address) {
  size_t offset = (const char *)address - unbound_base();
  return offset < unbound_pitch * argument_slots ? int(offset / unbound_pitch) : -1;
}

} // namespace sim
