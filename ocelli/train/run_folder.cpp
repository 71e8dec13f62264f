#include "ocelli/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"

namespace ocelli::train {

RunFolder::RunFolder(std::filesystem::path path) : path_(std::move(path)) {
  make_directories(path_);
  const std::filesystem::path lock = path_ / ".lock";
  lock_ = ::open(lock.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  require(lock_ >= 0, "run {}: {} can't be opened: {}", path_.string(), lock.string(), std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    fail("run {}: another process is training in this folder; wait for it, or choose another with --out", path_.string());
  }
}

RunFolder::~RunFolder() {
  ::close(lock_);
}

std::string RunFolder::stored_recipe() const {
  const std::filesystem::path file = path_ / "recipe.toml";
  return std::filesystem::exists(file) ? read_file(file, 16 << 20) : std::string();
}

void RunFolder::store_recipe(const std::string& toml) {
  write_file_atomic(path_ / "recipe.toml", toml);
}

void RunFolder::store_environment(const Json& environment) {
  write_file_atomic(path_ / "env.json", environment.dump(2) + "\n");
}

void RunFolder::open_logs(int64_t step) {
  report::truncate_lines_after(path_ / "metrics.jsonl", step);
  report::truncate_lines_after(path_ / "faults.jsonl", step);
  report::truncate_events_after(path_, step);
  metrics_ = std::make_unique<report::JsonLines>(path_ / "metrics.jsonl");
  faults_ = std::make_unique<report::JsonLines>(path_ / "faults.jsonl");
  events_ = std::make_unique<report::EventWriter>(path_);
}

}  // namespace ocelli::train
