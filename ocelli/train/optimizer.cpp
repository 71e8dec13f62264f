#include "ocelli/train/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "ocelli/base/error.h"
#include "ocelli/kernels/elementwise.h"
#include "ocelli/nn/parallel.h"

namespace ocelli::train {
namespace {

/// Elements one task works on: large enough to pay for the hand-over, small enough to balance.
constexpr int64_t kPiece = 1 << 15;

/// A piece of one tensor.
struct Piece {
  size_t entry = 0;
  int64_t begin = 0, end = 0;
};

template <typename Entries>
std::vector<Piece> pieces_of(const Entries& entries) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].parameter.grad().defined()) continue;
    const int64_t n = entries[i].parameter.numel();
    for (int64_t begin = 0; begin < n; begin += kPiece) pieces.push_back({i, begin, std::min(n, begin + kPiece)});
  }
  return pieces;
}

at::ScalarType state_type(const at::Tensor& parameter) {
  return parameter.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

Masters masters_of(const model::Model& model, const std::vector<StageRecipe>& stages, at::ScalarType compute) {
  Masters out;
  if (!c10::isReducedFloatingType(compute)) return out;
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& declared) {
    const std::string part(model::part_of(name));
    const auto trains = [&](const StageRecipe& stage) { return stage.trains(part) && stage.learning_rate.at(part) > 0; };
    if (!declared.buffer && std::any_of(stages.begin(), stages.end(), trains)) out[name] = declared.tensor.detach();
  });
  return out;
}

Optimizer::Optimizer(model::Model& model, const StageRecipe& stage, const Masters& masters) : stage_(stage) {
  nn::for_each_parameter(model, [&](const std::string& name, const nn::Parameter& declared) {
    if (declared.buffer) return;
    const std::string part(model::part_of(name));
    const double rate = stage.learning_rate.at(part);
    at::Tensor parameter = declared.tensor;
    const bool trained = stage.trains(part) && rate > 0;
    parameter.requires_grad_(trained);
    if (!trained) return;
    Entry entry;
    entry.name = name;
    entry.part = part;
    entry.parameter = parameter;
    const at::ScalarType wide = state_type(parameter);
    if (parameter.scalar_type() != wide) {
      const auto found = masters.find(name);
      require(found != masters.end(), "optimizer: {} has no fp32 weight behind it", name);
      entry.master = found->second;
    }
    entry.first = at::zeros(parameter.sizes(), parameter.options().dtype(wide).requires_grad(false));
    entry.second = at::zeros_like(entry.first);
    entry.rate = rate;
    entry.decay = declared.shape.size() >= 2 ? stage.weight_decay : 0;
    entries_.push_back(std::move(entry));
  });
  require(!entries_.empty(), "stage {}: nothing is trained; `train` lists no part with a learning rate above zero", stage.name);
}

double Optimizer::gradient_norm() const {
  const std::vector<Piece> pieces = pieces_of(entries_);
  std::vector<double> sums(pieces.size());
  std::vector<at::Tensor> gradients(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    const at::Tensor& gradient = entries_[i].parameter.grad();
    if (gradient.defined()) gradients[i] = gradient.to(state_type(entries_[i].parameter)).contiguous();
  }
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      AT_DISPATCH_FLOATING_TYPES(gradients[piece.entry].scalar_type(), "gradient_norm", [&] {
        sums[static_cast<size_t>(i)] = kernels::sum_of_squares<scalar_t>(
            gradients[piece.entry].const_data_ptr<scalar_t>() + piece.begin, piece.end - piece.begin);
      });
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;  // in order: the same bits whatever thread computed them
  return std::sqrt(total);
}

void Optimizer::step(double share, double gradient_scale) {
  ++steps_;
  const std::vector<Piece> pieces = pieces_of(entries_);
  std::vector<at::Tensor> gradients(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    const at::Tensor& gradient = entries_[i].parameter.grad();
    if (gradient.defined()) gradients[i] = gradient.to(entries_[i].first.scalar_type()).contiguous();
  }
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      Entry& entry = entries_[piece.entry];
      const kernels::AdamW options{.learning_rate = entry.rate * share,
                                   .beta1 = stage_.adam_beta1,
                                   .beta2 = stage_.adam_beta2,
                                   .eps = stage_.adam_epsilon,
                                   .weight_decay = entry.decay,
                                   .step = steps_,
                                   .gradient_scale = gradient_scale};
      at::Tensor weights = entry.master.defined() ? entry.master : entry.parameter;
      AT_DISPATCH_FLOATING_TYPES(entry.first.scalar_type(), "adamw", [&] {
        kernels::adamw_step<scalar_t>(options, piece.end - piece.begin, weights.data_ptr<scalar_t>() + piece.begin,
                                      gradients[piece.entry].const_data_ptr<scalar_t>() + piece.begin,
                                      entry.first.data_ptr<scalar_t>() + piece.begin,
                                      entry.second.data_ptr<scalar_t>() + piece.begin);
      });
    }
  });
  for (Entry& entry : entries_) {
    if (!entry.master.defined() || !entry.parameter.grad().defined()) continue;
    at::NoGradGuard no_grad;
    entry.parameter.copy_(entry.master);
  }
  clear_gradients();
}

void Optimizer::clear_gradients() {
  for (Entry& entry : entries_) entry.parameter.mutable_grad().reset();
}

std::map<std::string, double> Optimizer::rates(double share) const {
  std::map<std::string, double> out;
  for (const Entry& entry : entries_) out[entry.part] = entry.rate * share;
  return out;
}

std::map<std::string, at::Tensor> Optimizer::state() const {
  std::map<std::string, at::Tensor> out;
  for (const Entry& entry : entries_) {
    out["first." + entry.name] = entry.first;
    out["second." + entry.name] = entry.second;
  }
  return out;
}

void Optimizer::restore(const std::map<std::string, at::Tensor>& state, int64_t steps) {
  const auto copy = [&](const std::string& name, at::Tensor& target) {
    const auto found = state.find(name);
    require(found != state.end(), "optimizer state: {} is missing", name);
    require(found->second.sizes() == target.sizes(), "optimizer state: {} has another shape than its parameter", name);
    target.copy_(found->second);
  };
  at::NoGradGuard no_grad;
  for (Entry& entry : entries_) {
    copy("first." + entry.name, entry.first);
    copy("second." + entry.name, entry.second);
  }
  steps_ = steps;
}

}  // namespace ocelli::train
