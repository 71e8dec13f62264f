#include "ocelli/data/coco.h"

#include <algorithm>
#include <map>

#include "ocelli/base/error.h"
#include "ocelli/base/file.h"
#include "ocelli/data/box_text.h"
#include "ocelli/data/coco_file.h"
#include "ocelli/data/json_scan.h"
#include "ocelli/data/picture_files.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/question_pairs.h"
#include "ocelli/data/rle.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

/// In Sample::extra: for each region 1 when it is a crowd. Absent: none is.
constexpr const char* kCrowds = "iscrowd";

class CocoDataset final : public Dataset {
 public:
  explicit CocoDataset(const DatasetOptions& options)
      : name_(options.name), forms_(PromptForms::read(options.prompts)), file_(options.path, options.images) {
    require(file_.num_annotations() > 0, "{}: no annotation", file_.name());
    captions_ = find_value(file_.annotation_text(0), "caption").has_value();
    const bool asks = forms_.has("region_to_text") || forms_.has("text_to_region");
    require(captions_ || (asks && forms_.has("box")),
            "data {}: {} holds boxes, which become questions by a prompts file: give one that has the keys \"region_to_text\" or "
            "\"text_to_region\", and \"box\" (as prompts/llava-1.5.json has)",
            name_, file_.name());
    group_by_picture();
  }

  int64_t size() const override { return static_cast<int64_t>(pictures_.size()); }
  const std::string& name() const override { return name_; }

  Sample get(int64_t index) const override {
    const PictureAnnotations& listed = pictures_[static_cast<size_t>(index)];
    const CocoPicture picture = file_.picture(listed.image_id);
    Sample sample;
    sample.id = std::to_string(listed.image_id);
    sample.independent = true;
    sample.pictures.emplace_back(picture.path);
    if (captions_) {
      add_captions(listed, index, sample);
    } else {
      add_instances(listed, picture, index, sample);
    }
    finish_sample(sample, fmt::format("{}, image_id {}", file_.name(), listed.image_id));
    return sample;
  }

 private:
  struct PictureAnnotations {
    int64_t image_id = 0;
    bool asked = false;  ///< about one at least that is no crowd
    std::vector<uint32_t> annotations;
  };

  void group_by_picture() {
    std::unordered_map<int64_t, size_t> places;
    for (int64_t i = 0; i < file_.num_annotations(); ++i) {
      const std::string_view text = file_.annotation_text(i);
      const int64_t image_id = find_integer(text, "image_id", file_.where(i));
      const auto [place, is_new] = places.emplace(image_id, pictures_.size());
      if (is_new) pictures_.push_back({image_id, false, {}});
      pictures_[place->second].annotations.push_back(static_cast<uint32_t>(i));
      pictures_[place->second].asked |= find_value(text, "iscrowd") != "1";
    }
    std::erase_if(pictures_, [](const PictureAnnotations& listed) { return !listed.asked; });
    require(!pictures_.empty(), "{}: every annotation is a crowd", file_.name());
  }

  void add_captions(const PictureAnnotations& listed, int64_t index, Sample& sample) const {
    std::vector<std::string> captions;
    for (const uint32_t number : listed.annotations) {
      const Json record = file_.annotation(number);
      captions.push_back(JsonView(record, file_.where(number)).string("caption"));
    }
    for (size_t i = 0; i < captions.size(); ++i) {
      ask(sample, forms_.fill("caption", index + static_cast<int64_t>(i), {}), captions[i]);
      sample.references.push_back(captions);
    }
  }

  void add_instances(const PictureAnnotations& listed, const CocoPicture& picture, int64_t index, Sample& sample) const {
    require(picture.width > 0 && picture.height > 0, "{}: the image of id {} has no width and height", file_.name(),
            listed.image_id);
    std::vector<int64_t> crowds;
    std::vector<std::pair<std::string, std::vector<std::array<double, 4>>>> categories;  // in order of their first region
    for (const uint32_t number : listed.annotations) {
      const Json record = file_.annotation(number);
      const JsonView view(record, file_.where(number));
      Region region;
      region.box = coco_box(view);
      region.text = file_.category(view.integer("category_id"), view.path());
      if (view.has("segmentation")) region.mask = record["segmentation"];
      crowds.push_back(view.integer_in("iscrowd", 0, 1, 0));
      if (crowds.back() == 0) {
        if (forms_.has("region_to_text")) ask_for_text(region, picture, index, sample);
        auto found =
            std::find_if(categories.begin(), categories.end(), [&](const auto& one) { return one.first == region.text; });
        if (found == categories.end()) found = categories.insert(found, {region.text, {}});
        found->second.push_back(region.box);
      }
      sample.regions.push_back(std::move(region));
    }
    if (std::count(crowds.begin(), crowds.end(), 1) > 0) sample.extra[kCrowds] = crowds;
    if (!forms_.has("text_to_region")) return;
    for (const auto& [text, boxes] : categories) {
      const std::string written = boxes_text(forms_, index, boxes, picture.width, picture.height);
      ask(sample, forms_.fill("text_to_region", index, {{"text", text}}),
          forms_.fill("text_to_region_answer", index, {{"text", text}, {"boxes", written}}));
    }
  }

  void ask_for_text(const Region& region, const CocoPicture& picture, int64_t index, Sample& sample) const {
    const std::string box = box_text(forms_, index, region.box, picture.width, picture.height);
    ask(sample, forms_.fill("region_to_text", index, {{"box", box}}),
        forms_.fill("region_to_text_answer", index, {{"text", region.text}}));
  }

