#include "ocelli/report/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>

#include "ocelli/base/log.h"
#include "ocelli/report/format.h"

#include <fmt/format.h>

namespace ocelli::report {
namespace {

constexpr double kRateWindow = 30;
constexpr std::string_view kClearLine = "\r\x1b[2K";

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

void write_to_stderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // progress is never worth failing for
    text.remove_prefix(static_cast<size_t>(written));
  }
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// As setlocale decides: the first of the three that is set.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(variable(name));
    if (value.empty()) continue;
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

/// "12.3" or "4,810": a count a second.
std::string rate_text(double rate) {
  if (rate >= 9999.5) return si(rate);
  return rate >= 99.95 ? grouped(std::llround(rate)) : fmt::format("{:.{}f}", rate, rate >= 9.995 ? 1 : 2);
}

/// `share` of `cells`, by eighths of a cell where the terminal can.
std::string bar(double share, int cells, bool unicode) {
  constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double filled = std::clamp(share, 0.0, 1.0) * cells;
  const int whole = static_cast<int>(filled);
  std::string out;
  for (int i = 0; i < whole; ++i) out += unicode ? "█" : "#";
  int used = whole;
  const int eighths = static_cast<int>((filled - whole) * 8);
  if (unicode && eighths > 0 && used < cells) {
    out += kEighths[eighths];
    ++used;
  }
  for (; used < cells; ++used) out += unicode ? "░" : ".";
  return out;
}

}  // namespace

Progress::Progress(std::string label, int64_t total, ProgressOptions options)
    : label_(std::move(label)), total_(total), options_(std::move(options)) {
  if (!options_.write) options_.write = write_to_stderr;
  if (!options_.clock) options_.clock = steady_seconds;
  terminal_ = options_.terminal.value_or(::isatty(STDERR_FILENO) == 1 && variable("TERM") != "dumb");
  color_ = terminal_ && options_.color.value_or(variable("NO_COLOR").empty());
  unicode_ = options_.unicode.value_or(locale_is_utf8());
  begin_ = options_.clock();
  // The first bar is drawn at once, the first plain line after an interval: short work prints only its last line.
  last_drawn_ = terminal_ ? -INFINITY : begin_;
  done_ = options_.start;
  recent_.emplace_back(begin_, done_);
  // Warnings would otherwise be written into the bar's line.
  if (terminal_) log::set_before_line([](void* self) { static_cast<Progress*>(self)->clear(); }, this);
}

Progress::~Progress() {
  log::clear_before_line(this);
  const std::scoped_lock lock(mutex_);
  if (on_screen_ && !finished_) options_.write("\n");
}

void Progress::update(int64_t done, std::string_view text) {
  const std::scoped_lock lock(mutex_);
  if (finished_) return;
  done_ = done;
  const double now = options_.clock();
  if (now - last_drawn_ < (terminal_ ? options_.bar_interval : options_.plain_interval)) return;
  last_drawn_ = now;
  recent_.emplace_back(now, done);
  // One entry older than the window stays: the rate needs its whole length.
  while (recent_.size() > 2 && now - recent_[1].first >= kRateWindow) recent_.pop_front();
  terminal_ ? draw(now, text) : plain_line(now, text);
}

void Progress::clear() {
  const std::scoped_lock lock(mutex_);
  if (on_screen_) options_.write(kClearLine);
  on_screen_ = false;
  if (terminal_) last_drawn_ = -INFINITY;
}

void Progress::finish(std::string_view text) {
  const std::scoped_lock lock(mutex_);
  if (finished_) return;
  finished_ = true;
  const double seconds = options_.clock() - begin_;
  const int64_t made = done_ - options_.start;
  std::string line = fmt::format("{}: {} {} in {}", label_, grouped(made), options_.unit, duration(seconds));
  if (seconds > 0 && made > 0) line += fmt::format(", {} {}/s", rate_text(static_cast<double>(made) / seconds), options_.unit);
  if (!text.empty()) line += fmt::format(", {}", text);
  options_.write(fmt::format("{}{}\n", on_screen_ ? kClearLine : "", line));
  on_screen_ = false;
}

double Progress::rate(double now) const {
  const auto& [time, count] = recent_.front();
  return now > time ? static_cast<double>(done_ - count) / (now - time) : 0;
}

int Progress::columns() const {
  if (options_.columns) return *options_.columns;
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void Progress::draw(double now, std::string_view text) {
  const double per_second = rate(now);
  std::string numbers = grouped(done_);
  double share = 0;
  if (total_ > 0) {
    share = static_cast<double>(done_) / static_cast<double>(total_);
    // Cut, not rounded: 100 % is shown only when all is done.
    numbers = fmt::format("{:3} %  {}/{}", static_cast<int>(std::floor(100 * std::clamp(share, 0.0, 1.0))), grouped(done_),
                          grouped(total_));
  }
  std::string rest = fmt::format("{} {}", numbers, options_.unit);
  if (per_second > 0) rest += fmt::format("  {}/s", rate_text(per_second));
  if (per_second > 0 && total_ > done_)
    rest += fmt::format("  ETA {}", duration(std::ceil(static_cast<double>(total_ - done_) / per_second)));
  if (!text.empty()) rest += fmt::format("  {}", text);

  // One column stays free: a full line would wrap on some terminals.
  const int width = columns() - 1;
  const int room = width - display_width(label_) - display_width(rest) - 4;
  const int cells = std::min(30, room);
  std::string line = kClearLine.data();
  if (total_ > 0 && cells >= 8) {
    const std::string drawn = bar(share, cells, unicode_);
    line += fmt::format("{}  {}{}{}  {}", label_, color_ ? "\x1b[36m" : "", drawn, color_ ? "\x1b[0m" : "", rest);
  } else {
    line += cut_to_width(fmt::format("{}  {}", label_, rest), width);
  }
  options_.write(line);
  on_screen_ = true;
}

void Progress::plain_line(double now, std::string_view text) {
  const double per_second = rate(now);
  std::string line = fmt::format("{}: {}", label_, grouped(done_));
  if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    line += fmt::format("/{} {} ({} %)", grouped(total_), options_.unit, static_cast<int>(std::floor(100 * share)));
  } else {
    line += fmt::format(" {}", options_.unit);
  }
  if (per_second > 0) line += fmt::format(", {}/s", rate_text(per_second));
  if (per_second > 0 && total_ > done_)
    line += fmt::format(", ETA {}", duration(std::ceil(static_cast<double>(total_ - done_) / per_second)));
  if (!text.empty()) line += fmt::format(", {}", text);
  options_.write(line + "\n");
}

}  // namespace ocelli::report
