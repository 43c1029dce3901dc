// Shader modules: compiled by a callback into Go, loaded here.
#ifndef SIM_CALL_PATH_ONLY
#include "objc_metal.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sim::objc {

namespace {

using Compiler = int (*)(const char *source, const char *options, int counted, char *out, uint64_t out_size, char *err,
                         uint64_t err_size);
std::atomic<Compiler> compiler{nullptr};

// A copy in memory, since the dynamic linker loads one file only once, and each specialisation needs its own.
int copy_of(const std::string &path) {
  int from = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (from < 0) return -1;
  int to = memfd_create("shader", MFD_CLOEXEC);
  struct stat info;
  if (to >= 0 && fstat(from, &info) == 0) {
    off_t done = 0;
    while (done < info.st_size && sendfile(to, from, &done, info.st_size - done) > 0) {
    }
    if (done < info.st_size) {
      close(to);
      to = -1;
    }
  }
  close(from);
  return to;
}

} // namespace

bool compile_source(const std::string &source, const std::string &options, bool counted, std::string *path,
                    std::string *error) {
  Compiler compile = compiler;
  if (!compile) {
    *error = "no shader compiler: sim_set_compiler has not been called";
    return false;
  }
  std::vector<char> out(4096), err(1 << 16);
  if (compile(source.c_str(), options.c_str(), counted, out.data(), out.size(), err.data(), err.size()) != 0) {
    *error = err.data();
    return false;
  }
  *path = out.data();
  return true;
}

namespace {
std::string name_of_file(int file) { return format("/proc/self/fd/%d", file); }
} // namespace

// The linker also knows a file by its name, so the number of the descriptor is not given back while the module, or what
// is left of it, is loaded.
LoadedModule::~LoadedModule() {
  if (handle) dlclose(handle);
  if (file < 0) return;
  if (void *again = dlopen(name_of_file(file).c_str(), RTLD_NOW | RTLD_NOLOAD)) dlclose(again);
  else close(file);
}

std::shared_ptr<LoadedModule> load_module(const std::string &path, std::string *error) {
  int file = copy_of(path);
  if (file < 0) {
    *error = path + ": " + strerror(errno);
    return nullptr;
  }
  auto loaded = std::make_shared<LoadedModule>();
  loaded->file = file;
  loaded->handle = dlopen(name_of_file(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!loaded->handle) {
    const char *reason = dlerror();
    *error = path + ": " + (reason ? reason : "cannot be loaded");
    return nullptr;
  }
  auto entry = reinterpret_cast<const Module *(*)(const Runtime *)>(dlsym(loaded->handle, "sim_module"));
  loaded->module = entry ? entry(runtime()) : nullptr;
  if (!loaded->module || loaded->module->version != 1) {
    *error = path + ": not a shader module of this version";
    return nullptr;
  }
  return loaded;
}

} // namespace sim::objc

extern "C" void sim_set_compiler(sim::objc::Compiler compiler) { sim::objc::compiler = compiler; }

#endif
