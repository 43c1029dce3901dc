// A dispatch is shared out to workers by threadgroups. Workers are OS threads of the executor's own, kept from dispatch to
// dispatch: the program that calls may own its threads' signals and stacks, as Go does.
#include "exec.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <link.h>
#include <mutex>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

namespace sim {

thread_local Worker *worker = nullptr;

namespace {

// After how much a kernel is taken for one that never ends.
std::atomic<uint64_t> step_limit{uint64_t(1) << 28};
std::atomic<uint64_t> stall_ns{uint64_t(20) * 1000000000};

// pthread's own mutex and conditions rather than std's: a wait must have a limit on the monotonic clock.
struct Pool {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t work = PTHREAD_COND_INITIALIZER;
  pthread_cond_t done;
  std::vector<Worker *> workers;
  std::deque<Job *> jobs;
  Pool() {
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&done, &a);
  }
};

Pool &pool() {
  static Pool &p = *new Pool;
  return p;
}

struct Lock {
  Lock() { pthread_mutex_lock(&pool().mutex); }
  ~Lock() { pthread_mutex_unlock(&pool().mutex); }
};

bool exhausted(Job &j) { return j.stop || j.next >= j.group_count; }

constexpr size_t slots_of_simdgroup = 4 * simd_width * slot_bytes;

void prepare_worker(Worker &w) {
  size_t stacks = max_threads * stack_pitch, slots = max_simdgroups * slots_of_simdgroup, tables = 4096;
  w.arena_bytes = stacks + slots + tables;
  w.arena = reserve(w.arena_bytes);
  mprotect(w.arena + stacks, slots + tables, PROT_READ | PROT_WRITE);
  for (uint32_t s = 0; s < max_simdgroups; s++) w.simdgroups[s].slots = w.arena + stacks + s * slots_of_simdgroup;
  w.buffers = (void **)(w.arena + stacks + slots);
  w.memory = w.buffers + argument_slots;
  w.pieces = reserve(size_t(piece_count) * 2 * memory_bytes);
}

// Threadgroup memory ends where its guard begins, to 16 bytes.
void lay_memory(Worker &w) {
  const Dispatch &d = *w.job->dispatch;
  for (uint32_t p = 0; p < piece_count; p++) {
    uint64_t length = p == argument_slots ? d.kernel->static_threadgroup_bytes : d.memory_lengths ? d.memory_lengths[p] : 0;
    char *slot = w.pieces + size_t(p) * 2 * memory_bytes;
    w.piece_length[p] = length;
    w.piece_begin[p] = slot + memory_bytes - ((length + 15) & ~uint64_t(15));
    if (length) mprotect(slot, memory_bytes, PROT_READ | PROT_WRITE);
    else mprotect(slot, memory_bytes, PROT_NONE);
    if (p < argument_slots) w.memory[p] = w.piece_begin[p];
  }
}

// Makes this thread's float32 denormals zero, those that are read and those that come out. Conversions of half keep
// theirs on both processors.
void flush_denormals(bool on) {
#if defined(__x86_64__)
  constexpr unsigned both = 0x8040; // flush to zero, denormals are zero
  unsigned control = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(on ? control | both : control & ~both);
#else
  constexpr uint64_t zero = 1 << 24;
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  control = on ? control | zero : control & ~zero;
  asm volatile("msr fpcr, %0" : : "r"(control));
#endif
}

void run_job(Worker &w, Job &j) {
  flush_denormals(j.dispatch->flush);
  w.job = &j;
  w.kernel = j.dispatch->kernel;
  memcpy(w.buffers, j.buffers, sizeof j.buffers);
  lay_memory(w);
  w.simd_ops = w.barriers = w.simdgroup_barriers = 0;
  while (!j.stop) {
    uint64_t from = j.next.fetch_add(j.chunk), to = std::min(from + j.chunk, j.group_count);
    if (from >= j.group_count) break;
    for (uint64_t i = from; i < to && !j.stop; i++) {
      uint64_t index = i;
      if (j.dispatch->order == Order::descending) index = j.group_count - 1 - i;
      else if (j.dispatch->order == Order::shuffled) index = (unsigned __int128)(i) * j.mul % j.group_count + j.add, index %= j.group_count;
      run_threadgroup(w, index);
      w.progress++;
    }
  }
}

void *worker_main(void *p) {
  Worker &w = *(Worker *)p;
  worker = &w;
  set_alternate_stack();
  prepare_worker(w);
  Lock lock;
  for (;;) {
    Job *job = nullptr;
    for (Job *j : pool().jobs)
      if (j->workers_in < j->workers_wanted && !exhausted(*j)) {
        job = j;
        break;
      }
    if (!job) {
      pthread_cond_wait(&pool().work, &pool().mutex);
      continue;
    }
    job->workers_in++;
    w.job = job;
    pthread_mutex_unlock(&pool().mutex);
    run_job(w, *job);
    pthread_mutex_lock(&pool().mutex);
    w.job = nullptr;
    job->simd_ops += w.simd_ops;
    job->barriers += w.barriers;
    job->simdgroup_barriers += w.simdgroup_barriers;
    job->workers_in--;
    pthread_cond_broadcast(&pool().done);
  }
}

// Under the lock. Threads start with every signal blocked, so that none of the program's lands on them.
void grow_pool(uint32_t n) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool().workers.size() < n) {
    Worker *w = (Worker *)mmap(nullptr, sizeof(Worker), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&a, 1 << 20);
    if (pthread_create(&w->thread, &a, worker_main, w)) break;
    pthread_getcpuclockid(w->thread, &w->clock);
    pool().workers.push_back(w);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

uint64_t nanoseconds(clockid_t c) {
  timespec t;
  clock_gettime(c, &t);
  return uint64_t(t.tv_sec) * 1000000000 + t.tv_nsec;
}

// Waits for a job under the lock; a threadgroup that uses more than its share of processor time is stopped.
void await(Job &j) {
  struct Watch {
    uint64_t progress, used;
  };
  std::vector<Watch> watch;
  std::vector<bool> seen;
  while (!(exhausted(j) && j.workers_in == 0)) {
    uint64_t t = nanoseconds(CLOCK_MONOTONIC) + std::min<uint64_t>(j.stall_ns / 2, 250000000);
    timespec until = {time_t(t / 1000000000), long(t % 1000000000)};
    pthread_cond_timedwait(&pool().done, &pool().mutex, &until);
    watch.resize(pool().workers.size());
    seen.resize(watch.size());
    for (size_t i = 0; i < watch.size(); i++) {
      Worker &w = *pool().workers[i];
      if (w.job != &j) {
        seen[i] = false;
        continue;
      }
      uint64_t used = nanoseconds(w.clock), progress = w.progress;
      if (!seen[i] || watch[i].progress != progress) {
        watch[i] = {progress, used};
        seen[i] = true;
      } else if (used - watch[i].used > j.stall_ns) {
        stop_stalled(w);
      }
    }
  }
}

uint64_t common_divisor(uint64_t a, uint64_t b) { return b ? common_divisor(b, a % b) : a; }

char *words(const char *kernel, const std::string &what) {
  return strdup((std::string("kernel '") + kernel + "': " + what).c_str());
}

// What a device would refuse before it starts.
char *refuse(const Dispatch &d) {
  const Kernel &k = *d.kernel;
  const Dim &t = d.threads_per_threadgroup;
  if (!t.x || !t.y || !t.z || t.x > max_threads || t.y > max_threads || t.z > max_threads || t.x * t.y * t.z > max_threads)
    return words(k.name, "a threadgroup of " + std::to_string(t.x) + "×" + std::to_string(t.y) + "×" + std::to_string(t.z) +
                             " threads; 1 to 1024 are possible");
  if (k.static_threadgroup_bytes > memory_bytes) return words(k.name, "more than 64 KiB of threadgroup variables");
  for (uint32_t i = 0; d.memory_lengths && i < argument_slots; i++)
    if (d.memory_lengths[i] > memory_bytes) return words(k.name, "more than 64 KiB of threadgroup memory " + std::to_string(i));
  for (uint32_t i = 0; i < k.argument_count; i++) {
    const Argument &a = k.arguments[i];
    if (a.kind != Argument::buffer || a.index >= argument_slots || !present(a)) continue;
    const Binding &b = d.buffers[a.index];
    if (b.bound && a.reference && b.length < a.size)
      return words(k.name, "buffer " + std::to_string(a.index) + " '" + a.name + "' has " + std::to_string(b.length) +
                               " bytes from its offset, of the " + std::to_string(a.size) + " that its type " + a.type + " needs");
    if (b.bound && a.align && (uintptr_t)b.address % a.align)
      return words(k.name, "buffer " + std::to_string(a.index) + " '" + a.name + "' is bound at an offset that is no multiple of the " +
                               std::to_string(a.align) + " bytes to which its type " + a.type + " aligns");
  }
  return nullptr;
}

// The buffers as the kernel gets them. A missing one faults when it is touched, except that a plain build may read a missing
// constant T& ahead of the test that keeps the source from using it.
void bind(Job &j) {
  static char *zeros = (char *)mmap(nullptr, memory_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const Dispatch &d = *j.dispatch;
  for (uint32_t i = 0; i < argument_slots; i++) j.buffers[i] = d.buffers[i].bound ? d.buffers[i].address : unbound_address(i);
  for (uint32_t i = 0; i < d.kernel->argument_count; i++) {
    const Argument &a = d.kernel->arguments[i];
    if (a.kind == Argument::buffer && a.reference && a.index < argument_slots && !d.buffers[a.index].bound && !d.counted)
      j.buffers[a.index] = zeros;
  }
}

// The loaded object that holds an address.
void find_image(const void *address, Span *span) {
  struct Search {
    uintptr_t at;
    Span *span;
  } search = {(uintptr_t)address, span};
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *p) {
        Search &s = *(Search *)p;
        uintptr_t lo = ~uintptr_t(0), hi = 0;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const auto &h = info->dlpi_phdr[i];
          if (h.p_type != PT_LOAD) continue;
          lo = std::min(lo, uintptr_t(info->dlpi_addr + h.p_vaddr));
          hi = std::max(hi, uintptr_t(info->dlpi_addr + h.p_vaddr + h.p_memsz));
        }
        if (s.at < lo || s.at >= hi) return 0;
        *s.span = {lo, hi};
        return 1;
      },
      &search);
}

} // namespace

