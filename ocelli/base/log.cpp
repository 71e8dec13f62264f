#include "ocelli/base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <string>

namespace ocelli::log {
namespace {

struct LevelName {
  std::string_view name;
  Level level;
};
constexpr std::array<LevelName, 5> kLevels{{{"debug", Level::kDebug},
                                            {"info", Level::kInfo},
                                            {"warning", Level::kWarning},
                                            {"error", Level::kError},
                                            {"off", Level::kOff}}};

Level start_level() {
  const char* wanted = std::getenv("OCELLI_LOG");
  if (wanted != nullptr) {
    for (const LevelName& entry : kLevels) {
      if (entry.name == wanted) return entry.level;
    }
  }
  return Level::kInfo;
}

std::atomic<Level>& current() {
  static std::atomic<Level> level{start_level()};
  return level;
}

/// Who makes room for lines; held while one is written.
struct BeforeLine {
  std::mutex mutex;
  void (*hook)(void*) = nullptr;
  void* context = nullptr;
};

BeforeLine& before_line() {
  static BeforeLine one;
  return one;
}

bool coloured() {
  // Asked once: a terminal doesn't become a file during a run.
  static const bool answer = [] {
    const char* no_color = std::getenv("NO_COLOR");
    return (no_color == nullptr || *no_color == '\0') && isatty(STDERR_FILENO) == 1;
  }();
  return answer;
}

std::string line_for(Level level, std::string_view message) {
  std::string_view label;
  std::string_view colour;
  if (level == Level::kWarning) {
    label = "warning: ";
    colour = "\033[33m";
  } else if (level == Level::kError) {
    label = "error: ";
    colour = "\033[31m";
  } else if (level == Level::kDebug) {
    label = "debug: ";
    colour = "\033[2m";
  }
  std::string line;
  line.reserve(message.size() + label.size() + 16);
  const bool paint = !label.empty() && coloured();
  if (paint) line += colour;
  line += label;
  if (paint) line += "\033[0m";
  line += message;
  line += '\n';
  return line;
}

}  // namespace

void set_level(Level level) {
  current().store(level, std::memory_order_relaxed);
}

Level level() {
  return current().load(std::memory_order_relaxed);
}

void set_before_line(void (*hook)(void*), void* context) {
  BeforeLine& before = before_line();
  const std::scoped_lock lock(before.mutex);
  before.hook = hook;
  before.context = context;
}

void clear_before_line(void* context) {
  BeforeLine& before = before_line();
  const std::scoped_lock lock(before.mutex);
  if (before.context != context) return;
  before.hook = nullptr;
  before.context = nullptr;
}

void write(Level level, std::string_view message) {
  if (level < log::level() || level == Level::kOff) return;
  try {
    const std::string line = line_for(level, message);
    BeforeLine& before = before_line();
    const std::scoped_lock lock(before.mutex);
    if (before.hook != nullptr) before.hook(before.context);
    // One write call per line, so that lines of several threads or processes don't mix.
    const char* next = line.data();
    size_t left = line.size();
    while (left > 0) {
      const ssize_t done = ::write(STDERR_FILENO, next, left);
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return;  // nowhere to report to
      next += done;
      left -= static_cast<size_t>(done);
    }
  } catch (...) {
    // Out of memory for the line: the message is lost, the caller goes on.
  }
}

}  // namespace ocelli::log
