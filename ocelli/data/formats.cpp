#include <algorithm>
#include <array>

#include "ocelli/base/error.h"
#include "ocelli/data/coco.h"
#include "ocelli/data/conversation_dataset.h"
#include "ocelli/data/dataset.h"
#include "ocelli/data/file_text.h"
#include "ocelli/data/json_scan.h"
#include "ocelli/data/line_index.h"
#include "ocelli/data/lineidx_tsv.h"
#include "ocelli/data/parquet.h"
#include "ocelli/data/picture_folder.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/refcoco.h"
#include "ocelli/data/text_only.h"
#include "ocelli/data/vlmeval_tsv.h"
#include "ocelli/data/vqa_v2.h"
#include "ocelli/data/webdataset.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFormats = {
    Format{"llava", "JSON or JSONL of LLaVA's records", open_conversations, write_llava},
    Format{"sharegpt", "JSON or JSONL of ShareGPT's records, pictures in `images`", open_conversations, write_sharegpt},
    Format{"messages", "JSON or JSONL of OpenAI's `messages`, pictures in `images` or inline", open_conversations,
           write_messages},
    Format{"webdataset", "tar shards (.tar, .tar.gz, .tar.zst), one sample a base name", open_webdataset, write_webdataset},
    Format{"vlmeval", "VLMEvalKit's TSV: question, options, answer, pictures in base64", open_vlmeval_tsv, write_vlmeval_tsv},
    Format{"parquet", "Parquet as Hugging Face datasets write it, pictures inside", open_parquet, write_parquet},
    Format{"folder", "pictures with captions: x.txt beside x.jpg, metadata.jsonl or captions.csv", open_picture_folder,
           write_picture_folder},
    Format{"text", "JSONL without pictures: messages, or instruction, input, output", open_text_only, write_text_only},
    Format{"vqa", "VQA v2's questions, its answers as annotations", open_vqa_v2, write_vqa_v2},
    Format{"coco", "COCO's captions or instances", open_coco, write_coco},
    Format{"refcoco", "refs(split).p with COCO's instances as annotations, or InternVL's JSONL", open_refcoco, nullptr},
    Format{"lineidx", "TSV with an index of lines beside it (.lineidx), pictures in base64", open_lineidx_tsv, write_lineidx_tsv},
};

std::string known_formats() {
  std::string names;
  for (const Format& format : kFormats) names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

bool is_archive(const std::string& name) {
  return std::any_of(kWebdatasetSuffixes.begin(), kWebdatasetSuffixes.end(),
                     [&](std::string_view suffix) { return name.ends_with(suffix); });
}

bool holds_parquet(const fs::path& folder) {
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.path().extension() == ".parquet") return true;
  }
  return false;
}

/// An array holds conversations, and so do lines of objects; COCO and VQA v2 are one object of lists.
std::string format_of_json(const fs::path& path) {
  std::error_code unreadable;
  if (!fs::is_regular_file(path, unreadable)) return "llava";  // one to be written, or an error when it is opened
  const FileText file(path);
  if (find_value(file.text(), "questions")) return "vqa";
  return find_value(file.text(), "annotations") && find_value(file.text(), "images") ? "coco" : "llava";
}

}  // namespace

std::span<const Format> formats() {
  return kFormats;
}

const Format& find_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name == name) return format;
  }
  fail("data format \"{}\" is not known; known are {}", name, known_formats());
}

std::string format_of(const fs::path& path) {
  const std::string name = path.filename().string();
  const auto ends = [&](std::string_view suffix) { return name.ends_with(suffix); };
  if (ends(".json")) return format_of_json(path);
  if (ends(".jsonl")) return "llava";
  if (is_archive(name)) return "webdataset";
  if (ends(".tsv")) return is_there(line_index_of(path)) ? "lineidx" : "vlmeval";
  if (name.starts_with("refs(") && ends(".p")) return "refcoco";
  if (ends(".parquet")) return "parquet";
  std::error_code unreadable;
  if (fs::is_directory(path, unreadable)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(path, unreadable)) {
      const std::string inside = entry.path().filename().string();
      // Hugging Face's repositories keep theirs in `data`.
      if (inside.ends_with(".parquet") || (inside == "data" && holds_parquet(entry.path()))) return "parquet";
      if (is_archive(inside)) return "webdataset";
    }
    return "folder";
  }
  fail("{}: its format can't be told by its name; say which it is, one of {}", path.string(), known_formats());
}

std::shared_ptr<const Dataset> open_dataset(const DatasetOptions& options) {
  const Format& format = find_format(options.format.empty() ? format_of(options.path) : options.format);
  return format.open(options);
}

}  // namespace ocelli::data
