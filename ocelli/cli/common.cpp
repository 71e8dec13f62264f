#include "ocelli/cli/common.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ocelli/base/cpu.h"
#include "ocelli/base/error.h"
#include "ocelli/model/load.h"

namespace ocelli::cli {
namespace {

std::atomic<bool> stop_asked{false};

extern "C" void on_signal(int signal) {
  if (stop_asked.exchange(true)) _exit(128 + signal);
}

extern "C" void end_now(int signal) {
  _exit(128 + signal);
}

void handle_interrupts(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

void RunOptions::add_to(CLI::App& verb, const std::string& default_precision) {
  precision = default_precision;
  verb.add_option("--device", device, "cpu (others are not supported yet)")->capture_default_str();
  verb.add_option("--precision", precision, "fp32, bf16 or auto (what this machine does fastest natively)")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}))
      ->capture_default_str();
  verb.add_option("-t,--threads", threads, "threads (default: OMP_NUM_THREADS, else the cores there are)")
      ->check(CLI::Range(0, 1024));
}

void RunOptions::apply() const {
  if (device != "cpu") {
    const bool cuda = device == "cuda" || device.starts_with("cuda:");
    throw UsageError(cuda ? fmt::format("--device {}: GPUs are not supported yet; this version runs on the CPU", device)
                          : fmt::format("--device {}: known is cpu", device));
  }
  if (threads > 0) {
    at::set_num_threads(threads);
  } else if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    at::set_num_threads(cpu_info().logical_cores);
  }
}

at::ScalarType RunOptions::dtype() const {
  const bool low = precision == "bf16" || (precision == "auto" && bf16_is_native());
  return low ? at::kBFloat16 : at::kFloat;
}

LoadedModel open_model(const std::string& path_or_name, const RunOptions& options) {
  options.apply();
  const std::filesystem::path folder = model::resolve_model(path_or_name);
  LoadedModel out;
  out.model = model::load_model(folder, {.dtype = options.dtype()});
  out.processor = model::Processor::load(folder, out.model->config());
  return out;
}

std::vector<model::PixelTiles> read_pictures(const model::Processor& processor, const std::vector<std::string>& files) {
  std::vector<model::PixelTiles> pictures;
  const model::ImageProcessor& images = processor.images().of_prompt(files.size());
  for (const std::string& file : files) pictures.push_back(images.process(image::load(file, images.decode)));
  return pictures;
}

std::vector<int64_t> visual_counts(const model::Model& model, const std::vector<model::PixelTiles>& pictures) {
  std::vector<int64_t> counts;
  for (const model::PixelTiles& picture : pictures) counts.push_back(model.num_tokens(picture.tiling));
  return counts;
}

std::vector<image::Tiling> tilings_of(const std::vector<model::PixelTiles>& pictures) {
  std::vector<image::Tiling> tilings;
  for (const model::PixelTiles& picture : pictures) tilings.push_back(picture.tiling);
  return tilings;
}

OrderedJson user_message(const std::string& text, size_t pictures) {
  if (pictures == 0) return {{"role", "user"}, {"content", text}};
  OrderedJson content = OrderedJson::array();
  for (size_t i = 0; i < pictures; ++i) content.push_back({{"type", "image"}});
  content.push_back({{"type", "text"}, {"text", text}});
  return {{"role", "user"}, {"content", content}};
}

void print_json(const OrderedJson& json) {
  const std::string line = json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

const std::atomic<bool>& interrupted() {
  return stop_asked;
}

void watch_interrupts() {
  handle_interrupts(on_signal);
}

void end_at_interrupts() {
  handle_interrupts(end_now);
}

CLI::Option* add_repeatable(CLI::App& verb, const std::string& name, std::vector<std::string>& into, const std::string& help) {
  return verb.add_option(name, into, help)->take_all()->allow_extra_args(false);
}

void finish_stdout() {
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (failed) fail("the results could not be written to stdout: {}", std::strerror(errno != 0 ? errno : EIO));
}

}  // namespace ocelli::cli
