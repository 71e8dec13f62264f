#include "ocelli/data/parquet.h"

#include <algorithm>
#include <array>
#include <future>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/thread_pool.h"
#include "ocelli/data/conversation_record.h"
#include "ocelli/data/parquet_file.h"
#include "ocelli/data/shard_files.h"
#include "ocelli/data/table_row.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 1> kSuffixes = {".parquet"};
constexpr uint64_t kMostCached = 1ULL << 30;
constexpr size_t kGroupRows = 100;
constexpr uint64_t kGroupBytes = 64 << 20;

/// Decoded row groups by number, the ones used last. Thread-safe; a group that several threads ask for is decoded once.
class RowGroupCache {
 public:
  using Rows = std::shared_ptr<const ParquetRows>;

  template <typename Decode>
  Rows get(int64_t group, Decode decode) {
    std::unique_lock lock(mutex_);
    const auto found = entries_.find(group);
    if (found != entries_.end()) {
      order_.splice(order_.begin(), order_, found->second.place);
      const std::shared_future<Rows> rows = found->second.rows;
      lock.unlock();
      return rows.get();
    }
    std::promise<Rows> promise;
    order_.push_front(group);
    entries_.emplace(group, Entry{promise.get_future().share(), order_.begin(), 0});
    lock.unlock();
    try {
      Rows rows = decode();
      promise.set_value(rows);
      lock.lock();
      held_ += entries_.at(group).bytes = rows->bytes();
      shrink(group);
      return rows;
    } catch (...) {
      promise.set_exception(std::current_exception());
      if (!lock.owns_lock()) lock.lock();
      order_.erase(entries_.at(group).place);
      entries_.erase(group);
      throw;
    }
  }

 private:
  struct Entry {
    std::shared_future<Rows> rows;
    std::list<int64_t>::iterator place;
    uint64_t bytes;  ///< 0 while it is being decoded: such an entry stays
  };

  void shrink(int64_t keep) {
    for (auto last = order_.end(); held_ > kMostCached && last != order_.begin();) {
      --last;
      const auto entry = entries_.find(*last);
      if (*last == keep || entry->second.bytes == 0) continue;
      held_ -= entry->second.bytes;
      entries_.erase(entry);
      last = order_.erase(last);
    }
  }

  std::mutex mutex_;
  std::list<int64_t> order_;  ///< used last first
  std::map<int64_t, Entry> entries_;
  uint64_t held_ = 0;
};

std::vector<fs::path> files_of(const DatasetOptions& options) {
  fs::path path = options.path;
  std::error_code unknown;
  if (fs::is_directory(path, unknown)) {
    const auto is_parquet = [](const fs::directory_entry& entry) { return entry.path().extension() == kSuffixes[0]; };
    const bool here = std::any_of(fs::directory_iterator(path, unknown), fs::directory_iterator(), is_parquet);
    if (!here && fs::is_directory(path / "data", unknown)) path /= "data";
  }
  std::vector<fs::path> files = shards_of(path, kSuffixes);
  if (options.split.empty()) return files;
  std::erase_if(files, [&](const fs::path& file) {
    const std::string stem = file.stem().string();
    return stem != options.split && !stem.starts_with(options.split + "-");
  });
  require(!files.empty(), "data {}: {} has no file of split \"{}\" (called {}-….parquet)", options.name, path.string(),
          options.split, options.split);
  return files;
}

class ParquetDataset final : public Dataset {
 public:
  explicit ParquetDataset(const DatasetOptions& options) : name_(options.name), prompts_(PromptForms::read(options.prompts)) {
    const std::vector<fs::path> paths = files_of(options);
    ThreadPool pool(
        static_cast<int>(std::clamp<size_t>(std::thread::hardware_concurrency(), 1, std::min<size_t>(paths.size(), 32))));
    std::vector<std::future<std::shared_ptr<const ParquetFile>>> opened;
    for (const fs::path& path : paths) opened.push_back(pool.submit([&path] { return ParquetFile::open(path); }));
    for (const auto& one : opened) one.wait();
    for (size_t f = 0; f < paths.size(); ++f) {
      const std::shared_ptr<const ParquetFile> file = opened[f].get();
      for (int g = 0; g < file->num_row_groups(); ++g) {
        if (file->num_rows(g) == 0) continue;
        groups_.push_back({file, g, size_, paths[f]});
        size_ += file->num_rows(g);
      }
    }
    images_ = options.images.empty() ? paths[0].parent_path() : options.images;
    require(size_ > 0, "data {}: {} holds no row", name_, options.path.string());
  }

