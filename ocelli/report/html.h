#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/report/table.h"

namespace ocelli::report {

/// Whether an answer beside a picture was right. Shown by colour and by a mark.
enum class Verdict : uint8_t { kNone, kRight, kWrong };

/// A picture with lines of text under it.
struct Picture {
  std::string encoded = {};  ///< a whole PNG, JPEG or WebP file
  struct Line {
    std::string label = {};  ///< "question"; may be empty
    std::string text = {};
    Verdict verdict = Verdict::kNone;
  };
  std::vector<Line> lines = {};
  std::string alt = {};  ///< for who can't see it; default: the text of the first line
};

/// How large pictures are shown: as a gallery, or so that details can be seen.
enum class PictureSize : uint8_t { kSmall, kLarge };

/// A piece of a longer text.
struct TextRun {
  std::string text = {};
  bool marked = false;  ///< set apart by its background
  bool faint = false;   ///< a remark rather than text
};

/// A number worth its own box.
struct KeyFigure {
  std::string label;
  std::string value;
  std::string note = {};  ///< small, under it; may be empty
};

/// One self-contained HTML file: no script, nothing loaded from elsewhere (its own Content-Security-Policy says so), light and
/// dark, phone and desktop, printable. Every text is escaped. Parts appear in the order they were added.
class HtmlPage {
 public:
  explicit HtmlPage(std::string title, std::string subtitle = "");

  /// `level` 2 (a section, listed in the contents when there are several) or 3.
  void heading(std::string_view text, int level = 2);
  void paragraph(std::string_view text);
  /// A warning or a remark that must not be overlooked.
  void note(std::string_view text);
  void key_figures(const std::vector<KeyFigure>& figures);
  void table(const Table& table, std::string_view caption = "");
  void code(std::string_view text, std::string_view caption = "");
  /// Preformatted text that unfolds on a click: for what is long.
  void folded(std::string_view summary, std::string_view text);
  /// A plot as plot.h makes it. Throws Error when it doesn't start with `<svg`: it is the one thing put in as it is.
  void svg(std::string_view markup, std::string_view caption = "");
  /// Throws Error when a picture is no PNG, JPEG or WebP file.
  void pictures(const std::vector<Picture>& pictures, PictureSize size = PictureSize::kSmall);
  /// Preformatted text made of `runs`, long lines wrapped.
  void runs(const std::vector<TextRun>& runs, std::string_view caption = "");
  /// Small text at the very end.
  void footer(std::string_view text);

  std::string str() const;
  /// Writes it by write_file_atomic.
  void save(const std::filesystem::path& path) const;

 private:
  std::string title_, subtitle_, footer_;
  std::string body_;
  std::vector<std::string> sections_;
};

/// Base64 with padding (RFC 4648).
std::string base64(std::string_view bytes);

}  // namespace ocelli::report
