#include "ocelli/base/error.h"
#include "ocelli/cli/run_report.h"
#include "ocelli/cli/verbs.h"

#include <cstdio>
#include <memory>

namespace ocelli::cli {

void add_report(CLI::App& app, Action& action) {
  auto run = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("report", "write a run's page, RUN/report.html");
  verb->add_option("run", *run, "run folder")->required();
  verb->callback([run, &action] {
    action = [run] {
      require(std::filesystem::is_directory(*run), "run {}: no such folder", *run);
      write_run_report(*run);
      std::printf("%s\n", (std::filesystem::path(*run) / "report.html").c_str());
      return 0;
    };
  });
}

}  // namespace ocelli::cli
