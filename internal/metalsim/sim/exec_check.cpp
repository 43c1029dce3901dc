// What the instrumentation of counted builds calls: each access is placed in a buffer or in threadgroup memory, judged and
// counted. One thread of a dispatch runs at a time.
#include "exec_check.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace sim {

namespace {

constexpr uint32_t store_flag = 1, atomic_flag = 2, load_flag = 4, part_flag = 8;

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

const char *noun(uint32_t flags) { return flags & atomic_flag ? "atomic operation" : flags & store_flag ? "store" : "load"; }

Region *region_at(Checker &c, uintptr_t a) {
  for (auto &r : c.regions)
    if (a >= r->begin && a < r->end) return r.get();
  return nullptr;
}

Part *part_at(Region &r, uintptr_t a) {
  auto after = std::upper_bound(r.parts.begin(), r.parts.end(), a, [](uintptr_t a, const Part &p) { return a < p.begin; });
  return &after[-1];
}

Page &page_at(Region &r, uint64_t offset) {
  Page *&p = r.pages[offset / page_bytes];
  if (!p) p = (Page *)calloc(1, sizeof(Page));
  return *p;
}

Cell *cells(Cell *&c) {
  if (!c) c = (Cell *)calloc(page_bytes, sizeof(Cell));
  return c;
}

void mark(uint64_t *bits, uint32_t from, uint32_t n) {
  while (n) {
    uint32_t k = std::min(n, 64 - from % 64);
    bits[from / 64] |= (k == 64 ? ~uint64_t(0) : (uint64_t(1) << k) - 1) << from % 64;
    from += k, n -= k;
  }
}

void step(Worker &w, Site site) {
  if (++w.current->steps > w.job->step_limit)
    fail_thread(w, site, "does not end: the limit is " + std::to_string(w.job->step_limit) + " accesses and basic blocks of one thread");
  if (w.kill) fail_thread(w, site, "does not end");
}

[[noreturn]] void outside(Worker &w, uintptr_t a, uint64_t bytes, uint32_t flags, Site site) {
  for (const Span &s : w.job->images)
    if (a >= s.begin && a < s.end) fail_thread(w, site, "write to a program-scope constant");
  std::string where = describe_address(w, (const void *)a);
  bool inside = false; // begins inside, ends outside
  for (auto &r : w.job->checker->regions) inside |= r->kind == Kind::buffer && a >= r->begin && a < r->end;
  fail_thread(w, site, std::string(noun(flags)) + " of " + std::to_string(bytes) + " bytes " + (inside ? "over the end of " : "outside ") + where);
}

void check_alignment(Worker &w, uintptr_t a, uint64_t bytes, uint32_t flags, Site site) {
  uintptr_t alignment = uintptr_t(1) << (flags >> 8 & 31);
  if (a % alignment)
    fail_thread(w, site, std::string(noun(flags)) + " of " + std::to_string(bytes) + " bytes misaligned: " + std::to_string(alignment) +
                             " bytes asked for, " + describe_address(w, (const void *)a));
}

void count_lines(Worker &w, SiteState &s, uint32_t id, uintptr_t a, uint64_t bytes) {
  Checker &c = *w.job->checker;
  if (s.interval != c.interval) {
    s.interval = c.interval;
    s.groups = 0;
    memset(s.times, 0, sizeof s.times);
  }
  uint32_t time = s.times[w.current->lane]++;
  if (time >= s.groups) {
    s.groups = time + 1;
    c.counters.load_groups++;
    if (s.lines.size() < s.groups) s.lines.resize(s.groups);
    s.lines[time] = ~uint64_t(0);
  }
  for (uint64_t line = a / 128, last = (a + bytes - 1) / 128; line <= last; line++) {
    if (s.lines[time] == line) continue;
    s.lines[time] = line;
    c.counters.load_lines += c.lines.insert(mix(mix(line) + time * 0x9e3779b97f4a7c15 + (uint64_t(id) << 40)), c.interval);
  }
}

SiteState &site_state(Checker &c, uint32_t id) {
  if (!c.sites[id]) c.sites[id] = new SiteState{};
  return *c.sites[id];
}

void access_memory(Worker &w, uint32_t piece, uintptr_t a, const char *value, uint64_t bytes, uint32_t flags, Site site) {
  Checker &c = *w.job->checker;
  uintptr_t begin = (uintptr_t)w.piece_begin[piece];
  if (a < begin || a + bytes > begin + w.piece_length[piece]) outside(w, a, bytes, flags, site);
  check_alignment(w, a, bytes, flags, site);
  bool store = flags & store_flag, load = !store || (flags & load_flag);
  if (store) c.counters.threadgroup_stored_bytes += bytes;
  if (load) c.counters.threadgroup_loaded_bytes += bytes;
  if (c.memory_readers[piece].size() < w.piece_length[piece]) {
    c.memory_readers[piece].resize(w.piece_length[piece]);
    c.memory_writers[piece].resize(w.piece_length[piece]);
  }
  Cell *readers = &c.memory_readers[piece][a - begin], *writers = &c.memory_writers[piece][a - begin];
  if (load) {
    uint64_t unwritten = 0, first = bytes;
    for (uint64_t i = 0; i < bytes; i++)
      if (!written_by_group(w, writers[i])) unwritten++, first = std::min(first, i);
    // A copied struct may have padding.
    if (unwritten && (!(flags & part_flag) || unwritten == bytes))
      fail_thread(w, site, "read of threadgroup memory never written: " + describe_address(w, (const void *)(a + first)));
  }
  Access access = {store ? "write" : "read", threadgroup_space, store, bool(flags & atomic_flag), value, (char *)a, site};
  judge_order(w, access, readers, writers, bytes);
}

void access_region(Worker &w, Region &r, Part &part, uintptr_t a, const char *value, uint64_t bytes, uint32_t flags, Site site) {
  Checker &c = *w.job->checker;
  bool store = flags & store_flag, load = !store || (flags & load_flag);
  if (a + bytes > r.end) outside(w, a, bytes, flags, site);
  if (store && !r.writable) fail_thread(w, site, "write through constant or const: " + describe_address(w, (const void *)a));
  check_alignment(w, a, bytes, flags, site);
  if (store) c.counters.stores++, c.counters.stored_bytes += bytes, part.counters.stored_bytes += bytes;
  if (load) c.counters.loads++, c.counters.loaded_bytes += bytes, part.counters.loaded_bytes += bytes;
  for (uint64_t offset = a - r.begin, done = 0; done < bytes;) {
    uint32_t at = offset % page_bytes, n = std::min<uint64_t>(page_bytes - at, bytes - done);
    Page &p = page_at(r, offset);
    if (load) {
      if (!p.read_line) p.read_line = site.line;
      mark(p.read, at, n);
    }
    if (store) {
      if (!p.write_line) p.write_line = site.line;
      mark(p.written, at, n);
    }
    if (r.writable) {
      Access access = {store ? "write" : "read", device_space, store, bool(flags & atomic_flag), value ? value + done : nullptr,
                       (char *)a + done, site};
      if (store) cells(p.writers);
      judge_order(w, access, cells(p.readers) + at, p.writers ? p.writers + at : nullptr, n);
    }
    offset += n, done += n;
  }
}

void access(const void *address, const char *value, uint64_t bytes, uint32_t flags, Site site) {
  Worker *w = worker;
  if (!w || !w->in_kernel || !w->job->checker || !bytes) return;
  uintptr_t a = (uintptr_t)address;
  if (a - (uintptr_t)w->arena < w->arena_bytes) return;
  step(*w, site);
  size_t in_pieces = a - (uintptr_t)w->pieces;
  if (in_pieces < size_t(piece_count) * 2 * memory_bytes)
    return access_memory(*w, in_pieces / (2 * memory_bytes), a, value, bytes, flags, site);
  Checker &c = *w->job->checker;
  uint32_t id = flags >> 16;
  if (!id) id = mix(uint64_t(site.line) << 20 | site.column) % 65535 + 1;
  SiteState &s = site_state(c, id);
  if (!s.region || a - s.region->begin >= s.region->end - s.region->begin) {
    s.region = region_at(c, a);
    s.part = nullptr;
    if (!s.region) outside(*w, a, bytes, flags, site);
  }
  if (s.region->kind == Kind::image) {
    if (flags & store_flag) outside(*w, a, bytes, flags, site);
    return;
  }
  if (!s.part || a < s.part->begin || a >= s.part->end) s.part = part_at(*s.region, a);
  access_region(*w, *s.region, *s.part, a, value, bytes, flags, site);
  if (!(flags & (store_flag | atomic_flag))) count_lines(*w, s, id, a, bytes);
}

// How many bytes of a part were loaded or stored.
uint64_t distinct_bytes(const Region &r, const Part &part) {
  uint64_t n = 0, end = part.end - r.begin;
  for (uint64_t at = part.begin - r.begin; at < end;) {
    const Page *p = r.pages[at / page_bytes];
    uint64_t next = std::min(end, p ? at / 64 * 64 + 64 : at / page_bytes * page_bytes + page_bytes);
    if (p) {
      uint64_t word = at % page_bytes / 64, bits = (p->read[word] | p->written[word]) >> at % 64;
      if (next - at < 64) bits &= (uint64_t(1) << (next - at)) - 1;
      n += __builtin_popcountll(bits);
    }
    at = next;
  }
  return n;
}

// The runs of marked bytes of a region.
void collect(const Region &r, bool written, std::vector<Range> &out) {
  size_t first = out.size();
  for (size_t i = 0; i < r.pages.size(); i++) {
    const Page *p = r.pages[i];
    if (!p) continue;
    const uint64_t *bits = written ? p->written : p->read;
    for (uint32_t at = 0; at < page_bytes;) {
      uint64_t word = bits[at / 64] >> at % 64;
      if (!word) {
        at = (at / 64 + 1) * 64;
        continue;
      }
      at += __builtin_ctzll(word);
      uint32_t from = at;
      while (at < page_bytes && (bits[at / 64] >> at % 64 & 1)) {
        if (at % 64 == 0 && bits[at / 64] == ~uint64_t(0)) at += 64;
        else at++;
      }
      const char *begin = (const char *)r.begin + i * page_bytes + from, *end = (const char *)r.begin + i * page_bytes + at;
      if (out.size() > first && out.back().end == begin) out.back().end = end;
      else out.push_back({begin, end, written, written ? p->write_line : p->read_line});
    }
  }
}

} // namespace

