#include "ocelli/data/demo_data.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ocelli/base/file.h"
#include "ocelli/base/json.h"
#include "ocelli/base/log.h"
#include "ocelli/base/rng.h"
#include "ocelli/base/thread_pool.h"
#include "ocelli/data/idx_file.h"
#include "ocelli/image/image.h"

namespace ocelli::data {
namespace fs = std::filesystem;
namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kStampName = "stamp.json";

constexpr std::array<std::string_view, 3> kShapes = {"circle", "rectangle", "triangle"};
constexpr std::array<std::string_view, 8> kColors = {"black", "blue", "brown", "gray", "green", "red", "teal", "yellow"};
constexpr std::array<std::string_view, 10> kGarments = {"t-shirt", "trouser", "pullover", "dress", "coat",
                                                        "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};
constexpr std::array<std::string_view, 3> kPhrasings = {"what item is this?", "what kind of clothing is shown?",
                                                        "which piece of clothing is in the picture?"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::string_view question_type(std::string_view answer) {
  if (answer == "yes" || answer == "no") return "yes/no";
  if (contains(kShapes, answer)) return "shape";
  if (contains(kColors, answer)) return "color";
  return {};
}

/// LLaVA records with independent questions, collected and then written as one JSON array.
class RecordWriter {
 public:
  void begin(std::string id, std::string image) {
    records_.push_back({{"id", std::move(id)},
                        {"image", std::move(image)},
                        {"independent", true},
                        {"conversations", OrderedJson::array()},
                        {"question_types", OrderedJson::array()}});
  }

  void add(std::string_view question, std::string_view answer, std::string_view type) {
    OrderedJson& record = records_.back();
    OrderedJson& turns = record["conversations"];
    turns.push_back({{"from", "human"}, {"value", (turns.empty() ? "<image>\n" : "") + std::string(question)}});
    turns.push_back({{"from", "gpt"}, {"value", answer}});
    record["question_types"].push_back(type);
    ++questions_;
  }

  /// Writes folder/name.
  DemoSplit write(const fs::path& folder, const std::string& name) const {
    write_file_atomic(folder / name, records_.dump(1) + "\n");
    return {.file = folder / name, .pictures = static_cast<int64_t>(records_.size()), .questions = questions_};
  }

 private:
  OrderedJson records_ = OrderedJson::array();
  int64_t questions_ = 0;
};

struct Question {
  std::string text;
  std::string answer;
  std::string_view type;
};
using QuestionsOfPictures = std::map<int64_t, std::vector<Question>>;

fs::path easy_vqa_picture(std::string_view split, int64_t id) {
  return fs::path(split) / "images" / (std::to_string(id) + ".png");
}

/// Reads data/<split>/questions.json: rows [question, answer, picture's number]. Every picture named must be there.
QuestionsOfPictures read_easy_vqa(const fs::path& data, const std::string& split) {
  const fs::path file = data / split / "questions.json";
  const Json rows = read_json(file);
  require(rows.is_array() && !rows.empty(), "{}: is no list of questions", file.string());
  QuestionsOfPictures result;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Json& row = rows[i];
    require(row.is_array() && row.size() == 3 && row[0].is_string() && row[1].is_string() && row[2].is_number_unsigned(),
            "{}: row {} is {}, expected [question, answer, picture's number]", file.string(), i, row.dump().substr(0, 120));
    Question question{.text = row[0].get<std::string>(), .answer = row[1].get<std::string>(), .type = {}};
    question.type = question_type(question.answer);
    require(!question.text.empty(), "{}: row {} has an empty question", file.string(), i);
    require(!question.type.empty(), "{}: row {} has the answer \"{}\", expected yes, no, a shape or a colour of easy-VQA",
            file.string(), i, question.answer);
    result[row[2].get<int64_t>()].push_back(std::move(question));
  }
  for (const auto& [id, questions] : result) {
    const fs::path picture = data / easy_vqa_picture(split, id);
    require(fs::is_regular_file(picture), "{}: picture {} of {} is missing; reinstall the package easy-vqa", picture.string(), id,
            file.string());
  }
  return result;
}

DemoSplit write_easy_vqa(QuestionsOfPictures::const_iterator begin, QuestionsOfPictures::const_iterator end,
                         const std::string& source_split, const fs::path& folder, const std::string& name) {
  RecordWriter writer;
  for (auto picture = begin; picture != end; ++picture) {
    writer.begin("easy_vqa/" + source_split + "/" + std::to_string(picture->first),
                 easy_vqa_picture(source_split, picture->first).string());
    for (const Question& question : picture->second) writer.add(question.text, question.answer, question.type);
  }
  return writer.write(folder, name);
}

DemoSource make_easy_vqa(const DemoDataOptions& options, const fs::path& data, const fs::path& folder) {
  const QuestionsOfPictures train = read_easy_vqa(data, "train");
  const QuestionsOfPictures test = read_easy_vqa(data, "test");
  require(options.easy_vqa_validation < static_cast<int64_t>(train.size()),
          "easy_vqa_validation is {}, expected less than the {} pictures of {}", options.easy_vqa_validation, train.size(),
          (data / "train").string());
  make_directories(folder);
  const auto cut = std::prev(train.end(), options.easy_vqa_validation);
  return {.images = data,
          .train = write_easy_vqa(train.begin(), cut, "train", folder, "train.json"),
          .validation = write_easy_vqa(cut, train.end(), "train", folder, "validation.json"),
          .test = write_easy_vqa(test.begin(), test.end(), "test", folder, "test.json")};
}

/// Pictures and labels of one Fashion-MNIST split, checked against each other.
struct Garments {
  IdxFile pictures;
  IdxFile labels;
  int64_t count() const { return pictures.shape[0]; }
};

std::array<fs::path, 2> fashion_files(const fs::path& folder, const std::string& prefix) {
  return {folder / (prefix + "-images-idx3-ubyte.gz"), folder / (prefix + "-labels-idx1-ubyte.gz")};
}

Garments read_fashion(const fs::path& folder, const std::string& prefix) {
  constexpr int64_t kMaxSide = 1024;
  const auto [picture_file, label_file] = fashion_files(folder, prefix);
  Garments garments{.pictures = read_idx(picture_file, 3), .labels = read_idx(label_file, 1)};
  require(garments.labels.shape[0] == garments.count(), "{}: {} labels for the {} pictures of {}", label_file.string(),
          garments.labels.shape[0], garments.count(), picture_file.string());
  require(std::max(garments.pictures.shape[1], garments.pictures.shape[2]) <= kMaxSide,
          "{}: pictures of {} x {}, expected sides of at most {}", picture_file.string(), garments.pictures.shape[2],
          garments.pictures.shape[1], kMaxSide);
  for (int64_t i = 0; i < garments.count(); ++i) {
    require(garments.labels.values[i] < kGarments.size(), "{}: label {} is {}, expected 0 to {}", label_file.string(), i,
            garments.labels.values[i], kGarments.size() - 1);
  }
  return garments;
}

/// Without fsync: tens of thousands of them would take minutes; the folder is made durable once, before it is renamed.
void write_plain(const fs::path& path, const std::vector<std::byte>& bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  require(file >= 0, "{}: {}", path.string(), std::strerror(errno));
  size_t done = 0;
  int error = 0;
  while (done < bytes.size() && error == 0) {
    const ssize_t wrote = ::write(file, bytes.data() + done, bytes.size() - done);
    if (wrote >= 0) done += static_cast<size_t>(wrote);
    if (wrote < 0 && errno != EINTR) error = errno;
  }
  if (::close(file) != 0 && error == 0) error = errno;
  require(error == 0, "{}: {}", path.string(), std::strerror(error));
}

std::string fashion_picture(const std::string& split, int64_t index) {
  return fmt::format("images/{}/{:05}.png", split, index);
}

void write_pictures(const IdxFile& pictures, int64_t count, const fs::path& folder, const std::string& split, int threads) {
  const int64_t height = pictures.shape[1];
  const int64_t width = pictures.shape[2];
  make_directories(folder / "images" / split);
  const auto write_range = [&](int64_t begin, int64_t end) {
    image::Image picture(width, height);
    for (int64_t i = begin; i < end; ++i) {
      const uint8_t* grey = pictures.values.data() + i * width * height;
      for (int64_t p = 0; p < width * height; ++p) std::fill_n(picture.pixels.data() + 3 * p, 3, grey[p]);
      write_plain(folder / fashion_picture(split, i), image::encode_png(picture));
    }
  };
  constexpr int64_t kRange = 1000;
  ThreadPool pool(threads);
  std::vector<std::future<void>> ranges;
  for (int64_t begin = 0; begin < count; begin += kRange) {
    const int64_t end = std::min(count, begin + kRange);
    ranges.push_back(pool.submit([&write_range, begin, end] { write_range(begin, end); }));
  }
  for (auto& range : ranges) range.get();
}

DemoSplit write_fashion(const Garments& garments, int64_t begin, int64_t end, const std::string& source_split, uint64_t seed,
                        const fs::path& folder, const std::string& name) {
  const Rng rng = Rng::named(seed, "fashion_mnist/" + source_split);
  RecordWriter writer;
  for (int64_t i = begin; i < end; ++i) {
    writer.begin(fmt::format("fashion_mnist/{}/{}", source_split, i), fashion_picture(source_split, i));
    writer.add(kPhrasings[rng.below(static_cast<uint64_t>(i), kPhrasings.size())], kGarments[garments.labels.values[i]],
               "clothing");
  }
  return writer.write(folder, name);
}

DemoSource make_fashion(const DemoDataOptions& options, const fs::path& folder) {
  const Garments train = read_fashion(options.fashion_folder, "train");
  const Garments test = read_fashion(options.fashion_folder, "t10k");
  const int64_t used = options.fashion_train == 0 ? train.count() : options.fashion_train;
  require(used <= train.count(), "fashion_train is {}, expected at most the {} pictures of {}", used, train.count(),
          fashion_files(options.fashion_folder, "train")[0].string());
  require(options.fashion_validation < used, "fashion_validation is {}, expected less than the {} pictures used",
          options.fashion_validation, used);
  log::info("demo data: writing {} pictures of clothes", used + test.count());
  write_pictures(train.pictures, used, folder, "train", options.threads);
  write_pictures(test.pictures, test.count(), folder, "test", options.threads);
  const int64_t cut = used - options.fashion_validation;
  return {.images = folder,
          .train = write_fashion(train, 0, cut, "train", options.seed, folder, "train.json"),
          .validation = write_fashion(train, cut, used, "train", options.seed, folder, "validation.json"),
          .test = write_fashion(test, 0, test.count(), "test", options.seed, folder, "test.json")};
}

/// What the prepared folder depends on: options that shape it and each input's size.
Json describe_inputs(const DemoDataOptions& options, const fs::path& easy_vqa) {
  Json sizes = Json::array();
  const auto add = [&](const fs::path& file, std::string_view remedy) {
    std::error_code error;
    const uintmax_t size = fs::file_size(file, error);
    require(!error, "{}: {}; {}", file.string(), error.message(), remedy);
    sizes.push_back(size);
  };
  for (const char* split : {"train", "test"}) {
    add(easy_vqa / split / "questions.json", "install the package easy-vqa again (scripts/setup)");
  }
  for (const char* prefix : {"train", "t10k"}) {
    for (const fs::path& file : fashion_files(options.fashion_folder, prefix)) {
      add(file, "install Debian's package dataset-fashion-mnist (scripts/setup)");
    }
  }
  return {{"version", kFormatVersion},
          {"seed", options.seed},
          {"easy_vqa_validation", options.easy_vqa_validation},
          {"fashion_train", options.fashion_train},
          {"fashion_validation", options.fashion_validation},
          {"input_bytes", std::move(sizes)}};
}

Json describe(const DemoSplit& split) {
  return {{"pictures", split.pictures}, {"questions", split.questions}};
}

Json describe(const DemoSource& source) {
  return {{"train", describe(source.train)}, {"validation", describe(source.validation)}, {"test", describe(source.test)}};
}

DemoSplit described_split(const JsonView& source, const fs::path& folder, const char* name) {
  const JsonView split = source.object(name);
  return {.file = folder / (std::string(name) + ".json"),
          .pictures = split.integer("pictures"),
          .questions = split.integer("questions")};
}

DemoSource described_source(const JsonView& stamp, const char* name, const fs::path& images, const fs::path& folder) {
  const JsonView source = stamp.object(name);
  return {.images = images,
          .train = described_split(source, folder, "train"),
          .validation = described_split(source, folder, "validation"),
          .test = described_split(source, folder, "test")};
}

DemoData described_data(const Json& stamp, const fs::path& out, const fs::path& easy_vqa, bool reused) {
  const JsonView view(stamp, (out / kStampName).string());
  return {.easy_vqa = described_source(view, "easy_vqa", easy_vqa, out / "easy_vqa"),
          .fashion_mnist = described_source(view, "fashion_mnist", out / "fashion_mnist", out / "fashion_mnist"),
          .reused = reused};
}

/// The stamp of a folder made from exactly these inputs; null otherwise.
Json matching_stamp(const fs::path& out, const Json& inputs) {
  if (!fs::exists(out / kStampName)) return nullptr;
  Json stamp = read_json(out / kStampName);
  return stamp.is_object() && stamp.value("inputs", Json()) == inputs ? stamp : Json();
}

void make_durable(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(descriptor >= 0, "{}: {}", folder.string(), std::strerror(errno));
  const int result = ::syncfs(descriptor);
  const int error = errno;
  ::close(descriptor);
  require(result == 0, "{}: {}", folder.string(), std::strerror(error));
}

/// Removes the folder it was given, unless released: nothing half-written is left behind.
class RemoveUnlessDone {
 public:
  explicit RemoveUnlessDone(fs::path folder) : folder_(std::move(folder)) {}
  ~RemoveUnlessDone() {
    std::error_code ignored;  // already unwinding from the error that matters
    if (!done_) fs::remove_all(folder_, ignored);
  }
  RemoveUnlessDone(const RemoveUnlessDone&) = delete;
  RemoveUnlessDone& operator=(const RemoveUnlessDone&) = delete;
  void done() { done_ = true; }

 private:
  fs::path folder_;
  bool done_ = false;
};

/// prepare_demo_data() for a checked, absolute `out`; may throw the standard library's file errors.
DemoData prepare(const DemoDataOptions& options, const fs::path& out) {
  const fs::path easy_vqa = find_easy_vqa(options);
  const Json inputs = describe_inputs(options, easy_vqa);
  const Json earlier = matching_stamp(out, inputs);
  if (!earlier.is_null()) return described_data(earlier, out, easy_vqa, true);
  require(!fs::exists(out) || fs::exists(out / kStampName) || (fs::is_directory(out) && fs::is_empty(out)),
          "{}: holds something other than prepared demo data; choose another folder or remove it", out.string());

  const fs::path temporary = out.string() + ".tmp";
  fs::remove_all(temporary);  // what a killed run left
  make_directories(temporary);
  RemoveUnlessDone cleanup(temporary);
  const DemoSource shapes = make_easy_vqa(options, easy_vqa, temporary / "easy_vqa");
  const DemoSource clothes = make_fashion(options, temporary / "fashion_mnist");
  const Json stamp = {{"inputs", inputs}, {"easy_vqa", describe(shapes)}, {"fashion_mnist", describe(clothes)}};
  write_file_atomic(temporary / kStampName, stamp.dump(1) + "\n");
  make_durable(temporary);
  fs::remove_all(out);
  fs::rename(temporary, out);
  cleanup.done();
  sync_directory(out.parent_path());
  return described_data(stamp, out, easy_vqa, false);
}

}  // namespace

void DemoDataOptions::validate() const {
  const auto check = [](bool good, std::string_view field, auto value, std::string_view expected) {
    if (!good) throw UsageError(fmt::format("{} is {}, expected {}", field, value, expected));
  };
  check(!out.empty(), "out", "empty", "the folder to write to");
  check(easy_vqa_validation >= 1, "easy_vqa_validation", easy_vqa_validation, "at least 1 picture");
  check(fashion_train >= 0, "fashion_train", fashion_train, "a number of pictures, or 0 for all");
  check(fashion_validation >= 1, "fashion_validation", fashion_validation, "at least 1 picture");
  check(threads >= 1, "threads", threads, "at least 1");
}

fs::path find_easy_vqa(const DemoDataOptions& options) {
  std::string tried;
  const auto usable = [&](const fs::path& package) {
    tried += (tried.empty() ? "" : ", ") + package.string();
    std::error_code unreadable;  // counts as not found
    return fs::is_regular_file(package / "data/train/questions.json", unreadable);
  };
  const char* from_environment = std::getenv("OCELLI_EASY_VQA");
  if (!options.easy_vqa_folder.empty()) {
    if (usable(options.easy_vqa_folder)) return options.easy_vqa_folder / "data";
  } else if (from_environment != nullptr && *from_environment != '\0') {
    if (usable(from_environment)) return fs::path(from_environment) / "data";
  } else {
    const fs::path lib = options.repo_root / ".venv/lib";
    tried = (lib / "python3*/site-packages/easy_vqa").string();
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(lib, error)) {
      const fs::path package = entry.path() / "site-packages/easy_vqa";
      if (entry.path().filename().string().starts_with("python3") && usable(package)) return package / "data";
    }
  }
  fail(
      "easy-VQA not found (looked in {}); run scripts/setup, or set OCELLI_EASY_VQA to the folder of the Python package easy_vqa",
      tried);
}

DemoData prepare_demo_data(const DemoDataOptions& options) {
  options.validate();
  fs::path out = fs::absolute(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();  // "data/" is "data"
  try {
    return prepare(options, out);
  } catch (const fs::filesystem_error& error) {
    fail("demo data: {}", error.what());
  }
}

}  // namespace ocelli::data
