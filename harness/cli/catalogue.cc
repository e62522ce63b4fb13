// SPDX-License-Identifier: GPL-2.0-or-later
// Finding scenarios by path, name or tag, and listing them.
#include <fmt/format.h>

#include <algorithm>

#include "cli/commands.h"
#include "scenario/words.h"

namespace snapbed::cli {

namespace fs = std::filesystem;

std::vector<fs::path> all_scenarios(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder, error))
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  if (error)
    throw scenario::BadScenario(folder.string() + " cannot be read (" + error.message() +
                                "); expected the folder of the scenarios");
  std::sort(files.begin(), files.end());
  return files;
}

namespace {

std::vector<fs::path> with_tag(const fs::path& folder, const std::string& tag) {
  std::vector<fs::path> found;
  for (const fs::path& file : all_scenarios(folder)) {
    const auto tags = scenario::load(file).tags;
    if (std::find(tags.begin(), tags.end(), tag) != tags.end()) found.push_back(file);
  }
  if (found.empty())
    throw scenario::BadScenario(
        "no scenario under " + folder.string() + " has the tag " + tag +
        "; expected smoke, meta, full, stress or debug" +
        scenario::nearest_note(tag, {"smoke", "meta", "full", "stress", "debug"}));
  return found;
}

fs::path by_name(const fs::path& folder, const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".toml")) return name;
  std::vector<std::string> known;
  for (const fs::path& file : all_scenarios(folder)) {
    if (file.stem() == name) return file;
    known.push_back(file.stem());
  }
  throw scenario::BadScenario("no scenario \"" + name + "\" under " + folder.string() +
                              "; expected a name of `snapbed list` or a file" +
                              scenario::nearest_note(name, known));
}

}  // namespace

std::vector<fs::path> find_scenarios(const fs::path& folder,
                                     const std::vector<std::string>& names) {
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    if (name.starts_with("@")) {
      for (const fs::path& file : with_tag(folder, name.substr(1))) files.push_back(file);
    } else {
      files.push_back(by_name(folder, name));
    }
  }
  return files;
}

int list(const CommonOptions& options) {
  for (const fs::path& file : all_scenarios(options.scenarios)) {
    const scenario::Scenario scenario = scenario::load(file);
    std::string tags;
    for (const std::string& tag : scenario.tags) tags += (tags.empty() ? "" : ",") + tag;
    fmt::print("{:<40} {:<8} {}\n", scenario.name, tags, scenario.promise);
  }
  return 0;
}

}  // namespace snapbed::cli