bool keep_error(Job &j, char *text) {
  Lock lock;
  j.stop = true;
  if (j.error) return false;
  j.error = text;
  return true;
}

void execute(const Dispatch &d, Outcome *out) {
  *out = {};
  if (!d.threads.x || !d.threads.y || !d.threads.z) return;
  if ((out->error = refuse(d))) return;
  install_fault_handler();
  Job j = {};
  j.dispatch = &d;
  const Dim &t = d.threads_per_threadgroup;
  j.groups = {(d.threads.x + t.x - 1) / t.x, (d.threads.y + t.y - 1) / t.y, (d.threads.z + t.z - 1) / t.z};
  j.group_count = j.groups.x * j.groups.y * j.groups.z;
  j.step_limit = step_limit;
  j.stall_ns = stall_ns;
  j.mul = 1;
  if (d.order == Order::shuffled) {
    j.add = d.seed * 0x9e3779b97f4a7c15 % j.group_count;
    for (j.mul = (d.seed * 2654435761 + 12345) % j.group_count | 1; common_divisor(j.mul, j.group_count) != 1;) j.mul += 2;
  }
  uint32_t cores = std::max<long>(1, sysconf(_SC_NPROCESSORS_ONLN));
  // The judge of a counted dispatch sees one thread at a time.
  j.workers_wanted = d.counted ? 1 : std::min<uint64_t>(d.workers ? d.workers : cores, j.group_count);
  j.chunk = std::max<uint64_t>(1, std::min<uint64_t>(64, j.group_count / (j.workers_wanted * 8)));
  bind(j);
  if (d.counted) {
    find_image((const void *)d.kernel->run, &j.images[0]);
    find_image((const void *)runtime(), &j.images[1]);
    j.checker = new_checker(j);
  }
  {
    Lock lock;
    grow_pool(std::max(j.workers_wanted, cores));
    if (pool().workers.empty()) {
      j.stop = true;
      j.error = words(d.kernel->name, "the system gives no thread to run it on");
    }
    pool().jobs.push_back(&j);
    pthread_cond_broadcast(&pool().work);
    await(j);
    for (auto i = pool().jobs.begin(); i != pool().jobs.end(); ++i)
      if (*i == &j) {
        pool().jobs.erase(i);
        break;
      }
  }
  out->error = j.error;
  out->page_fault = j.page_fault;
  if (d.counted) {
    out->counters.simd_ops = j.simd_ops;
    out->counters.barriers = j.barriers;
    out->counters.simdgroup_barriers = j.simdgroup_barriers;
    finish_checker(j.checker, out);
  }
}

