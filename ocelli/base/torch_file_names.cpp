#include "ocelli/base/torch_file_names.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>

#include "ocelli/base/error.h"
#include "ocelli/base/json.h"
#include "ocelli/base/safetensors_header.h"

namespace ocelli::detail {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxNameBytes = 4096;
constexpr uint64_t kMaxAllNameBytes = 100'000'000;
/// Entries looked at. Each counts as often as a way leads to it, and things may be shared.
constexpr uint64_t kMaxSteps = 1U << 24;

/// Keys of the dicts that are taken in place of the one they lie in.
constexpr std::array<std::string_view, 3> kOuterKeys{"model", "module", "state_dict"};

bool is_container(PickleValue value) {
  return value.kind == PickleKind::kDict || value.kind == PickleKind::kList || value.kind == PickleKind::kTuple;
}

bool is_utf8(const std::string& text) {
  try {
    Json(text).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

class Namer {
 public:
  Namer(const Pickle& pickle, std::string_view origin) : pickle_(pickle), origin_(origin), notes_(pickle.sequences.size()) {}

  std::vector<std::pair<std::string, uint32_t>> run() {
    PickleValue root = pickle_.root;
    if (!is_container(root)) fail("{}: holds {}, expected a dict of tensors", origin_, name_of(root.kind));
    look(root, 1);
    while (const auto inner = only_dict(root)) root = *inner;
    std::string name;
    collect(root, name);
    check_unique();
    return std::move(result_);
  }

 private:
  /// What is known of a container.
  struct Note {
    int8_t height = kUnknown;  ///< containers nested in it, itself included
    bool bears_tensors = false;
  };
  static constexpr int8_t kUnknown = -1;
  static constexpr int8_t kLooking = 0;

  /// Notes height and tensors of all that lies in a container. Each is looked at once, however often it is shared.
  void look(PickleValue value, int depth) {
    Note& note = notes_[value.index];
    if (note.height > 0) return;
    require(note.height != kLooking, "{}: {} contains itself", origin_, name_of(value.kind));
    require(depth <= kMaxDepth, "{}: nested deeper than {}", origin_, kMaxDepth);
    note.height = kLooking;
    int height = 1;
    for (const PickleValue part : pickle_.sequences[value.index]) {
      if (part.kind == PickleKind::kTensor) note.bears_tensors = true;
      if (!is_container(part)) continue;
      look(part, depth + 1);
      height = std::max(height, 1 + notes_[part.index].height);
      note.bears_tensors = note.bears_tensors || notes_[part.index].bears_tensors;
    }
    require(height <= kMaxDepth, "{}: nested deeper than {}", origin_, kMaxDepth);
    note.height = static_cast<int8_t>(height);
  }

  bool bears_tensors(PickleValue value) const {
    return value.kind == PickleKind::kTensor || (is_container(value) && notes_[value.index].bears_tensors);
  }

  /// The dict under one of kOuterKeys when no other entry of the dict `root` bears tensors.
  std::optional<PickleValue> only_dict(PickleValue root) const {
    if (root.kind != PickleKind::kDict) return std::nullopt;
    const auto& parts = pickle_.sequences[root.index];
    check_keys(parts, "");
    std::optional<PickleValue> found;
    for (size_t i = 0; i < parts.size(); i += 2) {
      if (!bears_tensors(parts[i]) && !bears_tensors(parts[i + 1])) continue;
      const bool outer = parts[i].kind == PickleKind::kText && parts[i + 1].kind == PickleKind::kDict &&
                         std::find(kOuterKeys.begin(), kOuterKeys.end(), pickle_.texts[parts[i].index]) != kOuterKeys.end();
      if (!outer || found) return std::nullopt;
      found = parts[i + 1];
    }
    return found;
  }

  void collect(PickleValue container, std::string& name) {
    const auto& parts = pickle_.sequences[container.index];
    const size_t step = container.kind == PickleKind::kDict ? 2 : 1;
    steps_ += parts.size();
    require(steps_ <= kMaxSteps, "{}: more than {} entries", origin_, kMaxSteps);
    if (step == 2) check_keys(parts, name);
    const size_t before = name.size();
    for (size_t i = 0; i < parts.size(); i += step) {
      const PickleValue value = parts[i + step - 1];
      if (!bears_tensors(value)) continue;
      if (step == 2) {
        add_key(parts[i], name);
      } else {
        add_part(std::to_string(i), name);
      }
      value.kind == PickleKind::kTensor ? add_tensor(value, name) : collect(value, name);
      name.resize(before);
    }
  }

  /// A key given twice would make what lies under it a matter of order.
  void check_keys(const std::vector<PickleValue>& parts, const std::string& name) const {
    std::unordered_set<std::string_view> texts;
    std::unordered_set<int64_t> integers;
    for (size_t i = 0; i < parts.size(); i += 2) {
      const PickleValue key = parts[i];
      if (bears_tensors(key)) fail("{}: a tensor in a key of {}, expected a text or an integer", origin_, quoted_name(name));
      if (key.kind == PickleKind::kText && !texts.insert(pickle_.texts[key.index]).second) {
        fail("{}: key {} in {} is given twice", origin_, quoted_name(pickle_.texts[key.index]), quoted_name(name));
      }
      if (key.kind == PickleKind::kInteger && !integers.insert(key.integer).second) {
        fail("{}: key {} in {} is given twice", origin_, key.integer, quoted_name(name));
      }
    }
  }

  void add_key(PickleValue key, std::string& name) const {
    if (key.kind == PickleKind::kInteger) return add_part(std::to_string(key.integer), name);
    if (key.kind != PickleKind::kText) {
      fail("{}: tensors under a key in {} that is {}, expected a text or an integer", origin_, quoted_name(name),
           name_of(key.kind));
    }
    add_part(pickle_.texts[key.index], name);
  }

  void add_part(std::string_view part, std::string& name) const {
    if (part.empty()) fail("{}: tensors under an empty key in {}", origin_, quoted_name(name));
    if (part.size() >= kMaxNameBytes - name.size()) {
      fail("{}: a tensor's name is longer than {} bytes: key {} in {}", origin_, kMaxNameBytes, quoted_name(part),
           quoted_name(name));
    }
    if (!name.empty()) name += '.';
    name += part;
  }

  void add_tensor(PickleValue tensor, const std::string& name) {
    if (!is_utf8(name)) fail("{}: tensor {}: its name isn't UTF-8", origin_, quoted_name(name));
    require(result_.size() < kMaxTensors, "{}: more than {} tensors", origin_, kMaxTensors);
    name_bytes_ += name.size();
    require(name_bytes_ <= kMaxAllNameBytes, "{}: names of more than {} bytes in all", origin_, kMaxAllNameBytes);
    result_.emplace_back(name, tensor.index);
  }

  /// Dots within keys can make two ways one name.
  void check_unique() const {
    std::unordered_set<std::string_view> names;
    for (const auto& [name, tensor] : result_) {
      if (!names.insert(name).second) fail("{}: two tensors are named {}", origin_, quoted_name(name));
    }
  }

  const Pickle& pickle_;
  std::string_view origin_;
  std::vector<Note> notes_;
  uint64_t steps_ = 0;
  uint64_t name_bytes_ = 0;
  std::vector<std::pair<std::string, uint32_t>> result_;
};

}  // namespace

std::vector<std::pair<std::string, uint32_t>> name_tensors(const Pickle& pickle, std::string_view origin) {
  return Namer(pickle, origin).run();
}

}  // namespace ocelli::detail
