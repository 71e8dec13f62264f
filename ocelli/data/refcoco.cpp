#include "ocelli/data/refcoco.h"

#include <fmt/ranges.h>

#include <cmath>
#include <set>
#include <unordered_map>

#include "ocelli/base/error.h"
#include "ocelli/base/plain_pickle.h"
#include "ocelli/data/box_text.h"
#include "ocelli/data/coco_file.h"
#include "ocelli/data/file_text.h"
#include "ocelli/data/json_scan.h"
#include "ocelli/data/picture_root.h"
#include "ocelli/data/prompt_forms.h"
#include "ocelli/data/record_file.h"
#include "ocelli/text/utf8.h"

namespace ocelli::data {
namespace {

namespace fs = std::filesystem;

PromptForms forms_of(const DatasetOptions& options) {
  PromptForms forms = PromptForms::read(options.prompts);
  require(
      forms.has("text_to_region") && forms.has("box"),
      "data {}: how a model writes boxes is not known: give a prompts file that has the keys \"text_to_region\" and \"box\" (as "
      "prompts/llava-1.5.json has)",
      options.name);
  return forms;
}

/// Asks where `region` is, whose text is the expression.
void ask(const PromptForms& forms, int64_t number, Region region, int64_t width, int64_t height, Sample& sample) {
  const std::string box = boxes_text(forms, number, {region.box}, width, height);
  sample.turns.push_back({Turn::Role::kUser, forms.fill("text_to_region", number, {{"text", region.text}})});
  sample.turns.push_back(
      {Turn::Role::kAssistant, forms.fill("text_to_region_answer", number, {{"text", region.text}, {"boxes", box}})});
  sample.regions.push_back(std::move(region));
}

fs::path instances_of(const DatasetOptions& options) {
  if (!options.annotations.empty()) return options.annotations;
  fs::path beside = options.path.parent_path() / "instances.json";
  require(is_there(beside), "data {}: {} names regions by number; give COCO's instances as `annotations` (looked for {})",
          options.name, options.path.string(), beside.string());
  return beside;
}

class ReferPickle final : public Dataset {
 public:
  explicit ReferPickle(const DatasetOptions& options)
      : name_(options.name),
        forms_(forms_of(options)),
        refs_text_(options.path),
        refs_(refs_text_.text(), refs_text_.name()),
        instances_(instances_of(options), options.images) {
    for (int64_t i = 0; i < instances_.num_annotations(); ++i)
      annotation_of_.emplace(find_integer(instances_.annotation_text(i), "id", instances_.where(i)), i);
    group_by_picture(options.split);
  }

  int64_t size() const override { return static_cast<int64_t>(pictures_.size()); }
  const std::string& name() const override { return name_; }

  Sample get(int64_t index) const override {
    const PictureRefs& listed = pictures_[static_cast<size_t>(index)];
    const CocoPicture picture = instances_.picture(listed.image_id);
    const std::string where = fmt::format("{}, image_id {}", refs_text_.name(), listed.image_id);
    require(picture.width > 0 && picture.height > 0, "{}: {} gives the picture no width and height", where, instances_.name());
    Sample sample;
    sample.id = std::to_string(listed.image_id);
    sample.independent = true;
    sample.pictures.emplace_back(picture.path);
    for (const int64_t number : listed.refs) add_ref(number, picture, sample);
    finish_sample(sample, where);
    return sample;
  }

 private:
  struct PictureRefs {
    int64_t image_id = 0;
    std::vector<int64_t> refs;
  };

  std::string ref_name(int64_t number) const { return fmt::format("{}, ref {}", refs_text_.name(), number); }

