#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ocelli/data/sample.h"

namespace ocelli::data {

/// Makes a picture of what a record calls it: a path, mostly.
using PictureAt = std::function<Picture(const std::string& named)>;

/// The record's "id" as a text; `otherwise` when it has none.
std::string id_of(const Json& record, const std::string& otherwise);

/// Fills `sample` from a record of any of the JSON forms in use, told apart by their keys:
/// - LLaVA: `{"id", "image": path or list, "conversations": [{"from": "human" | "gpt" | "system", "value"}]}`, with ours beside
/// it:
///   `"independent": bool, "question_types": [..], "answers": [[references] per question], "regions": [..]`;
/// - ShareGPT: `conversations`, `images`, `system`; MiniCPM-V: `image` as a table of marks (`{"<image_00>": path}`) and turns of
///   `role`, `content`;
/// - OpenAI: `messages` of `role`, `content`, the content a text or a list of `text`, `image_url` (also `data:` URLs) and `image`
///   parts; `images`.
/// Keys without a place in Sample go to Sample::extra. A first turn of the assistant is left out, as LLaVA does.
/// Throws Error starting with `where`: roles that don't alternate, an empty answer, marks that don't match the pictures, …
/// Sources: haotian-liu/LLaVA docs/Finetune_Custom_Data.md; hiyouga/LLaMA-Factory data/README.md; OpenBMB/MiniCPM-V finetune.
void read_conversation(const Json& record, const std::string& where, const PictureAt& picture_at, Sample& sample);

enum class RecordForm { kLlava, kShareGpt, kMessages };
/// The sample as a record of `form`, its pictures called as `pictures` says. ShareGPT's and OpenAI's fields beside the
/// conversation keep our names, which other readers ignore. A field of Sample::extra that is called as one of the record's own
/// (another format's "image", say) gets a "_" behind its name.
OrderedJson conversation_record(const Sample& sample, const std::vector<std::string>& pictures,
                                RecordForm form = RecordForm::kLlava);

}  // namespace ocelli::data
