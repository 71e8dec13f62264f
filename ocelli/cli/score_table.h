#pragma once

#include "ocelli/eval/task.h"
#include "ocelli/report/table.h"

namespace ocelli::cli {

/// A row a question type: questions, score, and what always giving the commonest answer would score; then all.
report::Table score_table(const eval::EvalResult& result);

}  // namespace ocelli::cli
