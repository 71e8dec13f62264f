#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace ocelli::report {

struct ProgressOptions {
  std::string unit = "steps";
  int64_t start = 0;           ///< done before this run: counts for the share, not for the rate
  double plain_interval = 10;  ///< seconds between lines where there is no terminal
  double bar_interval = 0.1;   ///< seconds between drawings of the bar

  // For tests; the defaults are the process's stderr and the steady clock.
  std::function<void(std::string_view)> write = {};
  std::function<double()> clock = {};  ///< seconds, never backwards
  std::optional<bool> terminal = {};   ///< default: stderr is one and TERM isn't "dumb"
  std::optional<bool> color = {};      ///< default: a terminal, and NO_COLOR is unset or empty
  std::optional<bool> unicode = {};    ///< default: the locale's variables say UTF-8
  std::optional<int> columns = {};     ///< default: the terminal's, asked each time; 80 when it doesn't say
};

/// Shows on stderr how far a long work is: on a terminal one line redrawn in place, with bar, share, rate, time left and free
/// text; elsewhere plain lines now and then. The rate is of the last 30 seconds. Lines of the log push the bar aside.
/// Thread-safe.
class Progress {
 public:
  /// `total` 0: unknown; then there is neither bar nor time left.
  Progress(std::string label, int64_t total, ProgressOptions options = {});
  /// Ends an unfinished bar's line, so that what follows (an error, say) starts on its own.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` in all, `start` included. `text` says more, such as "loss 0.234". Cheap when nothing is due to be drawn.
  void update(int64_t done, std::string_view text = "");
  /// Takes the bar away for a moment, so that a line can be written; the next update draws it again.
  void clear();
  /// The last line: how much in which time. Further calls do nothing.
  void finish(std::string_view text = "");

 private:
  double rate(double now) const;
  void draw(double now, std::string_view text);
  void plain_line(double now, std::string_view text);
  int columns() const;

  std::string label_;
  int64_t total_;
  ProgressOptions options_;
  bool terminal_, color_, unicode_;
  std::mutex mutex_;
  double begin_, last_drawn_;
  int64_t done_;
  std::deque<std::pair<double, int64_t>> recent_;  ///< time and count, for the rate
  bool on_screen_ = false;
  bool finished_ = false;
};

}  // namespace ocelli::report
