// Hazards: two commands that touch the same bytes, one of them writing, and nothing that orders them.
//
// Within a concurrent encoder only barriers order commands. Between encoders tracked buffers order their users by
// themselves; untracked ones need a fence, an event, or a program that has seen the earlier command buffer complete
// before it commits the later one. Each pass (an encoder's work) is a node with the set of passes known to be over
// before it starts; what it does to untracked buffers is compared with every other node not in that set.
#include "objc_metal.h"

#include <algorithm>

namespace sim::objc {

struct PassHazards::Node {
  uint64_t id;
  const QueueState *queue;
  uint64_t commit_number;
  std::string command_buffer; // for messages
  std::set<uint64_t> ancestors;
  uint64_t observed_at = UINT64_MAX; // number of commits when the program saw its end
  bool open = false;
  struct Use {
    std::string name;
    Access access;
  };
  std::map<uint64_t, std::vector<Use>> reads, writes; // by the id of the memory
};

struct PassHazards::Hazards {
  std::mutex mutex;
  uint64_t last_id = 0;
  std::map<uint64_t, std::shared_ptr<Node>> open; // passes that a later one may conflict with
  std::set<uint64_t> in_flight;                   // commit numbers of command buffers that have not completed

  // Forgets the passes that come before everything in flight and to come.
  void prune() {
    uint64_t oldest = in_flight.empty() ? UINT64_MAX : *in_flight.begin();
    std::erase_if(open, [&](auto &entry) {
      return entry.second->observed_at < oldest && !in_flight.count(entry.second->commit_number);
    });
  }

