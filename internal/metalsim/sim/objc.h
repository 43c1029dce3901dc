// The Objective-C runtime of the stand-in: objects, classes, selectors, retain counts and autorelease pools, small
// enough to read. Classes are C++ structs that derive from Object; their methods are plain functions with the true C
// signature, so the compiler gives them the platform's calling convention, and objc_msgSend jumps to them.
#pragma once

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sim::objc {

struct Class;
struct InternedName;
using Selector = const InternedName *; // equal names have equal addresses, at which the name stands

// What every id points to. A freed object stays behind as a zombie, so that its later use can be named.
struct Object {
  static constexpr const char *class_name = "NSObject";
  Class *isa;
  std::atomic<int64_t> references{1};
  std::atomic<bool> dead{false};
  std::string label;

  explicit Object(const char *class_name);
  virtual ~Object();
  Object(const Object &) = delete;
  Object &operator=(const Object &) = delete;

  // For messages: the class, and the label if there is one.
  std::string describe() const;

protected:
  friend void release(Object *);
  Object(Class *isa, std::string label); // a zombie
};

using Implementation = void (*)();

struct Method {
  const char *selector;
  std::string types; // in Objective-C's encoding, receiver and selector included: v@:@QQ
  Implementation run;
  bool (*available)(); // null: always; otherwise whether this system version has it
};

// A class. It answers class methods as an object does instance methods.
struct Class : Object {
  std::string name;
  Class *parent;
  std::unordered_map<Selector, Method> instance_methods, class_methods;

  Class(const char *name, Class *parent);
  const Method *find(Selector, bool on_class) const;
  bool inherits(const Class *) const;
};

// The class with this name, or null.
Class *find_class(const char *name);
Selector intern(const char *name);
inline const char *name_of(Selector selector) { return reinterpret_cast<const char *>(selector); }

// Registers a class when the library is loaded, or, with a null parent, more methods of one.
struct Registration {
  Registration(const char *name, const char *parent, std::vector<Method> instance_methods,
               std::vector<Method> class_methods = {});
};

// Structs that Metal passes by value.
struct MTLSize {
  uint64_t width, height, depth;
};
struct NSRange {
  uint64_t location, length;
};

// The Objective-C encoding of a C++ type.
template <class T> std::string encoding() {
  if constexpr (std::is_void_v<T>) return "v";
  else if constexpr (std::is_same_v<T, bool>) return "B";
  else if constexpr (std::is_same_v<T, Selector>) return ":";
  else if constexpr (std::is_same_v<T, const char *>) return "r*";
  else if constexpr (std::is_same_v<T, double>) return "d";
  else if constexpr (std::is_same_v<T, float>) return "f";
  else if constexpr (std::is_same_v<T, MTLSize>) return "{?=QQQ}";
  else if constexpr (std::is_same_v<T, NSRange>) return "{_NSRange=QQ}";
  else if constexpr (std::is_same_v<T, Class *>) return "#";
  else if constexpr (std::is_pointer_v<T>) {
    using Pointee = std::remove_cv_t<std::remove_pointer_t<T>>;
    const char *constant = std::is_const_v<std::remove_pointer_t<T>> ? "r" : "";
    if constexpr (std::is_void_v<Pointee>) return std::string(constant) + "^v";
    else if constexpr (std::is_base_of_v<Object, Pointee>) return "@";
    else return std::string(constant) + "^" + encoding<Pointee>();
  } else if constexpr (std::is_integral_v<T>) {
    const char *codes = std::is_signed_v<T> ? "csiq" : "CSIQ";
    return std::string(1, codes[sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3]);
  }
}

// A method, its types derived from the function.
template <class Result, class Self, class... Arguments>
Method method(const char *selector, Result (*function)(Self *, Selector, Arguments...), bool (*available)() = nullptr) {
  std::string types = encoding<Result>() + "@:";
  ((types += encoding<Arguments>()), ...);
  return {selector, types, reinterpret_cast<Implementation>(function), available};
}

// Retain counts.
Object *retain(Object *);
void release(Object *);
Object *autorelease(Object *);

// alloc and new of a class that programs create objects of themselves.
template <class T> std::vector<Method> creatable() {
  Object *(*create)(Class *, Selector) = [](Class *, Selector) -> Object * { return new T(); };
  return {method("alloc", create), method("new", create)};
}

template <class T> T *autoreleased(T *object) { return static_cast<T *>(autorelease(object)); }

// An owning reference that the stand-in itself holds.
template <class T> class Ref {
  T *object = nullptr;

public:
  Ref() = default;
  explicit Ref(T *o) : object(static_cast<T *>(o ? retain(o) : nullptr)) {}
  Ref(const Ref &r) : Ref(r.object) {}
  Ref(Ref &&r) noexcept : object(std::exchange(r.object, nullptr)) {}
  Ref &operator=(Ref r) noexcept {
    std::swap(object, r.object);
    return *this;
  }
  ~Ref() {
    if (object) release(object);
  }
  T *get() const { return object; }
  T *operator->() const { return object; }
  explicit operator bool() const { return object; }
};

// Records a misuse of the API, as Metal's validation layer would by an assertion. The text is prefixed with the call
// that this thread is in: -[Class selector]. Returns the whole text.
std::string misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
std::string quoted(const std::string &text); // as JSON
std::string format(const char *format, ...) __attribute__((format(printf, 1, 2)));
std::string format_list(const char *format, va_list);

// An argument that must be a live object of a class. Reports and returns null when it is not, and, unless allowed,
// when it is nil.
Object *checked(Object *argument, const char *class_name, const char *what, bool nil_allowed);

template <class T> T *checked(Object *argument, const char *what, bool nil_allowed = false) {
  return static_cast<T *>(checked(argument, T::class_name, what, nil_allowed));
}

// Registers constants, such as the default device, that are not leaks.
void immortal(Object *);

// One line for each class and label of live objects: class, tab, label, tab, count. The number of objects.
size_t live_objects(std::string *lines);
void forget_live_objects();
bool take_error(std::string *text);
void clear_errors();

// Foundation.
struct String : Object {
  static constexpr const char *class_name = "NSString";
  std::string text;
  explicit String(std::string text);
};

struct Array : Object {
  static constexpr const char *class_name = "NSArray";
  std::vector<Ref<Object>> items;
  Array() : Object(class_name) {}
};

struct Dictionary : Object {
  static constexpr const char *class_name = "NSDictionary";
  std::vector<std::pair<Ref<Object>, Ref<Object>>> items; // key, value
  explicit Dictionary(const char *name = class_name) : Object(name) {}
  Object *find(const std::string &key) const;
  void set(Object *key, Object *value);
};

struct Error : Object {
  static constexpr const char *class_name = "NSError";
  std::string domain, text;
  int64_t code;
  Error(std::string domain, int64_t code, std::string text);
};

struct URL : Object {
  static constexpr const char *class_name = "NSURL";
  std::string path;
  URL() : Object(class_name) {}
};

// Stores an autoreleased NSError where the caller asked for it.
void set_error(Object **out, const char *domain, int64_t code, const std::string &text);

// The text of an NSString argument; empty with a report when it is none.
std::string text_of(Object *string, const char *what);

// Getter and setter of every object's label.
String *get_label(Object *self, Selector);
void set_label(Object *self, Selector, Object *label);

} // namespace sim::objc
