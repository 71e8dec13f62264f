#include "ocelli/connector/qformer.h"

#include <ATen/ATen.h>

#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/nn/attention.h"

namespace ocelli::connector {
namespace {

std::shared_ptr<nn::Linear> linear(int64_t in, int64_t out, const QFormerConfig& config) {
  return std::make_shared<nn::Linear>(in, out, true, nn::Init::normal(config.initializer_range));
}

struct Table final : nn::Module {
  Table(int64_t rows, const QFormerConfig& config) {
    weight = declare("weight", {rows, config.hidden_size}, nn::Init::normal(config.initializer_range));
  }
  at::Tensor weight;  ///< [rows, D]
};

/// LayerNorm(dense(x) + residual): how every branch of BERT ends.
class Closing final : public nn::Module {
 public:
  Closing(int64_t in, const QFormerConfig& config) {
    dense_ = register_module("dense", linear(in, config.hidden_size, config));
    norm_ = register_module("LayerNorm", std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps));
  }
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual) const {
    return norm_->forward(dense_->forward(x) + residual);
  }
  Cost cost(int64_t rows, const Workload& work) const { return dense_->cost(rows, work) + norm_->cost(rows, work); }

 private:
  std::shared_ptr<nn::Linear> dense_;
  std::shared_ptr<nn::LayerNorm> norm_;
};

}  // namespace

/// Multi-head attention of some rows to themselves or to the picture's, closed by its residual and norm.
class QFormer::Attention final : public nn::Module {
 public:
  Attention(int64_t source_width, const QFormerConfig& config)
      : heads_(config.num_attention_heads), width_(config.hidden_size), head_width_(width_ / heads_) {
    auto inner = register_module("attention", std::make_shared<nn::Holder>());
    query_ = inner->register_module("query", linear(width_, width_, config));
    key_ = inner->register_module("key", linear(source_width, width_, config));
    value_ = inner->register_module("value", linear(source_width, width_, config));
    output_ = register_module("output", std::make_shared<Closing>(width_, config));
  }

  /// x: [R, D], the query rows; source: [S, D_source].
  at::Tensor forward(const at::Tensor& x, const at::Tensor& source, const nn::AttentionLayout& layout) const {
    const auto heads = [&](const at::Tensor& rows) { return rows.view({rows.size(0), heads_, head_width_}); };
    const at::Tensor mixed =
        nn::attention(heads(query_->forward(x)), heads(key_->forward(source)), heads(value_->forward(source)), layout,
                      1.0 / std::sqrt(static_cast<double>(head_width_)));
    return output_->forward(mixed.reshape({x.size(0), width_}), x);
  }

  Cost cost(int64_t rows, int64_t source_rows, int64_t pairs, const Workload& work) const {
    return query_->cost(rows, work) + key_->cost(source_rows, work) + value_->cost(source_rows, work) +
           nn::attention_cost(pairs, rows, heads_, head_width_, work) + output_->cost(rows, work);
  }

 private:
  int64_t heads_, width_, head_width_;
  std::shared_ptr<nn::Linear> query_, key_, value_;
  std::shared_ptr<Closing> output_;
};

/// The feed-forward layer of one kind of row. Its halves are modules of the layer, as the checkpoints have them.
class QFormer::FeedForward {
 public:
  /// Registers `intermediate` + suffix and `output` + suffix with `owner`.
  FeedForward(nn::Module& owner, const std::string& suffix, const QFormerConfig& config) : activation_(config.hidden_act) {
    auto intermediate = owner.register_module("intermediate" + suffix, std::make_shared<nn::Holder>());
    dense_ = intermediate->register_module("dense", linear(config.hidden_size, config.intermediate_size, config));
    output_ = owner.register_module("output" + suffix, std::make_shared<Closing>(config.intermediate_size, config));
  }
  at::Tensor forward(const at::Tensor& x) const { return output_->forward(nn::activate(activation_, dense_->forward(x)), x); }
  Cost cost(int64_t rows, const Workload& work) const { return dense_->cost(rows, work) + output_->cost(rows, work); }

 private:
  nn::Activation activation_;
  std::shared_ptr<nn::Linear> dense_;
  std::shared_ptr<Closing> output_;
};

class QFormer::Layer final : public nn::Module {
 public:
  /// Who sees whom in one pass.
  struct Layouts {
    int64_t queries = 0;             ///< rows [0, queries) are the queries of all pictures, the rest their texts
    nn::AttentionLayout all;         ///< rows among themselves
    nn::AttentionLayout last;        ///< queries to all rows: no one reads what the last layer makes of the text
    nn::AttentionLayout to_picture;  ///< queries to the picture's rows
  };

