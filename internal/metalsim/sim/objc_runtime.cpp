// Classes, selectors, retain counts, autorelease pools, and the record of misuse.
#include "objc.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_set>

namespace sim::objc {

namespace {

// Everything here outlives the threads of the queues, so nothing is ever destroyed.

struct Pending {
  const char *name, *parent;
  std::vector<Method> instance_methods, class_methods;
};

std::vector<Pending> &pending() {
  static auto *list = new std::vector<Pending>;
  return *list;
}

struct Names {
  std::mutex mutex;
  std::unordered_set<std::string> set; // its nodes, and so the names, keep their addresses
};

struct Registry {
  std::mutex mutex;
  std::unordered_set<Object *> live;
  std::deque<Object *> zombies;
  std::deque<std::string> errors;
};

Registry &registry() {
  static auto *r = new Registry;
  return *r;
}

constexpr size_t kept_zombies = 1 << 14;
constexpr size_t kept_errors = 1000;

// The call that this thread is in, for messages.
struct Call {
  const char *class_name = nullptr;
  bool on_class = false;
  const char *selector = nullptr;
};
thread_local Call call;

std::string call_text() {
  if (!call.selector) return "";
  if (!call.class_name) return std::string(call.selector) + ": ";
  return format("%c[%s %s]: ", call.on_class ? '+' : '-', call.class_name, call.selector);
}

using Classes = std::unordered_map<std::string, Class *>;

Class *build(Classes &built, const char *name) {
  if (auto found = built.find(name); found != built.end()) return found->second;
  Class *parent = nullptr;
  for (Pending &p : pending())
    if (strcmp(p.name, name) == 0 && p.parent) parent = build(built, p.parent);
  auto *c = new Class(name, parent);
  if (parent) {
    c->instance_methods = parent->instance_methods;
    c->class_methods = parent->class_methods;
  }
  for (Pending &p : pending()) {
    if (strcmp(p.name, name) != 0) continue;
    for (Method &m : p.instance_methods) c->instance_methods.insert_or_assign(intern(m.selector), m);
    for (Method &m : p.class_methods) c->class_methods.insert_or_assign(intern(m.selector), m);
  }
  return built[name] = c;
}

const Classes &classes() {
  static Classes *all = [] {
    auto *built = new Classes;
    for (const Pending &p : pending()) build(*built, p.name);
    return built;
  }();
  return *all;
}

} // namespace

Registration::Registration(const char *name, const char *parent, std::vector<Method> instance_methods,
                           std::vector<Method> class_methods) {
  pending().push_back({name, parent, std::move(instance_methods), std::move(class_methods)});
}

Class *find_class(const char *name) {
  auto found = classes().find(name);
  return found == classes().end() ? nullptr : found->second;
}

Selector intern(const char *name) {
  static auto *names = new Names;
  std::lock_guard lock(names->mutex);
  return reinterpret_cast<Selector>(names->set.insert(name).first->c_str());
}

Class::Class(const char *name, Class *parent) : Object(nullptr, ""), name(name), parent(parent) {
  isa = this;
  dead = false;
}

const Method *Class::find(Selector selector, bool on_class) const {
  const auto &methods = on_class ? class_methods : instance_methods;
  auto found = methods.find(selector);
  if (found == methods.end() || (found->second.available && !found->second.available())) return nullptr;
  return &found->second;
}

bool Class::inherits(const Class *ancestor) const {
  for (const Class *c = this; c; c = c->parent)
    if (c == ancestor) return true;
  return false;
}

Object::Object(const char *class_name) : isa(find_class(class_name)) {
  std::lock_guard lock(registry().mutex);
  registry().live.insert(this);
}

Object::Object(Class *isa, std::string label) : isa(isa), references(0), dead(true), label(std::move(label)) {}

Object::~Object() {
  std::lock_guard lock(registry().mutex);
  registry().live.erase(this);
}

std::string Object::describe() const {
  return label.empty() ? isa->name : isa->name + " \"" + label + "\"";
}

Object *retain(Object *object) {
  if (object->isa == object) return object; // a class
  if (object->dead) {
    misuse("%s is retained after its release", object->describe().c_str());
    return object;
  }
  ++object->references;
  return object;
}

void release(Object *object) {
  if (object->isa == object) return;
  if (object->dead) {
    misuse("%s is released once too often", object->describe().c_str());
    return;
  }
  if (--object->references > 0) return;
  Class *isa = object->isa;
  std::string label = object->label;
  object->~Object();
  auto *zombie = new (static_cast<void *>(object)) Object(isa, label);

  Object *oldest = nullptr;
  {
    std::lock_guard lock(registry().mutex);
    registry().zombies.push_back(zombie);
    if (registry().zombies.size() > kept_zombies) {
      oldest = registry().zombies.front();
      registry().zombies.pop_front();
    }
  }
  if (oldest) {
    oldest->~Object();
    ::operator delete(static_cast<void *>(oldest));
  }
}

// Autorelease pools: one stack a thread, a null marks the start of a pool.

namespace {

struct Pools {
  std::vector<Object *> stack;
  ~Pools() { drain(0); }
  void drain(size_t to) {
    while (stack.size() > to) {
      Object *object = stack.back();
      stack.pop_back();
      if (object) release(object);
    }
  }
};
thread_local Pools pools;

} // namespace

Object *autorelease(Object *object) {
  if (object->isa == object) return object;
  if (object->dead) {
    misuse("%s is autoreleased after its release", object->describe().c_str());
    return object;
  }
  if (pools.stack.empty()) {
    misuse("%s is autoreleased with no pool in place on this thread, and so leaks: call objc_autoreleasePoolPush first, "
           "and keep to one OS thread until the pop",
           object->describe().c_str());
    return object;
  }
  pools.stack.push_back(object);
  return object;
}

// Misuse.

std::string format_list(const char *text, va_list list) {
  va_list again;
  va_copy(again, list);
  std::string out(vsnprintf(nullptr, 0, text, list), 0);
  vsnprintf(out.data(), out.size() + 1, text, again);
  va_end(again);
  return out;
}

std::string format(const char *text, ...) {
  va_list list;
  va_start(list, text);
  std::string out = format_list(text, list);
  va_end(list);
  return out;
}

std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') out += '\\', out += char(c);
    else if (c < 0x20) out += format("\\u%04x", c);
    else out += char(c);
  }
  return out + "\"";
}

