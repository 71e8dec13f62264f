#pragma once

#include <array>
#include <memory>
#include <string_view>

#include "ocelli/data/dataset.h"

namespace ocelli::data {

/// What names of shards end in.
inline constexpr std::array<std::string_view, 5> kWebdatasetSuffixes = {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"};

/// Tar shards in WebDataset's form: neighbouring members that share their name up to the first dot of the file name (folders
/// kept) are a sample, what follows the dot is the field. `path`: a tar, a pattern `name-{000000..000099}.tar`, or a folder of
/// tars.
///
/// - Pictures: fields ending in jpg, jpeg, png, webp. A record that names members or fields gets those; else all, in the order of
///   their names with numbers counted ("2.png" before "10.png").
/// - `json`: a conversation (see read_conversation), or what img2dataset writes, whose `caption` becomes the answer.
/// - `txt`, `caption`: the answer to PromptForms' "caption"; comes before the json's own.
/// - other fields are left alone, and so are names without a dot or starting with one.
///
/// Opening reads every header once and keeps 8 bytes a sample; shards are mapped and opened side by side. `.tar.gz` and
/// `.tar.zst` can't be read at any place, so opening unpacks them, see decompress(). Sources: webdataset/webdataset
/// webdataset/tariterators.py (base_plus_ext, group_by_keys); rom1504/img2dataset README. Differs: a damaged shard is an error
/// when it is opened, not the end of its samples.
std::shared_ptr<const Dataset> open_webdataset(const DatasetOptions& options);

/// Writes samples as `000000012.jpg` (or `000000012.0.jpg`, `.1.png`, … of several) and `000000012.json`, a record in LLaVA's
/// form that names them. Pictures keep their bytes; one that is neither JPEG, PNG nor WebP is an Error. Shards of `shard_samples`
/// are called `name-000000.tar`, see ShardFiles. A target called .tar.gz or .tar.zst is compressed.
std::unique_ptr<SampleWriter> write_webdataset(const WriterOptions& options);

}  // namespace ocelli::data
