#include "ocelli/report/html.h"

#include <fmt/format.h>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/report/html_style.h"
#include "ocelli/report/markup.h"

namespace ocelli::report {
namespace {

/// Pictures up to this width are shown with square pixels rather than blurred.
constexpr uint32_t kTinyWidth = 160;

std::string_view media_type(std::string_view encoded) {
  if (encoded.starts_with("\x89PNG\r\n\x1a\n")) return "image/png";
  if (encoded.starts_with("\xFF\xD8\xFF")) return "image/jpeg";
  if (encoded.starts_with("RIFF") && encoded.size() >= 12 && encoded.substr(8, 4) == "WEBP") return "image/webp";
  return {};
}

/// A PNG's width stands at byte 16, big endian (its IHDR is always first).
bool is_tiny(std::string_view encoded) {
  if (!encoded.starts_with("\x89PNG") || encoded.size() < 20) return false;
  uint32_t width = 0;
  for (size_t i = 16; i < 20; ++i) width = width << 8 | static_cast<unsigned char>(encoded[i]);
  return width <= kTinyWidth;
}

std::string figcaption(std::string_view caption) {
  return caption.empty() ? std::string() : fmt::format("<figcaption>{}</figcaption>", escape_markup(caption));
}

std::string line_markup(const Picture::Line& line) {
  std::string text = escape_markup(line.text);
  if (line.verdict == Verdict::kRight) text = fmt::format("<span class=\"ok\">✓ {}</span>", text);
  if (line.verdict == Verdict::kWrong) text = fmt::format("<span class=\"bad\">✗ {}</span>", text);
  const std::string label =
      line.label.empty() ? std::string() : fmt::format("<span class=\"label\">{}</span>", escape_markup(line.label));
  return fmt::format("<div>{}{}</div>", label, text);
}

}  // namespace

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < n ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (size_t i = 0; i < 4; ++i) out += i <= n ? kDigits[group >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

HtmlPage::HtmlPage(std::string title, std::string subtitle) : title_(std::move(title)), subtitle_(std::move(subtitle)) {}

void HtmlPage::heading(std::string_view text, int level) {
  require(level == 2 || level == 3, "HtmlPage: heading level {}, expected 2 or 3", level);
  if (level == 2) {
    sections_.emplace_back(text);
    body_ += fmt::format("<h2 id=\"s{}\">{}</h2>\n", sections_.size(), escape_markup(text));
  } else {
    body_ += fmt::format("<h3>{}</h3>\n", escape_markup(text));
  }
}

void HtmlPage::paragraph(std::string_view text) {
  body_ += fmt::format("<p>{}</p>\n", escape_markup(text));
}

void HtmlPage::note(std::string_view text) {
  body_ += fmt::format("<p class=\"note\">{}</p>\n", escape_markup(text));
}

void HtmlPage::key_figures(const std::vector<KeyFigure>& figures) {
  body_ += "<dl class=\"figures\">\n";
  for (const KeyFigure& figure : figures) {
    body_ += fmt::format("<div class=\"card\"><dt>{}</dt><dd class=\"value\">{}</dd>", escape_markup(figure.label),
                         escape_markup(figure.value));
    if (!figure.note.empty()) body_ += fmt::format("<dd class=\"small\">{}</dd>", escape_markup(figure.note));
    body_ += "</div>\n";
  }
  body_ += "</dl>\n";
}

void HtmlPage::table(const Table& table, std::string_view caption) {
  const auto row = [&](const std::vector<std::string>& cells, std::string_view tag) {
    for (size_t column = 0; column < cells.size(); ++column) {
      const std::string_view align = table.align(column) == Align::kRight ? " class=\"r\"" : "";
      body_ += fmt::format("<{0}{1}>{2}</{0}>", tag, align, escape_markup(cells[column]));
    }
  };
  body_ += "<figure><div class=\"card scroll\"><table>\n<thead><tr>";
  row(table.header(), "th");
  body_ += "</tr></thead>\n<tbody>\n";
  for (const Table::Row& one : table.rows()) {
    body_ += one.total ? "<tr class=\"total\">" : "<tr>";
    row(one.cells, "td");
    body_ += "</tr>\n";
  }
  body_ += fmt::format("</tbody></table></div>{}</figure>\n", figcaption(caption));
}

// In the two below a line break follows <pre>: HTML drops it, so that the text's own first one stays.
void HtmlPage::code(std::string_view text, std::string_view caption) {
  body_ += fmt::format("<figure><pre class=\"card\">\n{}</pre>{}</figure>\n", escape_markup(text), figcaption(caption));
}

void HtmlPage::folded(std::string_view summary, std::string_view text) {
  body_ += fmt::format("<details class=\"card\"><summary>{}</summary><pre>\n{}</pre></details>\n", escape_markup(summary),
                       escape_markup(text));
}

void HtmlPage::svg(std::string_view markup, std::string_view caption) {
  require(markup.starts_with("<svg"), "HtmlPage: svg starts with '{}', expected '<svg'", markup.substr(0, 20));
  body_ += fmt::format("<figure class=\"card svg\">{}{}</figure>\n", markup, figcaption(caption));
}

void HtmlPage::runs(const std::vector<TextRun>& runs, std::string_view caption) {
  body_ += "<figure><pre class=\"card wrapped\">\n";
  for (const TextRun& run : runs) {
    const std::string text = escape_markup(run.text);
    if (run.marked || run.faint) {
      body_ += fmt::format("<{0}>{1}</{0}>", run.marked ? "mark" : "small", text);
    } else {
      body_ += text;
    }
  }
  body_ += fmt::format("</pre>{}</figure>\n", figcaption(caption));
}

void HtmlPage::pictures(const std::vector<Picture>& pictures, PictureSize size) {
  body_ += fmt::format("<div class=\"pictures{}\">\n", size == PictureSize::kLarge ? " large" : "");
  for (size_t i = 0; i < pictures.size(); ++i) {
    const Picture& picture = pictures[i];
    const std::string_view type = media_type(picture.encoded);
    require(!type.empty(), "HtmlPage: picture {} of {} ({} bytes) is no PNG, JPEG or WebP file", i + 1, pictures.size(),
            picture.encoded.size());
    const std::string alt = !picture.alt.empty() ? picture.alt : picture.lines.empty() ? "" : picture.lines[0].text;
    body_ += fmt::format("<figure class=\"card\"><img{} alt=\"{}\" src=\"data:{};base64,{}\">",
                         is_tiny(picture.encoded) ? " class=\"tiny\"" : "", escape_markup(alt), type, base64(picture.encoded));
    body_ += "<div class=\"lines\">";
    for (const Picture::Line& line : picture.lines) body_ += line_markup(line);
    body_ += "</div></figure>\n";
  }
  body_ += "</div>\n";
}

void HtmlPage::footer(std::string_view text) {
  footer_ = text;
}

std::string HtmlPage::str() const {
  std::string head = fmt::format("<h1>{}</h1>\n", escape_markup(title_));
  if (!subtitle_.empty()) head += fmt::format("<p class=\"subtitle\">{}</p>\n", escape_markup(subtitle_));
  if (sections_.size() > 2) {
    head += "<nav>";
    for (size_t i = 0; i < sections_.size(); ++i) {
      head += fmt::format("<a href=\"#s{}\">{}</a>", i + 1, escape_markup(sections_[i]));
    }
    head += "</nav>\n";
  }
  const std::string foot = footer_.empty() ? "" : fmt::format("<footer>{}</footer>\n", escape_markup(footer_));
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n<header>\n{}</header>\n{}{}</main>\n</body>\n</html>\n",
      escape_markup(title_), kHtmlStyle, head, body_, foot);
}

void HtmlPage::save(const std::filesystem::path& path) const {
  write_file_atomic(path, str());
}

}  // namespace ocelli::report
