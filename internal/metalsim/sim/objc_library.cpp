// From shader text to a pipeline: compile options, library, function constants, function, compute pipeline state.
#include "objc_metal.h"

#include <cstring>

namespace sim::objc {

namespace {

// MTLLibraryError
constexpr const char *library_domain = "MTLLibraryErrorDomain";
enum { compile_failure = 3, function_not_found = 5 };

} // namespace

// MTLCompileOptions

namespace {

void set_fast_math(CompileOptions *self, Selector, bool on) {
  self->fast_math = on;
  self->math_mode = on ? 2 : 0;
}
bool get_fast_math(CompileOptions *self, Selector) { return self->fast_math; }
void set_math_mode(CompileOptions *self, Selector, int64_t mode) {
  self->math_mode = mode;
  self->fast_math = mode == 2;
}
void set_invariance(CompileOptions *self, Selector, bool on) { self->preserve_invariance = on; }
void set_optimization(CompileOptions *self, Selector, int64_t level) { self->optimization_level = level; }
uint64_t get_language(CompileOptions *self, Selector) { return self->language_version; }

// MTLLanguageVersion: major in the upper 16 bits, minor in the lower.
void set_language(CompileOptions *self, Selector, uint64_t version) {
  uint64_t major = version >> 16, minor = version & 0xFFFF;
  if (major < 1 || major > 4 || minor > 4) {
    misuse("0x%lx is not an MTLLanguageVersion", (unsigned long)version);
    return;
  }
  self->language_version = version;
}

void set_macros(CompileOptions *self, Selector, Object *macros) {
  self->macros.clear();
  auto *dictionary = checked<Dictionary>(macros, "the macros", true);
  if (!dictionary) return;
  for (auto &[key, value] : dictionary->items)
    self->macros.emplace_back(text_of(key.get(), "a macro's name"), text_of(value.get(), "a macro's value"));
}

std::string as_json(const CompileOptions *options) {
  std::string out = format("{\"fast_math\":%s", !options || options->fast_math ? "true" : "false");
  if (options && options->language_version)
    out += format(",\"language_version\":\"%lu.%lu\"", (unsigned long)options->language_version >> 16,
                  (unsigned long)options->language_version & 0xFFFF);
  out += format(",\"flush_half\":%s,\"matrix_layout\":%lu", limits.flushHalf ? "true" : "false",
                (unsigned long)limits.matrixLayout);
  out += ",\"macros\":{";
  if (options)
    for (size_t i = 0; i < options->macros.size(); ++i)
      out += (i ? "," : "") + quoted(options->macros[i].first) + ":" + quoted(options->macros[i].second);
  return out + "}}";
}

Registration compile_options("MTLCompileOptions", "NSObject",
                             {method("setFastMathEnabled:", set_fast_math), method("fastMathEnabled", get_fast_math),
                              method("setMathMode:", set_math_mode), method("setPreserveInvariance:", set_invariance),
                              method("setOptimizationLevel:", set_optimization),
                              method("setLanguageVersion:", set_language), method("languageVersion", get_language),
                              method("setPreprocessorMacros:", set_macros)},
                             creatable<CompileOptions>());

} // namespace

// MTLLibrary

std::shared_ptr<LoadedModule> Library::load(bool fresh, std::string *error) {
  std::lock_guard lock(mutex);
  bool counted = settings.counting;
  if (paths[counted].empty() && !compile_source(source, options, counted, &paths[counted], error)) return nullptr;
  if (fresh) return load_module(paths[counted], error);
  if (!plain[counted]) plain[counted] = load_module(paths[counted], error);
  return plain[counted];
}

namespace {

const Kernel *find_kernel(const LoadedModule &loaded, const std::string &name) {
  for (uint32_t i = 0; i < loaded.module->kernel_count; ++i)
    if (name == loaded.module->kernels[i].name) return &loaded.module->kernels[i];
  return nullptr;
}

Library *new_library(Device *, Selector, Object *source, Object *options, Object **out) {
  auto *text = checked<String>(source, "the source");
  if (!text) return nullptr;
  auto *compile_options = checked<CompileOptions>(options, "options", true);
  auto *library = new Library;
  library->source = text->text;
  library->options = as_json(compile_options);
  library->empty = limits.emptyLibrary;
  std::string error;
  if (library->load(false, &error)) return library;
  release(library);
  set_error(out, library_domain, compile_failure, error);
  return nullptr;
}

Array *function_names(Library *self, Selector) {
  auto *names = new Array;
  std::string error;
  if (auto loaded = self->load(false, &error); loaded && !self->empty)
    for (uint32_t i = 0; i < loaded->module->kernel_count; ++i) {
      auto *name = new String(loaded->module->kernels[i].name);
      names->items.emplace_back(name);
      release(name);
    }
  return autoreleased(names);
}

// MTLDataType: the size of a function constant's type and its name in MSL. Size 0: not a scalar or vector.
uint64_t type_size(uint64_t type, std::string *name) {
  static const struct {
    uint64_t first, size;
    const char *name;
  } scalars[] = {{3, 4, "float"}, {16, 2, "half"},  {29, 4, "int"},   {33, 4, "uint"}, {37, 2, "short"},  {41, 2, "ushort"},
                 {45, 1, "char"}, {49, 1, "uchar"}, {53, 1, "bool"}, {81, 8, "long"}, {85, 8, "ulong"}, {121, 2, "bfloat"}};
  for (auto &s : scalars)
    if (type >= s.first && type < s.first + 4) {
      uint64_t n = type - s.first + 1;
      *name = n == 1 ? s.name : format("%s%lu", s.name, (unsigned long)n);
      return s.size * (n == 3 ? 4 : n);
    }
  *name = format("MTLDataType %lu", (unsigned long)type);
  return 0;
}

// MTLFunctionConstantValues

bool constant_value(const void *value, uint64_t type, ConstantValues::Value *out) {
  std::string name;
  uint64_t size = type_size(type, &name);
  if (!value) misuse("the pointer to the value is NULL");
  else if (!size) misuse("%s cannot be the type of a function constant", name.c_str());
  if (!value || !size) return false;
  auto *bytes = static_cast<const uint8_t *>(value);
  *out = {type, {bytes, bytes + size}};
  return true;
}

void set_constant_at(ConstantValues *self, Selector, const void *value, uint64_t type, uint64_t index) {
  ConstantValues::Value v;
  if (constant_value(value, type, &v)) self->by_index[index] = v;
}

void set_constants(ConstantValues *self, Selector, const void *values, uint64_t type, NSRange range) {
  std::string name;
  uint64_t size = type_size(type, &name);
  for (uint64_t i = 0; i < range.length; ++i) {
    ConstantValues::Value v;
    auto *value = values ? static_cast<const char *>(values) + i * size : nullptr;
    if (!constant_value(value, type, &v)) return;
    self->by_index[range.location + i] = v;
  }
}

void set_constant_named(ConstantValues *self, Selector, const void *value, uint64_t type, Object *name) {
  ConstantValues::Value v;
  std::string text = text_of(name, "the name");
  if (!text.empty() && constant_value(value, type, &v)) self->by_name[text] = v;
}

void reset_constants(ConstantValues *self, Selector) {
  self->by_index.clear();
  self->by_name.clear();
}

Registration constant_values("MTLFunctionConstantValues", "NSObject",
                             {method("setConstantValue:type:atIndex:", set_constant_at),
                              method("setConstantValues:type:withRange:", set_constants),
                              method("setConstantValue:type:withName:", set_constant_named),
                              method("reset", reset_constants)},
                             creatable<ConstantValues>());

// MTLFunction

// Sets the constants of a module of its own. False when a type is wrong.
bool specialise(const Module &module, const ConstantValues &values, std::string *error) {
  for (uint32_t i = 0; i < module.constant_count; ++i) {
    const FunctionConstant &c = module.constants[i];
    const ConstantValues::Value *v = nullptr;
    if (auto found = values.by_index.find(c.index); found != values.by_index.end()) v = &found->second;
    if (auto found = values.by_name.find(c.name); found != values.by_name.end()) v = &found->second;
    if (!v) continue;
    if (v->type != c.type || v->bytes.size() != c.size) {
      std::string declared, given;
      type_size(c.type, &declared);
      type_size(v->type, &given);
      *error = format("function constant %s [[function_constant(%u)]] is of type %s, but its value was set as %s", c.name,
                      c.index, declared.c_str(), given.c_str());
      return false;
    }
    memcpy(c.value, v->bytes.data(), c.size);
    if (c.defined) *c.defined = true;
  }
  return true;
}

// The constants that the kernel needs and values lacks.
std::string missing_constants(const Library &library, const Module &module, const Kernel &kernel,
                              const ConstantValues *values) {
  std::set<std::string> needed;
  if (!kernel.constants) needed = reached_constants(library.source, module, kernel.name);
  for (uint32_t i = 0; i < kernel.constant_count && kernel.constants; ++i) {
    const FunctionConstant &c = module.constants[kernel.constants[i]];
    if (!c.optional) needed.insert(c.name);
  }
  std::string missing;
  for (uint32_t i = 0; i < module.constant_count; ++i) {
    const FunctionConstant &c = module.constants[i];
    if (!needed.count(c.name) || (values && (values->by_index.count(c.index) || values->by_name.count(c.name)))) continue;
    missing += format("%s%s [[function_constant(%u)]]", missing.empty() ? "" : ", ", c.name, c.index);
  }
  return missing;
}

Function *new_function(Library *self, Selector, Object *name) {
  std::string text = text_of(name, "the name"), error;
  auto loaded = self->load(false, &error);
  const Kernel *kernel = loaded && !self->empty ? find_kernel(*loaded, text) : nullptr;
  if (!kernel) return nullptr;
  auto *function = new Function;
  function->module = loaded;
  function->kernel = kernel;
  function->missing = missing_constants(*self, *loaded->module, *kernel, nullptr);
  return function;
}

Function *new_function_with_constants(Library *self, Selector, Object *name, Object *constants, Object **out) {
  std::string text = text_of(name, "the name"), error;
  auto *values = checked<ConstantValues>(constants, "constantValues");
  if (!values) return nullptr;
  auto loaded = self->load(true, &error);
  if (!loaded) {
    set_error(out, library_domain, compile_failure, error);
    return nullptr;
  }
  const Kernel *kernel = self->empty ? nullptr : find_kernel(*loaded, text);
  if (!kernel) {
    set_error(out, library_domain, function_not_found, format("function %s was not found in the library", text.c_str()));
    return nullptr;
  }
  std::string missing = missing_constants(*self, *loaded->module, *kernel, values);
  if (!missing.empty()) error = format("function %s needs a value for %s", text.c_str(), missing.c_str());
  if (!error.empty() || !specialise(*loaded->module, *values, &error)) {
    set_error(out, library_domain, compile_failure, error);
    return nullptr;
  }
  auto *function = new Function;
  function->module = loaded;
  function->kernel = kernel;
  return function;
}

String *function_name(Function *self, Selector) { return autoreleased(new String(self->kernel->name)); }
uint64_t function_type(Function *, Selector) { return 3; } // MTLFunctionTypeKernel

Registration library("MTLLibrary", "NSObject",
                     {method("functionNames", function_names), method("newFunctionWithName:", new_function),
                      method("newFunctionWithName:constantValues:error:", new_function_with_constants),
                      method("label", get_label), method("setLabel:", set_label)});
Registration function("MTLFunction", "NSObject",
                      {method("name", function_name), method("functionType", function_type), method("label", get_label),
                       method("setLabel:", set_label)});

} // namespace

// MTLComputePipelineState

Pipeline::Pipeline(Function *function, uint64_t max_threads)
    : Object(class_name), module(function->module), kernel(function->kernel), max_threads(max_threads) {
  label = function->label;
}

namespace {

struct PipelineDescriptor : Object {
  static constexpr const char *class_name = "MTLComputePipelineDescriptor";
  Ref<Function> function;
  uint64_t max_threads = 0;
  bool multiple_of_width = false;
  PipelineDescriptor() : Object(class_name) {}
};

Pipeline *make_pipeline(Function *function, uint64_t max_threads, Object **out) {
  const char *name = function->kernel->name;
  std::string error;
  uint64_t memory = function->kernel->static_threadgroup_bytes, allowed = limits.maxThreadgroupMemoryLength;
  if (!function->missing.empty())
    error = format("function %s cannot make a pipeline: it needs a value for %s; get it by "
                   "newFunctionWithName:constantValues:error:",
                   name, function->missing.c_str());
  else if (memory > allowed)
    error = format("function %s uses %lu bytes of threadgroup memory, over the limit of %lu", name, (unsigned long)memory,
                   (unsigned long)allowed);
  if (!error.empty()) {
    set_error(out, "MTLComputePipelineErrorDomain", 1, error);
    return nullptr;
  }
  uint64_t most = limits.maxThreadsPerThreadgroup;
  if (function->kernel->max_threads) most = std::min<uint64_t>(most, function->kernel->max_threads);
  if (max_threads) most = std::min(most, max_threads);
  return new Pipeline(function, most);
}

Pipeline *new_pipeline(Device *, Selector, Object *function, Object **out) {
  auto *f = checked<Function>(function, "the function");
  return f ? make_pipeline(f, 0, out) : nullptr;
}

Pipeline *new_pipeline_with(Device *, Selector, Object *descriptor, uint64_t, Object **reflection, Object **out) {
  auto *d = checked<PipelineDescriptor>(descriptor, "the descriptor");
  if (!d) return nullptr;
  if (reflection) misuse("the stand-in has no reflection: it must be NULL");
  if (!d->function) {
    misuse("the descriptor has no computeFunction");
    return nullptr;
  }
  Pipeline *p = make_pipeline(d->function.get(), d->max_threads, out);
  if (p) p->multiple_of_width = d->multiple_of_width;
  if (p && !d->label.empty()) p->label = d->label;
  return p;
}

void set_compute_function(PipelineDescriptor *self, Selector, Object *function) {
  self->function = Ref<Function>(checked<Function>(function, "the function", true));
}
void set_max_threads(PipelineDescriptor *self, Selector, uint64_t n) { self->max_threads = n; }
void set_multiple(PipelineDescriptor *self, Selector, bool on) { self->multiple_of_width = on; }

uint64_t max_total_threads(Pipeline *self, Selector) { return self->max_threads; }
uint64_t execution_width(Pipeline *, Selector) { return simd_width; }
uint64_t static_memory(Pipeline *self, Selector) { return self->kernel->static_threadgroup_bytes; }
Device *pipeline_device(Pipeline *, Selector) { return default_device(); }

Registration descriptor("MTLComputePipelineDescriptor", "NSObject",
                        {method("setComputeFunction:", set_compute_function), method("setLabel:", set_label),
                         method("setMaxTotalThreadsPerThreadgroup:", set_max_threads),
                         method("setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", set_multiple)},
                        creatable<PipelineDescriptor>());
Registration pipeline("MTLComputePipelineState", "NSObject",
                      {method("maxTotalThreadsPerThreadgroup", max_total_threads),
                       method("threadExecutionWidth", execution_width),
                       method("staticThreadgroupMemoryLength", static_memory), method("device", pipeline_device),
                       method("label", get_label)});

Registration device_methods("MTLDevice", nullptr,
                            {method("newLibraryWithSource:options:error:", new_library),
                             method("newComputePipelineStateWithFunction:error:", new_pipeline),
                             method("newComputePipelineStateWithDescriptor:options:reflection:error:", new_pipeline_with)});

} // namespace

} // namespace sim::objc
