#pragma once

namespace ocelli {

/// As in CMakeLists.txt and CHANGELOG.md (a test compares them): major.minor.patch.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace ocelli
