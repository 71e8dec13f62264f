#include "ocelli/connector/connector_config.h"

#include <array>
#include <utility>

namespace ocelli::connector {
namespace {

using Type = ConnectorConfig::Type;

constexpr std::pair<std::string_view, Type> kTypes[] = {
    {"linear", Type::kLinear},
    {"mlp", Type::kMlp},
    {"normed_mlp", Type::kNormedMlp},
    {"pixel_shuffle", Type::kPixelShuffle},
    {"concat_neighbours", Type::kConcatNeighbours},
    {"qformer", Type::kQFormer},
    {"resampler", Type::kResampler},
    {"window_resampler", Type::kWindowResampler},
    {"ldp", Type::kLdp},
    {"ldp_v2", Type::kLdpV2},
    {"average_pool", Type::kAveragePool},
    {"token_packer", Type::kTokenPacker},
    {"patch_mining", Type::kPatchMining},
    {"hybrid", Type::kHybrid},
    {"glu", Type::kGlu},
    {"patch_merger", Type::kPatchMerger},
};

void read_pooled(const JsonView& config, image::Grid& pooled) {
  pooled.rows = config.integer_in("pooled_rows", 1, 1024, pooled.rows);
  pooled.columns = config.integer_in("pooled_columns", 1, 1024, pooled.columns);
}

void write_pooled(const image::Grid& pooled, Json& json) {
  json["pooled_rows"] = pooled.rows;
  json["pooled_columns"] = pooled.columns;
}

void read_resampler(const JsonView& config, ResamplerConfig& out) {
  out.num_queries = config.integer_in("num_queries", 1, 1 << 16, out.num_queries);
  out.num_heads = config.integer_in("num_heads", 0, 1 << 12, out.num_heads);
  out.adaptive_positions = config.boolean("adaptive_positions", out.adaptive_positions);
  out.post_projection = config.boolean("post_projection", out.post_projection);
  out.layer_norm_eps = config.number("layer_norm_eps", out.layer_norm_eps);
}

void write_resampler(const ResamplerConfig& config, Json& json) {
  json["num_queries"] = config.num_queries;
  json["num_heads"] = config.num_heads;
  json["adaptive_positions"] = config.adaptive_positions;
  json["post_projection"] = config.post_projection;
  json["layer_norm_eps"] = config.layer_norm_eps;
}

constexpr std::pair<std::string_view, std::optional<nn::NormKind>> kNorms[] = {
    {"none", std::nullopt}, {"layer_norm", nn::NormKind::kLayer}, {"rms_norm", nn::NormKind::kRms}};

void read_merger(const JsonView& config, PatchMergerConfig& out) {
  const std::string norm = config.string("norm", "layer_norm");
  bool known = false;
  for (const auto& [name, kind] : kNorms) {
    if (name != norm) continue;
    out.norm = kind;
    known = true;
  }
  require(known, "{}.norm is \"{}\"; known are none, layer_norm, rms_norm", config.path(), norm);
  out.layer_norm_eps = config.number("layer_norm_eps", out.layer_norm_eps);
  out.num_layers = config.integer_in("num_layers", 1, 2, out.num_layers);
}

void write_merger(const PatchMergerConfig& config, Json& json) {
  for (const auto& [name, kind] : kNorms) {
    if (kind == config.norm) json["norm"] = name;
  }
  json["scale"] = config.scale;
  json["layer_norm_eps"] = config.layer_norm_eps;
  json["num_layers"] = config.num_layers;
  json["projector_hidden_act"] = nn::name_of(config.activation);
  json["bias"] = config.bias;
}

void read_window(const JsonView& config, WindowResamplerConfig& out) {
  read_resampler(config, out.view);
  out.num_windows = config.integer_in("num_windows", 1, 64, out.num_windows);
  out.global_view = config.boolean("global_view", out.global_view);
  if (!config.has("local_tokens")) return;
  out.local.emplace();
  out.local->num_tokens = config.integer_in("local_tokens", 1, 1 << 16);
  out.local->inner_width = config.integer_in("local_width", 1, 1 << 16);
  out.local->num_heads = config.integer_in("local_heads", 1, 1 << 10, out.local->num_heads);
  out.local->head_dim = config.integer_in("local_head_dim", 1, 1 << 12, out.local->head_dim);
}

void write_window(const WindowResamplerConfig& config, Json& json) {
  write_resampler(config.view, json);
  json["num_windows"] = config.num_windows;
  json["global_view"] = config.global_view;
  if (!config.local) return;
  json["local_tokens"] = config.local->num_tokens;
  json["local_width"] = config.local->inner_width;
  json["local_heads"] = config.local->num_heads;
  json["local_head_dim"] = config.local->head_dim;
}

}  // namespace

std::string_view name_of(Type type) {
  for (const auto& [name, value] : kTypes) {
    if (value == type) return name;
  }
  return "?";
}

void ConnectorConfig::set_widths(int64_t input, int64_t output, int64_t aux) {
  input_width = input;
  output_width = output;
  aux_width = aux;
  concat.input_width = resampler.input_width = window.view.input_width = ldp.input_width = pool.input_width = packer.input_width =
      mining.input_width = hybrid.input_width = input;
  concat.output_width = resampler.output_width = window.view.output_width = ldp.output_width = pool.output_width =
      packer.output_width = mining.output_width = hybrid.output_width = output;
  merger.input_width = input;
  merger.output_width = output;
  mining.aux_width = hybrid.aux_width = aux;
  if (window.local) window.local->width = output;
}

ConnectorConfig ConnectorConfig::from_json(const JsonView& config, int64_t input_width, int64_t output_width, int64_t aux_width) {
  ConnectorConfig out;
  const std::string type = config.string("type");
  bool known = false;
  std::string names;
  for (const auto& [name, value] : kTypes) {
    names += (names.empty() ? "" : ", ") + std::string(name);
    if (name != type) continue;
    out.type = value;
    known = true;
  }
  require(known, "{}.type is \"{}\"; known are {}", config.path(), type, names);
  out.hidden_width = config.integer_in("hidden_width", 0, 1 << 18, 0);
  out.activation = nn::activation_from_name(config.string("projector_hidden_act", "gelu"));
  out.bias = config.boolean("bias", true);
  out.scale = config.integer_in("scale", 1, 16, 2);
  out.layer_norm_eps = config.number("layer_norm_eps", 1e-5);
  switch (out.type) {
    case Type::kLinear:
    case Type::kMlp:
    case Type::kNormedMlp:
    case Type::kPixelShuffle:
      break;
    case Type::kConcatNeighbours:
      out.concat.neighbours = config.integer_in("neighbours", 1, 1 << 10, out.concat.neighbours);
      break;
    case Type::kQFormer:
      out.qformer = QFormerConfig::from_json(config);
      break;
    case Type::kResampler:
      read_resampler(config, out.resampler);
      break;
    case Type::kWindowResampler:
      read_window(config, out.window);
      break;
    case Type::kLdp:
      break;
    case Type::kLdpV2:
      read_pooled(config, out.ldp.pooled);
      break;
    case Type::kAveragePool:
      read_pooled(config, out.pool.pooled);
      out.pool.num_layers = config.integer_in("num_layers", 1, 2, out.pool.num_layers);
      break;
    case Type::kTokenPacker:
      out.packer.num_levels = config.integer_in("num_levels", 1, 64, out.packer.num_levels);
      out.packer.scale = out.scale;
      out.packer.num_heads = config.integer_in("num_heads", 0, 1 << 12, out.packer.num_heads);
      break;
    case Type::kPatchMining:
      out.mining.image_grid = config.integer_in("image_grid", 1, 16, out.mining.image_grid);
      out.mining.image_global = config.boolean("image_global", out.mining.image_global);
      out.mining.mining_scale = config.integer_in("mining_scale", 1, 64, out.mining.mining_scale);
      out.mining.activation = out.activation;
      break;
    case Type::kHybrid:
      out.hybrid.depth = config.integer_in("depth", 1, 8, out.hybrid.depth);
      out.hybrid.aux_first = config.boolean("aux_first", out.hybrid.aux_first);
      out.hybrid.activation = out.activation;
      break;
    case Type::kGlu:
      out.position_table = config.boolean("position_table", false);
      out.num_patches = config.integer_in("num_patches", 0, 1 << 20, 0);
      break;
    case Type::kPatchMerger:
      read_merger(config, out.merger);
      out.merger.scale = out.scale;
      out.merger.activation = out.activation;
      out.merger.bias = out.bias;
      break;
  }
  out.set_widths(input_width, output_width, aux_width);
  return out;
}

Json ConnectorConfig::to_json() const {
  Json json = type == Type::kQFormer ? qformer.to_json() : Json::object();
  json["type"] = name_of(type);
  json["projector_hidden_act"] = nn::name_of(activation);
  json["bias"] = bias;
  if (hidden_width != 0) json["hidden_width"] = hidden_width;
  switch (type) {
    case Type::kLinear:
    case Type::kMlp:
    case Type::kQFormer:
    case Type::kLdp:
      break;
    case Type::kNormedMlp:
      json["layer_norm_eps"] = layer_norm_eps;
      break;
    case Type::kPixelShuffle:
      json["scale"] = scale;
      json["layer_norm_eps"] = layer_norm_eps;
      break;
    case Type::kConcatNeighbours:
      json["neighbours"] = concat.neighbours;
      break;
    case Type::kResampler:
      write_resampler(resampler, json);
      break;
    case Type::kWindowResampler:
      write_window(window, json);
      break;
    case Type::kLdpV2:
      write_pooled(ldp.pooled, json);
      break;
    case Type::kAveragePool:
      write_pooled(pool.pooled, json);
      json["num_layers"] = pool.num_layers;
      break;
    case Type::kTokenPacker:
      json["num_levels"] = packer.num_levels;
      json["scale"] = packer.scale;
      json["num_heads"] = packer.num_heads;
      break;
    case Type::kPatchMining:
      json["image_grid"] = mining.image_grid;
      json["image_global"] = mining.image_global;
      json["mining_scale"] = mining.mining_scale;
      break;
    case Type::kHybrid:
      json["depth"] = hybrid.depth;
      json["aux_first"] = hybrid.aux_first;
      break;
    case Type::kGlu:
      json["layer_norm_eps"] = layer_norm_eps;
      json["position_table"] = position_table;
      json["num_patches"] = num_patches;
      break;
    case Type::kPatchMerger:
      write_merger(merger, json);
      break;
  }
  return json;
}

}  // namespace ocelli::connector
