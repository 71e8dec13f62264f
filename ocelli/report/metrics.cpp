#include "ocelli/report/metrics.h"

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/log.h"

namespace ocelli::report {
namespace {

constexpr uint64_t kMaxBytes = 4ULL << 30;

/// Discarded when the line is no JSON object.
Json parse_line(std::string_view line) {
  Json value = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return value.is_object() ? value : Json(Json::value_t::discarded);
}

/// Calls `visit(line, number, torn)` for every line without its break; `torn`: it is the last and has none.
template <typename Visit>
void each_line(std::string_view text, Visit visit) {
  int64_t number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const bool torn = end == std::string_view::npos;
    visit(text.substr(0, end), ++number, torn);
    text.remove_prefix(torn ? text.size() : end + 1);
  }
}

template <typename AnyJson>
std::string line_of(const AnyJson& value, const std::filesystem::path& path) {
  require(value.is_object(), "{}: a line of type {}, expected an object", path.string(), value.type_name());
  return value.dump(-1, ' ', false, AnyJson::error_handler_t::replace) + '\n';
}

}  // namespace

JsonLines::JsonLines(std::filesystem::path path) : file_(std::move(path), AppendFile::Mode::kContinue) {
  if (file_.size() == 0) return;
  const auto map = MappedFile::open(file_.path());
  const std::string_view text(reinterpret_cast<const char*>(map->bytes().data()), map->bytes().size());
  if (text.ends_with('\n')) return;
  const size_t last_break = text.rfind('\n');
  const size_t begin = last_break == std::string_view::npos ? 0 : last_break + 1;
  if (parse_line(text.substr(begin)).is_discarded()) {
    file_.cut(begin);
  } else {
    file_.append("\n");
  }
}

void JsonLines::append(const OrderedJson& line) {
  file_.append(line_of(line, path()));
}
void JsonLines::append(const Json& line) {
  file_.append(line_of(line, path()));
}

std::vector<Json> read_json_lines(const std::filesystem::path& path) {
  std::vector<Json> lines;
  each_line(read_file(path, kMaxBytes), [&](std::string_view line, int64_t number, bool torn) {
    if (line.empty()) return;
    Json value = parse_line(line);
    if (!value.is_discarded()) {
      lines.push_back(std::move(value));
    } else {
      require(torn, "{}: line {} is no JSON object", path.string(), number);
    }
  });
  return lines;
}

void truncate_lines_after(const std::filesystem::path& path, int64_t step) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_file(path, kMaxBytes);
  std::string kept;
  each_line(text, [&](std::string_view line, int64_t number, bool torn) {
    const Json value = parse_line(line);
    if (value.is_discarded()) {
      if (!torn && !line.empty()) log::warning("{}: line {} is no JSON object and is dropped", path.string(), number);
      return;
    }
    const auto found = value.find("step");
    if (found != value.end() && found->is_number() && found->get<double>() > static_cast<double>(step)) return;
    kept += line;
    kept += '\n';
  });
  if (kept != text) write_file_atomic(path, kept);
}

}  // namespace ocelli::report
