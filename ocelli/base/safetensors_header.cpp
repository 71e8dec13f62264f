#include "ocelli/base/safetensors_header.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "ocelli/base/json_sax.h"

namespace ocelli::detail {
namespace {

/// Reads a header event by event, so that what it may hold in memory is bounded before it is held.
class HeaderHandler : public SaxHandler {
 public:
  using SaxHandler::SaxHandler;

  bool null() { unexpected("null"); }
  bool boolean(bool /*value*/) { unexpected("true or false"); }
  bool number_float(double /*value*/, const std::string& /*text*/) { unexpected("a number that is no 64-bit integer"); }
  bool binary(Json::binary_t& /*value*/) { unexpected("binary data"); }

  bool number_integer(int64_t value) {
    if (value < 0) unexpected("a negative number");
    return number_unsigned(static_cast<uint64_t>(value));  // "-0"
  }

  bool number_unsigned(uint64_t value) {
    if (state_ == State::kShape) {
      if (value > static_cast<uint64_t>(INT64_MAX))
        fail_here("tensor {}: dimension {} is too large", quoted_name(entry_.name), value);
      if (entry_.shape.size() == kMaxRank) fail_here("tensor {}: more than {} dimensions", quoted_name(entry_.name), kMaxRank);
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else if (state_ == State::kOffsets) {
      if (num_offsets_ == 2) fail_here("tensor {}: more than two data_offsets", quoted_name(entry_.name));
      (num_offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool string(std::string& value) {
    if (state_ == State::kMetadata) {
      header_.metadata[key_] = std::move(value);
    } else if (state_ == State::kEntry && key_ == "dtype") {
      const auto dtype = dtype_from_name(value);
      if (!dtype) fail_here("tensor {}: dtype {} isn't known", quoted_name(entry_.name), quoted_name(value));
      entry_.dtype = *dtype;
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_object(size_t /*count*/) {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && key_ == "__metadata__") {
      state_ = State::kMetadata;
    } else if (state_ == State::kTop) {
      state_ = State::kEntry;
      entry_ = HeaderEntry{};
      entry_.name = key_;
      seen_fields_ = 0;
      num_offsets_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool end_object() {
    if (state_ == State::kEntry) {
      if (seen_fields_ != (kDtypeField | kShapeField | kOffsetsField)) {
        fail_here("tensor {}: needs dtype, shape and data_offsets", quoted_name(entry_.name));
      }
      header_.entries.push_back(std::move(entry_));
      state_ = State::kTop;
    } else if (state_ == State::kMetadata) {
      state_ = State::kTop;
    } else {
      state_ = State::kEnd;
    }
    return true;
  }

  bool start_array(size_t /*count*/) {
    if (state_ == State::kEntry && key_ == "shape") {
      state_ = State::kShape;
    } else if (state_ == State::kEntry && key_ == "data_offsets") {
      state_ = State::kOffsets;
    } else {
      unexpected("a list");
    }
    return true;
  }

  bool end_array() {
    if (state_ == State::kOffsets && num_offsets_ != 2) fail_here("tensor {}: needs two data_offsets", quoted_name(entry_.name));
    state_ = State::kEntry;
    return true;
  }

  bool key(std::string& name) {
    if (state_ == State::kTop) {
      if (names_.size() > kMaxTensors) fail_here("more than {} tensors", kMaxTensors);  // one name may be __metadata__
      if (!names_.insert(name).second) fail_here("name {} is given twice", quoted_name(name));
      key_ = std::move(name);
    } else if (state_ == State::kMetadata) {
      if (header_.metadata.size() == kMaxMetadataEntries) fail_here("more than {} metadata entries", kMaxMetadataEntries);
      if (header_.metadata.contains(name)) fail_here("metadata {} is given twice", quoted_name(name));
      key_ = std::move(name);
    } else {
      key_ = std::move(name);
      note_field();
    }
    return true;
  }

  SafetensorsHeader take() {
    if (header_.entries.size() > kMaxTensors) fail_here("more than {} tensors", kMaxTensors);
    return std::move(header_);
  }

 private:
  enum class State : uint8_t { kStart, kTop, kMetadata, kEntry, kShape, kOffsets, kEnd };
  static constexpr unsigned kDtypeField = 1;
  static constexpr unsigned kShapeField = 2;
  static constexpr unsigned kOffsetsField = 4;

  void note_field() {
    const unsigned field = key_ == "dtype"          ? kDtypeField
                           : key_ == "shape"        ? kShapeField
                           : key_ == "data_offsets" ? kOffsetsField
                                                    : 0;
    if (field == 0)
      fail_here("tensor {}: unknown key {}, expected dtype, shape, data_offsets", quoted_name(entry_.name), quoted_name(key_));
    if ((seen_fields_ & field) != 0) fail_here("tensor {}: {} is given twice", quoted_name(entry_.name), key_);
    seen_fields_ |= field;
  }

  [[noreturn]] void unexpected(std::string_view what) const {
    switch (state_) {
      case State::kStart:
      case State::kEnd:
        fail_here("{}, expected the header's object", what);
      case State::kTop:
        fail_here("{} is {}, expected an object", quoted_name(key_), what);
      case State::kMetadata:
        fail_here("metadata {} is {}, expected a string", quoted_name(key_), what);
      case State::kEntry:
      case State::kShape:
      case State::kOffsets:
        break;
    }
    fail_here("tensor {}: {} holds {}, expected {}", quoted_name(entry_.name), key_, what,
              key_ == "dtype" ? "a string" : "a list of non-negative integers");
  }

  State state_ = State::kStart;
  std::string key_;
  HeaderEntry entry_;
  unsigned seen_fields_ = 0;
  int num_offsets_ = 0;
  std::unordered_set<std::string> names_;
  SafetensorsHeader header_;
};

}  // namespace

SafetensorsHeader parse_header(std::string_view text, std::string_view origin) {
  HeaderHandler handler(text, origin);
  // The format wants '{' first; nlohmann would skip white space and a byte order mark.
  if (!text.starts_with('{')) fail("{}: header doesn't start with '{{', so this is no safetensors file", origin);
  sax_parse(handler);
  return handler.take();
}

bool bytes_of(DType dtype, const std::vector<int64_t>& shape, uint64_t& bytes) {
  // Zero dimensions are left out of the product: [0, 2^40, 2^40] has no elements, yet strides made from it would overflow.
  int64_t product = size_of(dtype);
  bool empty = false;
  for (const int64_t dimension : shape) {
    if (dimension < 0) return false;
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return false;
    }
  }
  bytes = empty ? 0 : static_cast<uint64_t>(product);
  return true;
}

std::string quoted_name(std::string_view name) {
  constexpr size_t kMost = 120;
  const bool is_long = name.size() > kMost;
  const std::string text = Json(name.substr(0, kMost)).dump(-1, ' ', false, Json::error_handler_t::ignore);
  return is_long ? text + "…" : text;
}

}  // namespace ocelli::detail
