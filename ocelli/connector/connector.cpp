#include "ocelli/connector/connector.h"

#include <array>
#include <utility>

#include "ocelli/connector/mlp_connector.h"
#include "ocelli/connector/pixel_shuffle.h"

namespace ocelli::connector {
namespace {

constexpr std::array<std::pair<std::string_view, ConnectorConfig::Type>, 3> kTypes = {
    {{"linear", ConnectorConfig::Type::kLinear}, {"mlp", ConnectorConfig::Type::kMlp}, {"pixel_shuffle", ConnectorConfig::Type::kPixelShuffle}}};

}  // namespace

ConnectorConfig ConnectorConfig::from_json(const JsonView& config, int64_t input_width, int64_t output_width) {
  ConnectorConfig out;
  const std::string type = config.string("type");
  bool known = false;
  for (const auto& [name, value] : kTypes) {
    if (name != type) continue;
    out.type = value;
    known = true;
  }
  require(known, "{}.type is \"{}\"; known are linear, mlp, pixel_shuffle", config.path(), type);
  out.input_width = input_width;
  out.output_width = output_width;
  out.hidden_width = config.integer_in("hidden_width", 0, 1 << 16, 0);
  out.activation = nn::activation_from_name(config.string("projector_hidden_act", "gelu"));
  out.bias = config.boolean("bias", true);
  out.scale = config.integer_in("scale", 1, 16, 2);
  out.layer_norm_eps = config.number("layer_norm_eps", 1e-5);
  return out;
}

Json ConnectorConfig::to_json() const {
  Json json = {{"projector_hidden_act", nn::name_of(activation)}, {"bias", bias}};
  for (const auto& [name, value] : kTypes) {
    if (value == type) json["type"] = name;
  }
  if (hidden_width != 0) json["hidden_width"] = hidden_width;
  if (type == Type::kPixelShuffle) {
    json["scale"] = scale;
    json["layer_norm_eps"] = layer_norm_eps;
  }
  return json;
}

std::shared_ptr<Connector> make_connector(const ConnectorConfig& config) {
  switch (config.type) {
    case ConnectorConfig::Type::kLinear:
    case ConnectorConfig::Type::kMlp: return std::make_shared<MlpConnector>(config);
    case ConnectorConfig::Type::kPixelShuffle: return std::make_shared<PixelShuffle>(config);
  }
  fail("connector: unknown type");
}

}  // namespace ocelli::connector
