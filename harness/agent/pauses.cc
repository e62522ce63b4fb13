// SPDX-License-Identifier: GPL-2.0-or-later
// Where the pauses go: functions from /proc/kallsyms, offsets by the seed, and the kernel says
// which of them are instructions that can be probed.
#include <algorithm>
#include <cerrno>
#include <sstream>

#include "agent/amplifiers.h"
#include "agent/fatal.h"
#include "agent/kernel_switch.h"
#include "base/file.h"

namespace snapbed::agent {
namespace {

constexpr const char* kModule = "blksnap";
constexpr const char* kParameters = "/sys/module/snapbed_amplifier/parameters/";
constexpr std::uint64_t kAttempts = 64;  // offsets tried for one pause: most hit no instruction

Counters read_report() {
  std::istringstream words(base::read_file(std::string(kParameters) + "report"));
  Counters counters;
  std::string name;
  std::uint64_t value = 0;
  while (words >> name >> value) counters[name] = value;
  return counters;
}

class ModulePauses : public Amplifier {
 public:
  ModulePauses(const Pauses& pauses, base::Random random) : pauses_(pauses), random_(random) {
    before_ = read_report();
    if (pauses.functions.empty()) {
      place_anywhere();
    } else {
      for (const std::string& function : pauses.functions) place_in(function);
    }
    if (placed_ == 0) throw Fatal("amplify_code: no instruction of the module can be paused at");
  }
  ~ModulePauses() override { clear(); }

  Counters stop() override {
    clear();
    Counters counters = read_report();
    for (auto& [name, value] : counters) value -= before_[name];
    const std::uint64_t paused = counters["slept"] + counters["yielded"] + counters["spun"];
    if (paused == 0)
      throw Fatal("amplify_code: of " + std::to_string(placed_) +
                  " instructions not one was paused at; " + std::to_string(counters["hits"]) +
                  " were passed");
    return {{"instructions", placed_},
            {"passages", counters["hits"]},
            {"pauses", paused},
            {"pauses_slept", counters["slept"]},
            {"pauses_skipped", counters["skipped"]}};
  }

 private:
  static void clear() { write_switch(std::string(kParameters) + "clear", "1"); }

  // 0 or the kernel's errno.
  int place(const std::string& function, std::uint64_t offset) {
    const std::string line = std::string(kModule) + ":" + function + "+" + std::to_string(offset) +
                             " " + std::to_string(pauses_.most.count()) + " " +
                             std::to_string(pauses_.share) + " " + std::to_string(random_() >> 1U);
    const int error = write_switch(std::string(kParameters) + "add", line);
    if (error == 0) ++placed_;
    return error;
  }

  void place_within(const ModuleFunction& function) {
    for (std::uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
      if (place(function.name, random_.below(function.bytes)) == 0) return;
    }
  }

  void place_anywhere() {
    const auto functions = functions_of_module();
    std::uint64_t bytes = 0;
    for (const ModuleFunction& function : functions) bytes += function.bytes;
    for (std::uint64_t i = 0; i < pauses_.count && bytes > 0; ++i) {
      // Long functions are likelier, as if an instruction of the whole module were drawn.
      std::uint64_t at = random_.below(bytes);
      for (const ModuleFunction& function : functions) {
        if (at < function.bytes) {
          place_within(function);
          break;
        }
        at -= function.bytes;
      }
    }
  }

  void place_in(const std::string& wanted) {
    const std::size_t plus = wanted.find('+');
    const std::string name = wanted.substr(0, plus);
    if (plus != std::string::npos) {
      const int error = place(name, std::stoull(wanted.substr(plus + 1), nullptr, 0));
      if (error != 0)
        throw Fatal("amplify_code: the kernel refuses a pause at " + wanted + ": errno " +
                    std::to_string(error));
      return;
    }
    const auto functions = functions_of_module();
    const auto function = std::find_if(functions.begin(), functions.end(),
                                       [&](const ModuleFunction& f) { return f.name == name; });
    if (function == functions.end())
      throw Fatal("amplify_code: the module has no function " + name);
    for (std::uint64_t i = 0; i < pauses_.count; ++i) place_within(*function);
  }

  static std::vector<ModuleFunction> functions_of_module() {
    auto functions = module_functions(base::read_file("/proc/kallsyms"), kModule);
    if (functions.empty()) throw Fatal("amplify_code: /proc/kallsyms shows no function of blksnap");
    return functions;
  }

  const Pauses pauses_;
  base::Random random_;
  Counters before_;
  std::uint64_t placed_ = 0;
};

}  // namespace

std::vector<ModuleFunction> module_functions(const std::string& kallsyms,
                                             const std::string& module) {
  struct Symbol {
    std::uint64_t address;
    std::string name;
  };
  std::vector<Symbol> symbols;
  std::istringstream lines(kallsyms);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string address, type, name, owner;
    fields >> address >> type >> name >> owner;
    if (owner != "[" + module + "]" || (type != "t" && type != "T")) continue;
    symbols.push_back({std::stoull(address, nullptr, 16), name});
  }
  std::sort(symbols.begin(), symbols.end(),
            [](const Symbol& a, const Symbol& b) { return a.address < b.address; });
  std::vector<ModuleFunction> functions;
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    const std::uint64_t bytes = symbols[i + 1].address - symbols[i].address;
    // The module's start and end code is gone, or runs once.
    const bool once = symbols[i].name == "init_module" || symbols[i].name == "cleanup_module";
    constexpr std::uint64_t kFunctionLimit = 16384;  // beyond lies another section
    if (bytes > 0 && bytes < kFunctionLimit && !once) functions.push_back({symbols[i].name, bytes});
  }
  return functions;
}

std::unique_ptr<Amplifier> pause_module(const Pauses& pauses, base::Random random) {
  return std::make_unique<ModulePauses>(pauses, random);
}

}  // namespace snapbed::agent