  static void ask(Sample& sample, std::string question, std::string answer) {
    sample.turns.push_back({Turn::Role::kUser, std::move(question)});
    sample.turns.push_back({Turn::Role::kAssistant, std::move(answer)});
  }

  std::string name_;
  PromptForms forms_;
  CocoFile file_;
  bool captions_ = false;
  std::vector<PictureAnnotations> pictures_;
};

std::string text_of(const OrderedJson& record) {
  return record.dump(-1, ' ', false, OrderedJson::error_handler_t::strict);
}

class CocoWriter final : public SampleWriter {
 public:
  explicit CocoWriter(const WriterOptions& options)
      : file_(options.path), pictures_(options.images.empty() ? options.path.parent_path() / "images" : options.images) {
    file_.write("{\"annotations\": [");
  }

  void write(const Sample& sample) override {
    require(sample.pictures.size() == 1, "sample {}: {} pictures; coco annotates one", sample.id, sample.pictures.size());
    const bool instances = !sample.regions.empty();
    if (images_.empty()) instances_ = instances;
    require(instances == instances_,
            "sample {}: it has {}regions, but the samples before have {}; COCO has a file of its own for each", sample.id,
            instances ? "" : "no ", instances_ ? "some" : "none");
    const image::Image picture = sample.pictures[0].load();
    const auto image_id = static_cast<int64_t>(images_.size());
    // All is made before anything is written: a sample that can't be written leaves no half of it.
    std::vector<OrderedJson> annotations;
    bool answered_alike = true;  // each question by all captions, as they are read back
    if (instances_) {
      for (size_t i = 0; i < sample.regions.size(); ++i)
        annotations.push_back(instance_of(sample, i, image_id, picture.height, picture.width));
    } else {
      const std::vector<QuestionPair> pairs = question_pairs(sample, "coco");
      std::vector<std::string> captions;
      for (const QuestionPair& pair : pairs) {
        captions.push_back(pair.answer);
        annotations.push_back({{"image_id", image_id}, {"caption", pair.answer}});
      }
      for (const QuestionPair& pair : pairs) answered_alike &= pair.references.empty() || pair.references == captions;
    }
    images_.push_back(text_of({{"id", image_id},
                               {"file_name", pictures_.put(sample.pictures[0], sample.id)},
                               {"width", picture.width},
                               {"height", picture.height}}));
    for (OrderedJson& annotation : annotations) put(std::move(annotation));
    lose(instances_ ? "turns" : "question");
    if (!instances_ && sample.turns.front().role == Turn::Role::kSystem) lose("system turn");
    if (!answered_alike || (instances_ && !sample.references.empty())) lose("references");
    if (sample.id != std::to_string(image_id)) lose("id");
    if (!sample.question_types.empty()) lose("question_types");
    for (const auto& [key, value] : sample.extra.items()) {
      if (key != kCrowds) lose(key);
    }
  }

  void finish() override {
    file_.write("],\n\"images\": [");
    for (size_t i = 0; i < images_.size(); ++i) file_.write((i == 0 ? "\n" : ",\n") + images_[i]);
    file_.write("]");
    if (instances_) {
      OrderedJson categories = OrderedJson::array();
      for (const auto& [name, id] : categories_) categories.push_back({{"id", id}, {"name", name}, {"supercategory", ""}});
      file_.write(",\n\"categories\": " + text_of(categories));
    }
    file_.write("}\n");
    file_.commit();
  }

 private:
  OrderedJson instance_of(const Sample& sample, size_t index, int64_t image_id, int64_t height, int64_t width) {
    const Region& region = sample.regions[index];
    require(region.picture == 0, "sample {}: a region of picture {}, of 1", sample.id, region.picture);
    const bool crowd = sample.extra.contains(kCrowds) && sample.extra[kCrowds].is_array() &&
                       index < sample.extra[kCrowds].size() && sample.extra[kCrowds][index] == 1;
    const double wide = region.box[2] - region.box[0], high = region.box[3] - region.box[1];
    const bool masked = !region.mask.is_null() && !region.mask.empty();
    const double size = masked
                            ? static_cast<double>(area(rle_from_segmentation(region.mask, height, width, "sample " + sample.id)))
                            : wide * high;
    const auto category = categories_.emplace(region.text, static_cast<int64_t>(categories_.size()) + 1).first->second;
    return {{"image_id", image_id},
            {"category_id", category},
            {"bbox", {region.box[0], region.box[1], wide, high}},
            {"area", size},
            {"iscrowd", crowd ? 1 : 0},
            {"segmentation", masked ? OrderedJson(region.mask) : OrderedJson::array()}};
  }

  void put(OrderedJson annotation) {
    annotation["id"] = ++count_;  // pycocotools takes an id of 0 for none
    file_.write((count_ == 1 ? "\n" : ",\n") + text_of(annotation));
  }

  AtomicFile file_;
  PictureFiles pictures_;
  bool instances_ = false;
  std::vector<std::string> images_;
  std::map<std::string, int64_t> categories_;
  int64_t count_ = 0;  ///< annotations
};

}  // namespace

std::shared_ptr<const Dataset> open_coco(const DatasetOptions& options) {
  return std::make_shared<CocoDataset>(options);
}

std::unique_ptr<SampleWriter> write_coco(const WriterOptions& options) {
  return std::make_unique<CocoWriter>(options);
}

}  // namespace ocelli::data
