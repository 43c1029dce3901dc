// The blit command encoder: copy and fill of buffers.
#include "objc_metal.h"

namespace sim::objc {

namespace {

struct BlitEncoder : Encoder {
  static constexpr const char *class_name = "MTLBlitCommandEncoder";
  explicit BlitEncoder(CommandBuffer *cb) : Encoder(class_name, cb, Pass::blit, false) {}
};

BlitEncoder *blit_encoder(CommandBuffer *self, Selector) {
  return self->encoding_allowed() ? autoreleased(new BlitEncoder(self)) : nullptr;
}

// The bytes offset to offset+size of a buffer argument; null with a report when they are not all there.
Buffer *part(BlitEncoder *self, Object *argument, const char *what, uint64_t offset, uint64_t size) {
  auto *b = checked<Buffer>(argument, what);
  if (!b) {
    self->command_buffer->poison(format("%s of a blit is not a live buffer", what));
    return nullptr;
  }
  // Apple: on macOS offsets and sizes are multiples of 4.
  uint64_t length = b->memory->length;
  if (offset % 4 || size % 4)
    self->fault("offset %lu and size %lu of %s must be multiples of 4", (unsigned long)offset, (unsigned long)size, what);
  else if (!size)
    self->fault("size 0 of %s", what);
  else if (offset > length || size > length - offset)
    self->fault("offset %lu and size %lu are beyond the end of %s, %s", (unsigned long)offset, (unsigned long)size, what,
                b->memory->describe().c_str());
  else
    return b;
  return nullptr;
}

void copy(BlitEncoder *self, Selector, Object *from, uint64_t from_offset, Object *to, uint64_t to_offset, uint64_t size) {
  if (!self->usable()) return;
  Buffer *source = part(self, from, "the source", from_offset, size);
  Buffer *destination = source ? part(self, to, "the destination", to_offset, size) : nullptr;
  if (!destination) return;
  if (source == destination && from_offset < to_offset + size && to_offset < from_offset + size) {
    self->fault("source and destination overlap in %s", source->describe().c_str());
    return;
  }
  Command c(Command::copy);
  c.buffers = {{0, source->memory, nullptr, from_offset}, {0, destination->memory, nullptr, to_offset}};
  c.bytes = size;
  self->command_buffer->keep(source);
  self->command_buffer->keep(destination);
  self->pass.commands.push_back(std::move(c));
}

void fill(BlitEncoder *self, Selector, Object *buffer, NSRange range, uint8_t value) {
  if (!self->usable()) return;
  Buffer *b = part(self, buffer, "the range", range.location, range.length);
  if (!b) return;
  Command c(Command::fill);
  c.buffers = {{0, b->memory, nullptr, range.location}};
  c.bytes = range.length;
  c.value = value;
  self->command_buffer->keep(b);
  self->pass.commands.push_back(std::move(c));
}

void synchronize(BlitEncoder *self, Selector, Object *resource) {
  if (self->usable()) checked<Buffer>(resource, "the resource");
}

std::vector<Method> blit_methods() {
  std::vector<Method> all = encoder_methods();
  for (Method m : {method("copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", copy),
                   method("fillBuffer:range:value:", fill), method("synchronizeResource:", synchronize)})
    all.push_back(m);
  return all;
}

Registration encoder("MTLBlitCommandEncoder", "NSObject", blit_methods());
Registration maker("MTLCommandBuffer", nullptr, {method("blitCommandEncoder", blit_encoder)});

} // namespace

} // namespace sim::objc
