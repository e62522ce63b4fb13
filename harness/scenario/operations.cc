// SPDX-License-Identifier: GPL-2.0-or-later
// One row per operation, in the order of plan/plan.h. selftest, insmod, cycle_end and the last
// rmmod are put in by build_plan and can also be written.
#include "scenario/operations.h"

namespace snapbed::scenario {
namespace {

Argument optional_argument(std::string key, Type type, std::string fallback = "",
                           std::string choices = "") {
  return {std::move(key), type, false, std::move(fallback), std::move(choices)};
}
Argument required_argument(std::string key, Type type, std::string choices = "") {
  return {std::move(key), type, true, "", std::move(choices)};
}
Argument snapshot() {
  return optional_argument("snapshot", Type::word, "snap");
}
Argument device(Type type = Type::device) {
  return required_argument("device", type);
}

std::vector<Operation> make_operations() {
  const auto need = required_argument;
  const auto may = optional_argument;
  return {
      {"selftest", {device()}},
      {"insmod", {}},
      {"rmmod", {}},
      {"fio_start", {need("name", Type::fio, "")}},
      {"fio_stop", {need("name", Type::fio, "")}},
      {"fio_wait", {need("name", Type::fio, "")}},
      {"ledger_start",
       {may("name", Type::word, "ledger", ""), need("devices", Type::devices, ""),
        may("writers", Type::number, "2", ""), may("depth", Type::number, "4", ""),
        may("max", Type::sectors, "16K", ""), may("first", Type::sectors, "", ""),
        may("count", Type::sectors, "", ""), may("overlap", Type::number, "25", ""),
        may("discards", Type::number, "0", ""), may("zeroes", Type::number, "0", ""),
        may("flushes", Type::number, "1", ""), may("durables", Type::number, "0", ""),
        may("rate", Type::number, "800", ""), may("operations", Type::number, "20000", "")}},
      {"ledger_stop", {may("name", Type::word, "ledger", "")}},
      {"wait_writes", {device(Type::each), need("sectors", Type::number, "")}},
      {"write",
       {device(Type::each), may("writes", Type::number, "64", ""),
        may("max", Type::sectors, "64K", ""), may("first", Type::sectors, "", ""),
        may("count", Type::sectors, "", ""), may("unit", Type::sectors, "", "")}},
      {"discard", {device(), need("first", Type::sectors, ""), need("count", Type::sectors, "")}},
      {"zero", {device(), need("first", Type::sectors, ""), need("count", Type::sectors, "")}},
      {"flush", {device(Type::each)}},
      {"mkfs",
       {device(), need("type", Type::choice, "ext4 xfs"), may("options", Type::text, "", "")}},
      {"mount",
       {device(), need("type", Type::choice, "ext4 xfs"), need("at", Type::text, ""),
        may("options", Type::text, "", "")}},
      {"umount", {need("at", Type::text, "")}},
      {"dm_create", {need("name", Type::dm, "")}},
      {"dm_reload", {need("name", Type::dm, ""), need("size", Type::sectors, "")}},
      {"dm_suspend", {need("name", Type::dm, "")}},
      {"dm_resume", {need("name", Type::dm, "")}},
      {"dm_remove", {need("name", Type::dm, "")}},
      {"partition", {device()}},
      {"md_create", {need("name", Type::md, "")}},
      {"md_stop", {need("name", Type::md, "")}},
      {"run",
       {need("command", Type::text, ""), may("writes", Type::choice, "", "yes no"),
        may("hang_ms", Type::number, "", "")}},
      {"kunit", {need("suites", Type::text, "")}},
      {"create",
       {snapshot(), need("devices", Type::devices, ""), may("low", Type::device, "", ""),
        may("low_first", Type::sectors, "0", ""), may("low_piece", Type::sectors, "1M", ""),
        may("low_pieces", Type::number, "4", ""), may("low_limit", Type::sectors, "", ""),
        may("events", Type::choice, "", "yes no")}},
      {"append", {snapshot(), device(), need("ranges", Type::ranges, "")}},
      {"take", {snapshot(), may("killed", Type::choice, "", "yes no")}},
      {"collect_images", {snapshot()}},
      {"collect_trackers", {may("shows", Type::devices, "", "")}},
      {"copy_image",
       {snapshot(), device(Type::each),
        may("mode", Type::choice, "sequential", "sequential shuffled"),
        may("threads", Type::number, "1", ""), may("block", Type::bytes, "1M", ""),
        may("first", Type::sectors, "", ""), may("count", Type::sectors, "", "")}},
      {"read_map", {snapshot(), device(Type::each), may("window", Type::bytes, "64K", "")}},
      {"mark_dirty", {device(), need("ranges", Type::ranges, "")}},
      {"write_image",
       {snapshot(), device(Type::each), may("writes", Type::number, "64", ""),
        may("max", Type::sectors, "64K", ""), may("first", Type::sectors, "", ""),
        may("count", Type::sectors, "", ""), may("unit", Type::sectors, "", "")}},
      {"check_image", {snapshot(), device(Type::each), need("type", Type::choice, "ext4 xfs")}},
      {"destroy", {snapshot()}},
      {"remove_tracker", {device(Type::each)}},
      {"wait_event",
       {snapshot(), need("code", Type::choice, "low corrupted"),
        may("count", Type::number, "1", ""), may("timeout_ms", Type::number, "30000", "")}},
      {"abi",
       {need("devices", Type::devices, ""), need("storage", Type::device, ""),
        may("part", Type::word, "all", "")}},
      {"call_storm",
       {need("devices", Type::devices, ""), need("storage", Type::device, ""),
        may("threads", Type::number, "8", ""), may("calls", Type::number, "500", "")}},
      {"fail_allocations",
       {need("devices", Type::devices, ""), need("storage", Type::device, ""),
        may("call", Type::choice, "all", "all create append take write image destroy workers"),
        may("hang_ms", Type::number, "900000", "")}},
      {"amplify_code",
       {may("functions", Type::text, "", ""), may("count", Type::number, "8", ""),
        may("pause_us", Type::number, "500", ""), may("share", Type::number, "128", "")}},
      {"amplify_cpus", {may("every_ms", Type::number, "100", "")}},
      {"amplify_priority", {may("every_ms", Type::number, "20", "")}},
      {"amplify_memory", {may("leave", Type::bytes, "32M", "")}},
      {"amplify_kill",
       {device(), may("writers", Type::number, "4", ""), may("every_ms", Type::number, "10", "")}},
      {"calm", {}},
      {"limit_group",
       {may("device", Type::device, "", ""), may("rate", Type::bytes, "4M", ""),
        may("memory", Type::bytes, "", "")}},
      {"plug", {device(Type::disk)}},
      {"unplug", {device(Type::disk)}},
      {"power_cut", {may("device", Type::disk, "", ""), may("writes", Type::number, "", "")}},
      {"copy_origin", {device(Type::each)}},
      {"cycle_end", {}},
  };
}

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<Operation> table = make_operations();
  return table;
}

const Operation* find_operation(std::string_view op) {
  for (const Operation& operation : operations())
    if (operation.op == op) return &operation;
  return nullptr;
}

}  // namespace snapbed::scenario