std::string misuse(const char *text, ...) {
  va_list list;
  va_start(list, text);
  std::string out = call_text() + format_list(text, list);
  va_end(list);
  std::lock_guard lock(registry().mutex);
  if (registry().errors.size() < kept_errors) registry().errors.push_back(out);
  return out;
}

bool take_error(std::string *text) {
  std::lock_guard lock(registry().mutex);
  if (registry().errors.empty()) return false;
  *text = registry().errors.front();
  registry().errors.pop_front();
  return true;
}

void clear_errors() {
  std::lock_guard lock(registry().mutex);
  registry().errors.clear();
}

Object *checked(Object *argument, const char *class_name, const char *what, bool nil_allowed) {
  if (!argument) {
    if (!nil_allowed) misuse("%s is nil", what);
    return nullptr;
  }
  if (argument->dead) {
    misuse("%s %s is used after its release", what, argument->describe().c_str());
    return nullptr;
  }
  if (!argument->isa->inherits(find_class(class_name))) {
    misuse("%s must be a %s, not a %s", what, class_name, argument->isa->name.c_str());
    return nullptr;
  }
  return argument;
}

// Live objects.

void immortal(Object *object) {
  std::lock_guard lock(registry().mutex);
  registry().live.erase(object);
}

size_t live_objects(std::string *lines) {
  std::map<std::pair<std::string, std::string>, size_t> counts;
  std::lock_guard lock(registry().mutex);
  for (Object *object : registry().live) ++counts[{object->isa->name, object->label}];
  for (auto &[key, count] : counts) *lines += format("%s\t%s\t%zu\n", key.first.c_str(), key.second.c_str(), count);
  return registry().live.size();
}

void forget_live_objects() {
  std::lock_guard lock(registry().mutex);
  registry().live.clear();
}

} // namespace sim::objc

// What libobjc exports.

using namespace sim::objc;

namespace {
uint64_t answer_nothing() { return 0; }
} // namespace

// Called by the trampoline of objc_msgSend: where to jump for this message.
extern "C" Implementation sim_implementation(Object *self, Selector selector) {
  if (!self) return reinterpret_cast<Implementation>(answer_nothing);
  bool on_class = self->isa == self;
  call = {self->isa->name.c_str(), on_class, selector ? name_of(selector) : "(nil selector)"};
  if (self->dead) {
    misuse("%s is used after its release", self->describe().c_str());
    return reinterpret_cast<Implementation>(answer_nothing);
  }
  const Method *m = selector ? self->isa->find(selector, on_class) : nullptr;
  if (!m) {
    misuse("unrecognized selector sent to %s", on_class ? "class" : "instance");
    return reinterpret_cast<Implementation>(answer_nothing);
  }
  return m->run;
}

extern "C" {

Class *objc_getClass(const char *name) { return name ? find_class(name) : nullptr; }
Class *objc_lookUpClass(const char *name) { return objc_getClass(name); }
Selector sel_registerName(const char *name) { return intern(name); }
Selector sel_getUid(const char *name) { return intern(name); }
const char *sel_getName(Selector selector) { return selector ? name_of(selector) : "<null selector>"; }
const char *class_getName(Class *c) { return c ? c->name.c_str() : "nil"; }
Class *object_getClass(Object *object) { return object ? object->isa : nullptr; }

Object *objc_retain(Object *object) {
  call = {nullptr, false, "objc_retain"};
  return object ? retain(object) : nullptr;
}

void objc_release(Object *object) {
  call = {nullptr, false, "objc_release"};
  if (object) release(object);
}

Object *objc_autorelease(Object *object) {
  call = {nullptr, false, "objc_autorelease"};
  return object ? autorelease(object) : nullptr;
}

void *objc_autoreleasePoolPush() {
  pools.stack.push_back(nullptr);
  return reinterpret_cast<void *>(pools.stack.size());
}

void objc_autoreleasePoolPop(void *pool) {
  call = {nullptr, false, "objc_autoreleasePoolPop"};
  size_t start = reinterpret_cast<size_t>(pool) - 1;
  if (start >= pools.stack.size() || pools.stack[start]) {
    misuse("this pool is not open on this thread: it was popped before, or pushed on another thread");
    return;
  }
  pools.drain(start);
}

} // extern "C"
