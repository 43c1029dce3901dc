// Residency sets: macOS 15's way to keep allocations wired. They change nothing here but are counted and checked.
#include "objc_metal.h"

#include <algorithm>
#include <set>

namespace sim::objc {

namespace {

struct ResidencySet;

// The sets that live.
struct {
  std::mutex mutex;
  std::set<ResidencySet *> all;
} living;

bool available() { return limits.residencySets; }

struct ResidencySetDescriptor : Object {
  static constexpr const char *class_name = "MTLResidencySetDescriptor";
  uint64_t capacity = 0;
  ResidencySetDescriptor() : Object(class_name) {}
};

struct ResidencySet : Object {
  static constexpr const char *class_name = "MTLResidencySet";
  std::map<Buffer *, Ref<Buffer>> committed, pending; // pending: as it will be after the next commit
  uint64_t requests = 0;                              // of residency
  ResidencySet() : Object(class_name) {
    std::lock_guard lock(living.mutex);
    living.all.insert(this);
  }
  ~ResidencySet() override {
    std::lock_guard lock(living.mutex);
    living.all.erase(this);
  }
  uint64_t bytes() const {
    uint64_t total = 0;
    for (auto &[b, reference] : committed) total += b->memory->length;
    return total;
  }
  // Pages of the buffers; those that several have, as windows of one mapping that overlap do, count once.
  uint64_t pages() const {
    std::set<std::pair<uint64_t, uint64_t>> ranges; // first page, page behind the last
    for (auto &[b, reference] : committed) {
      uint64_t begin = reinterpret_cast<uint64_t>(b->memory->address);
      ranges.insert({begin / page_size, (begin + b->memory->length + page_size - 1) / page_size});
    }
    uint64_t total = 0, counted = 0; // counted: up to this page
    for (auto [begin, end] : ranges) {
      if (end > counted) total += end - std::max(begin, counted);
      counted = std::max(counted, end);
    }
    return total;
  }
};

ResidencySet *new_set(Device *, Selector, Object *descriptor, Object **out) {
  auto *d = checked<ResidencySetDescriptor>(descriptor, "the descriptor");
  if (!d) return nullptr;
  if (limits.failResidencySet) {
    set_error(out, "MTLResidencySetDomain", 1, "the residency set could not be made");
    return nullptr;
  }
  auto *set = new ResidencySet;
  set->label = d->label;
  return set;
}

void set_capacity(ResidencySetDescriptor *self, Selector, uint64_t capacity) { self->capacity = capacity; }

void add(ResidencySet *self, Selector, Object *allocation) {
  if (auto *b = checked<Buffer>(allocation, "the allocation")) self->pending[b] = Ref<Buffer>(b);
}

void add_all(ResidencySet *self, Selector selector, Object *const *allocations, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) add(self, selector, allocations[i]);
}

void remove(ResidencySet *self, Selector, Object *allocation) {
  auto *b = checked<Buffer>(allocation, "the allocation");
  if (b && !self->pending.erase(b)) misuse("%s is not in %s", b->describe().c_str(), self->describe().c_str());
}

void remove_all(ResidencySet *self, Selector) { self->pending.clear(); }
void commit_set(ResidencySet *self, Selector) {
  std::lock_guard lock(living.mutex);
  self->committed = self->pending;
}
void request(ResidencySet *self, Selector) {
  std::lock_guard lock(living.mutex);
  self->requests++;
}
void end(ResidencySet *, Selector) {}
uint64_t count(ResidencySet *self, Selector) { return self->pending.size(); }

bool contains(ResidencySet *self, Selector, Object *allocation) {
  auto *b = checked<Buffer>(allocation, "the allocation");
  return b && self->pending.count(b);
}

uint64_t size(ResidencySet *self, Selector) { return self->bytes(); }

constexpr size_t sets_of_a_queue = 32; // Apple: a queue takes up to 32

void add_to_queue(Queue *self, Selector, Object *set) {
  auto *s = checked<ResidencySet>(set, "the residency set");
  if (!s) return;
  if (self->residency.size() >= sets_of_a_queue && !self->residency.count(s))
    misuse("%s already has %zu residency sets", self->describe().c_str(), sets_of_a_queue);
  else
    self->residency[s] = Ref<Object>(s);
}

void remove_from_queue(Queue *self, Selector, Object *set) {
  auto *s = checked<ResidencySet>(set, "the residency set");
  if (s && !self->residency.erase(s)) misuse("%s was not added to %s", s->describe().c_str(), self->describe().c_str());
}

void use(CommandBuffer *, Selector, Object *set) { checked<ResidencySet>(set, "the residency set"); }

Registration descriptor("MTLResidencySetDescriptor", "NSObject",
                        {method("setInitialCapacity:", set_capacity), method("setLabel:", set_label),
                         method("label", get_label)},
                        creatable<ResidencySetDescriptor>());
Registration set("MTLResidencySet", "NSObject",
                 {method("addAllocation:", add), method("addAllocations:count:", add_all),
                  method("removeAllocation:", remove), method("removeAllAllocations", remove_all),
                  method("commit", commit_set), method("requestResidency", request), method("endResidency", end),
                  method("allocationCount", count), method("containsAllocation:", contains),
                  method("allocatedSize", size), method("label", get_label)});
Registration device("MTLDevice", nullptr, {method("newResidencySetWithDescriptor:error:", new_set, available)});
Registration queue("MTLCommandQueue", nullptr,
                   {method("addResidencySet:", add_to_queue, available),
                    method("removeResidencySet:", remove_from_queue, available)});
Registration commands("MTLCommandBuffer", nullptr, {method("useResidencySet:", use, available)});

} // namespace

std::string residency_json() {
  std::lock_guard lock(living.mutex);
  std::string text = "[";
  for (auto *s : living.all)
    text += (text.size() > 1 ? "," : "") +
            format("{\"bytes\":%lu,\"pages\":%lu,\"buffers\":%zu,\"requests\":%lu}", (unsigned long)s->bytes(),
                   (unsigned long)s->pages(), s->committed.size(), (unsigned long)s->requests);
  return text + "]";
}

} // namespace sim::objc
