// Events, shared events and fences, as the program sees them.
#include "objc_metal.h"

#include <chrono>

namespace sim::objc {

namespace {

uint64_t value_of(SharedEvent *event) {
  std::lock_guard lock(scheduler().mutex);
  return event->value;
}

uint64_t signaled_value(SharedEvent *self, Selector) {
  uint64_t value = value_of(self);
  host_observed(self, value);
  return value;
}

void set_signaled_value(SharedEvent *self, Selector, uint64_t value) {
  uint64_t now = value_of(self);
  if (value < now)
    misuse("value %lu is below the current %lu: an event's value only grows", (unsigned long)value, (unsigned long)now);
  else
    signal_event(self, value);
}

bool wait_until(SharedEvent *self, Selector, uint64_t value, uint64_t milliseconds) {
  {
    std::unique_lock lock(scheduler().mutex);
    auto timeout = std::chrono::milliseconds(std::min<uint64_t>(milliseconds, 1u << 30));
    if (!scheduler().changed.wait_for(lock, timeout, [&] { return self->value >= value; })) return false;
  }
  host_observed(self, value);
  return true;
}

void no_blocks(SharedEvent *, Selector, Object *, uint64_t, void *) {
  misuse("the stand-in has no blocks: use waitUntilSignaledValue:timeoutMS:");
}

Device *device_of(Object *, Selector) { return default_device(); }

Registration event("MTLEvent", "NSObject",
                   {method("device", device_of), method("label", get_label), method("setLabel:", set_label)});
Registration shared_event("MTLSharedEvent", "MTLEvent",
                          {method("signaledValue", signaled_value), method("setSignaledValue:", set_signaled_value),
                           method("waitUntilSignaledValue:timeoutMS:", wait_until),
                           method("notifyListener:atValue:block:", no_blocks)});
Registration fence("MTLFence", "NSObject",
                   {method("device", device_of), method("label", get_label), method("setLabel:", set_label)});

} // namespace

} // namespace sim::objc