bool LineSet::insert(uint64_t key, uint32_t now) {
  if (now != interval) interval = now, used = 0;
  if (used * 2 > entries.size()) {
    std::vector<Entry> old = std::move(entries);
    entries.assign(old.size() * 2, Entry{});
    used = 0;
    for (Entry &e : old)
      if (e.interval == now) insert(e.key, now);
  }
  for (size_t i = key;; i++) {
    Entry &e = entries[i & (entries.size() - 1)];
    if (e.interval != now) {
      e = {key, now};
      used++;
      return true;
    }
    if (e.key == key) return false;
  }
}

Checker *new_checker(Job &job) {
  Checker *c = new Checker{};
  c->job = &job;
  c->interval = 1;
  const Dispatch &d = *job.dispatch;
  struct Piece {
    uintptr_t begin, end;
    bool writable;
    uint32_t index;
  };
  std::vector<Piece> pieces;
  for (uint32_t i = 0; i < d.kernel->argument_count; i++) {
    const Argument &a = d.kernel->arguments[i];
    if (a.kind != Argument::buffer || a.index >= argument_slots || !present(a)) continue;
    const Binding &b = d.buffers[a.index];
    if (!b.bound || !b.length) continue;
    pieces.push_back({(uintptr_t)b.address, (uintptr_t)b.address + b.length, !a.read_only && a.space == Space::device, a.index});
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece &a, const Piece &b) { return a.begin < b.begin; });
  for (const Piece &p : pieces) {
    Region *last = c->regions.empty() ? nullptr : c->regions.back().get();
    if (last && p.begin < last->end) {
      last->end = std::max(last->end, p.end);
      last->writable |= p.writable;
      if (last->parts.back().begin == p.begin) continue;
      last->parts.back().end = p.begin;
    } else {
      last = c->regions.emplace_back(new Region{p.begin, p.end, Kind::buffer, p.writable, {}, {}}).get();
    }
    last->parts.push_back({p.begin, 0, p.index, {}});
  }
  for (auto &r : c->regions) {
    r->pages.resize((r->end - r->begin + page_bytes - 1) / page_bytes);
    r->parts.back().end = r->end;
  }
  for (const Span &s : job.images)
    if (s.end) c->regions.emplace_back(new Region{s.begin, s.end, Kind::image, false, {}, {}});
  return c;
}

