#include "ocelli/model/hf/name_map.h"

#include <ATen/ATen.h>

#include "ocelli/base/error.h"

namespace ocelli::model::hf {
namespace {

/// What the stars of `pattern` stand for in `name`; nullopt when it does not fit.
std::optional<std::vector<std::string>> captured(std::string_view pattern, std::string_view name) {
  std::vector<std::string> found;
  while (!pattern.empty()) {
    if (pattern == "**") {
      found.emplace_back(name);
      return found;
    }
    if (pattern[0] == '*') {
      size_t digits = 0;
      while (digits < name.size() && name[digits] >= '0' && name[digits] <= '9') ++digits;
      if (digits == 0) return std::nullopt;
      found.emplace_back(name.substr(0, digits));
      pattern.remove_prefix(1);
      name.remove_prefix(digits);
      continue;
    }
    if (name.empty() || name[0] != pattern[0]) return std::nullopt;
    pattern.remove_prefix(1);
    name.remove_prefix(1);
  }
  if (!name.empty()) return std::nullopt;
  return found;
}

std::string filled(std::string_view pattern, const std::vector<std::string>& parts) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '*') {
      out += pattern[i];
      continue;
    }
    if (next < parts.size()) out += parts[next++];
    if (i + 1 < pattern.size() && pattern[i + 1] == '*') ++i;
  }
  return out;
}

int64_t rows_of(const at::Tensor& tensor, int64_t multiple, const Row& row) {
  require(tensor.dim() >= 1 && multiple > 0 && tensor.size(0) % multiple == 0, "{}: shape {} can't be cut by {}", row.published,
          c10::str(tensor.sizes()), multiple);
  return tensor.size(0);
}

}  // namespace

void NameMap::add(const NameMap& other, std::string_view published_prefix, std::string_view our_prefix) {
  for (Row row : other.rows_) {
    row.published = std::string(published_prefix) + row.published;
    for (std::string& name : row.ours) name = std::string(our_prefix) + name;
    rows_.push_back(std::move(row));
  }
}

std::optional<NameMap::Match> NameMap::match(std::string_view published) const {
  for (const Row& row : rows_) {
    if (row.transform == Transform::kInitial) continue;
    const auto parts = captured(row.published, published);
    if (!parts) continue;
    Match match{&row, {}};
    for (const std::string& name : row.ours) match.ours.push_back(filled(name, *parts));
    return match;
  }
  return std::nullopt;
}

bool NameMap::is_initial(std::string_view ours) const {
  for (const Row& row : rows_) {
    if (row.transform != Transform::kInitial) continue;
    for (const std::string& pattern : row.ours) {
      if (captured(pattern, ours)) return true;
    }
  }
  return false;
}

std::optional<NameMap::Written> NameMap::written(std::string_view ours) const {
  for (const Row& row : rows_) {
    if (row.read_only || row.transform == Transform::kIgnore || row.transform == Transform::kInitial) continue;
    for (const std::string& pattern : row.ours) {
      const auto parts = captured(pattern, ours);
      if (!parts) continue;
      Written out{&row, filled(row.published, *parts), {}};
      for (const std::string& name : row.ours) out.ours.push_back(filled(name, *parts));
      return out;
    }
  }
  return std::nullopt;
}

