// Residency sets: macOS 15's way to keep allocations wired. They change nothing here but are counted and checked.
#include "objc_metal.h"

namespace sim::objc {

namespace {

bool available() { return limits.residencySets; }

struct ResidencySetDescriptor : Object {
  static constexpr const char *class_name = "MTLResidencySetDescriptor";
  uint64_t capacity = 0;
  ResidencySetDescriptor() : Object(class_name) {}
};

struct ResidencySet : Object {
  static constexpr const char *class_name = "MTLResidencySet";
  std::map<Buffer *, Ref<Buffer>> committed, pending; // pending: as it will be after the next commit
  ResidencySet() : Object(class_name) {}
};

ResidencySet *new_set(Device *, Selector, Object *descriptor, Object **) {
  auto *d = checked<ResidencySetDescriptor>(descriptor, "the descriptor");
  if (!d) return nullptr;
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
void commit_set(ResidencySet *self, Selector) { self->committed = self->pending; }
void request(ResidencySet *, Selector) {}
void end(ResidencySet *, Selector) {}
uint64_t count(ResidencySet *self, Selector) { return self->pending.size(); }

bool contains(ResidencySet *self, Selector, Object *allocation) {
  auto *b = checked<Buffer>(allocation, "the allocation");
  return b && self->pending.count(b);
}

uint64_t size(ResidencySet *self, Selector) {
  uint64_t total = 0;
  for (auto &[b, reference] : self->committed) total += b->memory->length;
  return total;
}

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

} // namespace sim::objc
