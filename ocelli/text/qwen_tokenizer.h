#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ocelli/text/tokenizer.h"

namespace ocelli::text {

/// Which special tokens Qwen's first tokenizer has.
struct QwenOptions {
  bool vision = true;        ///< Qwen-VL: <ref> <box> <quad> <img> <imgpad> follow the 208 of Qwen
  int64_t image_span = 256;  ///< ids between <img> and </img> (TextMonkey: its config's visual.n_queries)
};

/// Qwen 1 and Qwen-VL: `qwen.tiktoken`, lines of base64 bytes and rank, used as `tiktoken` does: NFC, Qwen's split, then the pair
/// whose joined bytes have the lowest rank is joined first. Special tokens are numbered after the ranks; all count wherever they
/// stand in the text, and nothing is added around it. Source: tokenization_qwen.py of Qwen/Qwen-VL.
///
/// Between `<img>` and `</img>` the text is a path: its UTF-8 bytes are ids 0 to 255 (the byte's value, not its token), filled up
/// with `<imgpad>` to `image_span`. encode() throws Error for a path above the span, with special tokens in it, or without end;
/// decode() turns the ids back into the path.
///
/// Throws Error naming line and value for what is no base64, a rank that isn't its own, or a byte without rank.
std::shared_ptr<const Tokenizer> make_qwen_tokenizer(std::string_view ranks, const std::string& origin,
                                                     const QwenOptions& options);

}  // namespace ocelli::text