  int64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }

  Sample get(int64_t index) const override {
    const auto behind =
        std::upper_bound(groups_.begin(), groups_.end(), index, [](int64_t i, const Group& g) { return i < g.first; });
    const Group& group = *std::prev(behind);
    const auto rows = cache_.get(std::prev(behind) - groups_.begin(), [&] { return group.file->read(group.number); });
    const TableContext context{images_, prompts_, index,
                               fmt::format("{}, row group {}, row {}", group.path.string(), group.number, index - group.first)};
    Sample sample;
    read_table_row(rows->row(index - group.first), context, sample);
    return sample;
  }

 private:
  struct Group {
    std::shared_ptr<const ParquetFile> file;
    int number;     ///< in the file
    int64_t first;  ///< the index of its first row
    fs::path path;
  };

  std::string name_;
  PromptForms prompts_;
  fs::path images_;
  std::vector<Group> groups_;
  int64_t size_ = 0;
  mutable RowGroupCache cache_;
};

class ParquetSampleWriter final : public SampleWriter {
 public:
  explicit ParquetSampleWriter(const WriterOptions& options)
      : files_(options.path, ".parquet", options.shard_samples > 0), shard_samples_(options.shard_samples) {}

  void write(const Sample& sample) override {
    ParquetRecord row;
    row.id = sample.id;
    uint64_t bytes = 0;
    std::vector<std::string> names;
    for (const Picture& picture : sample.pictures) {
      row.images.push_back({picture.encoded(), picture.path.filename().string()});
      names.push_back(row.images.back().path);
      bytes += row.images.back().bytes->size();
    }
    OrderedJson record = conversation_record(sample, names, RecordForm::kMessages);
    for (const OrderedJson& turn : record["messages"]) {
      row.messages.push_back({turn["role"].get<std::string>(), turn["content"].get<std::string>()});
    }
    for (const char* key : {"id", "images", "messages"}) record.erase(key);
    if (!record.empty()) row.extra = record.dump();

    if (!writer_ || (shard_samples_ > 0 && in_shard_ == shard_samples_)) start_shard();
    rows_.push_back(std::move(row));
    bytes_ += bytes;
    ++in_shard_;
    if (rows_.size() == kGroupRows || bytes_ >= kGroupBytes) flush();
  }

  void finish() override {
    if (!writer_) start_shard();
    end_shard();
    files_.finish();
  }

 private:
  void flush() {
    if (!rows_.empty()) writer_->write_row_group(rows_);
    rows_.clear();
    bytes_ = 0;
  }
  void start_shard() {
    end_shard();
    writer_ = ParquetWriter::create(files_.next());
    in_shard_ = 0;
  }
  void end_shard() {
    if (!writer_) return;
    flush();
    writer_->finish();
    writer_.reset();
  }

  ShardFiles files_;
  int64_t shard_samples_;
  std::unique_ptr<ParquetWriter> writer_;
  std::vector<ParquetRecord> rows_;  ///< of the row group being filled
  uint64_t bytes_ = 0;
  int64_t in_shard_ = 0;
};

}  // namespace

std::shared_ptr<const Dataset> open_parquet(const DatasetOptions& options) {
  return std::make_shared<ParquetDataset>(options);
}

std::unique_ptr<SampleWriter> write_parquet(const WriterOptions& options) {
  return std::make_unique<ParquetSampleWriter>(options);
}

}  // namespace ocelli::data
