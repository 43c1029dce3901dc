// threadgroup_barrier and simdgroup_barrier: section 6.9.1 of the MSL specification.
#pragma once
#include "runtime.h"

namespace metal {

enum class mem_flags : unsigned {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(unsigned(a) | unsigned(b)); }
constexpr mem_flags operator&(mem_flags a, mem_flags b) { return mem_flags(unsigned(a) & unsigned(b)); }

// Every thread of the threadgroup must come to the same barrier. Only the memory that flags name is ordered.
inline void threadgroup_barrier(mem_flags flags, sim::Site at = metal_sim::here()) {
  metal_sim::rt->threadgroup_barrier(unsigned(flags), at);
}

// Every lane of the simdgroup that has not returned must come to the same barrier.
inline void simdgroup_barrier(mem_flags flags, sim::Site at = metal_sim::here()) {
  metal_sim::rt->simdgroup_barrier(unsigned(flags), at);
}

} // namespace metal
