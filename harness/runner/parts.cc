// SPDX-License-Identifier: GPL-2.0-or-later
// Options first, then the environment, then the build tree.
#include "runner/parts.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "base/kernel_module.h"
#include "base/process.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAmplifier = "snapbed_amplifier.ko";

// A file of another kind would cost a boot to be found out, and then in the words of QEMU or of the
// guest's kernel.
bool holds(const fs::path& path, std::streamoff at, const std::string& wanted) {
  std::string bytes(wanted.size(), '\0');
  std::ifstream in(path, std::ios::binary);
  in.seekg(at);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return in && bytes == wanted;
}

const std::string kElf =
    "\x7f"
    "ELF";

// What is wrong with a file that is there; "" when nothing is.
using Flaw = std::string (*)(const fs::path&);

std::string any_kind(const fs::path&) {
  return "";
}

std::string kernel_flaw(const fs::path& path) {
  if (holds(path, 0x202, "HdrS") || holds(path, 0, kElf)) return "";
  return "is no kernel: neither bzImage nor ELF, or unreadable";
}

std::string module_flaw(const fs::path& path) {
  return holds(path, 0, kElf) ? "" : "is no module: not an ELF file, or unreadable";
}

fs::path find_part(const std::string& what, const fs::path& wanted, const char* variable,
                   const std::string& option, const fs::path& built, Flaw flaw = any_kind) {
  fs::path path = wanted;
  std::string origin = option;
  bool given = true;
  if (path.empty()) {
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') {
      path = value;
      origin = variable;
    } else {
      given = false;
      path = built;
      origin = fmt::format("the build tree; `make` builds it, {} names another", option);
    }
  }
  std::error_code ignored;
  const bool there = fs::is_regular_file(path, ignored);
  if (there) path = fs::absolute(path);
  const std::string wrong = there ? flaw(path) : fmt::format("is not there (from {})", origin);
  if (wrong.empty()) return path;
  const std::string said = fmt::format("the {} {} {}", what, path.string(), wrong);
  if (given) throw PartRefused(said);
  throw PartMissing(said);
}

std::string hash_of(const std::string& bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

Parts find_parts(const Parts& wanted, const fs::path& program, const std::string& module_file) {
  const fs::path build = program.parent_path().parent_path().parent_path();
  const fs::path made = build / "artifacts";
  Parts parts;
  parts.kernel = find_part("kernel", wanted.kernel, "SNAPBED_KERNEL", "--kernel", made / "bzImage",
                           kernel_flaw);
  parts.module = find_part("module", wanted.module, "SNAPBED_MODULE", "--module",
                           made / module_file, module_flaw);
  parts.image =
      find_part("root image", wanted.image, "SNAPBED_IMAGE", "--image", made / "root.erofs");
  parts.plugin = find_part("server plugin", wanted.plugin, "SNAPBED_PLUGIN", "--plugin",
                           build / "harness/recorder/nbdkit-snapbed-plugin.so");
  return parts;
}

fs::path find_amplifier(const fs::path& wanted, const fs::path& module, const fs::path& program) {
  const fs::path beside = module.parent_path() / kAmplifier;
  const fs::path build = program.parent_path().parent_path().parent_path();
  std::error_code ignored;
  return find_part("amplifier", wanted, "SNAPBED_AMPLIFIER", "--amplifier",
                   fs::exists(beside, ignored) ? beside : build / "artifacts" / kAmplifier);
}

void require_programs() {
  const std::pair<const char*, const char*> needed[] = {{"nbdkit", "nbdkit"},
                                                        {"qemu-system-x86_64", "qemu-system-x86"}};
  for (const auto& [program, package] : needed)
    if (!base::find_program(program))
      throw PartMissing(fmt::format(
          "the program {} is not in PATH; `make deps` or `apt-get install {}` brings it", program,
          package));
}

std::string fingerprint(const Parts& parts, const fs::path& program) {
  std::string hashes;
  for (const fs::path& file :
       {parts.kernel, parts.module, parts.amplifier, parts.image, parts.plugin, program})
    hashes += file.empty() ? "none " : hash_of(base::read_file(file)) + " ";
  return hash_of(hashes);
}

ModuleFacts module_facts(const fs::path& module) {
  const std::string bytes = base::read_file(module);
  ModuleFacts facts;
  facts.hash = hash_of(bytes);
  facts.version = base::modinfo(bytes, "version").value_or("");
  facts.views = base::modinfo(bytes, "debugfs").value_or("");
  facts.functions = base::function_symbols(bytes);
  // "NAME:TYPE", "NAME:description": of each parameter there is at least one.
  for (const char* key : {"parmtype", "parm"})
    for (std::size_t at = 0; const auto words = base::modinfo(bytes, key, &at);)
      facts.parameters.insert(words->substr(0, words->find(':')));
  // The section in which such a kernel looks for the places to change.
  facts.patches_code = bytes.find("__jump_table") != std::string::npos;
  return facts;
}

}  // namespace snapbed::runner
