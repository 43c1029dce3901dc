// The few classes of Foundation that a Metal program meets.
#include "objc.h"

#include <cstring>

namespace sim::objc {

// NSObject

namespace {

Object *init(Object *self, Selector) { return self; }
Object *retain_(Object *self, Selector) { return retain(self); }
void release_(Object *self, Selector) { release(self); }
Object *autorelease_(Object *self, Selector) { return autorelease(self); }
uint64_t retain_count(Object *self, Selector) { return self->references; }
Class *class_(Object *self, Selector) { return self->isa; }
uint64_t hash(Object *self, Selector) { return reinterpret_cast<uint64_t>(self); }
bool is_equal(Object *self, Selector, Object *other) { return self == other; }

bool responds(Object *self, Selector, Selector asked) { return asked && self->isa->find(asked, false); }
bool class_responds(Object *self, Selector, Selector asked) { return asked && self->isa->find(asked, true); }
bool instances_respond(Class *self, Selector, Selector asked) { return asked && self->find(asked, false); }

bool is_kind(Object *self, Selector, Class *c) { return c && self->isa->inherits(c); }

String *description(Object *self, Selector) { return autoreleased(new String("<" + self->describe() + ">")); }

Registration object("NSObject", nullptr,
                    {method("init", init), method("retain", retain_), method("release", release_),
                     method("autorelease", autorelease_), method("retainCount", retain_count), method("class", class_),
                     method("hash", hash), method("isEqual:", is_equal), method("respondsToSelector:", responds),
                     method("isKindOfClass:", is_kind), method("description", description)},
                    {method("class", class_), method("retain", retain_), method("release", release_),
                     method("autorelease", autorelease_), method("respondsToSelector:", class_responds),
                     method("instancesRespondToSelector:", instances_respond)});

} // namespace

String *get_label(Object *self, Selector) {
  return self->label.empty() ? nullptr : autoreleased(new String(self->label));
}

void set_label(Object *self, Selector, Object *label) {
  if (!label) self->label.clear();
  else if (auto *s = checked<String>(label, "the label")) self->label = s->text;
}

// NSString

String::String(std::string text) : Object(class_name), text(std::move(text)) {}

std::string text_of(Object *string, const char *what) {
  auto *s = checked<String>(string, what);
  return s ? s->text : "";
}

namespace {

// The number of UTF-16 code units of valid UTF-8, or -1.
int64_t utf16_length(const std::string &text) {
  int64_t units = 0;
  for (size_t i = 0; i < text.size();) {
    unsigned char c = text[i];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || i + n > text.size()) return -1;
    for (size_t j = 1; j < n; ++j)
      if ((text[i + j] & 0xC0) != 0x80) return -1;
    units += n == 4 ? 2 : 1;
    i += n;
  }
  return units;
}

bool valid(const char *text) {
  if (!text) misuse("the text is NULL");
  return text && utf16_length(text) >= 0;
}

String *string_with_utf8(Class *, Selector, const char *text) {
  return valid(text) ? autoreleased(new String(text)) : nullptr;
}

String *init_with_utf8(String *self, Selector, const char *text) {
  if (!valid(text)) {
    release(self);
    return nullptr;
  }
  self->text = text;
  return self;
}

const char *utf8(String *self, Selector) { return self->text.c_str(); }
uint64_t length(String *self, Selector) { return utf16_length(self->text); }
String *itself(String *self, Selector) { return self; }

bool is_equal_to_string(String *self, Selector, Object *other) {
  auto *s = checked<String>(other, "the string", true);
  return s && s->text == self->text;
}

Object *new_string(Class *, Selector) { return new String(""); }

Registration string("NSString", "NSObject",
                    {method("initWithUTF8String:", init_with_utf8), method("UTF8String", utf8), method("length", length),
                     method("description", itself), method("isEqualToString:", is_equal_to_string)},
                    {method("alloc", new_string), method("new", new_string),
                     method("stringWithUTF8String:", string_with_utf8)});

} // namespace

