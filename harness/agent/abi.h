// SPDX-License-Identifier: GPL-2.0-or-later
// The contract of the module's interface as a table of cases: each part calls it rightly and
// wrongly and says what is right. Parts stand alone: each begins and ends with nothing tracked.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/blksnap_abi.h"
#include "agent/block_device.h"
#include "agent/case_log.h"
#include "base/fd.h"
#include "base/kernel_module.h"

namespace snapbed::agent {

// A part cannot go on: a call that the other cases stand on has failed. It is reported as a case.
class CannotGoOn : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A block device that cases use.
struct Subject {
  std::string path;
  abi::DeviceId id{};
  std::uint64_t sectors = 0;
  std::uint32_t logical_bytes = 0;
};
Subject subject_at(const std::string& path);

class AbiBench {
 public:
  // What the module is taken away and loaded again with; both give a positive errno or 0.
  struct Loader {
    std::function<int(const std::map<std::string, std::string>& parameters)> insert;
    std::function<int()> remove;
    std::function<std::vector<std::string>()> left;  // of the module, after remove()
    // Of a parameter, as the module documents it.
    std::function<std::optional<base::NumberRange>(const std::string& name)> range;
  };

  AbiBench(CaseLog& cases, std::vector<Subject> origins, Subject storage, Loader loader);

  CaseLog& cases;
  const std::vector<Subject> origins;  // at least two, none stacked on another
  const Subject storage;
  const Loader loader;

  // The ioctl's value or a negative errno. Any thread.
  std::int64_t call(unsigned long command, const void* argument) const;
  void open_control();
  void close_control() { control_.reset(); }
  int control() const { return control_.get(); }

  // Calls whose argument is made from their parameters.
  std::int64_t create(const std::vector<abi::DeviceId>& devices, abi::Uuid& id) const;
  std::int64_t append(const abi::Uuid& id, abi::DeviceId device,
                      const std::vector<abi::BlockRange>& ranges) const;
  std::int64_t take(const abi::Uuid& id) const;
  std::int64_t destroy(const abi::Uuid& id) const;
  std::int64_t remove(abi::DeviceId device) const;
  std::int64_t read_map(abi::DeviceId device, std::uint32_t offset, std::uint32_t length,
                        std::uint8_t* bytes) const;
  std::int64_t mark(abi::DeviceId device, const std::vector<abi::BlockRange>& ranges) const;
  // Fills `event.id` and `timeout_ms` and waits.
  std::int64_t wait(const abi::Uuid& id, std::uint32_t timeout_ms, abi::Event& event) const;
  std::int64_t trackers(std::vector<abi::CbtInfo>& infos) const;  // all of them
  std::int64_t snapshots(std::vector<abi::Uuid>& ids) const;
  std::int64_t images(const abi::Uuid& id, std::vector<abi::ImageInfo>& infos) const;

  // As the calls, for what other cases stand on: throws CannotGoOn unless it gives 0.
  void must(const std::string& what, std::int64_t result) const;
  abi::Uuid must_create(const std::vector<abi::DeviceId>& devices) const;
  abi::Uuid must_take(const std::vector<abi::DeviceId>& devices) const;  // created and taken
  std::optional<abi::CbtInfo> tracker(abi::DeviceId device) const;
  std::string image_path(const abi::Uuid& id, abi::DeviceId origin) const;

  // Destroys all snapshots, ends all tracking.
  void clear() const;

 private:
  base::UniqueFd control_;
};

// Parameters of the module, in sysfs. read_parameter throws for one that there is not;
// write_parameter gives 0 or a negative errno.
bool has_parameter(const std::string& name);
std::string read_parameter(const std::string& name);
std::int64_t write_parameter(const std::string& name, const std::string& value);

// A parameter that has another value until this goes.
class ParameterSet {
 public:
  ParameterSet(std::string name, const std::string& value);
  ~ParameterSet();
  ParameterSet(const ParameterSet&) = delete;
  ParameterSet& operator=(const ParameterSet&) = delete;

 private:
  std::string name_;
  std::string before_;
};

inline constexpr abi::DeviceId kNoDevice{4000, 7};  // a major that nobody registers
inline constexpr abi::Uuid kNoId{0xde, 0xad};

// The parts. Each throws CannotGoOn, and std::system_error for what is the guest's own.
void abi_numbers(AbiBench& bench);
void abi_memory(AbiBench& bench);
void abi_trackers(AbiBench& bench);
void abi_create(AbiBench& bench);
void abi_storage(AbiBench& bench);
void abi_take(AbiBench& bench);
void abi_images(AbiBench& bench);
void abi_map(AbiBench& bench);
void abi_events(AbiBench& bench);
void abi_parameters(AbiBench& bench);
void abi_module(AbiBench& bench);

// Runs one part, or every one for "all". Throws std::runtime_error for a name that is none.
void run_abi_part(AbiBench& bench, const std::string& part);

}  // namespace snapbed::agent
