#include "ocelli/cli/run_report.h"

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/base/rng.h"
#include "ocelli/base/version.h"
#include "ocelli/cli/score_table.h"
#include "ocelli/model/model.h"
#include "ocelli/report/format.h"
#include "ocelli/report/html.h"
#include "ocelli/report/metrics.h"
#include "ocelli/report/plot.h"

namespace ocelli::cli {
namespace {

namespace fs = std::filesystem;

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

void add_scores(report::HtmlPage& page, const ReportedScore& score) {
  page.heading(score.name);
  page.table(score_table(score.result),
             "Answers equal to the reference, beside what always giving each type's commonest answer would score.");
  std::vector<report::BarGroup> bars;
  for (const auto& [name, type] : score.result.by_type) {
    report::BarGroup bar{name.empty() ? "all" : name, {100 * type.score, 100 * type.commonest}};
    if (score.blind) bar.values.push_back(100 * score.blind->by_type.at(name).score);
    bars.push_back(std::move(bar));
  }
  report::BarOptions options{
      .title = "Accuracy by question type", .value = {.label = "%"}, .series = {"this model", "commonest answer"}};
  if (score.blind) options.series.push_back("this model, shown grey pictures");
  page.svg(report::bar_plot(bars, options));
}

void add_pictures(report::HtmlPage& page, const ReportedScore& score, int64_t count) {
  const auto& all = score.result.predictions;
  // Spread over the set, a few of the wrong ones among them, so that the grid shows what goes wrong too.
  std::vector<int64_t> chosen;
  const std::vector<int64_t> order = Rng::named(1, score.name).permutation(static_cast<int64_t>(all.size()));
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
    if (one.pictures.empty()) continue;
    report::Picture picture;
    picture.encoded = read_file(one.pictures[0], 8 << 20);
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

void add_costs(report::HtmlPage& page, const fs::path& run, const std::vector<Json>& metrics, const ReportExtras& extras) {
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
  if (extras.training) {
    const train::TimeSpent& time = extras.training->time;
    report::Table where({"where the seconds went", "seconds", "share"});
    const double all = time.waiting + time.vision + time.decoder + time.backward + time.optimizer + time.checkpoints;
    for (const auto& [name, value] : {std::pair{"waiting for data", time.waiting},
                                      {"vision tower and connector, forward", time.vision},
                                      {"decoder and loss, forward", time.decoder},
                                      {"backward", time.backward},
                                      {"optimizer", time.optimizer},
                                      {"checkpoints", time.checkpoints}}) {
      where.add_row({name, fmt::format("{:.1f}", value), report::percent(all > 0 ? value / all : 0)});
    }
    where.add_total({"all", fmt::format("{:.1f}", all), ""});
    page.table(where);
    page.paragraph("Peak memory of tensors: " + report::bytes(static_cast<double>(extras.training->peak_tensor_bytes)) + ".");
  }
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

void write_run_report(const fs::path& run, const ReportExtras& extras) {
  const std::vector<Json> metrics = report::read_json_lines(run / "metrics.jsonl");
  require(!metrics.empty(), "run {}: metrics.jsonl holds no step yet", run.string());
  const Json environment = read_json(run / "env.json");
  report::HtmlPage page("Run " + fs::absolute(run).lexically_normal().filename().string(),
                        fmt::format("{}, {} threads, {}, {}", environment.value("cpu", "?"), environment.value("threads", 0),
                                    environment.value("isa", "?"), environment.value("precision", "?")));
  std::vector<report::KeyFigure> figures;
  for (const ReportedScore& score : extras.scores) {
    std::string note = fmt::format("commonest answer {}", report::percent(score.result.commonest));
    if (score.blind) note += fmt::format(", without seeing {}", report::percent(score.blind->score));
    figures.push_back({score.name, report::percent(score.result.score, 2), note});
  }
  figures.push_back({"training time", report::duration(metrics.back().value("seconds", 0.0)),
                     fmt::format("{} steps", report::grouped(metrics.back().value("step", int64_t{0})))});
  page.key_figures(figures);
  for (const ReportedScore& score : extras.scores) {
    add_scores(page, score);
    add_pictures(page, score, extras.pictures_shown);
  }
  add_curves(page, metrics);
  add_costs(page, run, metrics, extras);
  page.heading("Recipe");
  page.code(read_file(run / "recipe.toml", 16 << 20), "recipe.toml, resolved");
  page.footer(fmt::format("ocelli {}, LibTorch {}", environment.value("ocelli", kVersion), environment.value("torch", "?")));
  page.save(run / "report.html");
}

}  // namespace ocelli::cli
