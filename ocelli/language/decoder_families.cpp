#include "ocelli/language/decoder_families.h"

#include <array>

#include "ocelli/base/error.h"
#include "ocelli/language/decoder_family_list.h"

namespace ocelli::language {

std::span<const DecoderFamily> decoder_families() {
  static const std::array list = {
      llama_family(), mistral_family(), granite_family(), smollm3_family(), internlm2_family(), qwen2_family(), qwen3_family(),
      phi_family(),   phi3_family(),    gemma_family(),   opt_family(),     minicpm_family(),   qwen_family(),
  };
  return list;
}

const DecoderFamily* find_decoder_family(std::string_view model_type) {
  for (const DecoderFamily& family : decoder_families()) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

std::string_view architecture_of(const DecoderConfig& config) {
  const DecoderFamily* family = find_decoder_family(config.model_type);
  return family != nullptr ? family->architecture : "OcelliForCausalLM";
}

void read_special_tokens(const JsonView& config, SpecialTokens absent, DecoderConfig& out) {
  if (!config.value().contains("bos_token_id")) out.bos_token_id = absent.bos;
  if (!config.value().contains("eos_token_id") && absent.eos >= 0) out.eos_token_ids = {absent.eos};
  read_special_tokens(config, out);
}

void read_rms_and_act(const JsonView& config, double eps, DecoderConfig& out) {
  out.norm_eps = config.number("rms_norm_eps", eps);
  out.hidden_act = nn::activation_from_name(config.string("hidden_act", "silu"));
}

void write_rms_and_act(const DecoderConfig& config, Json& json) {
  json["rms_norm_eps"] = config.norm_eps;
  json["hidden_act"] = nn::name_of(config.hidden_act);
}

void read_layer_windows(const JsonView& config, std::vector<bool> sliding, DecoderConfig& out) {
  const bool null_window = config.value().contains("sliding_window") && !config.has("sliding_window");
  const bool used = config.boolean("use_sliding_window", false) && !null_window;
  if (!used) sliding.assign(sliding.size(), false);
  if (config.has("layer_types")) {
    const std::vector<std::string> types = config.strings("layer_types");
    require(static_cast<int64_t>(types.size()) == out.num_hidden_layers, "{}.layer_types has {} entries for {} layers",
            config.path(), types.size(), out.num_hidden_layers);
    for (size_t layer = 0; layer < types.size(); ++layer) {
      require(types[layer] == "full_attention" || types[layer] == "sliding_attention",
              "{}.layer_types has \"{}\"; known are full_attention, sliding_attention", config.path(), types[layer]);
      sliding[layer] = types[layer] == "sliding_attention";
      require(used || !sliding[layer], "{}.layer_types has sliding_attention, but no sliding_window is in use", config.path());
    }
  }
  if (!used) return;
  out.sliding_window = config.integer_in("sliding_window", 1, 1 << 24, 4096);
  out.sliding_layers = std::move(sliding);
}

void write_layer_windows(const DecoderConfig& config, Json& json) {
  json["use_sliding_window"] = config.sliding_window > 0;
  json["sliding_window"] = config.sliding_window > 0 ? Json(config.sliding_window) : Json(nullptr);
  Json types = Json::array();
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    types.push_back(config.slides(layer) ? "sliding_attention" : "full_attention");
  }
  json["layer_types"] = std::move(types);
}

void require_switch(const JsonView& config, std::string_view key, bool wanted) {
  require(config.boolean(key, wanted) == wanted, "{}.{} is {}; this decoder knows {} alone", config.path(), key, !wanted, wanted);
}

}  // namespace ocelli::language
