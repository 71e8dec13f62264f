#include "ocelli/infer/engine.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "ocelli/base/error.h"
#include "ocelli/base/stopwatch.h"
#include "ocelli/model/visual_ids.h"
#include "ocelli/nn/tensor_io.h"

namespace ocelli::infer {
/// New rows of one or more cached sequences, laid end to end.
struct Engine::Rows {
  explicit Rows(nn::KvCache& of) : cache(of) {}

  /// Appends rows to a sequence; they go on behind what it holds and see it, and each other before
  /// them or, not `causal`, both ways. Only the last one's logits are wanted, when `wants_logits`.
  void add(int64_t sequence, std::span<const int64_t> new_ids, std::span<const std::array<int64_t, 3>> new_positions,
           bool wants_logits, bool causal = true) {
    const int64_t begin = static_cast<int64_t>(ids.size());
    const int64_t count = static_cast<int64_t>(new_ids.size());
    cache.reserve(sequence, count);
    cache.add_spans(sequence, begin, begin + count, layout, causal);
    writes.push_back({sequence, begin, begin + count});
    positions.insert(positions.end(), new_positions.begin(), new_positions.end());
    ids.insert(ids.end(), new_ids.begin(), new_ids.end());
    if (wants_logits) outputs.push_back(begin + count - 1);
  }

