// Which function constants a kernel needs, for modules that do not say: those whose names can be reached from the kernel's
// name, in the text of the shader, through the declarations that mention each other. Macros count as declarations, and a
// string, such as a host_name, names the declaration that it stands in.
#include "objc_metal.h"

#include <cctype>
#include <string_view>

namespace sim::objc {

namespace {

struct Declaration {
  std::vector<std::string> words; // identifiers, but not members after a dot or arrow
  std::set<std::string> names;
};

bool word_start(char c) { return isalpha((unsigned char)c) || c == '_'; }

struct Scanner {
  const std::string &text;
  size_t at = 0;
  std::vector<Declaration> all;
  std::set<std::string> asked; // of is_function_constant_defined

  bool is(std::string_view s) const { return text.compare(at, s.size(), s) == 0; }

  void skip_comment() {
    size_t end = is("//") ? text.find('\n', at) : text.find("*/", at + 2);
    at = end == std::string::npos ? text.size() : end + (text[end] == '*' ? 2 : 0);
  }

  std::string word() {
    size_t start = at;
    while (at < text.size() && (word_start(text[at]) || isdigit((unsigned char)text[at]))) ++at;
    return text.substr(start, at - start);
  }

  // One declaration of namespace scope, or one macro. A namespace's braces are passed through.
  void declaration() {
    Declaration d;
    bool macro = false, named = false, keyword_struct = false, keyword_namespace = false, is_struct = false;
    int braces = 0, brackets = 0;
    char before = 0; // the last character that is not space
    std::string last;
    while (at < text.size()) {
      char c = text[at];
      if (is("//") || is("/*")) {
        skip_comment();
        continue;
      }
      if (macro && c == '\n' && text[at - 1] != '\\') break;
      if (c == '"') {
        size_t end = text.find('"', at + 1);
        if (end == std::string::npos) end = text.size() - 1;
        d.names.insert(text.substr(at + 1, end - at - 1));
        at = end + 1;
        continue;
      }
      if (word_start(c)) {
        std::string w = word();
        bool member = before == '.' || last == "->" || (is_struct && braces == 1); // a field's declaration is one too
        if (!member) d.words.push_back(w);
        if (macro && !named && w != "define") d.names.insert(w), named = true;
        if (keyword_struct && !named) d.names.insert(w), named = true;
        keyword_struct = w == "struct" || w == "class" || w == "using";
        is_struct |= keyword_struct && !braces && w != "using";
        keyword_namespace |= w == "namespace";
        before = 'a';
        last = w;
        continue;
      }
      ++at;
      if (isspace((unsigned char)c)) continue;
      if (c == '#' && d.words.empty()) macro = true;
      if (c == '[') ++brackets;
      if (c == ']') --brackets;
      if ((c == '(' || c == '=') && !named && !brackets && !braces && before == 'a') d.names.insert(last), named = true;
      if (c == '(' && last == "is_function_constant_defined") {
        while (at < text.size() && isspace((unsigned char)text[at])) ++at;
        asked.insert(word());
      }
      if (c == '{') {
        if (keyword_namespace && !braces) return;
        ++braces;
      }
      if (c == '}' && (braces == 0 || --braces == 0) && !macro) break;
      if (c == ';' && !braces && !macro) break;
      last = c == '>' && before == '-' ? "->" : "";
      before = c;
    }
    if (!d.names.empty()) all.push_back(std::move(d));
  }
};

} // namespace

std::set<std::string> reached_constants(const std::string &source, const Module &module, const std::string &kernel) {
  Scanner scanner{source, 0, {}, {}};
  while (scanner.at < source.size()) scanner.declaration();

  std::set<std::string> seen, constants;
  std::vector<std::string> open{kernel};
  while (!open.empty()) {
    std::string name = open.back();
    open.pop_back();
    if (!seen.insert(name).second) continue;
    for (const Declaration &d : scanner.all)
      if (d.names.count(name)) open.insert(open.end(), d.words.begin(), d.words.end());
  }
  for (uint32_t i = 0; i < module.constant_count; ++i)
    if (seen.count(module.constants[i].name) && !scanner.asked.count(module.constants[i].name))
      constants.insert(module.constants[i].name);
  return constants;
}

} // namespace sim::objc
