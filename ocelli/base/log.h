#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace ocelli::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

/// What is written: messages of this level and above. The start value comes from `OCELLI_LOG`
/// (debug, info, warning, error, off), else info.
void set_level(Level level);
Level level();

/// Writes one line to stderr. Thread-safe; never throws.
void write(Level level, std::string_view message);

/// `hook(context)` is called before each line, so that a progress bar can make room for it; the last one set counts. It must not
/// log, and not throw.
void set_before_line(void (*hook)(void* context), void* context);
/// Takes that hook away, if it is the one set with `context`; once this returns it isn't running any more.
void clear_before_line(void* context);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kDebug) write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kInfo) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kWarning) write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::kError) write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace ocelli::log
