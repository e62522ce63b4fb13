// SPDX-License-Identifier: GPL-2.0-or-later
// Starting nbdkit, and its JSON lines.
#include "runner/server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/little_endian.h"

namespace snapbed::runner {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kLineLimit = 1U << 20U;  // the server's lines are a few hundred bytes
constexpr std::uint64_t kJournalLimitBytes = 8ULL << 30U;

std::string role_text(journal::Role role) {
  switch (role) {
    case journal::Role::plan:
      return "plan";
    case journal::Role::marks:
      return "marks";
    case journal::Role::evidence:
      return "evidence";
    case journal::Role::files:
      return "files";
    case journal::Role::data:
      return "data";
    case journal::Role::storage:
      return "storage";
    case journal::Role::scratch:
      return "scratch";
  }
  return "?";
}

ServerEvent event_of(const nlohmann::json& line) {
  ServerEvent event;
  event.line = line;
  const std::string kind = line.value("ev", "");
  if (kind == "ready") event.kind = ServerEvent::Kind::ready;
  if (kind == "stats") event.kind = ServerEvent::Kind::stats;
  if (kind == "cut") event.kind = ServerEvent::Kind::cut;
  if (kind == "power") event.kind = ServerEvent::Kind::power;
  if (kind == "error") event.what = line.value("what", "an error without words");
  if (kind == "mark") {
    event.kind = ServerEvent::Kind::mark;
    event.mark.kind = static_cast<plan::MarkKind>(line.at("kind").get<std::uint16_t>());
    event.mark.sequence = line.at("sequence");
    event.mark.step = line.at("step");
    event.mark.cycle = line.at("cycle");
    const auto& text = line.at("text");
    event.mark.text = text.is_string() ? text.get<std::string>() : text.dump();
  }
  return event;
}

}  // namespace

Server::Server(const ServerOptions& options, const base::Deadline& deadline)
    : log_(options.folder / "server.log") {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    base::throw_errno("socketpair for the control channel of the recording server");
  control_.reset(pair[0]);
  const base::UniqueFd theirs(pair[1]);
  nlohmann::json config = options.config;
  config["control_fd"] = theirs.get();
  const fs::path file = options.folder / "server.json";
  base::write_file(file, config.dump(1) + "\n");

  base::Command command;
  command.argv = {"nbdkit",
                  "--foreground",
                  "--threads",
                  "16",
                  "--unix",
                  options.socket.string(),
                  options.plugin.string(),
                  "config=" + file.string()};
  command.output = log_;
  command.inherited_fds = {theirs.get()};
  process_ = base::Process::start(command);
  while (!deadline.passed()) {
    const auto event = next(std::chrono::milliseconds(100));
    if (!event) {
      if (process_->poll())
        throw std::runtime_error("the recording server ended at once: " + last_words());
      continue;
    }
    if (event->kind == ServerEvent::Kind::ready) {
      base::wait_until("the socket " + options.socket.string(), deadline,
                       [&] { return fs::exists(options.socket); });
      return;
    }
    throw std::runtime_error("the recording server did not start: " +
                             (event->what.empty() ? last_words() : event->what));
  }
  throw deadline.error("the recording server to get ready: " + last_words());
}

bool Server::fill(std::chrono::milliseconds wait) {
  pollfd waiting{control_.get(), POLLIN, 0};
  const int ready = ::poll(&waiting, 1, static_cast<int>(wait.count()));
  if (ready <= 0) return false;
  std::array<char, 65536> bytes{};
  const ssize_t got = ::recv(control_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    ended_ = true;
    return true;
  }
  buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  return true;
}

std::optional<ServerEvent> Server::parse_line() {
  const std::size_t end = buffer_.find('\n');
  if (end == std::string::npos) {
    if (buffer_.size() > kLineLimit) {
      ServerEvent event;
      event.what = "the recording server sent a line without end";
      buffer_.clear();
      return event;
    }
    return std::nullopt;
  }
  const std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  try {
    return event_of(nlohmann::json::parse(line));
  } catch (const nlohmann::json::exception& error) {
    ServerEvent event;
    event.what = fmt::format("the recording server sent \"{}\", which is not its language ({})",
                             line.substr(0, 200), error.what());
    return event;
  }
}

