// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/devices.h"

#include <algorithm>

#include "model/history.h"

namespace snapbed::model {

using journal::Journal;
using journal::Request;

namespace {

bool has_own_disk(const plan::Device& device) {
  return device.disk.empty();
}

std::uint16_t add_disk(Journal& journal, const std::string& name, std::uint64_t sectors) {
  const auto id = static_cast<std::uint16_t>(journal.disks.size());
  journal.disks.push_back(
      {id, own_disk(name), journal::Role::scratch, journal::Initial::zero, sectors});
  return id;
}

// The disks of a striped device, and where its sectors lie on them.
class Striping {
 public:
  Striping(const Journal& journal, const std::string& name, const plan::Device& device)
      : device_(device) {
    for (const plan::Stripe& stripe : device.stripes) {
      const auto disk = std::find_if(journal.disks.begin(), journal.disks.end(),
                                     [&](const journal::Disk& d) { return d.name == stripe.disk; });
      if (disk == journal.disks.end()) {
        throw BrokenRecord("the plan's device " + name + " has stripes on disk " + stripe.disk +
                           ", which the journal does not know");
      }
      disks_.push_back(disk->id);
    }
  }

  // Appends the parts of a request that lie on the device, as requests to disk `own`.
  void translate(const Request& request, std::uint16_t own, std::vector<Request>& out) const {
    for (std::size_t n = 0; n < disks_.size(); ++n) {
      if (disks_[n] != request.disk) continue;
      if (request.count == 0) {
        add(request, own, request.first, 0, 0, out);
        continue;
      }
      const std::uint64_t begin = device_.stripes[n].first;
      std::uint64_t at = std::max(request.first, begin);
      while (at < request.first + request.count) {
        const std::uint64_t row = (at - begin) / device_.stripe_sectors;
        const std::uint64_t inside = (at - begin) % device_.stripe_sectors;
        const std::uint64_t sector = (row * disks_.size() + n) * device_.stripe_sectors + inside;
        if (sector >= device_.sectors) break;
        const std::uint64_t count =
            std::min(device_.stripe_sectors - inside, request.first + request.count - at);
        add(request, own, sector, std::min(count, device_.sectors - sector), at - request.first,
            out);
        at += count;
      }
    }
  }

 private:
  static void add(const Request& request, std::uint16_t own, std::uint64_t first,
                  std::uint64_t count, std::uint64_t offset, std::vector<Request>& out) {
    Request part = request;
    part.disk = own;
    part.first = first;
    part.count = count;
    part.hash_index += offset;
    out.push_back(part);
  }

  const plan::Device& device_;
  std::vector<std::uint16_t> disks_;
};

}  // namespace

std::string own_disk(const std::string& device) {
  return "(" + device + ")";  // no export may be called so
}

std::optional<Journal> with_devices(const Journal& journal) {
  plan::Plan plan;
  try {
    plan = plan::from_text(journal.plan);
  } catch (const std::runtime_error& error) {
    throw BrokenRecord(error.what());
  }
  if (std::none_of(plan.devices.begin(), plan.devices.end(),
                   [](const auto& named) { return has_own_disk(named.second); })) {
    return std::nullopt;
  }
  Journal wider = journal;
  wider.requests.clear();
  std::vector<std::pair<std::uint16_t, Striping>> stripings;
  for (const auto& [name, device] : plan.devices) {
    if (!has_own_disk(device)) continue;
    const std::uint16_t own = add_disk(wider, name, device.sectors);
    if (!device.stripes.empty()) stripings.emplace_back(own, Striping(journal, name, device));
  }
  for (const Request& request : journal.requests) {
    wider.requests.push_back(request);
    for (const auto& [own, striping] : stripings) striping.translate(request, own, wider.requests);
  }
  return wider;
}

}  // namespace snapbed::model