  void group_by_picture(const std::string& split) {
    std::unordered_map<int64_t, size_t> places;
    std::set<std::string> splits;
    for (int64_t i = 0; i < refs_.size(); ++i) {
      const Json ref = refs_.item(i);
      require(ref.is_object(), "{}: expected a dict", ref_name(i));
      const JsonView view(ref, ref_name(i));
      const std::string its = view.string("split");
      if (splits.size() < 20) splits.insert(text::valid_utf8(its));
      if (!split.empty() && its != split) continue;
      const int64_t image_id = view.integer("image_id");
      const auto [place, is_new] = places.emplace(image_id, pictures_.size());
      if (is_new) pictures_.push_back({image_id, {}});
      pictures_[place->second].refs.push_back(i);
    }
    require(!pictures_.empty(), "data {}: {} has no ref of the split \"{}\"; there are {}", name_, refs_text_.name(), split,
            fmt::join(splits, ", "));
  }

  void add_ref(int64_t number, const CocoPicture& picture, Sample& sample) const {
    const Json ref = refs_.item(number);
    const JsonView view(ref, ref_name(number));
    const int64_t id = view.integer("ann_id");
    const auto found = annotation_of_.find(id);
    require(found != annotation_of_.end(), "{}: ann_id is {}, which {} doesn't have", view.path(), id, instances_.name());
    const Json instance = instances_.annotation(found->second);
    Region region;
    region.box = coco_box(JsonView(instance, instances_.where(found->second)));
    if (instance.contains("segmentation")) region.mask = instance["segmentation"];
    require(ref.contains("sentences") && ref["sentences"].is_array() && !ref["sentences"].empty(),
            "{}: sentences: expected a list of {{\"sent\": …}}", view.path());
    for (const Json& sentence : ref["sentences"]) {
      region.text = JsonView(sentence, view.path() + ": sentences").string("sent");
      require(text::is_valid_utf8(region.text), "{}: sentences: a text that isn't UTF-8", view.path());
      ask(forms_, number, region, picture.width, picture.height, sample);
    }
  }

  std::string name_;
  PromptForms forms_;
  FileText refs_text_;
  PlainPickle refs_;
  CocoFile instances_;
  std::unordered_map<int64_t, int64_t> annotation_of_;
  std::vector<PictureRefs> pictures_;
};

class ReferLines final : public Dataset {
 public:
  explicit ReferLines(const DatasetOptions& options)
      : options_(options), forms_(forms_of(options)), file_(options.path, options.name) {
    require(options.split.empty(), "data {}: {} is of one split; leave `split` out", options.name, options.path.string());
    options_.images = picture_root(options.images, options.path);
  }

  int64_t size() const override { return file_.size(); }
  const std::string& name() const override { return options_.name; }

  Sample get(int64_t index) const override {
    const std::string where = file_.where(index);
    const Json record = file_.object(index);
    const JsonView view(record, where);
    constexpr int64_t kMostSide = 1 << 24;
    const int64_t width = view.integer_in("width", 1, kMostSide), height = view.integer_in("height", 1, kMostSide);
    Sample sample;
    sample.id = std::to_string(index);
    sample.independent = true;
    sample.pictures.emplace_back(below(options_.images, view.string("image"), where + ".image"));
    Region region;
    region.text = view.string("sent");
    const std::vector<double> box = view.numbers("bbox");
    require(box.size() == 4 && box[0] <= box[2] && box[1] <= box[3] && std::isfinite(box[0] + box[1] + box[2] + box[3]),
            "{}: bbox is {}, expected x0 <= x1 and y0 <= y1 as x0, y0, x1, y1", where, record["bbox"].dump().substr(0, 80));
    std::copy(box.begin(), box.end(), region.box.begin());
    ask(forms_, index, std::move(region), width, height, sample);
    finish_sample(sample, where);
    return sample;
  }

 private:
  DatasetOptions options_;
  PromptForms forms_;
  RecordFile file_;
};

}  // namespace

std::shared_ptr<const Dataset> open_refcoco(const DatasetOptions& options) {
  const std::string suffix = options.path.extension().string();
  if (suffix == ".jsonl" || suffix == ".json") return std::make_shared<ReferLines>(options);
  return std::make_shared<ReferPickle>(options);
}

}  // namespace ocelli::data
