// A library with libobjc's and Metal's entry points whose methods write down what reached them. The methods have the
// true C signatures, so that the compiler reads the arguments as the platform passes them. objc_msgSend is the
// stand-in's, compiled beside this file; it asks sim_implementation where to jump.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  uint64_t width, height, depth;
} MTLSize;

typedef struct {
  uint64_t location, length;
} NSRange;

static char last[512];
static int object; // every id

#define NOTE(...) snprintf(last, sizeof last, __VA_ARGS__)
#define N(x) (unsigned long)(x)

static void *itself(void *self, void *selector) { return self; }
static const char *text(void *self, void *selector) { return last; }

static void sizes(void *self, void *selector, MTLSize a, MTLSize b) {
  NOTE("%lu,%lu,%lu by %lu,%lu,%lu", N(a.width), N(a.height), N(a.depth), N(b.width), N(b.height), N(b.depth));
}

static void three(void *self, void *selector, uint64_t a, uint64_t b, uint64_t c) {
  NOTE("%lx %lu %lu", N(a == (uint64_t)&object), N(b), N(c));
}

static void bytes(void *self, void *selector, const char *data, uint64_t length, uint64_t index) {
  NOTE("%.*s %lu %lu", (int)length, data, N(length), N(index));
}

static void copy(void *self, void *selector, void *from, uint64_t from_offset, void *to, uint64_t to_offset, uint64_t size) {
  NOTE("%d %lu %d %lu %lu", from == &object, N(from_offset), to == &object, N(to_offset), N(size));
}

static void fill(void *self, void *selector, void *buffer, NSRange range, uint8_t value) {
  NOTE("%d %lu+%lu %u", buffer == &object, N(range.location), N(range.length), value);
}

static void barrier(void *self, void *selector, void *const *buffers, uint64_t count) {
  int good = 1;
  for (uint64_t i = 0; i < count; i++) good &= buffers[i] == &object;
  NOTE("%d %lu", good, N(count));
}

static void buffers(void *self, void *selector, void *const *buffers, const uint64_t *offsets, NSRange range) {
  NOTE("%d %lu %d %lu at %lu+%lu", buffers[0] == &object, N(offsets[0]), buffers[1] == &object, N(offsets[1]),
       N(range.location), N(range.length));
}

static uint64_t ten(void *self, void *selector, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
                    uint64_t g, uint64_t h) {
  NOTE("%d %lu %lu %lu %lu %lu %lu %lu %lu", self == &object, N(a), N(b), N(c), N(d), N(e), N(f), N(g), N(h));
  return UINT64_MAX;
}

static double seconds(void *self, void *selector) { return 1234.0625; }

// A BOOL leaves the rest of its register undefined.
static uint64_t no(void *self, void *selector) { return 0xABCDEF00; }
static uint64_t yes(void *self, void *selector, int64_t family) { return 0xABCDEF01; }

static struct {
  const char *selector;
  void *method;
} methods[] = {
    {"dispatchThreadgroups:threadsPerThreadgroup:", sizes},
    {"dispatchThreads:threadsPerThreadgroup:", sizes},
    {"setBuffer:offset:atIndex:", three},
    {"setBuffers:offsets:withRange:", buffers},
    {"setBytes:length:atIndex:", bytes},
    {"copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", copy},
    {"fillBuffer:range:value:", fill},
    {"memoryBarrierWithResources:count:", barrier},
    {"ten:of:them:with:the:last:on:stack:", ten},
    {"GPUStartTime", seconds},
    {"hasUnifiedMemory", no},
    {"supportsFamily:", yes},
    {"UTF8String", text},
};

void *sim_implementation(void *self, const char *selector) {
  for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++)
    if (strcmp(methods[i].selector, selector) == 0) return methods[i].method;
  return itself;
}


void *sel_registerName(const char *name) { return strdup(name); }
void *objc_getClass(const char *name) { return &object; }
void *objc_autoreleasePoolPush(void) { return &object; }
void objc_autoreleasePoolPop(void *pool) {}
void *MTLCreateSystemDefaultDevice(void) { return &object; }
void *MTLCopyAllDevices(void) { return &object; }
