#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ocelli::data {

/// One message of a conversation. `text` marks each picture as `<image>`.
struct Turn {
  enum class Role { kSystem, kUser, kAssistant } role = Role::kUser;
  std::string text;
};

/// One conversation, or independent questions about the same pictures.
struct Sample {
  std::string id;                               ///< as the file gives it, else its index
  std::vector<std::filesystem::path> pictures;  ///< on disk, in order of their marks
  std::vector<Turn> turns;
  /// Each user turn with its answer stands alone: questions don't see each other, and every one sees all pictures. The first user
  /// turn carries the marks; the others are given the same ones.
  bool independent = false;
  std::vector<std::string> question_types;  ///< one per question, may be empty

  std::vector<std::vector<std::string>> references;  ///< per question, what several people answered; empty: the answer turn alone

  /// What `batch_size` counts: independent questions, else one conversation.
  int64_t count() const;
};

}  // namespace ocelli::data