  nn::KvCache& cache;
  std::vector<int64_t> ids, outputs;
  std::vector<std::array<int64_t, 3>> positions;
  std::vector<language::CacheRows> writes;
  nn::AttentionLayout layout;
  model::Seen seen;  ///< tokens for the visual rows among `ids`, in order, and the memory of a single sequence
  at::Tensor boxes;  ///< [B, 4] of `box_rows`; undefined for none
  std::vector<int64_t> box_rows;
  at::Tensor embeds;        ///< [T, D] in place of the ids' own; undefined: theirs
  int64_t rope_length = 0;  ///< see DecoderInputs
};

Engine::Engine(std::shared_ptr<model::Model> model, std::shared_ptr<const model::Processor> processor,
               const EngineOptions& options)
    : model_(std::move(model)), processor_(std::move(processor)), options_(options), dtype_(model_->head_weight().scalar_type()) {
  require(options.context >= 1 && options.context <= (int64_t{1} << 24), "context {}: expected 1 to {}", options.context,
          int64_t{1} << 24);
}

nn::KvCache Engine::make_cache(int64_t rows) const {
  const language::DecoderConfig& config = model_->config().decoder;
  return nn::KvCache({.layers = config.num_hidden_layers,
                      .kv_heads = config.num_key_value_heads,
                      .head_width = config.head_dim,
                      .block_size = options_.block_size,
                      .blocks = (rows + options_.block_size - 1) / options_.block_size,
                      .dtype = dtype_});
}

bool Engine::is_end(int64_t id) const {
  const auto& ends = model_->config().eos_token_ids;
  return std::find(ends.begin(), ends.end(), id) != ends.end();
}

model::Seen Engine::encode(std::span<const model::PixelTiles* const> pictures, std::span<const int64_t> instruction_ids) {
  if (pictures.empty()) return {};
  std::vector<image::Tiling> tilings;
  for (const model::PixelTiles* picture : pictures) tilings.push_back(picture->tiling);
  nn::RunContext context;
  const model::Pixels pixels = model::stack_pixels(pictures).to(dtype_);
  return model_->see(pixels, tilings, context, model::instruction_rows(instruction_ids, pixels));
}

at::Tensor Engine::read(std::span<const int64_t> ids, const model::Seen& seen) {
  model::ModelInputs inputs;
  model::set_rows(inputs, ids, false);
  inputs.layout = nn::AttentionLayout::uniform(1, static_cast<int64_t>(ids.size()), false);
  nn::RunContext context;
  return model_->encode(inputs, seen, context);
}

model::Positions Engine::positions(std::span<const int64_t> ids, std::span<const model::PixelTiles> pictures,
                                   int64_t start) const {
  return model::positions_of(processor_->positions(), ids, model_->token_grids(pictures), start);
}

Engine::Step Engine::run(const Rows& rows) {
  model::ModelInputs inputs;
  model::set_rows(inputs, rows.ids, processor_->visual_expert());
  inputs.positions = model::position_tensor(processor_->positions(), rows.positions);
  inputs.layout = rows.layout;
  inputs.output_rows = nn::index_tensor(rows.outputs);
  if (rows.seen.memory.defined()) {
    inputs.memory_layout.add({0, static_cast<int64_t>(rows.ids.size()), 0, rows.seen.memory.size(0), false, 0});
  }
  if (!rows.box_rows.empty()) {
    inputs.boxes = rows.boxes;
    inputs.box_rows = nn::index_tensor(rows.box_rows);
  }
  language::DecoderInputs decoder = model_->decoder_inputs(inputs, rows.seen);
  if (rows.embeds.defined()) decoder.embeds = rows.embeds;
  decoder.cache = &rows.cache;
  decoder.cache_rows = rows.writes;
  decoder.rope_length = rows.rope_length;
  nn::RunContext context;
  const at::Tensor hidden = model_->decode(decoder, context);
  return {hidden, hidden.size(0) == 0 ? hidden : model_->head(hidden).to(at::kFloat).contiguous()};
}

Generation Engine::generate(const std::vector<int64_t>& ids, const std::vector<model::PixelTiles>& pictures,
                            const SamplingOptions& sampling, const std::function<void(int64_t)>& on_token,
                            const at::Tensor& boxes, std::span<const int64_t> instruction_ids) {
  const at::InferenceMode inference;
  require(!ids.empty(), "the prompt is empty");
  require(static_cast<int64_t>(ids.size()) < options_.context, "the prompt has {} tokens, the context holds {}; raise it with -c",
          ids.size(), options_.context);
  Sampler sampler(sampling);
  Generation out;
  out.prompt_tokens = static_cast<int64_t>(ids.size());
  out.image_tokens = std::count_if(ids.begin(), ids.end(), model::is_visual);
  model::Positions places = positions(ids, pictures, 0);
  // The first Qwen fixes its rotary base by the prompt.
  const nn::RopeConfig& rope = model_->config().decoder.rope;
  const bool by_prompt = rope.scaling == nn::RopeConfig::Scaling::kQwen;
  const int64_t rope_length = by_prompt ? out.prompt_tokens : 0;
  if (!cache_) {
    cache_.emplace(make_cache(options_.context));
    sequence_ = cache_->add_sequence();
  }

  // A memory belongs to its whole prompt, visual tokens that follow a question to that question.
  const std::vector<int64_t> instruction(instruction_ids.begin(), instruction_ids.end());
  // Rows in the cache are good for a sequence that turns them alike.
  const bool turned_alike = nn::same_angles(rope, static_cast<int64_t>(cached_ids_.size()), places.next);
  if (model_->encodes() || processor_->bidirectional_prompt() || instruction != cached_instruction_ || !turned_alike) {
    cached_ids_.clear();
    cached_pixels_.clear();
  }
  cached_instruction_ = instruction;
  // Keep the common beginning of the last conversation and this one, unless pictures within it changed. At least one row runs.
  size_t common = 0;
  while (common + 1 < ids.size() && common < cached_ids_.size() && ids[common] == cached_ids_[common]) ++common;
  std::vector<std::vector<float>> pixels;
  for (const model::PixelTiles& picture : pictures) pixels.push_back(picture.pixels);
  int64_t picture_rows = 0;
  size_t first_new = 0;  // pictures wholly inside the common part need no encoding
  for (size_t i = 0; i < pictures.size(); ++i) {
    const int64_t tokens = model_->num_tokens(pictures[i].tiling);
    size_t begin = 0, seen = 0;
    while (begin < ids.size() && static_cast<int64_t>(seen) <= picture_rows) seen += model::is_visual(ids[begin++]) ? 1 : 0;
    picture_rows += tokens;
    const size_t first_row = begin - 1;
    if (i >= cached_pixels_.size() || pixels[i] != cached_pixels_[i] || first_row + static_cast<size_t>(tokens) > common) {
      common = std::min(common, first_row);
      break;
    }
    first_new = i + 1;
  }
  cache_->truncate(sequence_, static_cast<int64_t>(common));
  cached_ids_.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(common));
  cached_pixels_.clear();
  out.cached_tokens = static_cast<int64_t>(common);

  Stopwatch watch;
  std::vector<const model::PixelTiles*> to_encode;
  for (size_t i = first_new; i < pictures.size(); ++i) to_encode.push_back(&pictures[i]);
  Rows prompt(*cache_);
  model::Seen seen = encode(to_encode, instruction);
  prompt.rope_length = rope_length;
  out.timings.encode = watch.milliseconds();