  void keep_open(std::set<uint64_t> *passes, uint64_t except) {
    std::erase_if(*passes, [&](uint64_t id) { return id != except && !open.count(id); });
  }
};

PassHazards::Hazards &PassHazards::hazards() {
  static auto *h = new Hazards;
  return *h;
}

PassHazards::PassHazards(const CommandBuffer *cb, const Pass &pass, const std::set<uint64_t> &ancestors)
    : node(std::make_shared<Node>()), concurrent(pass.kind == Pass::compute && pass.concurrent) {
  std::lock_guard lock(hazards().mutex);
  node->id = ++hazards().last_id;
  node->queue = cb->queue->state.get();
  node->commit_number = cb->commit_number;
  node->command_buffer = cb->describe();
  node->ancestors = ancestors;
}

uint64_t PassHazards::id() const { return node->id; }

namespace {

bool overlap(const Access &a, const Access &b) {
  return a.memory->id == b.memory->id && (a.written || b.written) && a.begin < b.end && b.begin < a.end;
}

std::string at_line(uint32_t line) { return line ? format(" (program_source:%u)", line) : ""; }

// What the later command does to what an earlier one does.
std::string conflict(const std::string &later, const Access &a, const std::string &earlier, const Access &b,
                     const Memory &memory, const std::string &where) {
  const char *base = static_cast<const char *>(memory.address);
  uint64_t from = std::max(a.begin, b.begin) - base, to = std::min(a.end, b.end) - base;
  return format("%s%s %s %s %s, bytes %lu to %lu, which %s%s%s %s", later.c_str(), at_line(a.line).c_str(),
                a.written ? "writes" : "reads", memory.tracked ? "tracked" : "untracked", memory.describe().c_str(),
                (unsigned long)from, (unsigned long)to - 1, earlier.c_str(), at_line(b.line).c_str(), where.c_str(),
                b.written ? "writes" : "reads");
}

} // namespace

// Two kernels to which the same memory is bound to be written may write different parts of it, so that is judged by
// exact accesses only.
std::string PassHazards::add(const std::string &name, const std::vector<Access> &accesses, bool exact) {
  if (concurrent) {
    for (const Command &earlier : unordered)
      for (const Access &a : accesses)
        for (const Access &b : earlier.accesses)
          if (overlap(a, b) && (exact || a.written != b.written))
            return conflict(name, a, earlier.name, b, *a.memory, ", earlier in the same concurrent encoder,") +
                   ", with no barrier between them: call memoryBarrierWithScope: or memoryBarrierWithResources:count:";
    unordered.push_back({name, accesses});
  }

  std::lock_guard lock(hazards().mutex);
  for (const Access &a : accesses) {
    if (a.memory->tracked) continue;
    uint64_t id = a.memory->id;
    for (auto &[other_id, other] : hazards().open) {
      if (other == node || node->ancestors.count(other_id) || other->ancestors.count(node->id)) continue;
      if (node->commit_number > other->observed_at) continue;
      for (auto *uses : {&other->writes, a.written ? &other->reads : nullptr}) {
        auto found = uses ? uses->find(id) : other->writes.end();
        if (!uses || found == uses->end()) continue;
        for (const Node::Use &use : found->second)
          if (overlap(a, {a.memory, use.access.begin, use.access.end, use.access.written, 0}))
            return conflict(name, a, use.name, use.access, *a.memory, " in " + other->command_buffer) +
                   ", and nothing orders the two: use a fence, an event, or a tracked buffer";
      }
    }
    auto &list = (a.written ? node->writes : node->reads)[id];
    bool known = std::any_of(list.begin(), list.end(), [&](const Node::Use &use) {
      return use.access.begin <= a.begin && use.access.end >= a.end;
    });
    if (!known) list.push_back({name, a});
    if (!node->open) {
      node->open = true;
      hazards().open[node->id] = node;
    }
  }
  return "";
}

void PassHazards::barrier(const std::vector<BoundBuffer> &buffers) {
  for (Command &command : unordered)
    std::erase_if(command.accesses, [&](const Access &a) {
      return std::any_of(buffers.begin(), buffers.end(),
                         [&](const BoundBuffer &b) { return b.memory.get() == a.memory; });
    });
}

void PassHazards::wait(const Fence *fence) {
  std::lock_guard lock(hazards().mutex);
  node->ancestors.insert(fence->passes.begin(), fence->passes.end());
}

void PassHazards::update(Fence *fence) const {
  std::lock_guard lock(hazards().mutex);
  fence->passes.insert(node->ancestors.begin(), node->ancestors.end());
  hazards().keep_open(&fence->passes, 0);
  fence->passes.insert(node->id);
}

void hazards_committed(const CommandBuffer *cb) {
  auto &h = PassHazards::hazards();
  std::lock_guard lock(h.mutex);
  h.in_flight.insert(cb->commit_number);
}

void hazards_completed(const CommandBuffer *cb) {
  auto &h = PassHazards::hazards();
  std::lock_guard lock(h.mutex);
  h.in_flight.erase(cb->commit_number);
  h.prune();
}

void host_observed(const CommandBuffer *cb) {
  auto &h = PassHazards::hazards();
  std::lock_guard lock(h.mutex);
  uint64_t commits = scheduler().commits;
  for (auto &[id, node] : h.open)
    if (node->queue == cb->queue->state.get() && node->commit_number <= cb->commit_number)
      node->observed_at = std::min(node->observed_at, commits);
  h.prune();
}

void host_observed(Event *event, uint64_t value) {
  auto &h = PassHazards::hazards();
  std::lock_guard lock(h.mutex);
  uint64_t commits = scheduler().commits;
  for (auto &[signalled, passes] : event->signals) {
    if (signalled > value) break;
    for (uint64_t id : passes)
      if (auto found = h.open.find(id); found != h.open.end())
        found->second->observed_at = std::min(found->second->observed_at, commits);
  }
}

void hazards_signal(const CommandBuffer *cb, const std::set<uint64_t> &passes, Event *event, uint64_t value) {
  auto &h = PassHazards::hazards();
  std::lock_guard lock(h.mutex);
  auto &signals = event->signals;
  auto &set = signals[value];
  set.insert(passes.begin(), passes.end());
  for (auto &[id, node] : h.open)
    if (node->queue == cb->queue->state.get() && node->commit_number < cb->commit_number) set.insert(id);
  h.keep_open(&set, 0);
  while (signals.size() > 64) { // the oldest join the next
    auto oldest = signals.begin(), next = std::next(oldest);
    next->second.insert(oldest->second.begin(), oldest->second.end());
    h.keep_open(&next->second, 0);
    signals.erase(oldest);
  }
}

// Values only grow, so the signals up to the first that reaches the value are over.
void hazards_wait(const Event *event, uint64_t value, std::set<uint64_t> *passes) {
  std::lock_guard lock(PassHazards::hazards().mutex);
  for (auto &[signalled, after] : event->signals) {
    passes->insert(after.begin(), after.end());
    if (signalled >= value) break;
  }
}

} // namespace sim::objc
