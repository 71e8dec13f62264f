#include <c10/util/Exception.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/base/version.h"
#include "ocelli/cli/common.h"
#include "ocelli/cli/verbs.h"
#include "ocelli/nn/memory.h"

namespace {

constexpr int kDone = 0, kFailed = 1, kUsage = 2;

int run(int argc, char** argv) {
  CLI::App app("ocelli: build, train and run efficient multimodal language models", "ocelli");
  app.set_version_flag("--version", fmt::format("ocelli {} (LibTorch {})", ocelli::kVersion, TORCH_VERSION));
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "help of every verb");
  ocelli::cli::Action action;
  for (const auto add : {ocelli::cli::add_demo, ocelli::cli::add_train, ocelli::cli::add_explain, ocelli::cli::add_chat,
                         ocelli::cli::add_features, ocelli::cli::add_logits, ocelli::cli::add_tokenize, ocelli::cli::add_eval,
                         ocelli::cli::add_report, ocelli::cli::add_doctor, ocelli::cli::add_bench, ocelli::cli::add_data}) {
    add(app, action);
  }
  // CLI11 would only say that a subcommand is missing.
  const std::string_view first = argc > 1 ? argv[1] : "-";
  if (!first.starts_with('-') && app.get_subcommands([&](const CLI::App* verb) { return verb->get_name() == first; }).empty()) {
    throw ocelli::UsageError(fmt::format("there is no verb \"{}\"; ocelli --help lists them", first));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error) == 0 ? kDone : kUsage;  // help and version are results too
    ocelli::cli::finish_stdout();
    return code;
  }
  const int code = action();
  ocelli::cli::finish_stdout();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // `ocelli … | head` ends quietly
  try {
    ocelli::apply_isa_to_environment();
    ocelli::nn::install_counting_allocator();
    return run(argc, argv);
  } catch (const ocelli::UsageError& error) {
    std::fprintf(stderr, "ocelli: %s\n", error.what());
    return kUsage;
  } catch (const c10::Error& error) {
    std::fprintf(stderr, "ocelli: %s\n", error.what_without_backtrace());
    return kFailed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ocelli: %s\n", error.what());
    return kFailed;
  }
}
