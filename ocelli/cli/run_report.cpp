#include "ocelli/cli/run_report.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/rng.h"
#include "ocelli/base/version.h"
#include "ocelli/cli/score_table.h"
#include "ocelli/eval/task.h"
#include "ocelli/model/model.h"
#include "ocelli/report/format.h"
#include "ocelli/report/html.h"
#include "ocelli/report/metrics.h"
#include "ocelli/report/plot.h"
#include "ocelli/train/checkpoint.h"

namespace ocelli::cli {
namespace {

namespace fs = std::filesystem;
/// Pictures shown of each data set, and bytes one of them may have.
constexpr int64_t kPicturesShown = 12;
constexpr uint64_t kLargestPicture = 8 << 20;
constexpr size_t kFaultsShown = 20;

/// The evaluations that lie in a run's folder, by name of their folders.
std::vector<eval::EvalResult> evaluations(const fs::path& run) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(run)) {
    const bool named = entry.path().filename().string().starts_with("eval-");
    if (named && fs::exists(entry.path() / "result.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  std::vector<eval::EvalResult> out;
  for (const fs::path& folder : folders) out.push_back(eval::read_result(folder));
  return out;
}

std::vector<double> column(const std::vector<Json>& lines, const char* key) {
  std::vector<double> out;
  for (const Json& line : lines)
    out.push_back(line.contains(key) && line[key].is_number() ? line[key].get<double>() : std::nan(""));
  return out;
}

void add_curves(report::HtmlPage& page, const std::vector<Json>& metrics) {
  page.heading("Training");
  const std::vector<double> steps = column(metrics, "step"), loss = column(metrics, "loss");
  page.svg(report::line_plot({{.name = "each step", .x = steps, .y = loss, .faint = true},
                              {.name = "smoothed", .x = steps, .y = report::smoothed(loss, 0.97)}},
                             {.title = "Loss per answer token", .x = {.label = "step"}, .y = {.label = "nats", .log = true}}));
  std::map<std::string, report::LineSeries> rates;
  for (const Json& line : metrics) {
    if (!line.contains("learning_rate")) continue;
    for (const auto& [part, rate] : line["learning_rate"].items()) {
      rates[part].name = part;
      rates[part].x.push_back(line["step"].get<double>());
      rates[part].y.push_back(rate.get<double>());
    }
  }
  std::vector<report::LineSeries> series;
  for (auto& [part, line] : rates) series.push_back(std::move(line));
  page.svg(report::line_plot(series, {.title = "Learning rate of each part", .x = {.label = "step"}, .y = {}}));
}

void add_scores(report::HtmlPage& page, const eval::EvalResult& result) {
  page.heading(result.name);
  page.table(score_table(result),
             result.task == "vqa"
                 ? "The official VQA accuracy, beside what always giving each type's commonest answer would score."
                 : "Answers equal to the reference, beside what always giving each type's commonest answer would score.");
  std::vector<report::BarGroup> bars;
  for (const auto& [name, type] : result.by_type) {
    report::BarGroup bar{name.empty() ? "all" : name, {100 * type.score, 100 * type.commonest}};
    if (result.blind) bar.values.push_back(100 * type.blind);
    bars.push_back(std::move(bar));
  }
  report::BarOptions options{
      .title = "Accuracy by question type", .value = {.label = "%"}, .series = {"this model", "commonest answer"}};
  if (result.blind) options.series.push_back("this model, shown grey pictures");
  page.svg(report::bar_plot(bars, options));
}

void add_pictures(report::HtmlPage& page, const eval::EvalResult& result, int64_t count) {
  const auto& all = result.predictions;
  // Spread over the set, a few of the wrong ones among them, so that the grid shows what goes wrong too.
  std::vector<int64_t> chosen;
  const std::vector<int64_t> order = Rng::named(1, result.name).permutation(static_cast<int64_t>(all.size()));
  int64_t wrong = 0;
  for (const int64_t i : order) {
    if (static_cast<int64_t>(chosen.size()) >= count) break;
    if (all[static_cast<size_t>(i)].score < 1 && wrong < count / 4) {
      chosen.push_back(i);
      ++wrong;
    }
  }
  for (const int64_t i : order) {
    if (static_cast<int64_t>(chosen.size()) >= count) break;
    if (all[static_cast<size_t>(i)].score >= 1) chosen.push_back(i);
  }
  std::vector<report::Picture> grid;
  for (const int64_t i : chosen) {
    const eval::Prediction& one = all[static_cast<size_t>(i)];
    if (one.pictures.empty() || !fs::exists(one.pictures[0])) continue;  // data may have moved since
    report::Picture picture;
    picture.encoded = read_file(one.pictures[0], kLargestPicture);
    picture.lines = {{.label = "question", .text = one.question},
                     {.label = "answer",
                      .text = one.prediction,
                      .verdict = one.score >= 1 ? report::Verdict::kRight : report::Verdict::kWrong},
                     {.label = "truth", .text = one.references[0]}};
    grid.push_back(std::move(picture));
  }
  if (grid.empty()) return;
  page.heading("Test pictures", 3);
  page.paragraph(fmt::format("Chosen by a fixed seed; {} of them among the wrongly answered ones.", wrong));
  page.pictures(grid);
}

void add_times(report::HtmlPage& page, const train::RunState& state) {
  const train::TimeSpent& time = state.time;
  report::Table where({"where the seconds went", "seconds", "share"});
  const double all = time.total();
  for (const auto& [name, value] : {std::pair{"waiting for data", time.waiting},
                                    {"vision tower and connector, forward", time.vision},
                                    {"decoder and loss, forward", time.decoder},
                                    {"backward", time.backward},
                                    {"optimizer", time.optimizer},
                                    {"checkpoints", time.checkpoints}}) {
    where.add_row({name, fmt::format("{:.1f}", value), report::percent(all > 0 ? value / all : 0)});
  }
  where.add_total({"all", fmt::format("{:.1f}", all), ""});
  page.table(where, "Up to the newest checkpoint, over all starts of the run.");
  page.paragraph("Peak memory of tensors: " + report::bytes(static_cast<double>(state.peak_tensor_bytes)) + ".");
}

void add_faults(report::HtmlPage& page, const fs::path& run) {
  if (!fs::exists(run / "faults.jsonl")) return;
  const std::vector<Json> faults = report::read_json_lines(run / "faults.jsonl");
  if (faults.empty()) return;
  page.heading("Broken samples");
  report::Table table({"step", "source", "record", "what is wrong"});
  const auto text = [](const Json& line, const char* key) {
    if (!line.contains(key)) return std::string("?");
    return line[key].is_string() ? line[key].get<std::string>() : line[key].dump();
  };
  for (size_t i = 0; i < std::min(faults.size(), kFaultsShown); ++i) {
    table.add_row({text(faults[i], "step"), text(faults[i], "source"), text(faults[i], "index"), text(faults[i], "fault")});
  }
  page.table(table, faults.size() <= kFaultsShown
                        ? "Left out of training."
                        : fmt::format("Left out of training: the first {} of {}; faults.jsonl has all.", kFaultsShown,
                                      report::grouped(static_cast<int64_t>(faults.size()))));
}

void add_costs(report::HtmlPage& page, const fs::path& run, const std::vector<Json>& metrics) {
  page.heading("What it cost");
  const Json& last = metrics.back();
  const double seconds = last.value("seconds", 0.0), flops = last.value("flops", 0.0);
  report::Table totals({"what", "value"});
  totals.add_row({"optimizer steps", report::grouped(last.value("step", int64_t{0}))});
  totals.add_row({"answered samples", report::grouped(last.value("samples", int64_t{0}))});
  totals.add_row({"tokens", report::grouped(last.value("tokens", int64_t{0}))});
  totals.add_row({"pictures", report::grouped(last.value("pictures", int64_t{0}))});
  totals.add_row({"broken samples left out", report::grouped(last.value("faults", int64_t{0}))});
  totals.add_row({"training time", report::duration(seconds)});
  totals.add_row({"FLOPs, forward and backward", report::si(flops)});
  if (seconds > 0) totals.add_row({"rate", report::si(flops / seconds, "FLOP/s")});
  if (seconds > 0) totals.add_row({"samples per second", fmt::format("{:.0f}", last.value("samples", 0.0) / seconds)});
  page.table(totals);
  if (const auto checkpoint = train::newest_checkpoint(run)) add_times(page, train::read_state(*checkpoint));
  if (fs::exists(run / "model" / "config.json")) {
    const model::Model model(model::ModelConfig::load(run / "model"));
    Workload work;
    if (model.has_pictures()) work.tiles = {{model.config().vision->image_size, model.config().vision->image_size}};
    work.text_tokens = 16;
    const Ledger ledger = model.cost(work);
    report::Table parts({"one picture and 16 text tokens", "parameters", "FLOPs", "weights", "activations moved"});
    for (const auto& [name, cost] : ledger.rows()) {
      parts.add_row({name, report::si(static_cast<double>(cost.parameters)), report::si(cost.flops),
                     report::bytes(cost.weight_bytes), report::bytes(cost.activation_bytes)});
    }
    const Cost total = ledger.total();
    parts.add_total({"all", report::si(static_cast<double>(total.parameters)), report::si(total.flops),
                     report::bytes(total.weight_bytes), report::bytes(total.activation_bytes)});
    page.table(parts, "Forward pass, from the configuration (`ocelli explain`).");
  }
}

}  // namespace

void write_run_report(const fs::path& run) {
  require(fs::exists(run / "metrics.jsonl"), "run {}: there is no metrics.jsonl, so this is no run's folder", run.string());
  const std::vector<Json> metrics = report::read_json_lines(run / "metrics.jsonl");
  require(!metrics.empty(), "run {}: metrics.jsonl holds no step yet", run.string());
  const Json environment = read_json(run / "env.json");
  report::HtmlPage page("Run " + fs::absolute(run).lexically_normal().filename().string(),
                        fmt::format("{}, {} threads, {}, {}", environment.value("cpu", "?"), environment.value("threads", 0),
                                    environment.value("isa", "?"), environment.value("precision", "?")));
  std::vector<report::KeyFigure> figures;
  const std::vector<eval::EvalResult> results = evaluations(run);
  for (const eval::EvalResult& result : results) {
    std::string note = fmt::format("commonest answer {}", report::percent(result.commonest));
    if (result.blind) note += fmt::format(", without seeing {}", report::percent(*result.blind));
    figures.push_back({result.name, report::percent(result.score, 2), note});
  }
  figures.push_back({"training time", report::duration(metrics.back().value("seconds", 0.0)),
                     fmt::format("{} steps", report::grouped(metrics.back().value("step", int64_t{0})))});
  page.key_figures(figures);
  for (const eval::EvalResult& result : results) {
    add_scores(page, result);
    add_pictures(page, result, kPicturesShown);
  }
  add_curves(page, metrics);
  add_costs(page, run, metrics);
  add_faults(page, run);
  page.heading("Recipe");
  page.code(read_file(run / "recipe.toml", 16 << 20), "recipe.toml, resolved");
  page.footer(fmt::format("ocelli {}, LibTorch {}", environment.value("ocelli", kVersion), environment.value("torch", "?")));
  page.save(run / "report.html");
}

}  // namespace ocelli::cli