namespace {

void *threadgroup_variable(uint32_t offset) { return worker->piece_begin[argument_slots] + offset; }

void fail(const char *message, Site site) { fail_thread(*worker, site, message); }

void builtin(Builtin which, uint32_t value[3]) {
  Worker &w = *worker;
  const Dispatch &d = *w.job->dispatch;
  const Thread &t = *w.current;
  const Dim &n = d.threads_per_threadgroup, &g = w.group;
  auto set = [&](uint64_t x, uint64_t y, uint64_t z) { value[0] = x, value[1] = y, value[2] = z; };
  switch (which) {
  case Builtin::thread_position_in_grid: return set(g.x * n.x + t.position[0], g.y * n.y + t.position[1], g.z * n.z + t.position[2]);
  case Builtin::thread_position_in_threadgroup: return set(t.position[0], t.position[1], t.position[2]);
  case Builtin::thread_index_in_threadgroup: return set(t.index, 0, 0);
  case Builtin::threadgroup_position_in_grid: return set(g.x, g.y, g.z);
  case Builtin::threads_per_grid: return set(d.threads.x, d.threads.y, d.threads.z);
  case Builtin::threads_per_threadgroup: return set(w.size[0], w.size[1], w.size[2]);
  case Builtin::dispatch_threads_per_threadgroup: return set(n.x, n.y, n.z);
  case Builtin::threadgroups_per_grid: return set(w.job->groups.x, w.job->groups.y, w.job->groups.z);
  case Builtin::thread_index_in_simdgroup: return set(t.lane, 0, 0);
  case Builtin::simdgroup_index_in_threadgroup: return set(t.index / simd_width, 0, 0);
  case Builtin::simdgroups_per_threadgroup: return set(w.simdgroup_count, 0, 0);
  case Builtin::threads_per_simdgroup:
  case Builtin::thread_execution_width: return set(simd_width, 0, 0);
  case Builtin::thread_index_in_quadgroup: return set(t.lane % 4, 0, 0);
  case Builtin::quadgroup_index_in_threadgroup: return set(t.index / 4, 0, 0);
  case Builtin::quadgroups_per_threadgroup: return set((w.thread_count + 3) / 4, 0, 0);
  case Builtin::none: break;
  }
  set(0, 0, 0);
}

} // namespace

const Runtime *runtime() {
  static const Runtime r = {
      .version = 1,
      .access = check_access,
      .copy = check_copy,
      .float_ops = check_float_ops,
      .threadgroup_barrier = threadgroup_barrier,
      .simdgroup_barrier = simdgroup_barrier,
      .simd_exchange = simd_exchange,
      .quad_exchange = quad_exchange,
      .threadgroup_variable = threadgroup_variable,
      .fail = fail,
      .builtin = builtin,
      .store = check_store,
      .fill = check_fill,
  };
  return &r;
}

} // namespace sim

// After how many accesses and basic blocks of one thread (counted builds) and how many nanoseconds of processor time of one
// threadgroup a kernel is taken for one that never ends.
extern "C" void sim_set_endless(uint64_t steps, uint64_t nanoseconds) {
  sim::step_limit = steps;
  sim::stall_ns = nanoseconds;
}
