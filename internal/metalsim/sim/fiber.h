// Stacks and the switch between them: each thread of a threadgroup runs on a stack of its own, so that it can stop at a
// barrier or a simd operation in the middle of its kernel.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
// Saves the callee-saved registers on the current stack and its pointer in *save, then resumes the stack at load.
void sim_fiber_switch(void **save, void *load);
// The second half of the switch, for a signal handler that sends a thread back to a stack that sim_fiber_switch saved.
void sim_fiber_resume();
}

namespace sim {

// Stack size of one thread, and the guard below it that turns an overflow into a fault: wide, as a large array can reach far
// beyond the end at once.
constexpr size_t stack_bytes = 192 << 10;
constexpr size_t stack_guard = 1 << 20;
constexpr size_t stack_pitch = stack_bytes + stack_guard;

// The stack pointer with which sim_fiber_switch starts entry at the top of a stack. Tops are staggered by index, as stacks
// at equal distances would share their sets of the cache.
void *fiber_start(char *stack, uint32_t index, void (*entry)());

} // namespace sim
