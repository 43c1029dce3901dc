#include "fiber.h"

#include <cstring>

#if defined(__x86_64__)

asm(R"(
  .text
  .globl sim_fiber_switch
  .hidden sim_fiber_switch
  .type sim_fiber_switch, @function
  .globl sim_fiber_resume
  .hidden sim_fiber_resume
  .type sim_fiber_resume, @function
  .p2align 4
sim_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
sim_fiber_resume:
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size sim_fiber_switch, .-sim_fiber_switch
)");

namespace sim {

void *fiber_start(char *stack, uint32_t index, void (*entry)()) {
  char *top = stack + stack_bytes - 64 * (index % 61);
  // Six registers and the address of entry, which finds the stack as after a call: 8 below a multiple of 16.
  uint64_t *frame = (uint64_t *)(((uintptr_t)top & ~uintptr_t(15)) - 80);
  memset(frame, 0, 80);
  frame[6] = (uint64_t)entry;
  return frame;
}

} // namespace sim

#elif defined(__aarch64__)

asm(R"(
  .text
  .globl sim_fiber_switch
  .hidden sim_fiber_switch
  .type sim_fiber_switch, %function
  .globl sim_fiber_resume
  .hidden sim_fiber_resume
  .type sim_fiber_resume, %function
  .p2align 4
sim_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
sim_fiber_resume:
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size sim_fiber_switch, .-sim_fiber_switch
)");

namespace sim {

void *fiber_start(char *stack, uint32_t index, void (*entry)()) {
  char *top = stack + stack_bytes - 64 * (index % 61);
  uint64_t *frame = (uint64_t *)(((uintptr_t)top & ~uintptr_t(15)) - 176);
  memset(frame, 0, 176);
  frame[11] = (uint64_t)entry; // x30
  return frame;
}

} // namespace sim

#else
#error "the stand-in runs on x86-64 and aarch64"
#endif
