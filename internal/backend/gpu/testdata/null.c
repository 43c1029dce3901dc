// A library with libobjc's and Metal's entry points that does nothing, as fast as it can: what remains of an encoding is
// the program's own time. All arguments that matter are integers in registers, so objc_msgSend is an ordinary function.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum answer { NOTHING, ITSELF, YES, HUGE_NUMBER, THREADS, COMPLETED, TEXT, NEW_BUFFER, WRAP_BUFFER, CONTENTS, LENGTH };

// What is asked for while encoding comes first and needs no look-up: a selector is its answer.
static const struct {
  const char *selector;
  enum answer answer;
} answers[] = {
    {"new", ITSELF},
    {"stringWithUTF8String:", ITSELF},
    {"name", ITSELF},
    {"UTF8String", TEXT},
    {"supportsFamily:", YES},
    {"hasUnifiedMemory", YES},
    {"maxBufferLength", HUGE_NUMBER},
    {"recommendedMaxWorkingSetSize", HUGE_NUMBER},
    {"newBufferWithLength:options:", NEW_BUFFER},
    {"newBufferWithBytesNoCopy:length:options:deallocator:", WRAP_BUFFER},
    {"contents", CONTENTS},
    {"length", LENGTH},
    {"newLibraryWithSource:options:error:", ITSELF},
    {"functionNames", ITSELF},
    {"count", YES},
    {"objectAtIndex:", ITSELF},
    {"newFunctionWithName:constantValues:error:", ITSELF},
    {"newComputePipelineStateWithFunction:error:", NEW_BUFFER},
    {"maxTotalThreadsPerThreadgroup", THREADS},
    {"newCommandQueue", ITSELF},
    {"commandBuffer", ITSELF},
    {"commandBufferWithUnretainedReferences", ITSELF},
    {"computeCommandEncoderWithDispatchType:", ITSELF},
    {"status", COMPLETED},
};

struct selector {
  enum answer answer;
  int dispatch, barrier;
};

struct object {
  void *contents;
  uint64_t length;
};

static struct object object; // every id that is not a buffer or a pipeline

uint64_t null_messages, null_dispatches, null_barriers;

uint64_t objc_msgSend(struct object *self, const struct selector *selector, uint64_t a, uint64_t b) {
  null_messages++;
  null_dispatches += selector->dispatch;
  null_barriers += selector->barrier;
  switch (selector->answer) {
  case NOTHING:
    return 0;
  case ITSELF:
    return (uint64_t)&object;
  case YES:
    return 1;
  case HUGE_NUMBER:
    return (uint64_t)1 << 40;
  case THREADS:
    return 1024;
  case COMPLETED:
    return 4;
  case TEXT:
    return (uint64_t)"a stand-in that does nothing";
  case NEW_BUFFER:
  case WRAP_BUFFER: {
    struct object *made = malloc(sizeof *made);
    *made = selector->answer == NEW_BUFFER ? (struct object){0, a} : (struct object){(void *)a, b};
    return (uint64_t)made;
  }
  case CONTENTS:
    if (self->contents == 0) self->contents = calloc(self->length, 1);
    return (uint64_t)self->contents;
  case LENGTH:
    return self->length;
  }
  return 0;
}

void *sel_registerName(const char *name) {
  struct selector *selector = calloc(1, sizeof *selector);
  selector->dispatch = strcmp(name, "dispatchThreadgroups:threadsPerThreadgroup:") == 0;
  selector->barrier = strcmp(name, "memoryBarrierWithScope:") == 0;
  for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++)
    if (strcmp(answers[i].selector, name) == 0) selector->answer = answers[i].answer;
  return selector;
}

void *objc_getClass(const char *name) { return &object; }
void *objc_autoreleasePoolPush(void) { return &object; }
void objc_autoreleasePoolPop(void *pool) {}
void *MTLCreateSystemDefaultDevice(void) { return &object; }
void *MTLCopyAllDevices(void) { return &object; }
