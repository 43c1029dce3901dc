// Shadow of the memory that a counted dispatch uses.
#pragma once

#include "exec.h"

#include <memory>
#include <unordered_map>

namespace sim {

// Who accessed a byte last, packed:
// valid 1 | threadgroup 26 | time 24 | thread 10 | share 2 | atomic 1.
// share tells who else did the same (read it, or stored the same value) without an order: 0 nobody, 1 lanes of the same
// simdgroup, 2 threads of the same threadgroup, 3 other threadgroups.
using Cell = uint64_t;

constexpr uint64_t page_bytes = 4096;

struct Page {
  uint64_t read[page_bytes / 64], written[page_bytes / 64]; // a bit a byte
  uint32_t read_line, write_line;
  Cell *readers, *writers; // a cell a byte, null: none
};

enum class Kind : uint8_t { buffer, image };

// The part of a region that belongs to one binding.
struct Part {
  uintptr_t begin, end;
  uint32_t index; // of the binding
  BindingCounters counters;
};

struct Region {
  uintptr_t begin, end;
  Kind kind;
  bool writable; // some argument may write it
  std::vector<Page *> pages;
  std::vector<Part> parts; // all of a buffer's region, by address
};

// One instruction of the module that accesses memory.
struct SiteState {
  Region *region;              // where it went last
  Part *part;                  // of that
  uint32_t interval;           // to which the counts belong
  uint32_t groups;             // most times that a lane came here
  uint32_t times[simd_width];  // that each lane came here
  std::vector<uint64_t> lines; // last line of each time
};

// Lines that the loads of a simdgroup touched, forgotten at each interval.
struct LineSet {
  struct Entry {
    uint64_t key;
    uint32_t interval;
  };
  std::vector<Entry> entries{std::vector<Entry>(1 << 14)};
  uint32_t used = 0, interval = 0;
  bool insert(uint64_t key, uint32_t interval);
};

struct Checker {
  Job *job;
  std::vector<std::unique_ptr<Region>> regions;
  SiteState *sites[65536];
  uint32_t interval;
  LineSet lines;
  Counters counters;
  std::vector<Cell> memory_readers[piece_count], memory_writers[piece_count];
};

// One access to judge, in bytes of one space.
struct Access {
  const char *verb; // "read" or "write"
  int space;
  bool store, atomic;
  const char *value; // that will be stored, null: unknown
  char *address;
  Site site;
};

// exec_race.cpp. Judges n bytes whose cells are at readers and writers (writers null: nobody wrote), and notes the access.
void judge_order(Worker &, const Access &, Cell *readers, Cell *writers, uint32_t n);
bool written_by_group(Worker &, Cell writer);

} // namespace sim
