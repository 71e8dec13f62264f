#include "ocelli/data/webdataset.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <future>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "ocelli/base/error.h"
#include "ocelli/base/json.h"
#include "ocelli/base/thread_pool.h"
#include "ocelli/data/compress.h"
#include "ocelli/data/conversation_record.h"
#include "ocelli/data/decompress.h"
#include "ocelli/data/picture_files.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/shard_files.h"
#include "ocelli/data/tar_file.h"
#include "ocelli/text/utf8.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

/// "a/b.c/x.seg.png" is field "seg.png" of the sample "a/b.c/x".
struct MemberName {
  std::string_view key;
  std::string_view field;
};

/// None: the member belongs to no sample.
std::optional<MemberName> split_name(std::string_view name) {
  const size_t slash = name.rfind('/');
  const size_t file = slash == std::string_view::npos ? 0 : slash + 1;
  const size_t dot = name.find('.', file);
  if (dot == std::string_view::npos || dot == file || dot + 1 == name.size()) return std::nullopt;
  return MemberName{name.substr(0, dot), name.substr(dot + 1)};
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool is_picture(std::string_view field) {
  const size_t dot = field.rfind('.');
  return is_picture_suffix(dot == std::string_view::npos ? field : field.substr(dot + 1));
}

/// Orders names with runs of digits counted as numbers.
bool natural_less(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (!a.empty() && !b.empty()) {
    if (!digit(a[0]) || !digit(b[0])) {
      if (a[0] != b[0]) return a[0] < b[0];
      a.remove_prefix(1);
      b.remove_prefix(1);
      continue;
    }
    const auto run = [&](std::string_view& text) {
      size_t zeros = 0, end = 0;
      while (zeros < text.size() && text[zeros] == '0') ++zeros;
      for (end = zeros; end < text.size() && digit(text[end]);) ++end;
      const std::string_view number = text.substr(zeros, end - zeros);
      text.remove_prefix(end);
      return number;
    };
    const std::string_view left = run(a), right = run(b);
    if (left.size() != right.size()) return left.size() < right.size();
    if (left != right) return left < right;
  }
  return a.size() < b.size();
}

/// The members of one sample.
struct Fields {
  std::string key;
  std::map<std::string, TarMember> by_field;
  std::vector<std::string> pictures;  ///< fields, in natural order
};

/// Gives a record its pictures: by member or field where the record names one, else by order.
class PictureFields {
 public:
  PictureFields(const Fields& fields, const std::string& origin, const std::string& where)
      : fields_(fields), origin_(origin), where_(where) {}

  Picture at(const std::string& named) {
    for (const std::string& field : fields_.pictures) {
      const std::string& member = fields_.by_field.at(field).name;
      if (named == member || named == field || member.ends_with("/" + named)) return make(field);
    }
    require(by_order_ < fields_.pictures.size(), "{}: the record names the picture \"{}\", but there are {} in the archive",
            where_, named.substr(0, 200), fields_.pictures.size());
    return make(fields_.pictures[by_order_++]);
  }
  Picture make(const std::string& field) const {
    const TarMember& member = fields_.by_field.at(field);
    return {std::string(member.contents), member.name, origin_ + ", " + member.name};
  }
  /// A record that names files of its own must name all the sample has: else which is which is a guess.
  void check() const {
    require(by_order_ == 0 || by_order_ == fields_.pictures.size(),
            "{}: {} pictures in the archive, of which the record names {}; call them as the archive does", where_,
            fields_.pictures.size(), by_order_);
  }

 private:
  const Fields& fields_;
  const std::string& origin_;
  const std::string& where_;
  size_t by_order_ = 0;
};

/// Whether a turn's content carries pictures as parts of its own.
bool has_inline_pictures(const Json& record) {
  const auto messages = record.find("messages");
  if (messages == record.end() || !messages->is_array()) return false;
  for (const Json& message : *messages) {
    const auto content = message.is_object() ? message.find("content") : message.end();
    if (!message.is_object() || content == message.end() || !content->is_array()) continue;
    for (const Json& part : *content) {
      if (part.is_object() && (part.contains("image_url") || part.contains("image"))) return true;
    }
  }
  return false;
}

struct Shard {
  std::shared_ptr<const MappedFile> map;
  std::string origin;
  std::vector<uint64_t> starts;  ///< where the headers of each sample's first member lie
};

Shard open_shard(const fs::path& path) {
  Shard shard;
  shard.origin = path.string();
  shard.map = is_compressed(path) ? decompress(path) : MappedFile::open(path);
  TarReader reader(shard.map->bytes(), shard.origin);
  std::string key;
  while (const std::optional<TarMember> member = reader.next()) {
    const std::optional<MemberName> name = split_name(member->name);
    if (!name || (!shard.starts.empty() && name->key == key)) continue;
    key = name->key;
    shard.starts.push_back(member->begin);
  }
  return shard;
}

class Webdataset final : public Dataset {
 public:
  explicit Webdataset(const DatasetOptions& options) : name_(options.name), prompts_(PromptForms::read(options.prompts)) {
    const std::vector<fs::path> paths = shards_of(options.path, kWebdatasetSuffixes);
    // Headers wait for the disk more than for the processor, so there are more threads than cores.
    ThreadPool pool(
        static_cast<int>(std::clamp<size_t>(2 * std::thread::hardware_concurrency(), 1, std::min<size_t>(paths.size(), 32))));
    std::vector<std::future<Shard>> opened;
    for (const fs::path& path : paths) opened.push_back(pool.submit([&path] { return open_shard(path); }));
    // All are waited for, since they refer to `paths`; the first shard's error is the one thrown.
    for (std::future<Shard>& one : opened) one.wait();
    for (std::future<Shard>& one : opened) {
      Shard shard = one.get();
      if (shard.starts.empty()) continue;
      first_.push_back(size_);
      size_ += static_cast<int64_t>(shard.starts.size());
      shards_.push_back(std::move(shard));
    }
    require(size_ > 0, "data {}: {} holds no sample (files named key.field)", name_, options.path.string());
  }

  int64_t size() const override { return size_; }
  const std::string& name() const override { return name_; }

  Sample get(int64_t index) const override {
    const auto behind = std::upper_bound(first_.begin(), first_.end(), index);
    const auto at = static_cast<size_t>(behind - first_.begin()) - 1;
    const Shard& shard = shards_[at];
    const Fields fields = read_fields(shard, static_cast<size_t>(index - first_[at]));
    const std::string where = shard.origin + ", sample " + fields.key;
    Sample sample;
    sample.id = fields.key;
    PictureFields pictures(fields, shard.origin, where);
    Json record;
    if (const auto json = fields.by_field.find("json"); json != fields.by_field.end()) {
      record = parse_json(json->second.contents, shard.origin + ", " + json->second.name);
      require(record.is_object(), "{}, {}: expected a JSON object", shard.origin, json->second.name);
    }
    if (record.contains("conversations") || record.contains("messages")) {
      read_record(std::move(record), where, pictures, fields, sample);
    } else {
      read_caption(record, where, pictures, fields, index, sample);
    }
    return sample;
  }

 private:
  static Fields read_fields(const Shard& shard, size_t sample) {
    Fields fields;
    TarReader reader(shard.map->bytes(), shard.origin, shard.starts[sample]);
    while (std::optional<TarMember> member = reader.next()) {
      const std::optional<MemberName> name = split_name(member->name);
      if (!name) continue;
      if (fields.key.empty()) {
        require(text::is_valid_utf8(member->name), "{}: byte {}: the name \"{}\" is not UTF-8", shard.origin, member->begin,
                text::valid_utf8(member->name));
        fields.key = name->key;
      }
      if (name->key != fields.key) break;
      require(text::is_valid_utf8(member->name), "{}: byte {}: the name \"{}\" is not UTF-8", shard.origin, member->begin,
              text::valid_utf8(member->name));
      const std::string field = lower(name->field);
      const std::string whole = member->name;
      require(fields.by_field.emplace(field, std::move(*member)).second, "{}: \"{}\" comes twice in one sample", shard.origin,
              whole);
      if (is_picture(field)) fields.pictures.push_back(field);
    }
    std::sort(fields.pictures.begin(), fields.pictures.end(), natural_less);
    return fields;
  }

  static void read_record(Json record, const std::string& where, PictureFields& pictures, const Fields& fields, Sample& sample) {
    sample.id = id_of(record, sample.id);
    if (!record.contains("image") && !record.contains("images") && !fields.pictures.empty() && !has_inline_pictures(record)) {
      record["images"] = fields.pictures;
    }
    read_conversation(
        record, where, [&](const std::string& named) { return pictures.at(named); }, sample);
    pictures.check();
  }

  void read_caption(const Json& record, const std::string& where, const PictureFields& pictures, const Fields& fields,
                    int64_t index, Sample& sample) const {
    std::string caption;
    bool found = false;
    for (const char* field : {"txt", "caption"}) {
      const auto member = fields.by_field.find(field);
      if (found || member == fields.by_field.end()) continue;
      caption = member->second.contents;
      require(text::is_valid_utf8(caption), "{}: {} is not UTF-8", where, member->second.name);
      found = true;
    }
    sample.id = id_of(record, sample.id);
    for (const auto& [key, value] : record.items()) {
      if (key == "id") continue;
      if (key == "caption") {
        if (found || value.is_null()) continue;
        require(value.is_string(), "{}: json.caption is {}, expected a text", where, value.dump().substr(0, 80));
        caption = value.get<std::string>();
        found = true;
      } else {
        sample.extra[key] = OrderedJson(value);
      }
    }
    require(found, "{}: it has no text: a json with \"conversations\", \"messages\" or \"caption\", or a txt is needed", where);
    const size_t begin = caption.find_first_not_of(" \t\r\n"), end = caption.find_last_not_of(" \t\r\n");
    caption = begin == std::string::npos ? "" : caption.substr(begin, end + 1 - begin);
    for (const std::string& field : fields.pictures) sample.pictures.push_back(pictures.make(field));
    sample.turns.push_back({Turn::Role::kUser, prompts_.fill("caption", index, {})});
    sample.turns.push_back({Turn::Role::kAssistant, std::move(caption)});
    finish_sample(sample, where);
  }

  std::string name_;
  PromptForms prompts_;
  std::vector<Shard> shards_;
  std::vector<int64_t> first_;  ///< the index of each shard's first sample
  int64_t size_ = 0;
};

class WebdatasetWriter final : public SampleWriter {
 public:
  explicit WebdatasetWriter(const WriterOptions& options)
      : suffix_(suffix_of(options.path)),
        files_(options.path, suffix_, options.shard_samples > 0),
        shard_samples_(options.shard_samples) {}

  void write(const Sample& sample) override {
    // All is made before anything is written: a sample that can't be written leaves no half of it.
    const std::string key = fmt::format("{:09}", count_);
    std::vector<std::string> names;
    std::vector<std::shared_ptr<const std::string>> contents;
    for (const Picture& picture : sample.pictures) {
      contents.push_back(picture.encoded());
      const std::string suffix = picture_suffix(*contents.back());
      require(!suffix.empty(), "{}: {} is neither JPEG, PNG nor WebP", sample.id, picture.name());
      names.push_back(sample.pictures.size() == 1 ? key + suffix : fmt::format("{}.{}{}", key, names.size(), suffix));
    }
    const std::string record = conversation_record(sample, names).dump();
    if (!file_ || (shard_samples_ > 0 && in_shard_ == shard_samples_)) start_shard();
    for (size_t i = 0; i < names.size(); ++i) tar_->add(names[i], *contents[i]);
    tar_->add(key + ".json", record);
    ++count_;
    ++in_shard_;
  }

  void finish() override {
    if (!file_) start_shard();
    end_shard();
    files_.finish();
  }

 private:
  /// What the target's name ends in; a folder gets plain shards.
  static std::string suffix_of(const fs::path& path) {
    const std::string name = path.filename().string();
    for (const std::string_view suffix : kWebdatasetSuffixes) {
      if (name.ends_with(suffix)) return std::string(suffix);
    }
    return ".tar";
  }
  void start_shard() {
    end_shard();
    shard_ = files_.next();
    file_ = std::make_unique<AtomicFile>(shard_);
    tar_ = std::make_unique<TarWriter>(*file_);
    in_shard_ = 0;
  }
  void end_shard() {
    if (!file_) return;
    tar_->finish();
    file_->commit();
    tar_.reset();
    file_.reset();
    if (is_gzip_name("shard" + suffix_)) compress_file(shard_, Compression::kGzip);
    if (is_zstd_name("shard" + suffix_)) compress_file(shard_, Compression::kZstd);
  }

  std::string suffix_;
  ShardFiles files_;
  int64_t shard_samples_;
  fs::path shard_;  ///< the one being written, under its passing name
  std::unique_ptr<AtomicFile> file_;
  std::unique_ptr<TarWriter> tar_;
  int64_t count_ = 0;
  int64_t in_shard_ = 0;
};

}  // namespace

std::shared_ptr<const Dataset> open_webdataset(const DatasetOptions& options) {
  return std::make_shared<Webdataset>(options);
}

std::unique_ptr<SampleWriter> write_webdataset(const WriterOptions& options) {
  return std::make_unique<WebdatasetWriter>(options);
}

}  // namespace ocelli::data