std::vector<at::Tensor> apply(const Row& row, const at::Tensor& published) {
  const int64_t parts = static_cast<int64_t>(row.ours.size());
  switch (row.transform) {
    case Transform::kInitial:
    case Transform::kIgnore:
      return {};
    case Transform::kSame:
      return {published};
    case Transform::kTranspose:
      require(published.dim() == 2, "{}: shape {} has not two dimensions", row.published, c10::str(published.sizes()));
      return {published.t()};
    case Transform::kSqueeze: {
      require(published.dim() > row.argument, "{}: shape {} has no {} dimensions to drop", row.published,
              c10::str(published.sizes()), row.argument);
      at::Tensor out = published;
      for (int64_t i = 0; i < row.argument; ++i) {
        require(out.size(0) == 1, "{}: shape {} does not start with 1", row.published, c10::str(published.sizes()));
        out = out.select(0, 0);
      }
      return {out};
    }
    case Transform::kDropTail: {
      at::Tensor out = published;
      for (int64_t i = 0; i < row.argument; ++i) {
        require(out.dim() > 0 && out.size(-1) == 1, "{}: shape {} does not end with {} ones", row.published,
                c10::str(published.sizes()), row.argument);
        out = out.select(-1, 0);
      }
      return {out};
    }
    case Transform::kSplit: {
      const int64_t each = rows_of(published, parts, row) / parts;
      std::vector<at::Tensor> out;
      for (int64_t i = 0; i < parts; ++i) out.push_back(published.narrow(0, i * each, each));
      return out;
    }
    case Transform::kSplitQkv: {
      require(published.dim() >= 1 && published.size(0) > 2 * row.argument,
              "{}: shape {} has no rows of queries beside {} of keys and as many of values", row.published,
              c10::str(published.sizes()), row.argument);
      const int64_t queries = published.size(0) - 2 * row.argument;
      return {published.narrow(0, 0, queries), published.narrow(0, queries, row.argument),
              published.narrow(0, queries + row.argument, row.argument)};
    }
    case Transform::kSplitHeads: {
      const int64_t rows = rows_of(published, row.argument * parts, row);
      const at::Tensor heads = published.unflatten(0, {row.argument, parts, rows / (row.argument * parts)});
      std::vector<at::Tensor> out;
      for (int64_t i = 0; i < parts; ++i) out.push_back(heads.select(1, i).flatten(0, 1));
      return out;
    }
    case Transform::kSplitGroups: {
      const int64_t queries = row.argument >> 16, width = row.argument & 0xffff;
      const int64_t rows = rows_of(published, (queries + 2) * width, row);
      const at::Tensor groups = published.unflatten(0, {rows / ((queries + 2) * width), queries + 2, width});
      return {groups.slice(1, 0, queries).flatten(0, 2), groups.select(1, queries).flatten(0, 1),
              groups.select(1, queries + 1).flatten(0, 1)};
    }
  }
  fail("{}: unknown transform", row.published);
}

at::Tensor undo(const Row& row, const std::vector<at::Tensor>& ours) {
  switch (row.transform) {
    case Transform::kInitial:
    case Transform::kIgnore:
      return {};
    case Transform::kSame:
      return ours.at(0);
    case Transform::kTranspose:
      return ours.at(0).t().contiguous();
    case Transform::kSqueeze: {
      at::Tensor out = ours.at(0);
      for (int64_t i = 0; i < row.argument; ++i) out = out.unsqueeze(0);
      return out;
    }
    case Transform::kDropTail: {
      at::Tensor out = ours.at(0);
      for (int64_t i = 0; i < row.argument; ++i) out = out.unsqueeze(-1);
      return out;
    }
    case Transform::kSplitQkv:
    case Transform::kSplit:
      return at::cat(ours);
    case Transform::kSplitHeads: {
      std::vector<at::Tensor> heads;
      for (const at::Tensor& part : ours) heads.push_back(part.unflatten(0, {row.argument, part.size(0) / row.argument}));
      return at::stack(heads, 1).flatten(0, 2);
    }
    case Transform::kSplitGroups: {
      const int64_t queries = row.argument >> 16, width = row.argument & 0xffff;
      const int64_t groups = ours.at(1).size(0) / width;
      return at::cat({ours[0].unflatten(0, {groups, queries, width}), ours[1].unflatten(0, {groups, 1, width}),
                      ours[2].unflatten(0, {groups, 1, width})},
                     1)
          .flatten(0, 2);
    }
  }
  fail("{}: unknown transform", row.published);
}

}  // namespace ocelli::model::hf
