#include "ocelli/data/finding.h"

#include <array>

namespace ocelli::data {
namespace {

using Kind = FindingKind;
constexpr auto kInfos = std::to_array<FindingInfo>({
    {Kind::kRecord, "record", Severity::kError, "records that can't be read"},
    {Kind::kPlaceholder, "placeholder", Severity::kError, "picture marks that don't match the pictures"},
    {Kind::kEmptyAnswer, "empty_answer", Severity::kError, "answers without text"},
    {Kind::kMissingPicture, "missing_picture", Severity::kError, "pictures that aren't there"},
    {Kind::kBrokenPicture, "broken_picture", Severity::kError, "pictures that can't be decoded"},
    {Kind::kMarkInAnswer, "mark_in_answer", Severity::kError, "picture marks inside answers"},
    {Kind::kNul, "nul", Severity::kError, "NUL characters in texts"},
    {Kind::kBox, "box", Severity::kError, "boxes that leave their picture or are inside out"},
    {Kind::kAnswerLetter, "answer_letter", Severity::kError, "letters that are none of the question's options"},
    {Kind::kLeakedPicture, "leaked_picture", Severity::kError, "pictures of the other set"},
    {Kind::kLeakedPair, "leaked_pair", Severity::kError, "questions of the other set, about the same pictures"},
    {Kind::kLeakedNearPicture, "leaked_near_picture", Severity::kWarning, "nearly pictures of the other set"},
    {Kind::kLeakedQuestion, "leaked_question", Severity::kWarning, "questions of the other set (each once)"},
    {Kind::kWrongSuffix, "wrong_suffix", Severity::kWarning, "pictures of another kind than their suffix says"},
    {Kind::kTinyPicture, "tiny_picture", Severity::kWarning, "pictures with a side too short to show anything"},
    {Kind::kExtremeAspect, "extreme_aspect", Severity::kWarning, "pictures far longer than wide, or wider than long"},
    {Kind::kDuplicatePicture, "duplicate_picture", Severity::kWarning, "pictures with the bytes of another"},
    {Kind::kNearDuplicatePicture, "near_duplicate_picture", Severity::kWarning, "pictures that look like another"},
    {Kind::kDuplicateSample, "duplicate_sample", Severity::kWarning, "the same question, answer and pictures again"},
    {Kind::kDuplicateId, "duplicate_id", Severity::kWarning, "ids that another sample has"},
    {Kind::kEmptyQuestion, "empty_question", Severity::kWarning, "questions without words"},
    {Kind::kTemplateToken, "template_token", Severity::kWarning, "texts that hold what chat templates write"},
    {Kind::kMojibake, "mojibake", Severity::kWarning, "texts that were read in the wrong encoding"},
});

constexpr bool in_order() {
  for (size_t i = 0; i < kInfos.size(); ++i) {
    if (static_cast<size_t>(kInfos[i].kind) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

std::span<const FindingInfo> finding_infos() {
  return kInfos;
}

const FindingInfo& info_of(FindingKind kind) {
  return kInfos[static_cast<size_t>(kind)];
}

OrderedJson Finding::to_json() const {
  const FindingInfo& info = info_of(kind);
  return {{"kind", info.name}, {"severity", info.severity == Severity::kError ? "error" : "warning"},
          {"source", source},  {"index", index},
          {"id", id},          {"text", text}};
}

}  // namespace ocelli::data
