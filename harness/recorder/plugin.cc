// SPDX-License-Identifier: GPL-2.0-or-later
// The nbdkit plugin: every callback translates one request from bytes to sectors and hands it to
// Server. nbdkit's callbacks carry no context before a connection is open, so the server of this
// process hangs on one pointer here, and only here.
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "recorder/server.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

namespace {

using namespace snapbed::recorder;
using snapbed::journal::kSectorBytes;
using snapbed::journal::Role;

std::string config_path;
std::unique_ptr<Server> server;

struct Connection {
  std::uint16_t disk;
};

std::uint16_t disk_of(void* handle) {
  return static_cast<Connection*>(handle)->disk;
}
const DiskConfig& config_of(void* handle) {
  return server->disk(disk_of(handle));
}

// nbdkit takes errors by nbdkit_set_error and -1.
int answer(int error) {
  if (error == 0) return 0;
  nbdkit_set_error(error);
  return -1;
}

int aligned(std::uint64_t offset, std::uint64_t count) {
  if (offset % kSectorBytes == 0 && count % kSectorBytes == 0) return 0;
  nbdkit_error("request of %llu bytes at byte %llu is not in sectors of 512 bytes",
               static_cast<unsigned long long>(count), static_cast<unsigned long long>(offset));
  return EINVAL;
}

int config(const char* key, const char* value) {
  if (std::strcmp(key, "config") != 0) {
    nbdkit_error("unknown parameter %s: the only one is config=FILE", key);
    return -1;
  }
  char* path = nbdkit_realpath(value);
  if (path == nullptr) return -1;
  config_path = path;
  std::free(path);
  return 0;
}

int get_ready() {
  if (config_path.empty()) {
    nbdkit_error("config=FILE is missing");
    return -1;
  }
  try {
    server = std::make_unique<Server>(load_config(config_path));
  } catch (const std::exception& error) {
    nbdkit_error("%s", error.what());
    return -1;
  }
  return 0;
}

bool shutting_down() {
  return nbdkit_nanosleep(0, 1) != 0;
}

// Threads must not start before nbdkit has forked.
int after_fork() {
  server->start([] { ::_exit(0); }, shutting_down);
  return 0;
}

void cleanup() {
  if (server) server->finish();
}

void unload() {
  server.reset();
}

int list_exports(int, int, nbdkit_exports* exports) {
  for (std::uint16_t id = 0; id < server->disks(); ++id) {
    const auto& disk = server->disk(id).disk;
    if (nbdkit_add_export(exports, disk.name.c_str(), nullptr) != 0) return -1;
  }
  return 0;
}

void* open(int) {
  const char* name = nbdkit_export_name();
  const auto id = server->find(name == nullptr ? "" : name);
  if (!id) {
    nbdkit_error("there is no disk \"%s\"", name == nullptr ? "" : name);
    nbdkit_set_error(ENOENT);
    return nullptr;
  }
  return new Connection{*id};
}

void close(void* handle) {
  delete static_cast<Connection*>(handle);
}

std::int64_t get_size(void* handle) {
  return static_cast<std::int64_t>(config_of(handle).disk.sectors * kSectorBytes);
}

int block_size(void* handle, std::uint32_t* minimum, std::uint32_t* preferred,
               std::uint32_t* maximum) {
  *minimum = config_of(handle).logical_block;
  *preferred = 4096;
  *maximum = 32U << 20;
  return 0;
}

int can_write(void* handle) {
  return config_of(handle).disk.role != Role::plan;
}
int can_trim(void* handle) {
  return can_write(handle) && config_of(handle).discard;
}
int can_zero(void* handle) {
  return can_write(handle);
}
int can_fast_zero(void* handle) {
  return can_write(handle);
}
int can_fua(void* handle) {
  return can_write(handle) ? NBDKIT_FUA_NATIVE : NBDKIT_FUA_NONE;
}
int can_flush(void*) {
  return 1;
}
int can_multi_conn(void*) {
  return 1;
}
int can_extents(void*) {
  return 0;
}

int pread(void* handle, void* buffer, std::uint32_t count, std::uint64_t offset, std::uint32_t) {
  if (const int error = aligned(offset, count)) return answer(error);
  return answer(server->read(disk_of(handle), offset / kSectorBytes,
                             {static_cast<std::uint8_t*>(buffer), count}));
}

int pwrite(void* handle, const void* buffer, std::uint32_t count, std::uint64_t offset,
           std::uint32_t flags) {
  if (const int error = aligned(offset, count)) return answer(error);
  return answer(server->write(disk_of(handle), offset / kSectorBytes,
                              {static_cast<const std::uint8_t*>(buffer), count},
                              (flags & NBDKIT_FLAG_FUA) != 0));
}

int trim(void* handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
  if (const int error = aligned(offset, count)) return answer(error);
  return answer(server->trim(disk_of(handle), offset / kSectorBytes, count / kSectorBytes,
                             (flags & NBDKIT_FLAG_FUA) != 0));
}

int zero(void* handle, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) {
  if (const int error = aligned(offset, count)) return answer(error);
  return answer(server->zero(disk_of(handle), offset / kSectorBytes, count / kSectorBytes,
                             (flags & NBDKIT_FLAG_FUA) != 0));
}

int flush(void* handle, std::uint32_t) {
  return answer(server->flush(disk_of(handle)));
}

nbdkit_plugin make_plugin() {
  nbdkit_plugin made{};
  made.name = "snapbed";
  made.longname = "snapbed recording server";
  made.description = "serves the disks of a test VM and journals every request";
  made.config = config;
  made.config_help = "config=FILE  JSON: seed, dir, disks, plan, rules, control_fd (required)";
  made.get_ready = get_ready;
  made.after_fork = after_fork;
  made.cleanup = cleanup;
  made.unload = unload;
  made.list_exports = list_exports;
  made.open = open;
  made.close = close;
  made.get_size = get_size;
  made.block_size = block_size;
  made.can_write = can_write;
  made.can_trim = can_trim;
  made.can_zero = can_zero;
  made.can_fast_zero = can_fast_zero;
  made.can_fua = can_fua;
  made.can_flush = can_flush;
  made.can_multi_conn = can_multi_conn;
  made.can_extents = can_extents;
  made.pread = pread;
  made.pwrite = pwrite;
  made.trim = trim;
  made.zero = zero;
  made.flush = flush;
  made.errno_is_preserved = 0;
  return made;
}

nbdkit_plugin plugin = make_plugin();

}  // namespace

NBDKIT_REGISTER_PLUGIN(plugin)