  Layer(bool looks, int64_t input_width, const QFormerConfig& config) {
    attention_ = register_module("attention", std::make_shared<Attention>(config.hidden_size, config));
    if (looks) crossattention_ = register_module("crossattention", std::make_shared<Attention>(input_width, config));
    if (config.vocab_size > 0) of_text_ = std::make_unique<FeedForward>(*this, "", config);
    of_queries_ = std::make_unique<FeedForward>(*this, "_query", config);
  }

  /// x: [R, D], queries first; picture: [N * P, D_vision]. Returns all rows, of the last layer the queries alone.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& picture, const Layouts& layouts, bool last) const {
    const bool text = x.size(0) > layouts.queries;
    const at::Tensor mixed = last && text ? attention_->forward(x.slice(0, 0, layouts.queries), x, layouts.last)
                                          : attention_->forward(x, x, layouts.all);
    at::Tensor queries = text ? mixed.slice(0, 0, layouts.queries) : mixed;
    if (crossattention_) queries = crossattention_->forward(queries, picture, layouts.to_picture);
    queries = of_queries_->forward(queries);
    if (last || !text) return queries;
    return at::cat({queries, of_text_->forward(mixed.slice(0, layouts.queries))});
  }

  /// `count` pictures of `keys` rows, each with `queries` queries and `text` words.
  Cost cost(int64_t count, int64_t queries, int64_t text, int64_t keys, bool last, const Workload& work) const {
    const int64_t rows = queries + text, asking = last ? queries : rows;
    Cost total =
        attention_->cost(count * asking, count * rows, count * asking * rows, work) + of_queries_->cost(count * queries, work);
    if (crossattention_) total += crossattention_->cost(count * queries, count * keys, count * queries * keys, work);
    if (of_text_) total += of_text_->cost(last ? 0 : count * text, work);
    return total;
  }

 private:
  std::shared_ptr<Attention> attention_, crossattention_;  ///< the second is null without
  std::unique_ptr<FeedForward> of_queries_, of_text_;      ///< the second is null without text
};

/// `qformer.*` of the checkpoints.
class QFormer::Body final : public nn::Module {
 public:
  Body(const QFormerConfig& config, int64_t input_width) {
    norm = std::make_shared<nn::LayerNorm>(config.hidden_size, config.layer_norm_eps);
    if (config.vocab_size > 0) {
      auto embeddings = register_module("embeddings", std::make_shared<nn::Holder>());
      words = embeddings->register_module("word_embeddings", std::make_shared<Table>(config.vocab_size, config));
      positions =
          embeddings->register_module("position_embeddings", std::make_shared<Table>(config.max_position_embeddings, config));
      embeddings->register_module("layernorm", norm);
    } else {
      register_module("layernorm", norm);
    }
    auto encoder = register_module("encoder", std::make_shared<nn::Holder>());
    auto list = encoder->register_module("layer", std::make_shared<nn::Holder>());
    for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
      layers.push_back(list->register_module(
          std::to_string(i), std::make_shared<Layer>(i % config.cross_attention_frequency == 0, input_width, config)));
    }
  }
  std::shared_ptr<nn::LayerNorm> norm;
  std::shared_ptr<Table> words, positions;  ///< null without text
  std::vector<std::shared_ptr<Layer>> layers;
};

QFormer::QFormer(const QFormerConfig& config, int64_t input_width, int64_t output_width)
    : config_(config), input_width_(input_width) {
  query_tokens_ =
      declare("query_tokens", {1, config.num_query_tokens, config.hidden_size}, nn::Init::normal(config.initializer_range));
  qformer_ = register_module("qformer", std::make_shared<Body>(config, input_width));
  language_projection_ =
      register_module("language_projection", std::make_shared<nn::Linear>(config.hidden_size, output_width, true));
}

at::Tensor QFormer::embed_text(const at::Tensor& ids, const std::vector<int64_t>& lengths) const {
  require(config_.vocab_size > 0, "qformer: it takes no instruction text, {} tokens were given", ids.size(1));
  require(ids.size(1) <= config_.max_position_embeddings, "qformer: an instruction of {} tokens, it takes at most {}",
          ids.size(1), config_.max_position_embeddings);
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const at::Tensor own = ids[static_cast<int64_t>(i)].slice(0, 0, lengths[i]);
    if (lengths[i] == 0) continue;
    const int64_t low = own.min().item<int64_t>(), high = own.max().item<int64_t>();
    require(low >= 0 && high < config_.vocab_size, "qformer: instruction id {} is outside the vocabulary of {}",
            low < 0 ? low : high, config_.vocab_size);
    rows.push_back(at::embedding(qformer_->words->weight, own) + qformer_->positions->weight.slice(0, 0, lengths[i]));
  }
  return rows.empty() ? at::Tensor() : at::cat(rows);
}

