// The module's way to the executor. Headers call metal_sim::rt->...; sim_module sets it when the module is loaded.
#pragma once
#include "../sim/sim.h"

namespace metal_sim {

// One for each loaded copy of a module: modules are linked with hidden visibility.
inline const sim::Runtime *rt;

// The place of a call in the MSL source, as a default argument: f(..., sim::Site at = metal_sim::here()).
constexpr sim::Site here(unsigned line = __builtin_LINE(), unsigned column = __builtin_COLUMN()) { return {line, column}; }

// A threadgroup variable of a kernel. All of them are known when the module is loaded; sim_module lays them out.
struct ThreadgroupVariable {
  const void *kernel; // address of the kernel function
  uint32_t size, align, offset;
  ThreadgroupVariable *next;
  ThreadgroupVariable(const void *kernel, uint32_t size, uint32_t align);
};

inline ThreadgroupVariable *threadgroup_variables;

inline ThreadgroupVariable::ThreadgroupVariable(const void *k, uint32_t s, uint32_t a)
    : kernel(k), size(s), align(a), offset(0), next(threadgroup_variables) {
  threadgroup_variables = this;
}

template <auto F, int K, class T> struct threadgroup_variable {
  static inline ThreadgroupVariable entry{(const void *)F, sizeof(T), alignof(T)};
  static T &get() { return *(T *)rt->threadgroup_variable(entry.offset); }
};

} // namespace metal_sim
