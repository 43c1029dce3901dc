// The capture manager: a .gputrace here is a folder with one JSON text, trace.json, that lists what was run.
#include "objc_metal.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sys/stat.h>

namespace sim::objc {

namespace {

struct CaptureDescriptor : Object {
  static constexpr const char *class_name = "MTLCaptureDescriptor";
  Ref<Object> object;
  int64_t destination = 1;
  Ref<URL> url;
  CaptureDescriptor() : Object(class_name) {}
};

struct CaptureManager : Object {
  static constexpr const char *class_name = "MTLCaptureManager";
  CaptureManager() : Object(class_name) { immortal(this); }
};

enum Destination : int64_t { developer_tools = 1, trace_document = 2 }; // MTLCaptureDestination
enum CaptureError : int64_t { not_supported = 1, already_capturing, invalid_descriptor };
constexpr const char *domain = "MTLCaptureErrorDomain";

struct Trace {
  std::mutex mutex;
  bool open = false;
  std::string folder, text;
};

Trace &trace() {
  static auto *t = new Trace;
  return *t;
}

CaptureManager *shared_manager(Class *, Selector) {
  static auto *manager = new CaptureManager;
  return manager;
}

bool supports(CaptureManager *, Selector, int64_t destination) {
  return limits.capture && destination == trace_document;
}

bool start(CaptureManager *, Selector, Object *descriptor, Object **out) {
  auto *d = checked<CaptureDescriptor>(descriptor, "the descriptor");
  if (!d) return false;
  std::lock_guard lock(trace().mutex);
  int64_t code = invalid_descriptor;
  std::string error;
  if (!limits.capture || d->destination != trace_document) {
    code = not_supported;
    error = format("capture to destination %ld is not supported", (long)d->destination);
  } else if (trace().open) {
    code = already_capturing;
    error = "a capture is already running";
  } else if (!d->object) {
    error = "the descriptor has no captureObject";
  } else if (!d->url || !d->url->path.ends_with(".gputrace")) {
    error = "the outputURL must be a file URL that ends in .gputrace";
  } else if (mkdir(d->url->path.c_str(), 0777) != 0) {
    error = d->url->path + ": " + strerror(errno);
  }
  if (!error.empty()) {
    set_error(out, domain, code, error);
    return false;
  }
  trace().open = true;
  trace().folder = d->url->path;
  trace().text.clear();
  return true;
}

void stop(CaptureManager *, Selector) {
  std::lock_guard lock(trace().mutex);
  if (!trace().open) {
    misuse("no capture is running");
    return;
  }
  trace().open = false;
  std::ofstream file(trace().folder + "/trace.json");
  file << "{\"command_buffers\":[" << trace().text << "\n]}\n";
  if (!file.flush()) misuse("%s/trace.json cannot be written", trace().folder.c_str());
}

bool capturing(CaptureManager *, Selector) {
  std::lock_guard lock(trace().mutex);
  return trace().open;
}

void set_object(CaptureDescriptor *self, Selector, Object *object) {
  self->object = Ref<Object>(checked<Object>(object, "the object", true));
}
void set_destination(CaptureDescriptor *self, Selector, int64_t destination) { self->destination = destination; }
void set_url(CaptureDescriptor *self, Selector, Object *url) {
  self->url = Ref<URL>(checked<URL>(url, "the URL", true));
}

Registration descriptor("MTLCaptureDescriptor", "NSObject",
                        {method("setCaptureObject:", set_object), method("setDestination:", set_destination),
                         method("setOutputURL:", set_url)},
                        creatable<CaptureDescriptor>());
Registration manager("MTLCaptureManager", "NSObject",
                     {method("supportsDestination:", supports), method("startCaptureWithDescriptor:error:", start),
                      method("stopCapture", stop), method("isCapturing", capturing)},
                     {method("sharedCaptureManager", shared_manager)});

} // namespace

void trace_command_buffer(const CommandBuffer *cb) {
  std::lock_guard lock(trace().mutex);
  if (!trace().open) return;
  std::string passes;
  static const char *kinds[] = {"compute", "blit", "signal", "wait"};
  for (const Pass &pass : cb->passes) {
    std::string commands;
    for (const Command &c : pass.commands)
      if (c.kind == Command::dispatch) commands += (commands.empty() ? "" : ",") + dispatch_json(c, nullptr);
    passes += format("%s\n{\"kind\":\"%s\",\"label\":%s,\"dispatches\":[%s]}", passes.empty() ? "" : ",",
                     kinds[pass.kind], quoted(pass.label).c_str(), commands.c_str());
  }
  trace().text += format("%s\n{\"label\":%s,\"passes\":[%s]}", trace().text.empty() ? "" : ",",
                         quoted(cb->label).c_str(), passes.c_str());
}

} // namespace sim::objc
