// A build without executor and shader modules (SIM_CALL_PATH_ONLY), for another architecture under an emulator: every
// call is judged and every dispatch logged with its sizes and bindings, but nothing is computed. A library's kernels are
// the functions that follow the word kernel in its source; their arguments are not known.
#ifdef SIM_CALL_PATH_ONLY
#include "objc_metal.h"

#include <cctype>
#include <cstring>
#include <sys/mman.h>

namespace sim::objc {

namespace {

// A module that owns what it points to.
struct NamesOnly {
  std::deque<std::string> names;
  std::vector<Kernel> kernels;
  Module module{};
};

std::string next_word(const std::string &text, size_t *at) {
  while (*at < text.size() && !isalnum((unsigned char)text[*at]) && text[*at] != '_' && text[*at] != '(') ++*at;
  size_t start = *at;
  if (start < text.size() && text[start] == '(') return "(";
  while (*at < text.size() && (isalnum((unsigned char)text[*at]) || text[*at] == '_')) ++*at;
  return text.substr(start, *at - start);
}

} // namespace

bool compile_source(const std::string &source, const std::string &, bool, std::string *path, std::string *) {
  *path = source;
  return true;
}

std::shared_ptr<LoadedModule> load_module(const std::string &source, std::string *) {
  auto *names = new NamesOnly;
  std::string last;
  bool in_kernel = false;
  for (size_t at = 0; at < source.size();) {
    std::string word = next_word(source, &at);
    if (word == "kernel") in_kernel = true;
    if (word == "(") {
      ++at;
      if (in_kernel) names->names.push_back(last);
      in_kernel = false;
    }
    last = word;
  }
  for (auto &name : names->names) {
    Kernel kernel{};
    kernel.name = name.c_str();
    names->kernels.push_back(kernel);
  }
  names->module.version = 1;
  names->module.kernels = names->kernels.data();
  names->module.kernel_count = names->kernels.size();
  auto loaded = std::make_shared<LoadedModule>();
  loaded->handle = names;
  loaded->module = &names->module;
  return loaded;
}

LoadedModule::~LoadedModule() { delete static_cast<NamesOnly *>(handle); }

} // namespace sim::objc

namespace sim {

using objc::page_size;

void execute(const Dispatch &, Outcome *) {}

void *allocate(uint64_t length) {
  void *address = mmap(nullptr, (length + page_size - 1) / page_size * page_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return address == MAP_FAILED ? nullptr : address;
}

void release(void *address, uint64_t length) { munmap(address, (length + page_size - 1) / page_size * page_size); }

} // namespace sim

extern "C" void sim_set_compiler(void *) {}

#endif
