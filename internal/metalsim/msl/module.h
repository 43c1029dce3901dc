// The tables that sim_module hands to the executor, made from the rewriter's registrations.
#pragma once
#include "runtime.h"
#include "vector.h"

namespace metal_sim {

// Computes the constants that depend on function constants; called again by whichever thread comes first after they are
// set. Two threads at once write the same values.
inline void (*late)();
inline bool specialised;

inline void specialise() {
  if (__atomic_load_n(&specialised, __ATOMIC_ACQUIRE)) return;
  late();
  __atomic_store_n(&specialised, true, __ATOMIC_RELEASE);
}

// MTLDataType of a function constant.
template <class T> struct data_type;
#define MSL_DATA_TYPE(T, n)                                                          \
  template <> struct data_type<T> { static constexpr uint32_t value = n; };          \
  template <> struct data_type<vec<T, 2>> { static constexpr uint32_t value = n + 1; }; \
  template <> struct data_type<vec<T, 3>> { static constexpr uint32_t value = n + 2; }; \
  template <> struct data_type<vec<T, 4>> { static constexpr uint32_t value = n + 3; };
MSL_DATA_TYPE(float, 3)
MSL_DATA_TYPE(half, 16)
MSL_DATA_TYPE(int, 29)
MSL_DATA_TYPE(uint, 33)
MSL_DATA_TYPE(short, 37)
MSL_DATA_TYPE(ushort, 41)
MSL_DATA_TYPE(char, 45)
MSL_DATA_TYPE(uchar, 49)
MSL_DATA_TYPE(bool, 53)
MSL_DATA_TYPE(long, 81)
MSL_DATA_TYPE(ulong, 85)
MSL_DATA_TYPE(bfloat, 121)
#undef MSL_DATA_TYPE

// What the rewriter knows of a kernel's parameter; the rest comes from its type.
struct Parameter {
  sim::Argument::Kind kind;
  sim::Space space;
  sim::Builtin which;
  uint32_t index;
  uint32_t line;
  const char *name, *type;
  bool (*enabled)();
};

template <class P> struct pointee { typedef void type; static constexpr bool reference = false; };
template <class T> struct pointee<T *> { typedef T type; static constexpr bool reference = false; };
template <class T> struct pointee<T &> { typedef T type; static constexpr bool reference = true; };

template <class T> struct sized { static constexpr uint32_t size = sizeof(T), align = alignof(T); };
template <> struct sized<void> { static constexpr uint32_t size = 1, align = 1; };
template <> struct sized<const void> { static constexpr uint32_t size = 1, align = 1; };

template <class P> struct builtin_value {
  static constexpr bool valid = false;
  static P from(const uint32_t *) { return P{}; }
};
template <> struct builtin_value<uint> { static constexpr bool valid = true; static uint from(const uint32_t *v) { return v[0]; } };
template <> struct builtin_value<ushort> { static constexpr bool valid = true; static ushort from(const uint32_t *v) { return v[0]; } };
template <class T> struct builtin_value<vec<T, 2>> {
  static constexpr bool valid = __is_same(T, uint) || __is_same(T, ushort);
  static vec<T, 2> from(const uint32_t *v) { return {v[0], v[1]}; }
};
template <class T> struct builtin_value<vec<T, 3>> {
  static constexpr bool valid = __is_same(T, uint) || __is_same(T, ushort);
  static vec<T, 3> from(const uint32_t *v) { return {v[0], v[1], v[2]}; }
};

template <class P> MSL_INLINE P argument(const Parameter &p, void *const *buffers, void *const *memory) {
  if constexpr (__is_pointer(P)) {
    return (P)(p.kind == sim::Argument::threadgroup_memory ? memory : buffers)[p.index];
  } else if constexpr (__is_reference(P)) {
    return *(__remove_reference_t(P) *)(p.kind == sim::Argument::threadgroup_memory ? memory : buffers)[p.index];
  } else {
    uint32_t v[3];
    rt->builtin(p.which, v);
    return builtin_value<P>::from(v);
  }
}

template <class P> sim::Argument describe(const Parameter &p) {
  typedef typename pointee<P>::type T;
  constexpr bool builtin = __is_same(T, void) && !__is_pointer(P);
  sim::Argument a{};
  a.kind = p.kind, a.space = p.space, a.which = p.which, a.index = p.index, a.line = p.line, a.name = p.name, a.type = p.type;
  a.reference = pointee<P>::reference;
  a.read_only = __is_const(T) || p.space == sim::Space::constant;
  if constexpr (builtin)
    a.size = sizeof(P), a.align = alignof(P);
  else
    a.size = sized<T>::size, a.align = sized<T>::align;
  a.enabled = p.enabled;
  return a;
}

template <auto F, const Parameter *P> struct entry;

template <class... A, void (*F)(A...), const Parameter *P> struct entry<F, P> {
  template <int... I> struct indices {};
  template <int N, int... I> struct count : count<N - 1, N - 1, I...> {};
  template <int... I> struct count<0, I...> { typedef indices<I...> type; };

  static inline sim::Argument arguments[sizeof...(A) + 1];

  template <int... I> static MSL_INLINE void call(void *const *buffers, void *const *memory, indices<I...>) {
    F(argument<A>(P[I], buffers, memory)...);
  }
  static void run(sim::Thread *, void *const *buffers, void *const *memory) {
    specialise();
    call(buffers, memory, typename count<sizeof...(A)>::type());
  }
  template <int... I> static void fill(indices<I...>) { ((arguments[I] = describe<A>(P[I])), ...); }

  static sim::Kernel make(const char *name, uint32_t max_threads, uint32_t line) {
    fill(typename count<sizeof...(A)>::type());
    sim::Kernel k{};
    k.name = name, k.arguments = arguments, k.argument_count = sizeof...(A), k.max_threads = max_threads, k.line = line, k.run = run;
    // Declared last is first in the list; offsets follow the declarations.
    ThreadgroupVariable *mine[256];
    int n = 0;
    for (ThreadgroupVariable *v = threadgroup_variables; v && n < 256; v = v->next)
      if (v->kernel == (const void *)F) mine[n++] = v;
    uint32_t end = 0;
    while (n-- > 0) {
      mine[n]->offset = (end + mine[n]->align - 1) / mine[n]->align * mine[n]->align;
      end = mine[n]->offset + mine[n]->size;
    }
    k.static_threadgroup_bytes = end;
    return k;
  }
};

} // namespace metal_sim
