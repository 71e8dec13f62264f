#include "ocelli/cli/score_table.h"

#include "ocelli/report/format.h"

namespace ocelli::cli {

report::Table score_table(const eval::EvalResult& result) {
  report::Table table({"question type", "questions", result.task == "vqa" ? "VQA accuracy" : "exact match", "commonest answer"});
  for (const auto& [name, type] : result.by_type) {
    table.add_row({name.empty() ? "(all)" : name, report::grouped(type.samples), report::percent(type.score, 2),
                   report::percent(type.commonest, 2)});
  }
  table.add_total({"all", report::grouped(static_cast<int64_t>(result.predictions.size())), report::percent(result.score, 2),
                   report::percent(result.commonest, 2)});
  return table;
}

}  // namespace ocelli::cli
