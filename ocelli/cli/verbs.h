#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace ocelli::cli {

/// A verb's work; returns the exit code.
using Action = std::function<int()>;

/// Each adds its subcommand to `app` and sets `action` when it was the one asked for. One file a verb.
void add_demo(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_chat(CLI::App& app, Action& action);
void add_features(CLI::App& app, Action& action);
void add_logits(CLI::App& app, Action& action);
void add_tokenize(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_data(CLI::App& app, Action& action);

}  // namespace ocelli::cli