void start_interval(Checker *c) { c->interval++; }

void count_operation(Checker *c, const char *op, uint32_t lanes) {
  if (!strncmp(op, "simdgroup_multiply", 18)) c->counters.float_ops += lanes * 32; // 8·8·8 multiply-adds over 32 lanes
  else if (!strncmp(op, "simd_sum", 8) || !strncmp(op, "simd_product", 12) || !strncmp(op, "simd_prefix", 11)) c->counters.float_ops += lanes;
}

void finish_checker(Checker *c, Outcome *out) {
  Counters n = c->counters;
  n.simd_ops = out->counters.simd_ops;
  n.barriers = out->counters.barriers;
  n.simdgroup_barriers = out->counters.simdgroup_barriers;
  std::vector<Range> ranges;
  for (auto &r : c->regions) {
    if (r->kind != Kind::buffer) continue;
    collect(*r, false, ranges);
    collect(*r, true, ranges);
    for (Part &part : r->parts) {
      part.counters.distinct_bytes = distinct_bytes(*r, part);
      n.distinct_bytes += part.counters.distinct_bytes;
      out->buffers[part.index] = part.counters;
    }
    for (Page *p : r->pages) {
      if (!p) continue;
      free(p->readers);
      free(p->writers);
      free(p);
    }
  }
  for (SiteState *s : c->sites) delete s;
  out->counters = n;
  out->range_count = ranges.size();
  if (!ranges.empty()) {
    out->ranges = (Range *)malloc(ranges.size() * sizeof(Range));
    memcpy(out->ranges, ranges.data(), ranges.size() * sizeof(Range));
  }
  delete c;
}

void check_access(const void *address, uint32_t bytes, uint32_t flags, uint32_t line, uint32_t column) {
  access(address, nullptr, bytes, flags, {line, column});
}

void check_store(void *address, const void *value, uint32_t bytes, uint32_t flags, uint32_t line, uint32_t column) {
  access(address, (const char *)value, bytes, flags | store_flag, {line, column});
}

void check_copy(const void *to, const void *from, uint64_t bytes, uint32_t line, uint32_t column) {
  access(from, nullptr, bytes, part_flag, {line, column});
  access(to, (const char *)from, bytes, store_flag, {line, column});
}

void check_fill(void *to, uint32_t byte, uint64_t bytes, uint32_t line, uint32_t column) {
  char value[256];
  memset(value, byte, sizeof value);
  for (uint64_t i = 0; i < bytes; i += sizeof value)
    access((char *)to + i, value, std::min<uint64_t>(sizeof value, bytes - i), store_flag, {line, column});
}

void check_float_ops(uint32_t n) {
  Worker *w = worker;
  if (!w || !w->in_kernel || !w->job->checker) return;
  w->job->checker->counters.float_ops += n;
  step(*w, {});
}

} // namespace sim
