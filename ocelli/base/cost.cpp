#include "ocelli/base/cost.h"

namespace ocelli {
namespace {

Json to_json(const Cost& cost) {
  return {{"parameters", cost.parameters},
          {"flops", cost.flops},
          {"weight_bytes", cost.weight_bytes},
          {"activation_bytes", cost.activation_bytes},
          {"cache_bytes", cost.cache_bytes}};
}

}  // namespace

Cost& Cost::operator+=(const Cost& other) {
  parameters += other.parameters;
  flops += other.flops;
  weight_bytes += other.weight_bytes;
  activation_bytes += other.activation_bytes;
  cache_bytes += other.cache_bytes;
  return *this;
}

Cost operator*(Cost a, double times) {
  a.flops *= times;
  a.activation_bytes *= times;
  a.cache_bytes *= times;
  return a;
}

void Ledger::add(std::string part, const Cost& cost) {
  rows_.emplace_back(std::move(part), cost);
}

Cost Ledger::total() const {
  Cost sum;
  for (const auto& [part, cost] : rows_) sum += cost;
  return sum;
}

Json Ledger::to_json() const {
  // A part added twice is one entry: an object has each key once.
  std::map<std::string, Cost> parts;
  for (const auto& [part, cost] : rows_) parts[part] += cost;
  Json result = Json::object();
  for (const auto& [part, cost] : parts) result[part] = ocelli::to_json(cost);
  result["total"] = ocelli::to_json(total());
  return result;
}

Cost linear_cost(int64_t rows, int64_t in, int64_t out, bool bias, const Workload& work) {
  Cost cost;
  cost.parameters = in * out + (bias ? out : 0);
  // The bias rides on the last multiply-add, as in PyTorch's FlopCounterMode.
  cost.flops = 2.0 * static_cast<double>(rows) * static_cast<double>(in) * static_cast<double>(out);
  cost.weight_bytes = static_cast<double>(cost.parameters) * static_cast<double>(work.weight_bytes);
  cost.activation_bytes = static_cast<double>(rows) * static_cast<double>(in + out) * static_cast<double>(work.activation_bytes);
  return cost;
}

}  // namespace ocelli