  watch = Stopwatch();
  if (model_->encodes()) {
    const int64_t start = model_->config().encoder_decoder->decoder_start_token_id;
    prompt.seen = {};
    prompt.seen.memory = read(ids, seen);
    places = {{{0, 0, 0}}, 1};
    prompt.add(sequence_, {&start, 1}, places.rows, true);
  } else {
    prompt.seen = std::move(seen);
    prompt.add(sequence_, std::span(ids).subspan(common), std::span(places.rows).subspan(common), true,
               !processor_->bidirectional_prompt());
  }
  if (boxes.defined()) {
    const std::vector<int64_t> rows = model_->box_rows(ids);
    require(static_cast<int64_t>(rows.size()) == boxes.size(0), "the text has {} places for boxes, {} boxes were given",
            rows.size(), boxes.size(0));
    const auto first = std::lower_bound(rows.begin(), rows.end(), static_cast<int64_t>(common));
    for (auto row = first; row != rows.end(); ++row) prompt.box_rows.push_back(*row - static_cast<int64_t>(common));
    prompt.boxes = boxes.slice(0, first - rows.begin());
  }
  Step step = run(prompt);
  cached_ids_ = ids;
  cached_pixels_ = std::move(pixels);
  const auto chosen = [&] {
    return sampler.choose({step.logits.const_data_ptr<float>(), static_cast<size_t>(step.logits.size(-1))});
  };
  int64_t token = chosen();
  out.timings.prefill = watch.milliseconds();

  watch = Stopwatch();
  std::optional<model::NextRow> made;  // the row to come, when the model makes it itself
  while (true) {
    if (is_end(token)) {
      out.stopped = true;
      break;
    }
    out.ids.push_back(token);
    if (on_token) on_token(token);
    if (static_cast<int64_t>(out.ids.size()) >= sampling.max_tokens || cache_->length(sequence_) + 1 >= options_.context) break;
    Rows next(*cache_);
    next.rope_length = rope_length;
    const int64_t place = places.next + static_cast<int64_t>(out.ids.size()) - 1;
    const std::array<int64_t, 3> position{place, place, place};
    if (rope.scaling == nn::RopeConfig::Scaling::kLongRope && !nn::same_angles(rope, place, place + 1)) {
      // From here on every row is turned by the long factors: all of them run again.
      std::vector<const model::PixelTiles*> all;
      for (const model::PixelTiles& picture : pictures) all.push_back(&picture);
      next.seen = encode(all, instruction);
      std::vector<int64_t> again = cached_ids_;
      again.push_back(token);
      for (int64_t row = places.next; row <= place; ++row) places.rows.push_back({row, row, row});
      cache_->truncate(sequence_, 0);
      next.add(sequence_, again, places.rows, true);
    } else {
      next.add(sequence_, {&token, 1}, {&position, 1}, true);
    }
    if (made) next.embeds = made->embedding;
    step = run(next);
    cached_ids_.push_back(token);
    made = model_->next_row(token, step.hidden);
    token = chosen();
    if (made) {
      token = made->id;
      out.boxes.push_back(made->box);
    }
  }
  out.timings.decode = watch.milliseconds();
  return out;
}

std::vector<std::vector<Generation>> Engine::answer_one_by_one(std::span<const QuestionGroup> groups, int64_t max_tokens) {
  std::vector<std::vector<Generation>> out;
  for (const QuestionGroup& group : groups) {
    out.emplace_back();
    for (size_t i = 0; i < group.questions.size(); ++i) {
      std::vector<int64_t> ids = group.prefix;
      ids.insert(ids.end(), group.questions[i].begin(), group.questions[i].end());
      const std::span<const int64_t> instruction =
          i < group.instructions.size() ? std::span<const int64_t>(group.instructions[i]) : std::span<const int64_t>();
      out.back().push_back(generate(ids, group.pictures, {.temperature = 0, .max_tokens = max_tokens}, {}, {}, instruction));
    }
  }
  return out;
}

