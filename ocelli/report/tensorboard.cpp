#include "ocelli/report/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <limits>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/log.h"
#include "ocelli/report/crc32c.h"

namespace ocelli::report {
namespace {

static_assert(std::endian::native == std::endian::little, "records are written as they lie in memory");

constexpr std::string_view kPrefix = "events.out.tfevents.";
constexpr size_t kFlushBytes = 64 << 10;

// Protocol buffers: a field is its key (number and wire type) and its value.
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_key(std::string& out, uint32_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

template <typename Value>
void put_raw(std::string& out, Value value) {
  std::array<char, sizeof(Value)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(Value));
  out.append(bytes.data(), bytes.size());
}

void put_double(std::string& out, uint32_t field, double value) {
  put_key(out, field, kFixed64);
  put_raw(out, value);
}

void put_float(std::string& out, uint32_t field, float value) {
  put_key(out, field, kFixed32);
  put_raw(out, value);
}

void put_integer(std::string& out, uint32_t field, int64_t value) {
  put_key(out, field, kVarint);
  put_varint(out, static_cast<uint64_t>(value));
}

void put_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

/// Summary{1: Value{1: tag, 2: simple_value}}
void put_scalar(std::string& summary, std::string_view tag, double value) {
  std::string message;
  put_bytes(message, 1, tag);
  put_float(message, 2, static_cast<float>(value));
  put_bytes(summary, 1, message);
}

std::string record(std::string_view payload) {
  std::string length, out;
  put_raw(length, static_cast<uint64_t>(payload.size()));
  out += length;
  put_raw(out, masked_crc32c(length));
  out += payload;
  put_raw(out, masked_crc32c(payload));
  return out;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  std::string text = name.data();
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

/// Takes records off the front of a file's bytes.
class RecordReader {
 public:
  explicit RecordReader(std::string_view bytes) : bytes_(bytes) {}

  /// The next record with its frame, and its payload; nothing at the end and where the file is torn or damaged.
  struct Record {
    std::string_view whole, payload;
  };
  std::optional<Record> next() {
    constexpr size_t kHead = 12, kFoot = 4;
    const std::string_view rest = bytes_.substr(at_);
    if (rest.size() < kHead + kFoot || !checksum_holds(rest.substr(0, 8), rest.substr(8))) return {};
    uint64_t length = 0;
    std::memcpy(&length, rest.data(), sizeof(length));
    if (length > rest.size() - kHead - kFoot) return {};
    const std::string_view payload = rest.substr(kHead, length);
    if (!checksum_holds(payload, rest.substr(kHead + length))) return {};
    at_ += kHead + length + kFoot;
    return Record{rest.substr(0, kHead + length + kFoot), payload};
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  static bool checksum_holds(std::string_view data, std::string_view stored) {
    uint32_t checksum = 0;
    std::memcpy(&checksum, stored.data(), sizeof(checksum));
    return checksum == masked_crc32c(data);
  }
  std::string_view bytes_;
  size_t at_ = 0;
};

/// What truncation needs of an Event; fields it doesn't know are passed over. Nothing when the message is malformed.
struct EventHead {
  int64_t step = 0;
  bool version = false;  ///< holds file_version, field 3
};

std::optional<uint64_t> take_varint(std::string_view& message) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !message.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(message[0]);
    message.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return {};
}

std::optional<EventHead> parse_event(std::string_view message) {
  EventHead event;
  while (!message.empty()) {
    const std::optional<uint64_t> key = take_varint(message);
    if (!key) return {};
    const uint64_t field = *key >> 3;
    uint64_t skip = 0;
    switch (*key & 7) {
      case kVarint: {
        const std::optional<uint64_t> value = take_varint(message);
        if (!value) return {};
        if (field == 2) event.step = static_cast<int64_t>(*value);
        break;
      }
      case kFixed64:
        skip = 8;
        break;
      case kFixed32:
        skip = 4;
        break;
      case kBytes: {
        const std::optional<uint64_t> length = take_varint(message);
        if (!length) return {};
        skip = *length;
        if (field == 3) event.version = true;
        break;
      }
      default:
        return {};
    }
    if (skip > message.size()) return {};
    message.remove_prefix(skip);
  }
  return event;
}

void truncate_file(const std::filesystem::path& path, int64_t step) {
  const auto file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  std::vector<std::string_view> kept;
  bool any_event = false, changed = false;
  RecordReader reader(bytes);
  while (const auto record = reader.next()) {
    const std::optional<EventHead> event = parse_event(record->payload);
    if (event && (event->version || event->step <= step)) {
      kept.push_back(record->whole);
      any_event |= !event->version;
    } else {
      changed = true;
    }
  }
  changed |= !reader.at_end();
  if (!any_event) {
    std::error_code code;
    std::filesystem::remove(path, code);
    require(!code, "{}: can't remove it: {}", path.string(), code.message());
    return;
  }
  if (!changed) return;
  AtomicFile out(path);
  for (const std::string_view whole : kept) out.write(whole);
  out.commit();
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& folder) {
  make_directories(folder);
  const std::string base =
      fmt::format("{}{:010}.{}.{}", kPrefix, static_cast<int64_t>(now()), host_name(), static_cast<int64_t>(::getpid()));
  // A second writer of this process within the second takes the next number.
  std::filesystem::path path = folder / base;
  for (int n = 1; std::filesystem::exists(path); ++n) path = folder / fmt::format("{}.{}", base, n);
  file_ = std::make_unique<AppendFile>(path, AppendFile::Mode::kCreateNew);
  std::string version;
  put_double(version, 1, now());
  put_bytes(version, 3, "brain.Event:2");
  file_->append(record(version));
}

EventWriter::~EventWriter() {
  try {
    flush();
  } catch (const std::exception& error) {
    log::warning("the last events are lost: {}", error.what());
  }
}

void EventWriter::scalar(std::string_view tag, double value, int64_t step, std::optional<double> wall_time) {
  std::string summary;
  put_scalar(summary, tag, value);
  event(summary, step, wall_time);
}

void EventWriter::scalars(const std::vector<std::pair<std::string, double>>& values, int64_t step,
                          std::optional<double> wall_time) {
  std::string summary;
  for (const auto& [tag, value] : values) put_scalar(summary, tag, value);
  event(summary, step, wall_time);
}

// Summary{1: Value{1: tag, 8: TensorProto{1: dtype DT_STRING = 7, 2: shape{2: dim{1: size 1}}, 8: string_val},
//                  9: SummaryMetadata{1: PluginData{1: plugin_name}, 4: data_class DATA_CLASS_TENSOR = 2}}}
void EventWriter::text(std::string_view tag, std::string_view markdown, int64_t step, std::optional<double> wall_time) {
  std::string dim, shape, tensor, plugin, metadata, value, summary;
  put_integer(dim, 1, 1);
  put_bytes(shape, 2, dim);
  put_integer(tensor, 1, 7);
  put_bytes(tensor, 2, shape);
  put_bytes(tensor, 8, markdown);
  put_bytes(plugin, 1, "text");
  put_bytes(metadata, 1, plugin);
  put_integer(metadata, 4, 2);
  put_bytes(value, 1, tag);
  put_bytes(value, 8, tensor);
  put_bytes(value, 9, metadata);
  put_bytes(summary, 1, value);
  event(summary, step, wall_time);
}

void EventWriter::event(std::string_view summary, int64_t step, std::optional<double> wall_time) {
  std::string message;
  put_double(message, 1, wall_time.value_or(now()));
  put_integer(message, 2, step);
  put_bytes(message, 5, summary);
  pending_ += record(message);
  if (pending_.size() >= kFlushBytes) flush();
}

void EventWriter::flush() {
  if (pending_.empty()) return;
  file_->append(pending_);
  pending_.clear();
}

void truncate_events_after(const std::filesystem::path& folder, int64_t step) {
  std::error_code code;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    if (entry->path().filename().string().starts_with(kPrefix)) files.push_back(entry->path());
  }
  if (code == std::errc::no_such_file_or_directory) return;
  require(!code, "{}: can't list it: {}", folder.string(), code.message());
  for (const std::filesystem::path& path : files) {
    // The rest of a truncation that was killed: TensorBoard would read it beside the file it was to replace.
    if (path.filename().string().find(".tmp-") != std::string::npos) {
      std::filesystem::remove(path, code);
      require(!code, "{}: can't remove it: {}", path.string(), code.message());
    } else {
      truncate_file(path, step);
    }
  }
}

}  // namespace ocelli::report
