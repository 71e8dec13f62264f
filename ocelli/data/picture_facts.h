#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ocelli/data/sample.h"

namespace ocelli::data {

/// What can be told about a picture by decoding it whole.
struct PictureFacts {
  enum class State {
    kGood,
    kMissing,  ///< no such file, or it can't be read
    kBroken,   ///< no JPEG, PNG or WebP, truncated, damaged, or above the limits of DecodeOptions
  } state = State::kGood;
  std::string fault;        ///< why it isn't good, naming the picture
  std::string name;         ///< see Picture::name()
  std::string_view kind;    ///< "JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF" by the first bytes; empty: none of them
  uint64_t bytes_hash = 0;  ///< XXH3 of the encoded bytes; 0: not read
  int64_t width = 0, height = 0;
  std::optional<uint64_t> hash;  ///< see difference_hash()

  /// The longer side over the shorter.
  double aspect() const;
  /// The suffix of its name stands for another kind of file than the content is: "cat.jpg" that is a PNG. Names without a suffix
  /// that is known are right.
  bool wrong_suffix() const;
};

/// Never throws for what is wrong with the picture. Thread-safe.
PictureFacts look_at(const Picture& picture, const image::DecodeOptions& options = {});

/// The kind of file by its first bytes, as PictureFacts::kind.
std::string_view picture_kind(std::string_view bytes);

}  // namespace ocelli::data
