// A fault of a kernel is the dispatch's error, not the process's end. The handler takes only faults of workers that are
// inside a kernel; every other one goes to the handler that was there before, which in a Go program is Go's own and runs
// as if it had been called by the system: on the same signal stack, with the same context, which it may change.
#include "exec.h"

#include <cstdio>
#include <mutex>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

namespace sim {

namespace {

constexpr int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[64];

void resume_scheduler(ucontext_t *context, void *stack) {
#if defined(__x86_64__)
  context->uc_mcontext.gregs[REG_RSP] = (greg_t)stack;
  context->uc_mcontext.gregs[REG_RIP] = (greg_t)(void *)sim_fiber_resume;
  context->uc_mcontext.gregs[REG_EFL] &= ~greg_t(0x400); // direction flag
#else
  context->uc_mcontext.sp = (uint64_t)stack;
  context->uc_mcontext.pc = (uint64_t)(void *)sim_fiber_resume;
#endif
}

void pass_on(int signal, siginfo_t *info, void *context) {
  struct sigaction &before = previous[signal];
  if (before.sa_flags & SA_SIGINFO) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  } else { // once more, with the system's own action
    struct sigaction usual = {};
    usual.sa_handler = SIG_DFL;
    sigaction(signal, &usual, nullptr);
    if (info->si_code <= 0) raise(signal);
  }
}

void on_fault(int signal, siginfo_t *info, void *context) {
  Worker *w = worker;
  bool sent = info->si_code <= 0; // by pthread_kill, not by an instruction
  if (!w || (sent && !w->kill)) {
    pass_on(signal, info, context);
    return;
  }
  if (!w->in_kernel) {
    if (!sent) pass_on(signal, info, context);
    return;
  }
  if (sent && w->failing) return;
  bool gone = signal == SIGBUS && !sent && info->si_code != BUS_ADRALN;
  w->fault = {signal, sent ? nullptr : info->si_addr, sent, gone};
  w->in_kernel = false;
  resume_scheduler((ucontext_t *)context, w->scheduler);
}

} // namespace

void install_fault_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    for (int s : fault_signals) {
      struct sigaction action = {};
      action.sa_sigaction = on_fault;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
      sigaction(s, nullptr, &previous[s]);
      action.sa_mask = previous[s].sa_mask;
      sigaction(s, &action, nullptr);
    }
  });
}

// Of the calling worker: its fibers' stacks may be what is at fault.
void set_alternate_stack() {
  constexpr size_t bytes = 256 << 10;
  stack_t stack = {};
  stack.ss_sp = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack.ss_size = bytes;
  sigaltstack(&stack, nullptr);
  sigset_t set;
  sigfillset(&set);
  for (int s : fault_signals) sigdelset(&set, s);
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

// Takes a worker out of a kernel that does not end. In counted builds the instrumentation sees the flag by itself, and
// interrupting it could leave a lock behind.
void stop_stalled(Worker &w) {
  w.kill = true;
  if (!w.job->dispatch->counted) pthread_kill(w.thread, SIGSEGV);
}

} // namespace sim