std::optional<ServerEvent> Server::next(std::chrono::milliseconds wait) {
  if (auto event = parse_line()) return event;
  if (!ended_ && fill(wait))
    if (auto event = parse_line()) return event;
  if (!ended_) return std::nullopt;
  ServerEvent event;
  event.kind = ServerEvent::Kind::ended;
  event.what = "the recording server closed its control channel: " + last_words();
  return event;
}

void Server::send(const nlohmann::json& command) {
  const std::string line = command.dump() + "\n";
  // A server that died shows as the end of its channel, not as SIGPIPE here.
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t more =
        ::send(control_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return;
    sent += static_cast<std::size_t>(more);
  }
}

void Server::ask_stats() {
  send({{"cmd", "stats"}});
}
void Server::restore_power() {
  send({{"cmd", "power"}});
}
void Server::answer(std::uint64_t sequence) {
  send({{"cmd", "answer"}, {"sequence", sequence}});
}

void Server::quit(const base::Deadline& deadline) {
  send({{"cmd", "quit"}});
  try {
    while (!process_->poll()) {
      next(std::chrono::milliseconds(20));
      if (ended_) break;
      if (deadline.passed()) throw deadline.error("the recording server to close its journal");
    }
    process_->wait(deadline);
  } catch (const base::TimedOut&) {
    process_->kill();
    throw;
  }
}

std::string Server::last_words() const {
  std::error_code ignored;
  if (!fs::exists(log_, ignored)) return "it said nothing";
  std::istringstream lines(base::read_file(log_));
  std::string last;
  for (std::string line; std::getline(lines, line);)
    if (!line.empty()) last = line;
  return last.empty() ? "it said nothing" : last;
}

nlohmann::json server_config(const scenario::Scenario& scenario, const scenario::Built& built,
                             const fs::path& folder) {
  nlohmann::json disks = nlohmann::json::array();
  for (const journal::Disk& disk : built.disks) {
    nlohmann::json entry = {
        {"name", disk.name},
        {"role", role_text(disk.role)},
        {"initial", disk.initial == journal::Initial::seeded ? "seeded" : "zero"},
        {"bytes", disk.sectors * journal::kSectorBytes}};
    for (const scenario::Disk& asked : scenario.disks)
      if (asked.name == disk.name) {
        entry["logical_block"] = asked.logical_block;
        entry["discard"] = asked.discard;
      }
    if (disk.name == "plan") entry["content"] = (folder / "plan.img").string();
    if (disk.name == "module") entry["content"] = (folder / "module.img").string();
    if (disk.name == "amplifier") entry["content"] = (folder / "amplifier.img").string();
    disks.push_back(entry);
  }
  nlohmann::json rules = nlohmann::json::array();
  for (const scenario::Rule& rule : scenario.rules) rules.push_back(rule.config);
  return {{"seed", built.plan.seed},
          {"dir", folder.string()},
          {"disks", disks},
          {"plan", (folder / "plan.json").string()},
          {"rules", rules},
          {"control_fd", -1},
          {"volatile_disks", scenario::uses(scenario, "power_cut")},
          {"journal_limit_bytes", kJournalLimitBytes}};
}

std::uint64_t write_module_disk(const fs::path& module, const fs::path& disk) {
  const std::string file = base::read_file(module);
  std::string bytes(512, '\0');
  bytes.replace(0, 6, "SNAPKO");
  base::store_le<std::uint64_t>(bytes.data() + 8, file.size());
  bytes += file;
  bytes.resize((bytes.size() + 4095) / 4096 * 4096);
  base::write_file(disk, bytes);
  return bytes.size() / journal::kSectorBytes;
}

}  // namespace snapbed::runner
