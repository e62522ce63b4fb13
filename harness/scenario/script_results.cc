// SPDX-License-Identifier: GPL-2.0-or-later
// What the calls of a script may return: every interleaving of the actors' calls over a small model
// of one disk and its snapshots.
#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "scenario/scripts.h"

namespace snapbed::scenario {
namespace {

enum class Life : std::uint8_t { none, created, taken, gone };

// One disk: its snapshots by name, and those whose images the actors know.
struct World {
  std::map<std::string, Life> lives;
  std::set<std::string> imaged;

  bool live(const std::string& name) const {
    const auto found = lives.find(name);
    return found != lives.end() && (found->second == Life::created || found->second == Life::taken);
  }
  bool taken(const std::string& name) const {
    const auto found = lives.find(name);
    return found != lives.end() && found->second == Life::taken;
  }
  bool any(bool (World::*what)(const std::string&) const) const {
    return std::any_of(lives.begin(), lives.end(),
                       [&](const auto& entry) { return (this->*what)(entry.first); });
  }
  auto operator<=>(const World&) const = default;
};

int answer(World& world, const Call& call) {
  const std::string& name = call.snapshot;
  if (call.op == "create") {
    if (world.any(&World::live)) return EBUSY;
    world.lives[name] = Life::created;
    return 0;
  }
  if (call.op == "append") return world.live(name) ? 0 : ESRCH;
  if (call.op == "take") {
    if (!world.live(name)) return ESRCH;
    if (world.taken(name)) return EALREADY;
    world.lives[name] = Life::taken;
    return 0;
  }
  if (call.op == "collect_images") {
    if (!world.live(name)) return ESRCH;
    world.imaged.insert(name);
    return 0;
  }
  if (call.op == "copy_image" || call.op == "write_image")
    return world.taken(name) && world.imaged.contains(name) ? 0 : ENOENT;
  if (call.op == "read_map") return world.any(&World::taken) ? 0 : EPERM;
  if (call.op == "destroy") {
    if (!world.live(name)) return ENODEV;
    world.lives[name] = Life::gone;
    return 0;
  }
  return 0;
}

class Explorer {
 public:
  explicit Explorer(const std::vector<std::vector<Call>>& actors) : actors_(actors) {
    for (const auto& actor : actors) results_.emplace_back(actor.size());
  }

  void explore(std::vector<std::size_t> at, const World& world) {
    if (!seen_.insert({at, world}).second) return;
    for (std::size_t a = 0; a < actors_.size(); ++a) {
      if (at[a] == actors_[a].size()) continue;
      World next = world;
      results_[a][at[a]].insert(answer(next, actors_[a][at[a]]));
      auto further = at;
      ++further[a];
      explore(further, next);
    }
  }

  // An image may go while it is written: then the write is what fails.
  void allow_vanishing() {
    for (std::size_t a = 0; a < actors_.size(); ++a) {
      for (std::size_t i = 0; i < actors_[a].size(); ++i) {
        const Call& one = actors_[a][i];
        if (one.op == "write_image" && others_destroy(a, one.snapshot)) results_[a][i].insert(EIO);
      }
    }
  }

  std::vector<std::vector<std::vector<int>>> results() const {
    std::vector<std::vector<std::vector<int>>> all;
    for (const auto& actor : results_) {
      all.emplace_back();
      for (const auto& one : actor) all.back().emplace_back(one.begin(), one.end());
    }
    return all;
  }

 private:
  bool others_destroy(std::size_t actor, const std::string& name) const {
    for (std::size_t a = 0; a < actors_.size(); ++a) {
      if (a == actor) continue;
      for (const Call& one : actors_[a])
        if (one.op == "destroy" && one.snapshot == name) return true;
    }
    return false;
  }

  const std::vector<std::vector<Call>>& actors_;
  std::vector<std::vector<std::set<int>>> results_;
  std::set<std::pair<std::vector<std::size_t>, World>> seen_;
};

}  // namespace

std::vector<std::vector<std::vector<int>>> possible_results(
    Start start, const std::vector<std::vector<Call>>& actors) {
  World world;
  world.lives["s"] = start == Start::held ? Life::taken : Life::created;
  if (start == Start::held) world.imaged.insert("s");
  Explorer explorer(actors);
  explorer.explore(std::vector<std::size_t>(actors.size(), 0), world);
  explorer.allow_vanishing();
  return explorer.results();
}

}  // namespace snapbed::scenario
