#include "ocelli/data/question_filter.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "ocelli/base/error.h"

namespace ocelli::data {

QuestionFilter::QuestionFilter(std::shared_ptr<const Dataset> data, std::vector<std::string> types)
    : data_(std::move(data)), types_(std::move(types)) {
  std::set<std::string> seen;
  for (int64_t i = 0; i < data_->size(); ++i) {
    try {
      const Sample sample = data_->get(i);
      seen.insert(sample.question_types.begin(), sample.question_types.end());
      const bool holds = std::any_of(sample.question_types.begin(), sample.question_types.end(), [&](const std::string& type) {
        return std::find(types_.begin(), types_.end(), type) != types_.end();
      });
      if (holds) kept_.push_back(i);
    } catch (const Error&) {
      kept_.push_back(i);  // a broken record is reported when it is drawn
    }
  }
  require(!kept_.empty(), "data {}: no question is of the types {}; there are {}", data_->name(), fmt::join(types_, ", "),
          fmt::join(seen, ", "));
}

Sample QuestionFilter::get(int64_t index) const {
  Sample sample = data_->get(kept_[static_cast<size_t>(index)]);
  require(sample.independent && !sample.question_types.empty(),
          "data {}: sample {}: only independent questions can be chosen by type", data_->name(), sample.id);
  Sample out = sample;
  out.turns.clear();
  out.question_types.clear();
  out.references.clear();
  std::string marks;  // stand before the first question, which may be left out
  for (size_t i = 0; i < sample.pictures.size(); ++i) marks += "<image>\n";
  size_t question = 0;
  for (size_t i = 0; i < sample.turns.size(); ++i) {
    if (sample.turns[i].role == Turn::Role::kSystem) {
      out.turns.push_back(sample.turns[i]);
      continue;
    }
    if (i + 1 >= sample.turns.size()) break;
    if (std::find(types_.begin(), types_.end(), sample.question_types[question]) != types_.end()) {
      Turn user = sample.turns[i];
      if (out.question_types.empty() && question > 0) user.text = marks + user.text;
      out.turns.push_back(std::move(user));
      out.turns.push_back(sample.turns[i + 1]);
      out.question_types.push_back(sample.question_types[question]);
      if (question < sample.references.size()) out.references.push_back(sample.references[question]);
    }
    ++question;
    ++i;
  }
  return out;
}

}  // namespace ocelli::data