std::vector<std::vector<Generation>> Engine::answer(std::span<const QuestionGroup> groups, int64_t max_tokens) {
  const at::InferenceMode inference;
  if (groups.empty()) return {};
  if (model_->encodes() || processor_->reads_instruction() || processor_->bidirectional_prompt())
    return answer_one_by_one(groups, max_tokens);
  int64_t rows = 0;
  for (const QuestionGroup& group : groups) {
    const auto in_blocks = [&](size_t count) {
      return (static_cast<int64_t>(count) / options_.block_size + 2) * options_.block_size;
    };
    rows += in_blocks(group.prefix.size());
    for (const auto& question : group.questions) rows += in_blocks(question.size() + static_cast<size_t>(max_tokens));
  }
  nn::KvCache cache = make_cache(rows);

  std::vector<const model::PixelTiles*> pictures;
  for (const QuestionGroup& group : groups) {
    for (const model::PixelTiles& picture : group.pictures) pictures.push_back(&picture);
  }
  // Visual tokens follow their rows: those of the prefix are run once, those behind it (a conversation has no prefix) with each
  // question. A memory belongs to one sequence, so groups then go one by one.
  const bool one_by_one = model_->memory_rows() > 0;
  std::vector<at::Tensor> of_questions;
  std::vector<int64_t> prefixes;
  std::vector<model::Positions> prefix_places;
  const auto marks = [](std::span<const int64_t> ids) { return std::count_if(ids.begin(), ids.end(), model::is_visual); };
  const model::Seen all = one_by_one ? model::Seen{} : encode(pictures);
  std::vector<at::Tensor> of_prefixes;
  Rows first(cache);
  int64_t at_token = 0;
  for (const QuestionGroup& group : groups) {
    model::Seen own;
    if (one_by_one) {
      std::vector<const model::PixelTiles*> of_group;
      for (const model::PixelTiles& picture : group.pictures) of_group.push_back(&picture);
      own = encode(of_group);
      at_token = 0;
    }
    const at::Tensor& visual = one_by_one ? own.tokens : all.tokens;
    int64_t tokens = 0;
    for (const model::PixelTiles& picture : group.pictures) tokens += model_->num_tokens(picture.tiling);
    const int64_t shared = marks(group.prefix);
    require(shared <= tokens, "a prefix has {} placeholders for {} visual tokens", shared, tokens);
    require(!one_by_one || own.memory.defined() == !group.prefix.empty(),
            "a conversation of several turns can't be asked of this model at once");
    if (shared > 0) of_prefixes.push_back(visual.slice(0, at_token, at_token + shared));
    for (const auto& question : group.questions) {
      const int64_t asked = marks(question);
      require(shared + asked <= tokens, "a question has {} placeholders for {} visual tokens", shared + asked, tokens);
      if (asked > 0) of_questions.push_back(visual.slice(0, at_token + shared, at_token + shared + asked));
    }
    at_token += tokens;
    prefixes.push_back(cache.add_sequence());
    prefix_places.push_back(positions(group.prefix, group.pictures, 0));
    if (group.prefix.empty()) continue;
    if (one_by_one) {
      Rows alone(cache);
      alone.seen.tokens = own.tokens.slice(0, 0, shared);
      alone.seen.memory = own.memory;
      alone.add(prefixes.back(), group.prefix, prefix_places.back().rows, false);
      run(alone);
    } else {
      first.add(prefixes.back(), group.prefix, prefix_places.back().rows, false);
    }
  }
  if (!of_prefixes.empty() && !one_by_one) first.seen.tokens = at::cat(of_prefixes);
  if (!first.ids.empty()) run(first);

  struct Open {
    int64_t sequence;
    Generation* answer;
    int64_t token;
    int64_t position;  ///< of the next row
  };
  std::vector<std::vector<Generation>> out(groups.size());
  std::vector<Open> open;
  Rows questions(cache);
  for (size_t g = 0; g < groups.size(); ++g) {
    out[g].resize(groups[g].questions.size());
    for (size_t q = 0; q < groups[g].questions.size(); ++q) {
      require(!groups[g].questions[q].empty(), "a question is empty");
      out[g][q].prompt_tokens = static_cast<int64_t>(groups[g].prefix.size() + groups[g].questions[q].size());
      // A prefix holds all pictures or none.
      const std::span<const model::PixelTiles> own =
          groups[g].prefix.empty() ? std::span(groups[g].pictures) : std::span<const model::PixelTiles>();
      const model::Positions places = positions(groups[g].questions[q], own, prefix_places[g].next);
      open.push_back({cache.fork(prefixes[g]), &out[g][q], 0, places.next});
      questions.add(open.back().sequence, groups[g].questions[q], places.rows, true);
    }
  }
  if (open.empty()) return out;
  if (!of_questions.empty()) questions.seen.tokens = at::cat(of_questions);
  at::Tensor chosen = run(questions).logits.argmax(-1);
  while (true) {
    std::vector<Open> still;
    Rows next(cache);
    for (size_t i = 0; i < open.size(); ++i) {
      Open& one = open[i];
      one.token = chosen[static_cast<int64_t>(i)].item<int64_t>();
      if (is_end(one.token)) {
        one.answer->stopped = true;
        cache.remove(one.sequence);
        continue;
      }
      one.answer->ids.push_back(one.token);
      if (static_cast<int64_t>(one.answer->ids.size()) >= max_tokens) {
        cache.remove(one.sequence);
        continue;
      }
      const std::array<int64_t, 3> position{one.position, one.position, one.position};
      next.add(one.sequence, {&one.token, 1}, {&position, 1}, true);
      ++one.position;
      still.push_back(one);
    }
    if (still.empty()) return out;
    open = std::move(still);
    chosen = run(next).logits.argmax(-1);
  }
}

}  // namespace ocelli::infer