// NSArray and NSDictionary

namespace {

uint64_t array_count(Array *self, Selector) { return self->items.size(); }

Object *array_at(Array *self, Selector, uint64_t index) {
  if (index < self->items.size()) return self->items[index].get();
  misuse("index %lu is beyond the array's %zu objects", (unsigned long)index, self->items.size());
  return nullptr;
}

Array *array_with(Class *, Selector, Object *const *objects, uint64_t count) {
  auto *array = new Array;
  for (uint64_t i = 0; i < count; ++i)
    if (Object *o = checked<Object>(objects[i], "an object of the array")) array->items.emplace_back(o);
  return autoreleased(array);
}

Registration array("NSArray", "NSObject",
                   {method("count", array_count), method("objectAtIndex:", array_at)},
                   {method("arrayWithObjects:count:", array_with)});

} // namespace

Object *Dictionary::find(const std::string &key) const {
  for (auto &[k, v] : items)
    if (static_cast<String *>(k.get())->text == key) return v.get();
  return nullptr;
}

void Dictionary::set(Object *key, Object *value) {
  auto *k = checked<String>(key, "the key");
  Object *v = checked<Object>(value, "the value");
  if (!k || !v) return;
  for (auto &item : items)
    if (static_cast<String *>(item.first.get())->text == k->text) {
      item.second = Ref<Object>(v);
      return;
    }
  items.emplace_back(Ref<Object>(k), Ref<Object>(v));
}

namespace {

Object *dictionary_at(Dictionary *self, Selector, Object *key) { return self->find(text_of(key, "the key")); }
uint64_t dictionary_count(Dictionary *self, Selector) { return self->items.size(); }

Dictionary *dictionary_with(Class *, Selector, Object *const *objects, Object *const *keys, uint64_t count) {
  auto *dictionary = new Dictionary;
  for (uint64_t i = 0; i < count; ++i) dictionary->set(keys[i], objects[i]);
  return autoreleased(dictionary);
}

struct MutableDictionary : Dictionary {
  MutableDictionary() : Dictionary("NSMutableDictionary") {}
};

void dictionary_set(Dictionary *self, Selector, Object *value, Object *key) { self->set(key, value); }

Registration dictionary("NSDictionary", "NSObject",
                        {method("count", dictionary_count), method("objectForKey:", dictionary_at)},
                        {method("dictionaryWithObjects:forKeys:count:", dictionary_with)});
Registration mutable_dictionary("NSMutableDictionary", "NSDictionary", {method("setObject:forKey:", dictionary_set)},
                                creatable<MutableDictionary>());

} // namespace

// NSError

Error::Error(std::string domain, int64_t code, std::string text)
    : Object(class_name), domain(std::move(domain)), text(std::move(text)), code(code) {}

void set_error(Object **out, const char *domain, int64_t code, const std::string &text) {
  if (out) *out = autoreleased(new Error(domain, code, text));
}

namespace {

String *error_text(Error *self, Selector) { return autoreleased(new String(self->text)); }
String *error_domain(Error *self, Selector) { return autoreleased(new String(self->domain)); }
int64_t error_code(Error *self, Selector) { return self->code; }

Registration error("NSError", "NSObject",
                   {method("localizedDescription", error_text), method("description", error_text),
                    method("domain", error_domain), method("code", error_code)});

} // namespace

// NSURL

namespace {

URL *file_url(Class *, Selector, Object *path) {
  std::string text = text_of(path, "the path");
  if (text.empty()) return nullptr;
  auto *url = new URL;
  url->path = text;
  return autoreleased(url);
}

String *url_path(URL *self, Selector) { return autoreleased(new String(self->path)); }
String *url_string(URL *self, Selector) { return autoreleased(new String("file://" + self->path)); }

Registration url("NSURL", "NSObject", {method("path", url_path), method("absoluteString", url_string)},
                 {method("fileURLWithPath:", file_url)});

} // namespace

} // namespace sim::objc
