#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ocelli/base/json.h"

namespace ocelli::data {

enum class Severity : uint8_t { kError, kWarning };

/// What can be wrong with a data set's sample.
enum class FindingKind : uint8_t {
  kRecord,
  kPlaceholder,
  kEmptyAnswer,
  kMissingPicture,
  kBrokenPicture,
  kMarkInAnswer,
  kNul,
  kBox,
  kAnswerLetter,
  kLeakedPicture,
  kLeakedPair,
  kLeakedNearPicture,
  kLeakedQuestion,
  kWrongSuffix,
  kTinyPicture,
  kExtremeAspect,
  kDuplicatePicture,
  kNearDuplicatePicture,
  kDuplicateSample,
  kDuplicateId,
  kEmptyQuestion,
  kTemplateToken,
  kMojibake,
};

struct FindingInfo {
  FindingKind kind;
  std::string_view name;  ///< as reports and JSON write it
  Severity severity;
  std::string_view about;  ///< a few words for people
};
/// All of them, errors first; kind k stands at place k.
std::span<const FindingInfo> finding_infos();
const FindingInfo& info_of(FindingKind kind);

/// One thing found in one sample.
struct Finding {
  FindingKind kind = FindingKind::kRecord;
  std::string source = {};  ///< name of the data set
  int64_t index = 0;        ///< of the sample in it
  std::string id = {};      ///< of the sample; empty when its record can't be read
  std::string text = {};

  OrderedJson to_json() const;
};

}  // namespace ocelli::data
