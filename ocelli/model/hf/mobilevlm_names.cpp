#include "ocelli/model/hf/family_list.h"

namespace ocelli::model::hf {

NameMap ldp_names() {
  NameMap names;
  names.add({"model.mlp.1.**", {"linear_1.**"}});
  names.add({"model.mlp.3.**", {"linear_2.**"}});
  const std::string from = "model.mb_block.*.block.", to = "block_*.";
  names.add({from + "0.0.weight", {to + "depthwise"}});
  names.add({from + "0.1.**", {to + "norm1.**"}});
  for (const auto& [theirs, ours] : {std::pair{"1.fc1.", "squeeze."}, {"1.fc2.", "excite."}, {"2.0.", "pointwise."}}) {
    names.add({from + theirs + "weight", {to + ours + "weight"}, Transform::kDropTail, 2});
    names.add({from + theirs + "bias", {to + ours + "bias"}});
  }
  names.add({from + "2.1.**", {to + "norm2.**"}});
  return names;
}

NameMap ldp_v2_names() {
  NameMap names;
  names.add({"mlp.mlp.0.**", {"linear_1.**"}});
  names.add({"mlp.mlp.2.**", {"linear_2.**"}});
  names.add({"peg.peg.0.weight", {"peg_weight"}});
  names.add({"peg.peg.0.bias", {"peg_bias"}});
  return names;
}

}  // namespace ocelli::model::hf