at::Tensor QFormer::forward(const nn::VisualFeatures& features, const at::Tensor& instruction_ids, nn::RunContext& run) {
  require(features.maps.dim() == 3 && features.maps.size(2) == input_width_, "qformer: features {}, expected N x P x {}",
          c10::str(features.maps.sizes()), input_width_);
  const int64_t count = features.maps.size(0), keys = features.maps.size(1), queries = config_.num_query_tokens;
  std::vector<int64_t> lengths(static_cast<size_t>(count), 0);
  at::Tensor rows = query_tokens_.expand({count, queries, config_.hidden_size}).reshape({count * queries, config_.hidden_size});
  if (instruction_ids.defined() && instruction_ids.numel() > 0) {
    require(instruction_ids.dim() == 2 && instruction_ids.size(0) == count, "qformer: instruction ids {}, expected {} x T",
            c10::str(instruction_ids.sizes()), count);
    const at::Tensor padding = instruction_ids == -1;
    for (int64_t i = 0; i < count; ++i) {
      // What lies behind the first -1 is no text; embed_text() finds ids that are neither.
      const at::Tensor ends = padding[i].nonzero();
      lengths[static_cast<size_t>(i)] = ends.size(0) > 0 ? ends[0].item<int64_t>() : instruction_ids.size(1);
    }
    if (const at::Tensor text = embed_text(instruction_ids, lengths); text.defined()) rows = at::cat({rows, text});
  }
  const auto layouts = std::make_shared<Layer::Layouts>();
  layouts->queries = count * queries;
  if (rows.size(0) == layouts->queries) {
    layouts->all = nn::AttentionLayout::uniform(count, queries, false);
  } else {
    int64_t word = layouts->queries;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = i * queries, end = begin + queries, words = lengths[static_cast<size_t>(i)];
      for (nn::AttentionLayout* layout : {&layouts->all, &layouts->last}) {
        layout->add({begin, end, begin, end, false, 0});
        if (words > 0) layout->add({begin, end, word, word + words, false, 0});
      }
      if (words == 0) continue;
      layouts->all.add({word, word + words, begin, end, false, 0});
      layouts->all.add({word, word + words, word, word + words, false, 0});
      word += words;
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    layouts->to_picture.add({i * queries, (i + 1) * queries, i * keys, (i + 1) * keys, false, 0});
  }

  auto [x, picture] =
      nn::share_with_blocks(qformer_->norm->forward(rows), features.maps.reshape({count * keys, input_width_}), run);
  for (size_t i = 0; i < qformer_->layers.size(); ++i) {
    const bool last = i + 1 == qformer_->layers.size();
    const auto& layer = qformer_->layers[i];
    x = nn::run_block(
        "connector.qformer.encoder.layer." + std::to_string(i),
        [layer, picture = picture, layouts, last](const at::Tensor& hidden) {
          return layer->forward(hidden, picture, *layouts, last);
        },
        x, run);
  }
  return language_projection_->forward(x.view({count, queries, config_.hidden_size}));
}

at::Tensor QFormer::forward(const nn::VisualFeatures& features, const ConnectorContext& context) {
  return forward(features, context.instruction_ids, context.run);
}

Cost QFormer::cost(image::Grid grid, int64_t tiles, int64_t text, const Workload& work) const {
  const int64_t queries = config_.num_query_tokens, keys = grid.count() + (config_.class_token ? 1 : 0);
  Cost total;
  total.parameters = queries * config_.hidden_size;
  if (config_.vocab_size > 0) total.parameters += (config_.vocab_size + config_.max_position_embeddings) * config_.hidden_size;
  total.weight_bytes = static_cast<double>((queries + 2 * text) * config_.hidden_size * work.weight_bytes);
  total += qformer_->norm->cost(tiles * (queries + text), work);
  for (size_t i = 0; i < qformer_->layers.size(); ++i) {
    total += qformer_->layers[i]->cost(tiles, queries, text, keys, i + 1 == qformer_->layers.size(), work);
  }
  return total + language_projection_->cost(tiles * queries, work);
}

}  // namespace ocelli::connector
